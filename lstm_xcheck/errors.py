"""The exceptions of lstm-xcheck.

XcheckError                 everything this package raises on purpose
├── UserError               somebody can mend it: printed as one sentence, exit code 2
│   ├── SpecError           an impossible spec, weights or case
│   ├── CheckpointError     a file that cannot be read or written
│   ├── AdapterError        an unknown adapter, or one whose framework is missing
│   └── NothingComparedError  a comparison that would have compared nothing
├── DisagreementError       two implementations differ (also an AssertionError)
├── Unsupported             a framework has no such LSTM; becomes an `unsupported` row
└── WorkerCrashed           a worker died, hung or broke the protocol; a `crashed` row
"""

from __future__ import annotations


class XcheckError(Exception):
    """Base of every exception that lstm-xcheck raises on purpose."""


class UserError(XcheckError):
    """A mistake the user can mend: one sentence with what was found, expected and to do."""


class SpecError(UserError, ValueError):
    """A spec, weights or case that describes no LSTM."""


class CheckpointError(UserError):
    """A checkpoint file that cannot be read or written."""


class AdapterError(UserError):
    """An adapter that is unknown or whose framework is not installed."""


class NothingComparedError(UserError):
    """A comparison without a single compared quantity."""


class Unsupported(XcheckError):
    """The framework has no LSTM of this kind; the message is the reason."""


class WorkerCrashed(XcheckError):
    """A worker process died, hung or answered nonsense; the message says which."""


class DisagreementError(XcheckError, AssertionError):
    """Raised by `assert_equivalent` and `Report.raise_if_failed` when implementations differ."""
