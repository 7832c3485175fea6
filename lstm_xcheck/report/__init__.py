"""Reports: gather the events of a run and show them."""

from .model import Report as Report
