"""Porting end to end: bits, losses, certificates, and what is refused."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lstm_xcheck as lx
from lstm_xcheck.checkpoints import read_checkpoint, write_checkpoint
from lstm_xcheck.checkpoints.layout_arrays import chain_of
from lstm_xcheck.porting.certificate import checksum
from lstm_xcheck.porting.recheck import recheck

pytestmark = pytest.mark.usefixtures("oracle_alone")

SUFFIXES = (".safetensors", ".npz", ".weights.h5", ".keras")


@pytest.fixture
def source(tmp_path: Path) -> Path:
    write_checkpoint(tmp_path / "m.npz", {"enc": lx.LSTMWeights.random(lx.LSTMSpec(3, 4), seed=1)})
    return tmp_path / "m.npz"


def with_head(folder: Path) -> Path:
    torch = pytest.importorskip("torch")
    model = torch.nn.ModuleDict({"enc": torch.nn.LSTM(3, 4), "head": torch.nn.Linear(4, 2)})
    torch.save(model.state_dict(), folder / "whole.pt")
    return folder / "whole.pt"


@pytest.mark.framework("h5py")
@pytest.mark.parametrize("second", SUFFIXES)
@pytest.mark.parametrize("first", SUFFIXES)
def test_there_and_back_is_bit_for_bit(tmp_path: Path, first: str, second: str) -> None:
    weights = lx.LSTMWeights.random(lx.LSTMSpec(3, 4, bidirectional=True, bias="single"), seed=2)
    write_checkpoint(tmp_path / f"a{first}", {"enc": weights})
    there = lx.port(tmp_path / f"a{first}", tmp_path / f"b{second}")
    back = lx.port(tmp_path / f"b{second}", tmp_path / f"c{first}")
    assert (there["verdict"], back["verdict"]) == ("agree", "agree")
    ours, theirs = (lx.load(tmp_path / f"{name}{first}")["enc"] for name in "ac")
    for (_, _, cell), (_, _, twin) in zip(ours.cells(), theirs.cells(), strict=True):
        assert cell.W.tobytes() == twin.W.tobytes() and cell.U.tobytes() == twin.U.tobytes()
        assert np.array_equal(cell.total_bias, twin.total_bias)


@pytest.mark.framework("h5py")
def test_the_one_loss_is_reported_with_its_size(tmp_path: Path, source: Path) -> None:
    certificate = lx.port(source, tmp_path / "m.weights.h5")
    cell = lx.load(source)["enc"].layers[0][0]
    rounded = np.asarray(cell.b) + np.asarray(cell.b_r)
    expected = np.abs(rounded.astype(np.float64) - cell.total_bias)
    (loss,) = certificate["losses"]
    assert loss["what"] == "two biases summed into one"
    assert (loss["numbers"], loss["rounded"], loss["max_abs"]) == (16, np.count_nonzero(expected), expected.max())
    assert lx.port(source, tmp_path / "m.safetensors")["losses"] == []


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_forget_bias_that_haiku_adds_itself_is_a_loss_with_its_size(tmp_path: Path, dtype: str) -> None:
    weights = lx.LSTMWeights.random(lx.LSTMSpec(3, 4, bias="single"), 1, "torch", dtype)
    write_checkpoint(tmp_path / "m.npz", {"enc": weights})
    certificate = lx.port(tmp_path / "m.npz", tmp_path / "haiku.npz", to="haiku")
    (lstm,) = read_checkpoint(tmp_path / "haiku.npz").lstms
    moved = np.abs(lstm.weights.layers[0][0].total_bias - weights.layers[0][0].total_bias)
    (loss,) = certificate["losses"]
    assert "1 taken off the forget bias" in loss["what"]
    assert (loss["numbers"], loss["rounded"], loss["max_abs"]) == (4, np.count_nonzero(moved), moved.max())
    assert loss["rounded"] > 0


@pytest.mark.framework("h5py")
def test_the_sum_of_float64_biases_is_rounded_too(tmp_path: Path) -> None:
    drawn = lx.LSTMWeights.random(lx.LSTMSpec(3, 4), 1, "torch", "float64")
    weights = replace(drawn, layers=((drawn.layers[0][0].map(lambda array: array / 3),),))
    write_checkpoint(tmp_path / "m.npz", {"enc": weights})
    (loss,) = lx.port(tmp_path / "m.npz", tmp_path / "m.weights.h5")["losses"]
    assert 0 < loss["rounded"] <= loss["numbers"] == 16
    assert 0 < loss["max_abs"] < 2**-53


@pytest.mark.framework
def test_other_layers_are_named_and_nothing_is_written(tmp_path: Path) -> None:
    path = with_head(tmp_path)
    with pytest.raises(lx.DisagreementError, match=r"head\.weight float32\[2, 4\]; head\.bias .*--lstm-only"):
        lx.port(path, tmp_path / "m.npz")
    assert [file.name for file in tmp_path.iterdir()] == ["whole.pt"]
    certificate = lx.port(path, tmp_path / "m.npz", lstm_only=True)
    assert certificate["left_out"] == ["head.weight float32[2, 4]", "head.bias float32[2]"]


@pytest.mark.framework("keras")
def test_frameworks_of_both_sides_are_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()  # not the oracle alone
    certificate = lx.port(with_head(tmp_path), tmp_path / "m.weights.h5", lstm_only=True)
    assert certificate["adapters"]["source"] == ["torch"]
    assert certificate["adapters"]["destination"][0].startswith("keras-")
    assert {row["verdict"] for row in certificate["rows"]} == {"match"}
    assert {row["quantity"] for row in certificate["rows"]} >= {"y", "h_n", "c_n", "weights", "parameters"}
    assert "would have caught" in certificate["power"][0]["sentence"]


@pytest.mark.parametrize(("new", "better"), [("a..b", "a.b"), (".enc", "enc"), ("a/", "a"), ("..", "lstm")])
@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_names_that_no_module_has_are_refused(tmp_path: Path, source: Path, new: str, better: str, suffix: str) -> None:
    with pytest.raises(lx.UserError, match=f"{re.escape(repr(new))} has an empty part.*write for example {better}$"):
        lx.port(source, tmp_path / f"m{suffix}", rename={"enc": new})
    assert not (tmp_path / f"m{suffix}").exists()


@pytest.mark.framework
def test_like_and_rename_fill_another_models_keys(tmp_path: Path, source: Path) -> None:
    like = with_head(tmp_path)
    lx.port(source, tmp_path / "new.pt", like=like)
    checkpoint = read_checkpoint(tmp_path / "new.pt")
    assert checkpoint.lstms[0].weights == lx.load(source)["enc"]
    assert [tensor.name for tensor in checkpoint.other] == ["head.weight", "head.bias"]
    with pytest.raises(lx.CheckpointError, match=r"has no LSTM dec, but enc.*--rename dec=enc"):
        lx.port(source, tmp_path / "two.pt", like=like, rename={"enc": "dec"})


@pytest.mark.framework
def test_like_of_another_size_is_refused(tmp_path: Path) -> None:
    like = with_head(tmp_path)
    write_checkpoint(tmp_path / "m.npz", {"enc": lx.LSTMWeights.random(lx.LSTMSpec(3, 5))})
    with pytest.raises(lx.CheckpointError, match="hidden_size of enc is 4, but should be 5"):
        lx.port(tmp_path / "m.npz", tmp_path / "new.pt", like=like)


def test_one_layer_alone(tmp_path: Path) -> None:
    given = {name: lx.LSTMWeights.random(lx.LSTMSpec(3, 4), seed) for seed, name in enumerate(("enc", "dec"))}
    write_checkpoint(tmp_path / "m.npz", given)
    certificate = lx.port(tmp_path / "m.npz", tmp_path / "one.npz", layer="dec", rename={"dec": "only"})
    assert lx.load(tmp_path / "one.npz") == {"only": given["dec"]}
    assert certificate["left_out"] == ["enc"]
    with pytest.raises(lx.CheckpointError, match="no LSTM 'third', but enc, dec"):
        lx.port(tmp_path / "m.npz", tmp_path / "two.npz", layer="third")


@pytest.mark.parametrize("name", ["m.safetensors", "m.safetensors.xcheck.json"])
def test_an_existing_file_is_never_replaced_without_force(tmp_path: Path, source: Path, name: str) -> None:
    (tmp_path / name).write_text("mine")
    with pytest.raises(lx.CheckpointError, match="exists already"):
        lx.port(source, tmp_path / "m.safetensors")
    assert (tmp_path / name).read_text() == "mine"
    assert lx.port(source, tmp_path / "m.safetensors", force=True)["verdict"] == "agree"


def test_a_file_is_never_ported_onto_itself(tmp_path: Path, source: Path) -> None:
    before = source.read_bytes()
    (tmp_path / f"link{source.suffix}").symlink_to(source)
    for name in (source, tmp_path / f"link{source.suffix}"):
        with pytest.raises(lx.CheckpointError, match="is the source itself"):
            lx.port(source, name, force=True)
    assert source.read_bytes() == before


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("m.unknown", "the suffix names no format"),
        ("nowhere/m.npz", "does not exist; make it first"),
    ],
    ids=["suffix", "folder"],
)
def test_a_destination_that_cannot_be_is_refused(tmp_path: Path, source: Path, target: str, message: str) -> None:
    with pytest.raises(lx.CheckpointError, match=message):
        lx.port(source, tmp_path / target)


def test_a_certificate_holds_and_moves_with_its_files(tmp_path: Path, source: Path) -> None:
    lx.port(source, tmp_path / "m.safetensors")
    moved = tmp_path / "elsewhere"
    moved.mkdir()
    for name in ("m.npz", "m.safetensors", "m.safetensors.xcheck.json"):
        (tmp_path / name).rename(moved / name)
    assert "both files are unchanged and still agree" in recheck(moved / "m.safetensors.xcheck.json")


@pytest.mark.parametrize("name", ["m.npz", "m.safetensors"])
def test_a_changed_byte_is_found(tmp_path: Path, source: Path, name: str) -> None:
    lx.port(source, tmp_path / "m.safetensors")
    data = bytearray((tmp_path / name).read_bytes())
    data[len(data) // 2] ^= 1
    (tmp_path / name).write_bytes(data)
    with pytest.raises(lx.DisagreementError, match=f"{name} is not the (source|destination)"):
        recheck(tmp_path / "m.safetensors.xcheck.json")


def _edit(path: Path, **changes: Any) -> None:
    content = {**json.loads(path.read_text()), **changes}
    path.write_text(json.dumps({**content, "seal": checksum(content)}))


def test_a_changed_certificate_is_found(tmp_path: Path, source: Path) -> None:
    lx.port(source, tmp_path / "m.safetensors")
    path = tmp_path / "m.safetensors.xcheck.json"
    path.write_text(path.read_text().replace('"match"', '"mismatch"', 1))
    with pytest.raises(lx.DisagreementError, match="its seal does not fit"):
        recheck(path)


def test_another_verdict_is_found(tmp_path: Path, source: Path) -> None:
    certificate = lx.port(source, tmp_path / "m.safetensors")
    path = tmp_path / "m.safetensors.xcheck.json"
    _edit(path, rows=[{**row, "verdict": "suspect"} for row in certificate["rows"]])
    with pytest.raises(lx.DisagreementError, match="is match now, but was suspect"):
        recheck(path)


@pytest.mark.framework("h5py")
def test_a_stack_becomes_a_chain_and_each_layer_keeps_its_bits(tmp_path: Path) -> None:
    weights = lx.LSTMWeights.random(lx.LSTMSpec(3, 4, num_layers=3, bias="single"), seed=5)
    write_checkpoint(tmp_path / "m.npz", {"enc": weights})
    certificate = lx.port(tmp_path / "m.npz", tmp_path / "m.keras")
    assert certificate["lstms"][0]["destination"] == ["enc_0", "enc_1", "enc_2"]
    assert lx.load(tmp_path / "m.keras") == chain_of({"enc": weights})


def test_a_clip_is_left_out_only_when_asked(tmp_path: Path) -> None:
    weights = lx.LSTMWeights.random(lx.LSTMSpec(3, 4, cell_clip=0.7), seed=1)
    write_checkpoint(tmp_path / "m.npz", {"enc": weights})
    with pytest.raises(lx.CheckpointError, match=r"cannot say cell_clip 0\.7 of enc; .* with --without cell_clip"):
        lx.port(tmp_path / "m.npz", tmp_path / "m.safetensors")
    with pytest.raises(lx.UserError, match="--without 'bias' should be one of gate_clip, cell_clip, proj_clip"):
        lx.port(tmp_path / "m.npz", tmp_path / "m.safetensors", without=["bias"])
    certificate = lx.port(tmp_path / "m.npz", tmp_path / "m.safetensors", without=["cell_clip"])
    assert (certificate["verdict"], certificate["without"]) == ("agree", ["cell_clip"])
    assert certificate["left_out"] == ["cell_clip 0.7 of enc: beyond it the destination differs"]
    assert lx.load(tmp_path / "m.safetensors")["enc"] == lx.LSTMWeights(
        replace(weights.spec, cell_clip=None), weights.layers, weights.dtype
    )
    assert "still agree" in recheck(tmp_path / "m.safetensors.xcheck.json")
    # Without the word in the certificate the source is another function than the one that was proved.
    content = json.loads((tmp_path / "m.safetensors.xcheck.json").read_text())
    content["without"] = []
    (tmp_path / "m.safetensors.xcheck.json").write_text(json.dumps({**content, "seal": checksum(content)}))
    with pytest.raises(lx.DisagreementError, match="the weights read now are not those"):
        recheck(tmp_path / "m.safetensors.xcheck.json")
