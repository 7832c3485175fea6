"""Models trained for real and saved in the real formats: every LSTM is found, matches everywhere, and can be ported.

One file, so that one process trains them.
"""

from __future__ import annotations

import json
import runpy
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lstm_xcheck as lx
from lstm_xcheck.adapters.registry import installed
from lstm_xcheck.arrays import Array
from lstm_xcheck.checkpoints import Checkpoint, read_checkpoint
from lstm_xcheck.checkpoints.other_layers.collect import collect_layers
from lstm_xcheck.porting.certificate import joined
from lstm_xcheck.porting.port import SUFFIX
from lstm_xcheck.porting.recheck import recheck
from lstm_xcheck.pytest_toolkit import default_names
from lstm_xcheck.workers.process import Worker

from ..helpers import WRITABLE, usable

pytestmark = [
    pytest.mark.framework("torch", "keras", "tensorflow", "jax", "h5py", "safetensors"),
    pytest.mark.filterwarnings("ignore"),
]

EXAMPLE = Path(__file__).parents[2] / "examples" / "train_and_verify.py"
#: Formats that hold other layers too.
CARRYING = {format.id for format in WRITABLE.values() if format.family}
MODELS = {"keras": "vowels.keras", "torch": "tagger.pt"}
#: Adapters that run every LSTM of these files; others refuse some, such as an LSTM with two directions.
COMPLETE = {"torch", "keras-tensorflow", "keras-jax", "keras-torch", "jax"}
#: File -> name of its LSTM, inputs, hidden units, layers, two directions.
FILES = {
    "vowels.keras": ("reader", 29, 12, 1, False),
    "vowels.weights.h5": ("reader", 29, 12, 1, False),
    "tagger.pt": ("encoder", 29, 10, 2, True),
    "tagger.safetensors": ("encoder", 29, 10, 2, True),
}
#: Who runs a file's weights: its own framework, or the scan that reads any.
ADAPTERS = {"torch": "torch", "keras": "keras-tensorflow"}

Runner = Callable[[str, lx.Case], lx.Result]


@pytest.fixture(scope="module")
def x() -> Array:
    """The data that both learned from, one-hot (batch, steps, letters)."""
    given: Array = runpy.run_path(str(EXAMPLE))["windows"]()[0]
    return given


@pytest.fixture(scope="module")
def run() -> Iterator[Runner]:
    """`run(adapter, case)`, each framework started once."""
    with ExitStack() as stack:
        workers: dict[str, Worker] = {}

        def answer(name: str, case: lx.Case) -> lx.Result:
            if name not in workers:
                workers[name] = stack.enter_context(Worker(installed()[name], sys.executable))
            return workers[name].run(case)

        yield answer


def labels(y: Array, which: str, head: Checkpoint) -> Array:
    """What the dense layer of a file makes of the LSTM's outputs; the Keras model looks at the last step alone."""
    (dense,) = collect_layers(head).layers
    logits = y @ dense.arrays["kernel"] + dense.arrays["bias"]
    return logits[:, -1, 0] > 0 if which == "keras" else logits[..., 0] > 0


@pytest.mark.usefixtures("oracle_alone", "no_detection_power")
@pytest.mark.parametrize("to", WRITABLE)
@pytest.mark.parametrize("which", MODELS)
def test_predictions_stay(trained: Path, x: Array, run: Runner, tmp_path: Path, which: str, to: str) -> None:
    """The port asks the oracle; the frameworks are asked here, for all data that the model knows."""
    format = usable(to)
    source, target = trained / MODELS[which], tmp_path / f"m{format.suffixes[0]}"
    if (which, to) == ("torch", "equinox"):
        with pytest.raises(lx.CheckpointError, match="two directions"):
            lx.port(source, target, to=to, lstm_only=True)
        return
    certificate = lx.port(source, target, to=to, lstm_only=to not in CARRYING)
    recheck(target.with_name(target.name + SUFFIX))
    assert (certificate["verdict"], len(certificate["layers"])) == ("agree", int(to in CARRYING))
    checkpoint = read_checkpoint(target, load_other_tensors=True)
    by_name = {lstm.name: lstm for lstm in checkpoint.lstms}
    parts = [by_name[name] for name in certificate["lstms"][0]["destination"]]
    expected = np.load((trained / MODELS[which]).with_suffix(".npy"))
    adapter = ADAPTERS.get(parts[0].layout, "jax")
    written = run(adapter, lx.Case(weights=joined([part.weights for part in parts]), x=x))
    (own,) = lx.load(source).values()
    # What the target holds natively is the certificate's business; every output that was seen is judged.
    seen = replace(written, native={}, parameter_count=None)
    assert lx.judge(seen, lx.Case(weights=own, x=x)).verdict == "match"
    head = checkpoint if to in CARRYING else read_checkpoint(source, load_other_tensors=True)
    assert np.array_equal(labels(written.y, which, head), expected)
    if to in CARRYING:
        exchanged: Any = written.y[..., ::-1]
        assert not np.array_equal(labels(exchanged, which, head), expected), "labels tell one LSTM from another"


def test_every_file_in_every_backend(trained: Path) -> None:
    files = [str(trained / name) for name in FILES]
    done = subprocess.run(
        [sys.executable, "-m", "lstm_xcheck", "verify", *files, "--json"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:] + done.stdout[-2000:]
    report = json.loads(done.stdout)
    totals = report["totals"]
    assert report["verdict"] == "agree"
    adapters = {row["adapter"] for row in report["rows"]}
    assert adapters == set(default_names()) & set(installed())
    assert totals["planned"] == len(FILES) * 4 * len(adapters)
    assert totals["planned"] == totals["match"] + totals["unsupported"]
    assert not {row["adapter"] for row in report["rows"] if row["verdict"] != "match"} & COMPLETE
    found = {Path(lstm["file"]).name: lstm for lstm in report["environment"]["subject"]["lstms"]}
    assert set(found) == set(FILES)
    for name, (layer, inputs, hidden, layers, both) in FILES.items():
        spec = found[name]["spec"]
        assert found[name]["name"] == layer
        assert (spec["input_size"], spec["hidden_size"], spec["num_layers"]) == (inputs, hidden, layers)
        assert spec["bidirectional"] is both
    keras_count = 4 * ((29 + 12) * 12 + 12)
    natives = {
        (c["adapter"], c["native"]) for c in report["parameter_counts"] if "vowels-keras-reader-states" in c["case"]
    }
    assert ("keras-tensorflow", keras_count) in natives
    assert all(count["explanation"].startswith(str(count["native"])) for count in report["parameter_counts"])
    assert report["power"], "a verification of files states what it proves"
