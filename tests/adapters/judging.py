"""Cases run through one adapter in this process, and judged."""

from __future__ import annotations

import lstm_xcheck as lx
from lstm_xcheck.adapters import entry_named
from lstm_xcheck.adapters.protocol import Session
from lstm_xcheck.adapters.registry import load_adapter
from lstm_xcheck.compare import judge
from lstm_xcheck.compare.verdict import Verdict
from lstm_xcheck.layouts import to_layout
from lstm_xcheck.model import Case, LSTMSpec, LSTMWeights


def session(name: str) -> Session:
    return Session(load_adapter(entry_named(name).target, name))


def verdict_of(running: Session, case: Case) -> Verdict:
    """The verdict on the framework's outputs, weights, count and gradients."""
    return judge(running.execute(case), case, adapter=running.adapter.name, layout=running.adapter.layout)


def assert_finds_other_weights(running: Session) -> None:
    """A model that has the weights of another seed is a mismatch."""
    case = Case.random(LSTMSpec(5, 4, num_layers=2, bidirectional=True, bias="single"))
    adapter = running.adapter
    model = adapter.build(case.spec, case.precision)
    adapter.load(model, to_layout(LSTMWeights.random(case.spec, seed=1), adapter.layout))
    assert lx.judge(adapter.run(model, case), case).verdict == "mismatch"
