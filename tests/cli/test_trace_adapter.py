"""`trace --adapter`: an implementation beside the true outputs."""

from __future__ import annotations

import json

import numpy as np
import pytest

from ..helpers import Command


@pytest.mark.usefixtures("numpy_adapters")
@pytest.mark.parametrize(("adapter", "code"), [("honest", 0), ("lossy", 1)])
def test_outputs_are_compared_with_the_true_ones(command: Command, adapter: str, code: int) -> None:
    asked = ("trace", "--input-size", "2", "--hidden-size", "3", "--steps", "4", "--adapter", adapter)
    ran = command(*asked)
    assert (ran.code, f"{adapter}, top layer: h beside the true one" in ran.out) == (code, True)
    assert ("honest rounding allows" in ran.out, "weights rounded to float16" in ran.out) == (code == 0, code == 1)
    ran = command(*asked, "--json")
    traced = json.loads(ran.out)["adapter"]
    assert ran.code == code
    assert np.shape(traced["y"]) == np.shape(traced["score"]) == (1, 4, 3)
    assert (np.max(traced["score"]) > 1.0) == (code == 1)
    assert np.allclose(traced["y"], json.loads(ran.out)["y"], atol=1e-2)


@pytest.mark.usefixtures("numpy_adapters")
def test_a_refusal_is_one_sentence(command: Command) -> None:
    ran = command("trace", "--input-size", "2", "--hidden-size", "3", "--adapter", "unwilling")
    assert (ran.code, ran.err) == (2, "Error: unwilling gives no answer to trace: not on Sundays\n")
