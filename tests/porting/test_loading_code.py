"""The code that a port prints loads the file in the framework, and the framework computes the same."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest

from lstm_xcheck import Case, LSTMSpec, LSTMWeights, Result, judge
from lstm_xcheck.checkpoints import write_checkpoint
from lstm_xcheck.checkpoints.formats import FORMATS
from lstm_xcheck.checkpoints.loading_code import loading_code
from lstm_xcheck.porting.port import port

from ..conftest import needs
from ..helpers import QUIET, keras_backend, run_python, usable

pytestmark = [pytest.mark.framework, pytest.mark.usefixtures("oracle_alone", "no_detection_power")]

_TORCH = "y = lstm(torch.from_numpy(x))[0].detach().numpy()"
_KERAS = "y = numpy.asarray(keras.ops.convert_to_numpy(model(x)))"
#: What a user writes after the printed code, the modules that it needs and the file's suffix.
RUNS = {
    "torch": (_TORCH, ("torch",), ".pt"),
    "safetensors": (_TORCH, ("torch", "safetensors"), ".safetensors"),
    "keras": (_KERAS, ("keras", "h5py"), ".keras"),
    "keras-weights": (_KERAS, ("keras", "h5py"), ".weights.h5"),
    "keras-h5": (_KERAS, ("keras", "h5py"), ".h5"),
    "onnx": ("y = outputs[0]", ("onnx", "onnxruntime"), ".onnx"),
    "flax": ("", ("flax",), ".msgpack"),
    "orbax": ("", ("flax", "orbax"), ".orbax"),
    "tensorflow": ("y = keras.ops.convert_to_numpy(layer(x))", ("keras", "tensorflow"), ".index"),
    "paddle": ("y = lstm(paddle.to_tensor(x))[0].numpy()", ("paddle",), ".pdparams"),
    "npz": ("y = lx.oracle.forward(lx.Case(weights=weights, x=x)).y", (), ".npz"),
}
SPECS = {
    "plain": LSTMSpec(3, 4, bias="single"),
    "bidirectional": LSTMSpec(3, 4, bidirectional=True, bias="single"),
    "stack": LSTMSpec(3, 4, num_layers=2, bias="single"),
    "no bias": LSTMSpec(3, 4, bias="none"),
    "both without bias": LSTMSpec(3, 4, bidirectional=True, bias="none"),
    "projection": LSTMSpec(3, 4, proj_size=2),
}
#: Formats of one file per layer print the code of the first layer of a stack.
FIRST_LAYER = ("flax", "orbax", "tensorflow")


def run(code: str, tail: str, x: np.ndarray, folder: Path) -> np.ndarray:
    np.save(folder / "x.npy", x)
    program = f"import numpy\nx = numpy.load('x.npy')\n{code}\n{tail}\nnumpy.save('y.npy', numpy.asarray(y))\n"
    run_python(f"import os; os.chdir({str(folder)!r})\n{program}", **QUIET, KERAS_BACKEND=keras_backend())
    return np.load(folder / "y.npy")


@pytest.mark.parametrize(
    ("target", "kind"),
    [
        *itertools.product(RUNS, ("bidirectional", "stack")),
        *itertools.product(("torch", "keras-weights", "flax"), ("plain", "no bias", "both without bias")),
        *itertools.product(("torch", "paddle"), ("projection",)),
    ],
)
def test_printed_code_runs(tmp_path: Path, target: str, kind: str) -> None:
    tail, modules, suffix = RUNS[target]
    needs(*modules)
    if target == "tensorflow" and kind == "bidirectional":
        kind = "plain"
    weights = LSTMWeights.random(SPECS[kind])
    write_checkpoint(tmp_path / "source.npz", {"enc": weights})
    certificate = port(tmp_path / "source.npz", tmp_path / f"m{suffix}", to=usable(target).id)
    case = Case.random(weights.spec, weights=weights, states=False)
    x = np.array(case.x)
    y = run(
        certificate["code"].replace(str(tmp_path), "."), tail, x.swapaxes(0, 1) if target == "onnx" else x, tmp_path
    )
    if target == "onnx":  # (steps, directions, batch, hidden)
        y = y.transpose(2, 0, 1, 3).reshape(case.batch, case.steps, -1)
    if kind == "stack" and target in FIRST_LAYER:
        case = Case(weights=weights.layer(0), x=x)
    assert judge(Result(y=y), case).verdict == "match"


def test_every_format_that_is_written_has_code(tmp_path: Path) -> None:
    needs("onnx", "h5py")
    for format in (one for one in FORMATS if one.writer and one.id not in ("orbax", "tensorflow")):
        path = tmp_path / f"{format.id}{format.suffixes[0]}"
        back = write_checkpoint(path, {"enc": LSTMWeights.random(LSTMSpec(3, 4, bias="single"))}, format.id)
        code = loading_code(format, path, back.lstms, chain=True, whole=False)
        compile(code, format.id, "exec")
        assert repr(str(path)) in code and 2 <= len(code.splitlines()) <= 4


def test_mutant_code_that_drops_the_prefix_fails(tmp_path: Path) -> None:
    needs("torch")
    write_checkpoint(tmp_path / "source.npz", {"enc": LSTMWeights.random(LSTMSpec(3, 4))})
    code = port(tmp_path / "source.npz", tmp_path / "m.pt")["code"]
    with pytest.raises(AssertionError, match="Missing key"):
        run(code.replace("k.removeprefix('enc.')", "k"), _TORCH, np.zeros((1, 2, 3), "f4"), tmp_path)
