"""Random weights and cases have the same bits on every Python and NumPy.

Recordings and reports rely on it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from lstm_xcheck.model import Case, LSTMSpec, LSTMWeights
from lstm_xcheck.model.initializers import INITIALIZERS

#: Both directions, two layers, split biases, peepholes and a projection: every kind of array there is.
SPEC = LSTMSpec(5, 7, num_layers=2, bidirectional=True, proj_size=3, peepholes=True)

#: sha256 of the float64 weights of seed 3; a change invalidates all recordings.
WEIGHTS = {
    "probe": "247a6f06ed35fb48bb80100acde88e2cb2b2aaa86ea21ac456fac0f743211ce8",
    "keras": "4bafab6194f8f2385fa58de8d3c8f64bb4801ccf3f3db88e2d0fed2c18c96063",
    "torch": "caedb57b200358e6533377905b54d7ee288e18c8a513c39d0b0a3daaed5ed1f7",
    "normal": "acee1fe5d62cf52b133aa3b55d8636a4c3f59e88f11ba3684a513ec773b0cbb6",
    "saturated": "35f321db7cca186bcd821c1334cae15320741516cff211724c0bc74da0d90f6c",
    "longmem": "c4b824d3d9aa7667565e3b96d45f87db399164b8db4cc32784dac16e6d5e4545",
    "chaotic": "09cffab8889bdc83fed2ce3b8c2be8af278087177c68129de0c2058cc8171710",
    "chaos8": "44acd3a3dc79c51f670e8451c84d56449ec05d5a1f8f42081adfd3e58df21be1",
    "tiny": "b65a4872a1df2424785bbd533f73c4529478e770dee9d751384c33b71b50af11",
    "positive": "f3e14333e65ee84c64ad077b010827ef00f9a353bf8741ab07209bfd14e332e5",
    "outliers": "5cac92cd717e6ca1ffcf3e818611d56f0ce271bb1e2867d1ffc2a1103f00b537",
}

#: sha256 over weights and data of seed 3.
CASES: dict[str, tuple[dict[str, Any], str]] = {
    "default": ({}, "80c89f81711ed19d04efd012a0e8d315a872470806f0f55292803efe61a1be7d"),
    "float64": ({"precision": "float64"}, "a16e63399ec164839315e2903aa1994a8eebd6edf7356eebfa1bff6cf4075de8"),
    "float16": ({"precision": "float16"}, "75c36297f1a6264636243dfedfe7d65f93524d17828f9c4e4fec623b673438dc"),
    "bfloat16": ({"precision": "bfloat16"}, "e197d9011dde83e147cb33387bca0ec2c1fcb215c740d7feffe9afb534fd4b97"),
    "no-states": ({"states": False}, "e51d6b230a1b601ca1d6551f26e6b112af9172f94909c8097849445d8c0ba476"),
    "ragged": ({"ragged": True}, "619fe228e52426b2ddbbbb720cda2dd15edc935a1f98f6a405a26f088fe1ca59"),
    "one-hot": ({"one_hot": True}, "cb4c2f5e5d6847ff2648851772d4f3b5886ee71ae0b93517c623edb311a2abfe"),
    "scaled": ({"scale": 3.0, "init": "keras"}, "48505a0c018199e5b094b73916cbc92a413894fa959e74254e2c2de63f53f5c0"),
    "long": ({"steps": 40, "batch": 9}, "43d5b7db4e68c76ec349468c9bbe597477381c42e4fd97bbb0ba08418165d52a"),
}


def test_every_initializer_is_pinned() -> None:
    assert set(WEIGHTS) == set(INITIALIZERS)


@pytest.mark.parametrize("init", WEIGHTS)
def test_weights_are_pinned(init: str) -> None:
    assert LSTMWeights.random(SPEC, seed=3, init=init, dtype="float64").fingerprint == WEIGHTS[init]


@pytest.mark.parametrize(("options", "pin"), CASES.values(), ids=CASES)
def test_cases_are_pinned(options: dict[str, Any], pin: str) -> None:
    assert Case.random(SPEC, seed=3, **options).fingerprint == pin


def test_single_numbers_are_pinned() -> None:
    """Without names and types, which the fingerprint covers too."""
    case = Case.random(LSTMSpec(1, 1), seed=0, precision="float64")
    assert [float(case.x[0, 0, 0]).hex(), float(np.asarray(case.weights.layers[0][0].W)[0, 0, 0]).hex()] == [
        "-0x1.762cf5e2ca92ep+0",
        "0x1.6d9721d591757p+0",
    ]


def test_a_wider_layer_keeps_the_other_arrays() -> None:
    """Each array has a random stream: inputs do not depend on the hidden size."""
    narrow, wide = (Case.random(LSTMSpec(5, hidden), seed=3) for hidden in (4, 9))
    assert np.array_equal(narrow.x, wide.x)


@pytest.mark.parametrize("init", INITIALIZERS)
def test_seeds_layers_and_directions_differ(init: str) -> None:
    arrays = LSTMWeights.random(SPEC, seed=3, init=init).arrays()
    other = LSTMWeights.random(SPEC, seed=4, init=init).arrays()
    assert not np.array_equal(arrays["0.0.W"], other["0.0.W"])
    assert not np.array_equal(arrays["0.0.U"], arrays["0.1.U"])
    assert not np.array_equal(arrays["0.0.U"], arrays["1.0.U"])


@pytest.mark.parametrize("bias", ["split", "single"])
def test_a_probe_reveals_every_gate(bias: Any) -> None:
    """No array is zero, no two gates are equal, both biases differ everywhere."""
    cell = LSTMWeights.random(LSTMSpec(5, 7, bias=bias, peepholes=True), seed=3).layers[0][0]
    for name, array in cell.items():
        rows = np.asarray(array).reshape(len(array), -1)
        assert (rows != 0).any(axis=1).all(), name
        assert len({row.tobytes() for row in rows}) == len(rows), name
    assert cell.b is not None
    assert (np.asarray(cell.b) != 0).all()
    if cell.b_r is not None:
        assert (np.asarray(cell.b) != np.asarray(cell.b_r)).all()


def test_keras_weights_start_as_in_keras() -> None:
    """Orthonormal recurrent kernel, ones for the forget gate, zeros for the other biases."""
    cell = LSTMWeights.random(LSTMSpec(5, 7, bias="single"), seed=3, init="keras", dtype="float64").layers[0][0]
    kernel = np.asarray(cell.U).reshape(28, 7)
    assert np.abs(kernel.T @ kernel - np.eye(7)).max() < 1e-14
    assert np.asarray(cell.b).tolist() == [[0] * 7, [1] * 7, [0] * 7, [0] * 7]
