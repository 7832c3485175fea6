"""The exceptions of lstm-xcheck.

XcheckError                   base of all
├── UserError                 the user can fix it: printed as one sentence, exit code 2
│   ├── SpecError             an impossible spec, weights or case
│   ├── CheckpointError       a file that cannot be read or written
│   ├── AdapterError          an unknown adapter, or one whose framework is missing
│   └── NothingComparedError  a comparison of nothing
├── DisagreementError         two implementations differ (also an AssertionError)
├── Unsupported               a framework has no such LSTM; becomes an `unsupported` row
└── WorkerCrashed             a worker died, hung or broke the protocol; becomes a `crashed` row

UnreadLSTMWarning             a file holds LSTMs that are not read, beside those that are given
"""

from __future__ import annotations

from collections.abc import Iterable


class XcheckError(Exception):
    """Base of every exception that lstm-xcheck raises on purpose."""


class UserError(XcheckError):
    """A mistake the user can fix; one sentence: found, expected, what to do."""


class SpecError(UserError, ValueError):
    """A spec, weights or case that describes no LSTM."""


class CheckpointError(UserError):
    """A checkpoint file that cannot be read or written."""


class AdapterError(UserError):
    """An adapter that is unknown or whose framework is not installed."""


class NothingComparedError(UserError):
    """A comparison without a single compared quantity."""


class Unsupported(XcheckError):
    """A framework has no LSTM of this kind; the message is the reason."""


class WorkerCrashed(XcheckError):
    """A worker process died, hung or broke the protocol; the message says which."""


class DisagreementError(XcheckError, AssertionError):
    """Two implementations differ; raised by `assert_equivalent` and `Report.raise_if_failed`."""


class UnreadLSTMWarning(UserWarning):
    """A file holds LSTMs that are not read beside those that are."""


#: Names that an error lists.
MOST = 60


def unknown(what: str, name: str, names: Iterable[str]) -> str:
    """The sentence for a name that does not exist: the nearest ones, else all.

    >>> unknown("preset", "standart", ["quick", "standard"])
    "unknown preset 'standart'; did you mean standard?"
    >>> unknown("preset", "x", ["quick", "standard"])
    "unknown preset 'x'; expected one of quick, standard"
    """
    from difflib import get_close_matches

    known = list(names)
    more = f" and {len(known) - MOST} more" if len(known) > MOST else ""
    near = get_close_matches(str(name), known, n=3, cutoff=0.75)
    return f"unknown {what} {name!r}; " + (
        f"did you mean {' or '.join(near)}?" if near else f"expected one of {', '.join(known[:MOST])}{more}"
    )
