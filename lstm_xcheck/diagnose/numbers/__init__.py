"""Mistakes with one free number, such as a clip at any value."""

from __future__ import annotations

from .families import LOG_FAMILIES as LOG_FAMILIES
from .families import same_change as same_change
from .search import FittedNumber as FittedNumber
from .search import fitting_numbers as fitting_numbers
from .shifts import shifted_units as shifted_units
