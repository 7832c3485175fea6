"""Formats an exception of foreign code."""

from __future__ import annotations

import traceback

#: Characters after which a message is cut.
MAX_LENGTH = 2000


def format_exception(error: BaseException) -> str:
    """The exception, its bounded message, and where it was raised.

    >>> format_exception(ValueError("no such size"))
    'raised ValueError: no such size'
    """
    text = "".join(traceback.format_exception_only(type(error), error)).strip()
    if len(text) > MAX_LENGTH:
        text = f"{text[:MAX_LENGTH]}..."
    frames = traceback.extract_tb(error.__traceback__)
    where = f' (File "{frames[-1].filename}", line {frames[-1].lineno}, in {frames[-1].name})' if frames else ""
    return f"raised {text}{where}"
