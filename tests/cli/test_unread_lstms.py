"""An LSTM that a file holds and nobody reads: named by every verb, and never a 0."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import lstm_xcheck as lx
from lstm_xcheck import LSTMSpec, LSTMWeights
from lstm_xcheck.checkpoints import Checkpoint, write_checkpoint
from lstm_xcheck.errors import UnreadLSTMWarning
from lstm_xcheck.report.html_page import to_html
from lstm_xcheck.report.junit_file import junit_parts
from lstm_xcheck.report.markdown_file import to_markdown
from lstm_xcheck.report.model import Report

from ..helpers import Command

pytestmark = pytest.mark.usefixtures("oracle_alone")


def as_safetensors(path: Path, shift: int) -> Path:
    """`dec` is stored as int32."""
    library = pytest.importorskip("safetensors.numpy")
    arrays = LSTMWeights.random(LSTMSpec(3, 4)).to_layout("torch", prefix="enc.")
    other = LSTMWeights.random(LSTMSpec(4, 4)).to_layout("torch", prefix="dec.")
    arrays |= {name: np.round(100 * array).astype("i4") + shift for name, array in other.items()}
    file = path.with_suffix(".safetensors")
    library.save_file(arrays, file)
    return file


def as_keras(path: Path, shift: int) -> Path:
    """`dec` has an activation without a canonical form."""
    pytest.importorskip("h5py")
    written, file = path.with_name("written.keras"), path.with_suffix(".keras")
    decoder = LSTMWeights.random(LSTMSpec(4, 4, bias="single"), 1 + shift)
    write_checkpoint(written, {"enc": LSTMWeights.random(LSTMSpec(3, 4, bias="single")), "dec": decoder}, force=True)
    with zipfile.ZipFile(written) as old, zipfile.ZipFile(file, "w") as new:
        for name in old.namelist():
            content = old.read(name)
            if name == "config.json":
                config = json.loads(content)
                (layer,) = (layer for layer in config["config"]["layers"] if layer["config"]["name"] == "dec")
                layer["config"]["activation"] = "elu"
                content = json.dumps(config).encode()
            new.writestr(name, content)
    return file


def as_onnx(path: Path, shift: int) -> Path:
    """`dec` has gates of an activation without a canonical form."""
    onnx = pytest.importorskip("onnx")
    file = path.with_suffix(".onnx")
    spec = LSTMSpec(3, 4)
    write_checkpoint(file, {"enc": LSTMWeights.random(spec), "dec": LSTMWeights.random(spec, 1 + shift)})
    model = onnx.load(file)
    node = next(node for node in model.graph.node if node.op_type == "LSTM" and "dec" in node.name)
    node.attribute.append(onnx.helper.make_attribute("activations", ["Elu", "Tanh", "Tanh"]))
    onnx.save(model, file)
    return file


@pytest.fixture(
    params=[
        as_safetensors,
        pytest.param(as_keras, marks=pytest.mark.framework("h5py")),
        pytest.param(as_onnx, marks=pytest.mark.framework("onnx")),
    ]
)
def files(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, Path]:
    """Two files that differ in `dec` alone, which is not read."""
    make: Callable[[Path, int], Path] = request.param
    return make(tmp_path / "a", 0), make(tmp_path / "b", 1)


def test_compare_never_says_same(command: Command, files: tuple[Path, Path]) -> None:
    ran = command("compare", *map(str, files))
    assert ran.code == 1
    assert ran.out.splitlines()[-1].startswith("NOT COMPARED: dec of A, dec of B was not read")
    found = json.loads(command("compare", "--json", *map(str, files)).out)
    assert (found["same"], [lstm["same"] for lstm in found["lstms"]]) == (False, [True])
    assert [(lstm["file"], lstm["name"]) for lstm in found["unread"]] == [("first", "dec"), ("second", "dec")]


def test_verify_names_it_and_ends_with_2(command: Command, numpy_adapters: None, files: tuple[Path, Path]) -> None:
    ran = command("verify", str(files[0]), "--adapters", "honest")
    assert ran.code == 2
    assert "not verified" in ran.out and f"{files[0]}: dec: " in ran.out
    assert ran.out.splitlines()[-1].startswith("ERROR: 4 planned = 4 match")
    report = json.loads(command("verify", str(files[0]), "--adapters", "honest", "--json").out)
    assert report["verdict"] == "error"
    assert [lstm["name"] for lstm in report["environment"]["subject"]["unread"]] == ["dec"]


def test_port_refuses_unless_one_lstm_is_named(command: Command, files: tuple[Path, Path]) -> None:
    target = files[0].with_name("out.npz")
    for options in ((), ("--lstm-only",)):
        ran = command("port", str(files[0]), str(target), *options)
        assert ran.code == 1 and "holds LSTMs that are not read: dec (" in ran.err
        assert not target.exists()
    assert command("port", str(files[0]), str(target), "--layer", "enc").code == 0
    ran = command("port", str(files[0]), str(target), "--leave-out", "dec", "--force", "--json")
    assert ran.code == 0 and any("dec" in name for name in json.loads(ran.out)["left_out"])


def test_no_python_function_is_silent(files: tuple[Path, Path]) -> None:
    """What gives weights warns, what judges or ports never agrees, `inspect` lists."""
    with pytest.warns(UnreadLSTMWarning, match=r"LSTMs that are not read: dec \(.*; what is read is enc$") as warned:
        assert list(lx.load(files[0])) == ["enc"]
    assert warned[0].filename == __file__
    with pytest.warns(UnreadLSTMWarning):
        lx.trace(files[0], steps=1)
    assert [lstm.name for lstm in lx.inspect(files[0]).unread] == ["dec"]
    assert not lx.compare(*files).same
    with pytest.raises(lx.DisagreementError, match="not read: dec"):
        lx.port(files[0], files[0].with_name("out.npz"))
    with pytest.raises(lx.UserError, match=r"not read: dec \(.*pick one with lx.load\(.*\)\['enc'\]"):
        lx.assert_equivalent(*files)


def test_verbs_that_take_one_lstm_warn_in_one_sentence(command: Command, files: tuple[Path, Path]) -> None:
    ran = command("trace", str(files[0]), "--steps", "1")
    assert (ran.code, ran.err.count("\n")) == (0, 1)
    assert ran.err.startswith(f"Warning: {files[0]} holds LSTMs that are not read: dec (")


def test_inspect_names_it(command: Command, files: tuple[Path, Path]) -> None:
    assert "\ndec: an LSTM, not read: " in command("inspect", str(files[0])).out
    assert [lstm["name"] for lstm in json.loads(command("inspect", str(files[0]), "--json").out)["unread"]] == ["dec"]


def test_kept_reports_name_it(command: Command, numpy_adapters: None, files: tuple[Path, Path], tmp_path: Path) -> None:
    assert command("verify", str(files[0]), "--adapters", "honest", "--out", str(tmp_path / "run")).code == 2
    again = command("report", str(tmp_path / "run"))
    assert (again.code, "not verified" in again.out) == (2, True)


def test_report_files_name_it() -> None:
    report = Report(subject={"unread": [{"file": "m.pt", "name": "dec", "why": "stored as int32"}]})
    for text in (to_html(report), to_markdown(report), "".join(junit_parts(report))):
        assert "m.pt: dec: stored as int32" in text


def test_mutant_that_forgets_the_mark_would_say_same(
    command: Command, files: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Checkpoint, "unread", ())
    ran = command("compare", *map(str, files))
    assert (ran.code, ran.out.splitlines()[-1]) == (0, "SAME: every LSTM is the same")


def test_integer_gru_is_no_unread_lstm(command: Command, tmp_path: Path) -> None:
    library = pytest.importorskip("safetensors.numpy")
    arrays = LSTMWeights.random(LSTMSpec(3, 4)).to_layout("torch", prefix="enc.")
    arrays |= {"gru.weight_ih_l0": np.ones((12, 3), "i4"), "gru.weight_hh_l0": np.ones((12, 4), "i4")}
    library.save_file(arrays, tmp_path / "m.safetensors")
    found = json.loads(command("inspect", str(tmp_path / "m.safetensors"), "--json").out)
    assert found["unread"] == [] and "a GRU, not an LSTM" in found["other"][0]["note"]
