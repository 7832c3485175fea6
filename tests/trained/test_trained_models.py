"""Models trained for real, saved in the real formats: every LSTM found, every backend a match, counts explained."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from lstm_xcheck.adapters.registry import installed
from lstm_xcheck.pytest_toolkit import default_names

pytestmark = pytest.mark.framework("torch", "keras", "tensorflow", "jax", "h5py", "safetensors")

#: Adapters that run every LSTM of these files; others refuse some, such as an LSTM with two directions.
COMPLETE = {"torch", "keras-tensorflow", "keras-jax", "keras-torch", "jax"}
FILES = {
    "vowels.keras": ("reader", 29, 12, 1, False),
    "vowels.weights.h5": ("reader", 29, 12, 1, False),
    "tagger.pt": ("encoder", 29, 10, 2, True),
    "tagger.safetensors": ("encoder", 29, 10, 2, True),
}


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
