"""The scan of `jax` through jax.export, and through jax2onnx in onnxruntime."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from lstm_xcheck.adapters import entry_named
from lstm_xcheck.adapters.protocol import Session
from lstm_xcheck.adapters.registry import load_adapter
from lstm_xcheck.compare import judge
from lstm_xcheck.errors import Unsupported
from lstm_xcheck.model import Case, LSTMSpec, LSTMWeights

jax = pytest.importorskip("jax")

pytestmark = [pytest.mark.framework, pytest.mark.usefixtures("jax_float64")]

STACK = LSTMSpec(5, 4, num_layers=2, bidirectional=True)
EXOTIC = LSTMSpec(
    3, 5, reverse=True, proj_size=2, peepholes=True, cell_clip=1.0, gate_activation="hard_sigmoid:0.2,0.5"
)


def session(name: str) -> Session:
    entry = entry_named(name)
    for module in entry.requires:
        pytest.importorskip(module)
    return Session(load_adapter(entry.target, name))


def verdict(case: Case, used: Session, run: Case | None = None) -> Any:
    return judge(used.execute(run or case), case, layout="jax")


CASES = {
    "stack": Case.random(STACK, returns="last"),
    "exotic": Case.random(EXOTIC),
    "without-states": Case.random(LSTMSpec(5, 4, bias="none"), states=False, precision="float64"),
    "ragged": Case.random(STACK, ragged=True),
    "holes": replace(Case.random(LSTMSpec(3, 4), steps=2, batch=1), mask=np.array([[False, True]]), id=""),
    "bfloat16": Case.random(LSTMSpec(3, 4), precision="bfloat16"),
    "gradients": Case.random(STACK, gradients=True, ragged=True, precision="float64"),
}

NOT_IN_ONNX = {"ragged": "lengths", "holes": "mask", "bfloat16": "precision", "gradients": "gradients"}


@pytest.mark.parametrize("name", CASES)
def test_the_exported_scan_agrees(name: str) -> None:
    case, used = CASES[name], session("jax-export")
    judged = verdict(case, used)
    assert judged.verdict == "match", judged.rows
    if case.gradients:
        assert {"x", "h0", "c0", "1.1.W", "1.1.b"} <= set(used.execute(case).gradients)


@pytest.mark.parametrize("name", [name for name in CASES if name not in NOT_IN_ONNX])
def test_the_onnx_file_agrees(name: str) -> None:
    judged = verdict(CASES[name], session("jax-onnx"))
    assert judged.verdict == "match", judged.rows


@pytest.mark.parametrize("name", NOT_IN_ONNX)
def test_what_jax2onnx_cannot_write_has_a_reason(name: str) -> None:
    with pytest.raises(Unsupported, match=f"^{NOT_IN_ONNX[name]}"):
        session("jax-onnx").execute(CASES[name])


@pytest.mark.parametrize("name", ["jax-export", "jax-onnx"])
def test_weights_of_another_seed_are_a_mismatch(name: str) -> None:
    case = CASES["stack"]
    other = replace(case, weights=LSTMWeights.random(STACK, seed=2), id="")
    wrong = {row.quantity for row in verdict(case, session(name), other).rows if row.verdict == "mismatch"}
    assert wrong >= {"y", "h_n", "c_n", "weights"}


def test_a_file_serves_every_case_of_its_shape(monkeypatch: pytest.MonkeyPatch) -> None:
    used = session("jax-export")
    from jax import export

    written: list[Any] = []
    original = export.export

    def counted(*arguments: Any) -> Any:
        written.append(arguments)
        return original(*arguments)

    monkeypatch.setattr(export, "export", counted)
    for seed in range(3):
        assert verdict(case := Case.random(LSTMSpec(2, 3), seed=seed), used).verdict == "match", case.id
    assert len(written) == 1
    used.execute(Case.random(LSTMSpec(2, 3), steps=4))
    assert len(written) == 2


def test_the_environment_names_what_converts() -> None:
    assert {"jax2onnx", "onnxruntime", "onnx", "jax"} <= set(session("jax-onnx").environment)
