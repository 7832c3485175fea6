"""`doctor`: what is known to be wrong is said first, with the command that mends it."""

from __future__ import annotations

import json

import numpy as np
import pytest

from lstm_xcheck.adapters.doctor import RULES, Environment, examine

from ..helpers import Command

#: Name of a fault -> versions and variables that show it, its level, and a word of its sentence.
FAULTS: dict[str, tuple[dict[str, str], dict[str, str], str, str]] = {
    "two TensorFlows": ({"tensorflow": "2.21.0", "tensorflow-cpu": "2.21.0"}, {}, "wrong", "one folder"),
    "half an mlx": ({"mlx-cpu": "0.32.4"}, {}, "wrong", "without its core"),
    "an old jax2onnx": ({"jax2onnx": "0.13.0", "orbax-checkpoint": "0.12.1"}, {}, "wrong", "fell back"),
    "another backend": ({}, {"KERAS_BACKEND": "openvino"}, "note", "KERAS_BACKEND is 'openvino'"),
    "Keras 2": ({"keras": "2.15.0"}, {}, "note", "TensorFlow alone"),
    "litert-torch": ({"litert-torch": "0.10.0"}, {}, "note", "float64"),
    "scikit-learn": ({"scikit-learn": "1.7", "keras": "3.15.1"}, {}, "note", "half a second"),
    "safetensors": ({"safetensors": "0.8.0"}, {}, "note", "garbage"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_known_fault_is_found(fault: str) -> None:
    versions, variables, level, words = FAULTS[fault]
    found = examine(Environment(versions, variables, lambda module: False))
    (one,) = [finding for finding in found if words in finding.text]
    assert one.level == level
    assert found[0].level == level or found[0].level == "wrong"


def test_every_rule_has_a_fault_and_none_objects_to_a_sound_environment() -> None:
    assert len(RULES) == len(FAULTS)
    sound = Environment(
        {"tensorflow-cpu": "2.21.0", "keras": "3.15.1", "mlx": "0.32.4", "safetensors": "0.6.2", "jax2onnx": "0.17.1"},
        {"KERAS_BACKEND": "torch"},
        lambda module: True,
    )
    assert [rule(sound) for rule in RULES] == [None] * len(RULES)


def test_the_command_says_what_is_here(command: Command) -> None:
    ran = command("doctor", "--json")
    data = json.loads(ran.out)
    assert data["packages"]["numpy"] == np.__version__
    assert ran.code == int(any(finding["level"] == "wrong" for finding in data["findings"]))
    assert not set(data["adapters"]) & set(data["missing"])
    text = command("doctor").out
    assert ("known to be wrong" in text.splitlines()[0]) is True
    assert f"numpy {np.__version__}" in text
