"""The YAML of old Keras, as PyYAML wrote it, against what it stands for."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from lstm_xcheck.checkpoints.keras.plain_yaml import read_yaml

from .older_files import arrays, weights_only

pytest.importorskip("h5py")

MODEL: dict[str, Any] = {
    "backend": "tensorflow",
    "class_name": "Sequential",
    "config": {
        "layers": [
            {
                "class_name": "LSTM",
                "config": {
                    "activation": "tanh", "batch_input_shape": [None, 5, 2], "bias_regularizer": None, "dropout": 0.0,
                    "go_backwards": True, "kernel_initializer": {"class_name": "Zeros", "config": {}}, "name": "lstm_1",
                    "recurrent_activation": "hard_sigmoid", "scale": 1e-07, "title": "it's a: b", "units": 4,
                },
                "inbound_nodes": [[["input_1", 0, 0, {}]]],
            }
        ]
    },
    "keras_version": "2.2.4",
}  # fmt: skip

#: What PyYAML 3.13 wrote by default, with collections of scalars in brackets.
OLDER = """\
backend: tensorflow
class_name: Sequential
config:
  layers:
  - class_name: LSTM
    config:
      activation: tanh
      batch_input_shape: !!python/tuple [null, 5, 2]
      bias_regularizer: null
      dropout: 0.0
      go_backwards: true
      kernel_initializer: &id001
        class_name: Zeros
        config: {}
      name: lstm_1
      recurrent_activation: hard_sigmoid
      scale: 1.0e-07
      title: 'it''s a: b'
      units: 4
    inbound_nodes:
    - - [input_1, 0, 0, {}]
keras_version: 2.2.4
"""

#: What PyYAML 5.1 and later write.
NEWER = """\
backend: tensorflow
class_name: Sequential
config:
  layers:
  - class_name: LSTM
    config:
      activation: tanh
      batch_input_shape: !!python/tuple
      - null
      - 5
      - 2
      bias_regularizer: null
      dropout: 0.0
      go_backwards: true
      kernel_initializer:
        class_name: Zeros
        config: {}
      name: lstm_1
      recurrent_activation: hard_sigmoid
      scale: 1.0e-07
      title: "it's a:\\
        \\ b"
      units: 4
    inbound_nodes:
    - - - input_1
        - 0
        - 0
        - {}
keras_version: 2.2.4
"""

#: All in brackets, wrapped.
FLOW = """\
{backend: tensorflow, class_name: Sequential, config: {layers: [{class_name: LSTM, config: {
          activation: tanh, batch_input_shape: !!python/tuple [null, 5, 2], bias_regularizer: null,
          dropout: 0.0, go_backwards: true, kernel_initializer: {class_name: Zeros, config: {}},
          name: lstm_1, recurrent_activation: hard_sigmoid, scale: 1.0e-07, title: 'it''s
            a: b', units: 4}, inbound_nodes: [[[input_1, 0, 0, {}]]]}]}, keras_version: 2.2.4}
"""


@pytest.mark.parametrize("text", [OLDER, NEWER, FLOW], ids=["older", "newer", "flow"])
def test_what_old_keras_wrote_is_what_it_says(text: str) -> None:
    assert read_yaml(text) == MODEL


def test_an_alias_stands_for_its_anchor() -> None:
    assert read_yaml("a: &id001 {b: [1, 2]}\nc: [*id001, *id001]\n") == {"a": {"b": [1, 2]}, "c": [{"b": [1, 2]}] * 2}


def test_both_forms_of_a_config_read_the_same(tmp_path: Path) -> None:
    import lstm_xcheck as lx

    (tmp_path / "m.json").write_text(json.dumps(MODEL))
    (tmp_path / "m.yaml").write_text(OLDER)
    path = weights_only(tmp_path / "m.h5", "2.2.4", {"lstm_1/lstm_1": arrays()})
    ours, theirs = (lx.load(path, keras_config=tmp_path / name)["lstm_1"] for name in ("m.yaml", "m.json"))
    assert ours == theirs
    assert (ours.spec.gate_activation, ours.spec.reverse) == ("hard_sigmoid:0.2,0.5", True)


LAUGHS = "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 30))


@pytest.mark.parametrize(
    "text",
    [
        "a: |\n  text\n", "a: *nobody\n", "a: [1, 2\n", "a: {b: 1\n", "a: {b}\n", "a: 1\n  b: 2\n", "a: 'x\n",
        "? a\n: b\n",
        "a: [1] 2\n", "- a\nb: c\n", "a: &a0 [1]\n" + LAUGHS.replace("*a0", "1"),
    ],
)  # fmt: skip
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"no plain YAML|repeat too much"):
        read_yaml(text)


def test_a_tag_is_never_looked_up() -> None:
    assert read_yaml("a: !!python/object/apply:os.system ['exit 1']\n") == {"a": ["exit 1"]}
