"""Every built-in adapter whose framework is installed keeps the contract, but for what the framework gets wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from lstm_xcheck.adapters.table import BUILT_IN

from ..conftest import needs
from .running import contract_outcomes, failures

ENTRIES = {entry.name: entry for entry in BUILT_IN}

#: Adapter -> the cases in which its framework is wrong without a word, which the adapter passes on for the judge.
DIVERGENCES: dict[str, set[str]] = {
    **{name: {"length-0", "halves-of-lengths"} for name in ("flax-linen", "flax-nnx", "flax-nnx-optimized")},
    **{name: {"length-0", "halves-of-lengths"} for name in ("onnxruntime", "openvino")},
    **{name: {"held-outputs-both"} for name in ("keras-tensorflow", "keras-torch", "keras-cell", "tf-keras")},
    "keras-jax": {"held-outputs-both", "held-outputs-left-mask"},
    "onnx-openvino": {"peepholes", "coupled-gates", "length-0", "halves-of-lengths"},
    "onnx-reference": {
        "length-0",
        "lengths-reverse",
        "lengths-stack",
        "last-output-of-lengths",
        "halves-of-lengths",
        "lengths",
        "reverse-lengths",
        "stack-bidirectional-lengths",
        "coupled-gates",
        "hard-sigmoid",
    },
    "paddle": {"gradients-stack-bidirectional-lengths"},
    "tract": {"reverse", "coupled-gates", "hard-sigmoid"},
}


@pytest.mark.slow
@pytest.mark.framework
@pytest.mark.parametrize("name", ENTRIES)
def test_a_built_in_adapter_keeps_the_contract(name: str, tmp_path: Path) -> None:
    needs(*ENTRIES[name].requires)
    outcomes = contract_outcomes(name, tmp_path)
    assert set(failures(outcomes)) == {f"test_case[{name}-{case}]" for case in DIVERGENCES.get(name, set())}
    assert list(outcomes.values()).count("passed") >= 15
