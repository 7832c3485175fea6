"""Makes a golden folder of the same schema with other files: what sources could ask for next."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from lstm_xcheck.arrays import Array
from lstm_xcheck.model import Case, CellWeights, LSTMSpec, Result
from lstm_xcheck.oracle import forward

File = dict[str, Any]
Names = Callable[[str, str], str]


def stored(array: Array, text: Callable[[float], str] = repr, axes: str = "") -> File:
    """An array as a file holds it; `text` prints a number."""
    numbers = [float(text(float(number))) for number in np.asarray(array).ravel()]
    return {"shape": list(np.shape(array)), "data": numbers, **({"axes": axes} if axes else {})}


def case_of(spec: LSTMSpec, **data: Any) -> Case:
    """A case in float64."""
    return Case.random(spec, seed=3, precision="float64", **{"steps": 4, "batch": 2, **data})


def a_file(case: Case, layout: str, arrays: Mapping[str, Array], expected: Mapping[str, File], **options: Any) -> File:
    """A file of one case, with the options that it names and no others."""
    states = {"initial_h": case.h0, "initial_c": case.c0}
    inputs = {name: stored(state, axes="LBR") for name, state in states.items() if state is not None}
    return {
        "schema": "lstm-golden/1", "name": "case", "kind": "forward", "source": {"project": "made here"},
        "options": options, "weights": {"layout": layout, "arrays": {n: stored(a) for n, a in arrays.items()}},
        "inputs": {"x": stored(case.x, axes="BTI"), **inputs}, "expected": dict(expected),
        "tolerance": {"atol": 1e-6, "rtol": 0.0},
    }  # fmt: skip


def answers(result: Result, text: Callable[[float], str] = repr) -> dict[str, File]:
    """The numbers that a test of the source asserts."""
    assert result.y is not None and result.h_n is not None and result.c_n is not None
    return {
        "y": stored(result.y, text, "BT(DR)"), "h_n": stored(result.h_n, text, "LBR"),
        "c_n": stored(result.c_n, text, "LBR"),
    }  # fmt: skip


def per_gate(cell: CellWeights, name: Names) -> dict[str, Array]:
    """An array for each gate, matrices (input, hidden); `name` spells part and gate."""
    parts = {"W": cell.W, "U": cell.U, "b": cell.b, "b_r": cell.b_r}
    return {
        name(part, gate): np.asarray(array)[k].T
        for part, array in parts.items()
        if array is not None
        for k, gate in enumerate("ifgo")
    }


def axon(part: str, gate: str) -> str:
    """As Axon names them."""
    return {"W": "wi", "U": "wh", "b": "b"}[part] + gate


def tuples(part: str, gate: str) -> str:
    """As newer versions of Axon group them."""
    return {"W": "l0.input_kernel", "U": "l0.hidden_kernel", "b": "l0.bias"}[part] + f".{gate}"


def burn(part: str, gate: str) -> str:
    """As Burn names them."""
    word = {"i": "input", "f": "forget", "g": "cell", "o": "output"}[gate]
    side = {"W": "input", "b": "input", "U": "hidden", "b_r": "hidden"}[part]
    return f"l0.fw.{word}_gate.{side}_transform.{'bias' if part.startswith('b') else 'weight'}"


def mnn(part: str, gate: str) -> str:
    """As MNN's tests name gates; n is the candidate."""
    return f"fw.{ {'W': 'w', 'U': 'r', 'b': 'b'}[part] }_{gate.replace('g', 'n')}"


PLAIN = case_of(LSTMSpec(3, 4, bias="single"))
SPLIT = case_of(LSTMSpec(3, 4))
STACK = case_of(LSTMSpec(3, 2, num_layers=2, bidirectional=True))


def torch_arrays(case: Case) -> dict[str, Array]:
    """As PyTorch names them: gates i, f, g, o in blocks of rows."""
    arrays = {}
    for layer, direction, cell in case.weights.cells():
        end = f"_l{layer}{'_reverse' if direction else ''}"
        parts = {"weight_ih": cell.W, "weight_hh": cell.U, "bias_ih": cell.b, "bias_hh": cell.b_r}
        for name, array in parts.items():
            assert array is not None
            full = np.asarray(array)
            arrays[name + end] = full.reshape(-1, *full.shape[2:])
    return arrays


def tflite_arrays(case: Case) -> dict[str, Array]:
    """As TFLite names them, with a projection of its own width."""
    cell = case.weights.layers[0][0]
    words = dict(zip("ifgo", ("input", "forget", "cell", "output"), strict=True))
    arrays: dict[str, Array] = {}
    for k, word in enumerate(words.values()):
        assert cell.b is not None
        arrays[f"fw.input_to_{word}_weights"], arrays[f"fw.recurrent_to_{word}_weights"] = (
            np.asarray(cell.W)[k], np.asarray(cell.U)[k],
        )  # fmt: skip
        arrays[f"fw.{word}_gate_bias"] = np.asarray(cell.b)[k]
    return arrays


def expressible() -> dict[str, File]:
    """Files whose numbers must agree."""
    plain, split, stack = forward(PLAIN), forward(SPLIT), forward(STACK)
    one, two = PLAIN.weights.layers[0][0], SPLIT.weights.layers[0][0]
    both = {"layers": 2, "direction": "bidirectional", "bias": "double"}
    return {
        "elixir__lstm": a_file(PLAIN, "axon-separate", per_gate(one, axon), answers(plain), bias="single"),
        "elixir__tuples": a_file(
            PLAIN, "axon-separate",
            per_gate(one, tuples),
            answers(plain),
        ),
        "rust__lstm": a_file(SPLIT, "burn-linear", per_gate(two, burn), answers(split), bias="double"),
        "rust__one_bias": a_file(
            PLAIN, "burn-linear", per_gate(one, burn), answers(plain), bias="single", batch_first=True
        ),
        "ali__lstm": a_file(PLAIN, "mnn-info", per_gate(one, mnn), answers(plain)),
        "pytorch__stack": a_file(STACK, "torch-ifgo", torch_arrays(STACK), answers(stack), **both),
        "pytorch__three_decimals": a_file(
            SPLIT, "torch-ifgo", torch_arrays(SPLIT), answers(split, lambda v: f"{v:.3f}"), bias="double"
        ),
        "pytorch__four_digits": a_file(
            SPLIT, "torch-ifgo", torch_arrays(SPLIT), answers(split, lambda v: f"{v:.3e}"), bias="double"
        ),
        "tflite__plain": a_file(PLAIN, "tflite-separate", tflite_arrays(PLAIN), answers(plain), clip_proj=1.0),
    }  # fmt: skip


def inexpressible() -> dict[str, tuple[File, str]]:
    """Files that no case can say, with a part of the reason."""
    plain = answers(forward(PLAIN))
    weights = tflite_arrays(PLAIN)

    def tflite(extra: Mapping[str, Array] | None = None, **options: Any) -> File:
        return a_file(PLAIN, "tflite-separate", {**weights, **(extra or {})}, plain, **options)

    aux = tflite()
    aux["inputs"]["aux"] = stored(PLAIN.x, axes="BTI")
    wrong = tflite()
    wrong["expected"] = {"h_n": stored(np.full((1, 2, 4), 0.123456789), axes="LBR")}
    gates = tflite()
    gates["expected"] = {"gates": stored(np.zeros((2, 4)), axes="BR")}
    kind, layout = tflite(), tflite()
    kind["kind"], layout["weights"]["layout"] = "grad-kernel", "other-ifgo"
    return {
        "tflite__projection_bias": (tflite({"fw.projection_bias": np.ones(4)}), "fw.projection_bias"),
        "tflite__layer_norm": (tflite(layer_norm={"style": "tflite"}), "option layer_norm"),
        "tflite__aux": (aux, "inputs x, initial_h, initial_c, aux"),
        "tflite__attention": (tflite(attention=8), "option attention"),
        "tflite__swish": (tflite(activations={"cell": "swish"}), "activation swish"),
        "tflite__merge": (tflite(merge_mode="max"), "option merge_mode=max"),
        "tflite__shapes": (tflite(peephole=True), "by shape, but"),
        "tflite__gates": (gates, "expected gates"),
        "tflite__kernel": (kind, "kind grad-kernel"),
        "tflite__layout": (layout, "layout other-ifgo"),
        "tflite__erratum": ({**wrong, "errata": "made with another bias"}, "made with another bias"),
        "elixir__unknown_name": (
            a_file(PLAIN, "axon-separate", {"mystery": np.ones((3, 4))}, plain), "no array of a gate is named mystery"
        ),
    }  # fmt: skip


def write(folder: Path, files: Mapping[str, File]) -> None:
    """The folder with these files."""
    folder.mkdir(exist_ok=True)
    for name, content in files.items():
        (folder / f"{name}.json").write_text(json.dumps({**content, "name": name}), encoding="utf-8")
