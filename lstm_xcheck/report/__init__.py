"""Reports: listeners of a run's events, and views of what they gathered."""

from .model import Report as Report
