"""The verb `vectors`: what it writes, says and refuses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import lstm_xcheck as lx
from lstm_xcheck.checkpoints.write import write_checkpoint
from lstm_xcheck.vectors.formats import FORMATS

from ..helpers import Command
from .sets import vectors_named

FAST = ("--no-lengths", "--no-states", "--one-row")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def written(folder: Path) -> dict[str, bytes]:
    return {file.relative_to(folder).as_posix(): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def test_it_says_what_is_killed_and_what_cannot_be(command: Command, here: Path) -> None:
    ran = command("vectors", "--format", "c", "--out", "out", "--no-lengths")
    assert ran.code == 0
    assert "together they kill 252 mistakes, of 252 mistakes that such cases can show\n" in ran.out
    assert "with --allow 0.001 they kill 24" in ran.out
    assert "not killable, since no case has lengths: last-step-state, length-0-reads-all, " in ran.out
    assert "not killable, since it is lost in the rounding of float32: kernels-7-digits\n" in ran.out
    assert ran.out.endswith(
        "written to out: lstm_xcheck_vectors.h, mistakes.json; include it and call lxv_check for every case\n"
    )
    data = json.loads((here / "out" / "mistakes.json").read_text())
    assert (data["killed"], data["killable"], data["not_killed"]) == (252, 252, [])
    assert "gates-iofg" in data["cases"][0]["kills"]


def test_a_search_repeated_writes_the_same_bytes() -> None:
    first, again = vectors_named("streaming"), vectors_named.__wrapped__("streaming")
    for name in ("c", "rust", "json", "npz", "pytest"):
        files = FORMATS[name].files(first)
        assert files == FORMATS[name].files(again)
        assert len(files) == 1


@pytest.mark.framework("onnx")
def test_onnx_folders_are_the_same_bytes() -> None:
    files = FORMATS["onnx"].files(vectors_named("onnx"))
    assert files == FORMATS["onnx"].files(vectors_named("onnx"))
    assert sum(name.endswith("model.onnx") for name in files) == len(vectors_named("onnx").vectors)


def test_what_an_implementation_does_not_take_is_left_out(command: Command, here: Path) -> None:
    sizes = ("--hidden-size", "4", "--input-size", "4", "--cases", "1")
    ran = command("vectors", "--format", "json", "--out", "out", "--no-empty-rows", *sizes)
    assert "not killable, since no case has a row of length 0: length-0-reads-all, length-0-without-states\n" in ran.out
    assert "not killed, for want of cases: " in ran.out
    (case,) = json.loads((here / "out" / "vectors.json").read_text())["cases"]
    assert min(case.get("lengths", [1])) > 0


def test_nothing_is_overwritten_without_force(command: Command, here: Path) -> None:
    (here / "out").mkdir()
    (here / "out" / "vectors.json").write_text("mine")
    ran = command("vectors", "--format", "json", "--out", "out", *FAST)
    assert (ran.code, ran.out) == (2, "")
    assert "vectors.json exists already and was left as it is; choose another --out, or add --force" in ran.err
    assert written(here / "out") == {"vectors.json": b"mine"}
    assert command("vectors", "--format", "json", "--out", "out", "--force", *FAST).code == 0
    assert json.loads((here / "out" / "vectors.json").read_text())["schema"] == 1


def test_the_kind_of_a_checkpoint_is_taken_and_not_its_size(command: Command, here: Path) -> None:
    spec = lx.LSTMSpec(input_size=30, hidden_size=20, bidirectional=True, bias="single", cell_clip=2.0)
    write_checkpoint("model.npz", {"lstm": lx.LSTMWeights.random(spec)})
    ran = command("vectors", "--format", "json", "--out", "out", "--like", "model.npz", "--cases", "1", *FAST)
    assert ran.code == 0
    case = json.loads((here / "out" / "vectors.json").read_text())["cases"][0]
    assert (case["hidden"], case["directions"], case["options"]) == (4, 2, {"cell_clip": 2.0})
    assert "cells.1.b" in case and "cells.1.b_r" not in case


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--budget-kb", "0.1"), "--budget-kb allows 102 bytes, but the smallest case has "),
        (("--hidden-size", "999"), "parameters, but vectors have 100,000 or fewer; leave the sizes out"),
        (("--like", "no.pt"), "no.pt"),
        (("--layer-name", "a"), "--layer-name a chooses an LSTM of --like FILE, which is missing"),
        (("--layers", "5", "--bidirectional"), "10 layers and directions are too many to plant every mistake in each"),
        (("--allow", "1e30"), "--allow 1e+30 lets every mistake pass; allow less"),
        (("--allow", "nan"), "is not finite, so every answer would be allowed"),
        (("--like", "no.pt", "--layers", "2"), "--layers and --like both say what the LSTM is; give one of them"),
    ],
)
def test_mistakes_of_the_user_are_one_sentence(
    command: Command, here: Path, arguments: tuple[str, ...], told: str
) -> None:
    ran = command("vectors", "--format", "c", "--out", "out", *FAST, *arguments)
    assert (ran.code, ran.out) == (2, "")
    assert told in ran.err
    assert len(ran.err.splitlines()) == 1
    assert not (here / "out").exists()


def test_a_file_is_no_folder(command: Command, here: Path) -> None:
    (here / "out").write_text("")
    assert "out is a file, but should be a folder" in command("vectors", "--format", "c", "--out", "out").err


@pytest.mark.framework("onnx")
def test_what_the_operator_lacks_is_refused(command: Command, here: Path) -> None:
    ran = command("vectors", "--format", "onnx", "--out", "out", "--proj-size", "2")
    assert (ran.code, ran.err) == (2, "Error: ONNX' LSTM has no proj_size; choose another --format\n")


def test_sizes_and_limits_are_kept(command: Command, here: Path) -> None:
    sizes = ("--input-size", "3", "--hidden-size", "5", "--cases", "1", "--json")
    ran = command("vectors", "--format", "json", "--out", "out", *FAST, *sizes)
    data = json.loads((here / "out" / "vectors.json").read_text())
    assert [(case["input"], case["hidden"]) for case in data["cases"]] == [(3, 5)]
    assert json.loads(ran.out)["cases"][0]["name"] == data["cases"][0]["name"]
    assert json.loads(ran.out)["bytes"] == json.loads((here / "out" / "mistakes.json").read_text())["bytes"]
