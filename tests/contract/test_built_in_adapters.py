"""Every built-in adapter whose framework is installed keeps the contract, but for what the framework gets wrong.

Adapters of a family are asked in one run, which starts their frameworks once. Those that compile for seconds at each
shape would take minutes here: tests/adapters runs them.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import pytest

from lstm_xcheck.adapter_contract import NAMES
from lstm_xcheck.adapters.table import BUILT_IN

from ..conftest import needs
from .running import Outcomes, contract_outcomes, failures

ENTRIES = {entry.name: entry for entry in BUILT_IN if not entry.compiles}

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
        "gate-clip",
        "relu",
    },
    "paddle": {"gradients-stack-bidirectional-lengths"},
    "tract": {"reverse", "coupled-gates", "hard-sigmoid", "gate-clip", "relu"},
}


@pytest.fixture(scope="module")
def of_family(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Outcomes]:
    """The outcomes of all installed adapters of a family, found once."""

    @cache
    def outcomes(family: str) -> Outcomes:
        names = [name for name, entry in ENTRIES.items() if entry.family == family and not entry.missing()]
        return contract_outcomes(",".join(names), tmp_path_factory.mktemp("family"))

    return outcomes


@pytest.mark.slow
@pytest.mark.framework
@pytest.mark.parametrize("name", ENTRIES)
def test_a_built_in_adapter_keeps_the_contract(name: str, of_family: Callable[[str], Outcomes]) -> None:
    needs(*ENTRIES[name].requires)
    parameters = {f"[{name}]", *(f"[{name}-{case}]" for case in NAMES)}
    own = {
        test: outcome
        for test, outcome in of_family(ENTRIES[name].family).items()
        if test[test.find("[") :] in parameters
    }
    assert set(failures(own)) == {f"test_case[{name}-{case}]" for case in DIVERGENCES.get(name, set())}
    assert list(own.values()).count("passed") >= 15
