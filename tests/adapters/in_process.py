"""Judges adapters in the process of the tests."""

from __future__ import annotations

from functools import cache

import pytest

from lstm_xcheck.adapters.protocol import Session
from lstm_xcheck.adapters.registry import entry_named, load_adapter
from lstm_xcheck.compare import judge
from lstm_xcheck.compare.verdict import Verdict
from lstm_xcheck.errors import Unsupported
from lstm_xcheck.model import Case

from ..conftest import needs


@cache
def session(name: str) -> Session:
    """One session for all tests; skips where the framework is missing."""
    entry = entry_named(name)
    needs(*entry.requires)
    return Session(load_adapter(entry.target, name))


def verdict(name: str, case: Case) -> Verdict:
    """The verdict on what the adapter answers, its weights and its count."""
    return judge(session(name).execute(case), case, layout=session(name).adapter.layout)


def assert_answer(name: str, case: Case, expected: str) -> None:
    """Expect a verdict, or that the case is unsupported for this reason."""
    if expected in ("match", "mismatch"):
        assert verdict(name, case).verdict == expected
    else:
        with pytest.raises(Unsupported, match=expected):
            session(name).execute(case)
