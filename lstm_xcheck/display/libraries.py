"""Data frames and plots, by libraries that may be missing."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Mapping, Sequence
from typing import Any

from ..errors import UserError


def data_frame(columns: Mapping[str, Sequence[Any]]) -> Any:
    """A pandas DataFrame of these columns, or one of polars where pandas is missing.

    Raises:
        UserError: when neither is installed.
    """
    for name in ("pandas", "polars"):
        if importlib.util.find_spec(name):
            return importlib.import_module(name).DataFrame(dict(columns))
    raise UserError("a data frame needs pandas or polars, which this Python does not have; run: pip install pandas")


def pyplot() -> Any:
    """Matplotlib's pyplot.

    Raises:
        UserError: when it is not installed.
    """
    if importlib.util.find_spec("matplotlib") is None:
        raise UserError(
            "a plot needs matplotlib, which this Python does not have; run: pip install 'lstm-xcheck[plot]'"
        )
    return importlib.import_module("matplotlib.pyplot")
