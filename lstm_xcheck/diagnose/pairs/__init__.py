"""Two mistakes that together explain the outputs."""

from __future__ import annotations

from .search import fitting_pairs as fitting_pairs
