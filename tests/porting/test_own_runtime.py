"""A port is proven by the runtime that its files are for."""

from __future__ import annotations

from pathlib import Path

import pytest

import lstm_xcheck as lx
from lstm_xcheck.adapters.registry import entry_named
from lstm_xcheck.checkpoints import write_checkpoint
from lstm_xcheck.porting.verification import frameworks_of

from ..conftest import needs
from ..helpers import WRITABLE, usable

#: Format -> the adapter that proves it; "" for one of no framework.
RUNTIMES = {
    "torch": "torch", "safetensors": "torch", "keras": "keras-torch", "keras-h5": "keras-torch",
    "keras-weights": "keras-torch", "tensorflow": "keras-torch", "flax": "flax-linen", "orbax": "flax-linen",
    "haiku": "haiku", "equinox": "equinox", "mlx": "mlx", "paddle": "paddle", "onnx": "onnxruntime",
    "onnx-22": "onnxruntime", "openvino": "openvino", "npz": "",
}  # fmt: skip
#: One format for each runtime.
ONE_OF_EACH = {adapter: format for format, adapter in reversed(RUNTIMES.items()) if adapter}
WEIGHTS = lx.LSTMWeights.random(lx.LSTMSpec(input_size=3, hidden_size=4), seed=0)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A file of no framework, so that the destination's alone is started."""
    return write_checkpoint(tmp_path / "source.npz", {"lstm": WEIGHTS}, "npz").path


def test_every_format_has_its_runtime() -> None:
    assert set(RUNTIMES) == set(WRITABLE)


@pytest.mark.framework
@pytest.mark.usefixtures("no_detection_power")
@pytest.mark.parametrize("adapter", ONE_OF_EACH)
def test_the_destination_is_run_by_its_own_runtime(source: Path, tmp_path: Path, adapter: str) -> None:
    needs(*entry_named(adapter).requires)
    format = usable(ONE_OF_EACH[adapter])
    certificate = lx.port(source, tmp_path / f"ported{format.suffixes[0]}", to=format.id)
    assert certificate["adapters"] == {"source": [], "destination": [adapter]}
    judged = [row for row in certificate["rows"] if row["adapter"] == adapter]
    assert {"weights", "y", "h_n", "c_n"} <= {row["quantity"] for row in judged if row["verdict"] == "match"}
    # Rows of different lengths are refused by runtimes that know none.
    assert {row["verdict"] for row in judged} <= {"match", "unsupported"}


@pytest.mark.framework
@pytest.mark.parametrize("to", WRITABLE)
def test_the_layout_of_a_file_names_the_runtime(tmp_path: Path, to: str) -> None:
    format, adapter = usable(to), RUNTIMES[to]
    needs(*(entry_named(adapter).requires if adapter else ()))
    (found,) = write_checkpoint(tmp_path / f"written{format.suffixes[0]}", {"lstm": WEIGHTS}, to).lstms
    assert frameworks_of(found.layout) == ((adapter,) if adapter else ())
