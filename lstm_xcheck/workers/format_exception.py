"""What somebody else's code raised, in a sentence: whatever its message is, and however long."""

from __future__ import annotations

import traceback

#: Longer messages are cut, characters.
LONGEST = 2000


def format_exception(error: BaseException) -> str:
    """The exception with its message, and where it was raised.

    >>> raised(ValueError("no such size"))
    'raised ValueError: no such size'
    """
    text = "".join(traceback.format_exception_only(type(error), error)).strip()
    if len(text) > LONGEST:
        text = f"{text[:LONGEST]}..."
    frames = traceback.extract_tb(error.__traceback__)
    where = f' (File "{frames[-1].filename}", line {frames[-1].lineno}, in {frames[-1].name})' if frames else ""
    return f"raised {text}{where}"
