"""`port`, `recheck`, `inspect`, `compare`: exit codes, error sentences, JSON."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from lstm_xcheck import LSTMSpec, LSTMWeights
from lstm_xcheck.checkpoints import write_checkpoint

from ..helpers import Command

pytestmark = pytest.mark.usefixtures("oracle_alone")


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Two LSTMs and a head, under PyTorch's names."""
    given = {name: LSTMWeights.random(LSTMSpec(3, 4), seed) for seed, name in enumerate(("enc", "dec"))}
    write_checkpoint(tmp_path / "m.safetensors", given)
    return tmp_path / "m.safetensors"


@pytest.fixture
def with_head(tmp_path: Path) -> Path:
    library = pytest.importorskip("safetensors.numpy")
    arrays = LSTMWeights.random(LSTMSpec(3, 4)).to_layout("torch", prefix="enc.")
    library.save_file({**arrays, "head.weight": np.ones((2, 4), np.float32)}, tmp_path / "model.safetensors")
    return tmp_path / "model.safetensors"


def one_sentence(text: str) -> bool:
    return text.startswith("Error: ") and len(text.strip().splitlines()) == 1


def test_port_then_recheck_then_compare(command: Command, source: Path) -> None:
    target = source.with_name("m.npz")
    ran = command("port", str(source), str(target))
    assert (ran.code, ran.err) == (0, "")
    assert "loss: none, every bit is kept" in ran.out
    assert ran.out.splitlines()[-1] == f"AGREE: the proof is in {target}.xcheck.json"
    assert command("recheck", f"{target}.xcheck.json").code == 0
    same = command("compare", str(source), str(target))
    assert (same.code, same.out.splitlines()[-1]) == (0, "SAME: every LSTM is the same")


def test_port_prints_the_certificate_as_json(command: Command, source: Path) -> None:
    ran = command("port", str(source), str(source.with_name("m.npz")), "--json", "--rename", "enc=first")
    certificate = json.loads(ran.out)
    assert (ran.code, certificate["verdict"]) == (0, "agree")
    assert [lstm["destination"] for lstm in certificate["lstms"]] == [["dec"], ["first"]]


def test_other_layers_need_lstm_only(command: Command, with_head: Path) -> None:
    target = with_head.with_name("m.npz")
    refused = command("port", str(with_head), str(target))
    assert refused.code == 1 and one_sentence(refused.err)
    assert "head.weight float32[2, 4]" in refused.err
    assert not target.exists()
    ran = command("port", str(with_head), str(target), "--lstm-only")
    assert ran.code == 0 and "left out: head.weight float32[2, 4]" in ran.out


def test_recheck_fails_on_a_changed_byte(command: Command, source: Path) -> None:
    target = source.with_name("m.npz")
    command("port", str(source), str(target))
    target.write_bytes(target.read_bytes() + b"x")
    ran = command("recheck", f"{target}.xcheck.json")
    assert ran.code == 1 and one_sentence(ran.err) and "m.npz is not the destination" in ran.err


def test_inspect_shows_lstms_and_other_tensors(command: Command, with_head: Path) -> None:
    ran = command("inspect", str(with_head))
    assert ran.code == 0
    assert "144 = canonical 128 + 16" in ran.out and "head.weight float32[2, 4]" in ran.out
    found = json.loads(command("inspect", str(with_head), "--json").out)
    (lstm,) = found["lstms"]
    assert (lstm["name"], lstm["layout"], lstm["dtype"]) == ("enc", "torch", "float32")
    assert (lstm["native_count"], lstm["canonical_count"]) == (144, 128)
    assert [tensor["name"] for tensor in found["other"]] == ["head.weight"]


def test_compare_names_what_differs(command: Command, source: Path) -> None:
    other = source.with_name("other.npz")
    weights = {name: LSTMWeights.random(LSTMSpec(3, 4), seed) for seed, name in enumerate(("enc", "dec"))}
    write_checkpoint(other, {**weights, "dec": weights["enc"]})
    ran = command("compare", str(source), str(other))
    assert ran.code == 1
    assert "dec and dec: NOT the same LSTM" in ran.out and "enc and enc: the same LSTM" in ran.out
    found = json.loads(command("compare", str(source), str(other), "--json").out)
    assert {pair["first"]: pair["same"] for pair in found["lstms"]} == {"dec": False, "enc": True}


@pytest.mark.parametrize(
    "arguments",
    [
        ("port", "missing.pt", "m.npz"),
        ("port", "m.safetensors", "m.xyz"),
        ("port", "m.safetensors", "m.npz", "--to", "nonsense"),
        ("port", "m.safetensors", "m.npz", "--rename", "enc"),
        ("port", "m.safetensors", "m.npz", "--rename", "other=x"),
        ("port", "m.safetensors", "m.npz", "--layer", "other"),
        ("port", "m.safetensors", "m.safetensors"),
        ("recheck", "m.safetensors"),
        ("recheck", "missing.json"),
        ("inspect", "missing.pt"),
        ("compare", "m.safetensors", "missing.pt"),
    ],
    ids=" ".join,
)
def test_a_mistake_is_one_sentence(
    command: Command, source: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...]
) -> None:
    monkeypatch.chdir(source.parent)
    before = {file.name: file.read_bytes() for file in source.parent.iterdir()}
    ran = command(*arguments)
    assert (ran.code, ran.out) == (2, "")
    assert one_sentence(ran.err)
    assert {file.name: file.read_bytes() for file in source.parent.iterdir()} == before


def test_long_names_are_not_cut(command: Command, tmp_path: Path) -> None:
    names = ["model.encoder.lower_layers.recurrent", "model.encoder.upper_layers.recurrent"]
    weights = LSTMWeights.random(LSTMSpec(3, 4, num_layers=2, bidirectional=True))
    write_checkpoint(tmp_path / "m.safetensors", dict.fromkeys(names, weights))
    table = command("inspect", str(tmp_path / "m.safetensors")).out.split("why:")[0]
    assert [line.split()[0] for line in table.splitlines() if line.startswith("model.")][:2] == names


def test_a_link_to_nothing_is_left_alone(command: Command, source: Path) -> None:
    link = source.with_name("link.npz")
    link.symlink_to("elsewhere.npz")
    ran = command("port", str(source), str(link))
    assert (ran.code, one_sentence(ran.err)) == (2, True)
    assert "exists already and was left as it is" in ran.err
    assert link.is_symlink()
    assert not link.exists()


def test_nothing_but_the_result_is_written_to_a_pipe(command: Command, source: Path) -> None:
    assert command("port", str(source), str(source.with_name("m.npz"))).err == ""
