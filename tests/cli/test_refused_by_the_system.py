"""What the operating system refuses: one sentence and exit code 2, whatever the verb."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import lstm_xcheck as lx
from lstm_xcheck.checkpoints import write_checkpoint
from lstm_xcheck.events import Outcome
from lstm_xcheck.runs.folder import OUTCOMES_FILE, encode_line, read_outcomes

from ..helpers import Command

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="needs /dev/full and mount")

LONG = "a" * 300


@pytest.fixture
def source(tmp_path: Path) -> Path:
    write_checkpoint(tmp_path / "m.npz", {"enc": lx.LSTMWeights.random(lx.LSTMSpec(3, 4), seed=1)})
    return tmp_path / "m.npz"


@pytest.fixture
def read_only(tmp_path: Path) -> Iterator[Path]:
    """A file system that is read-only, which only an administrator can make."""
    folder = tmp_path / "mounted"
    folder.mkdir()
    try:
        made = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "ro", "tmpfs", str(folder)], capture_output=True, check=False
        )
    except FileNotFoundError:
        pytest.skip("there is no mount")
    if made.returncode:
        pytest.skip("file systems cannot be mounted here")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def refused(command: Command, *arguments: object) -> str:
    """The one sentence of a command line that ends with 2 and prints nothing else."""
    ran = command(*map(str, arguments))
    assert (ran.code, ran.out, ran.err.count("\n")) == (2, "", 1), ran
    assert ran.err.startswith("Error: ")
    return ran.err


@pytest.mark.parametrize("name", ["x.pt", "x.npz", "x.xml", "x.index", "x.orbax"])
def test_a_read_only_file_system(command: Command, source: Path, read_only: Path, name: str) -> None:
    sentence = refused(command, "port", source, read_only / name)
    assert f" cannot be written: the folder {read_only} is read-only; choose another" in sentence


@pytest.mark.parametrize("length", [300, 251, 238])
def test_a_file_name_that_is_too_long(command: Command, source: Path, length: int) -> None:
    """That of the certificate and of temporary files counts as well: nothing is written first."""
    target = source.with_name("a" * (length - 3) + ".pt")
    assert "cannot be written: File name too long; choose another name" in refused(command, "port", source, target)
    assert list(source.parent.iterdir()) == [source]


@pytest.mark.parametrize(
    "arguments",
    [("inspect", LONG), ("compare", LONG, LONG), ("recheck", LONG), ("replay", LONG), ("report", LONG),
     ("diagnose", LONG, LONG), ("trace", LONG), ("merge", LONG, "--out", "x"), ("verify", LONG)],
    ids=lambda arguments: arguments[0],
)  # fmt: skip
def test_every_verb_refuses_a_long_name(command: Command, arguments: tuple[str, ...]) -> None:
    assert "File name too long" in refused(command, *arguments)


def full(*arguments: object, folder: Path | None = None) -> subprocess.CompletedProcess[str]:
    """A command whose standard output is on a full disk."""
    with Path("/dev/full").open("w") as disk:
        return subprocess.run(
            [sys.executable, "-m", "lstm_xcheck", *map(str, arguments)],
            stdout=disk, stderr=subprocess.PIPE, text=True, check=False, cwd=folder,
        )  # fmt: skip


@pytest.mark.parametrize(
    "verb", ["--help", "--version", "layouts", "adapters", "params", "inspect", "compare", "trace"]
)
def test_standard_output_on_a_full_disk(source: Path, verb: str) -> None:
    more: dict[str, tuple[object, ...]] = {
        "params": ("--input-size", 3, "--hidden-size", 4), "compare": (source, source),
        "inspect": (source,), "trace": (source, "--json"),
    }  # fmt: skip
    ran = full(verb, *more.get(verb, ()))
    sentence = "Error: standard output cannot be written to: No space left on device\n"
    assert (ran.returncode, ran.stderr) == (2, sentence)


def test_a_deleted_working_folder(source: Path, tmp_path: Path) -> None:
    code = (
        "import os, sys, tempfile\nfolder = tempfile.mkdtemp()\nos.chdir(folder)\nos.rmdir(folder)\n"
        "os.execv(sys.executable, [sys.executable, '-m', 'lstm_xcheck', *sys.argv[1:]])"
    )
    for arguments, sentence in {
        ("verify", "--adapter", "a=module:function"): "the working folder does not exist any more; change to another",
        ("port", str(source), "x.pt"): "x.pt cannot be written: ",
        ("inspect", "m.npz"): "m.npz does not exist; check the path",
    }.items():
        ran = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False)
        assert (ran.returncode, ran.stdout, ran.stderr.count("\n")) == (2, "", 1), ran
        assert sentence in ran.stderr


NUMBER = "9" * 5000


@pytest.mark.parametrize(
    "arguments",
    [("params", "--input-size", NUMBER, "--hidden-size", "4"), ("verify", "--grid", f"hidden={NUMBER}"),
     ("verify", "--seed", NUMBER), ("trace", "m.npz", "--steps", NUMBER)],
    ids=["params", "grid", "seed", "steps"],
)  # fmt: skip
def test_numbers_of_thousands_of_digits(command: Command, arguments: tuple[str, ...]) -> None:
    ran = command(*arguments)
    assert (ran.code, ran.out) == (2, "")
    assert "Traceback" not in ran.err


@pytest.mark.parametrize("content", ["[" * 100_000, '{"key": ' * 50_000, '{"key": ' + NUMBER + "}"])
def test_odd_lines_of_a_run_are_damaged_lines(tmp_path: Path, content: str) -> None:
    good = encode_line("key", Outcome("case", "adapter", ()))
    (tmp_path / OUTCOMES_FILE).write_bytes(content.encode() + b"\n" + good)
    assert [key for key, _ in read_outcomes(tmp_path)] == ["key"]


@pytest.mark.parametrize("file", ["plan.json", "m.xcheck.json"])
@pytest.mark.parametrize("content", ["[" * 100_000, '{"schema": ' + NUMBER + "}"], ids=["nested", "digits"])
def test_odd_files_of_json(command: Command, tmp_path: Path, file: str, content: str) -> None:
    (tmp_path / file).write_text(content, encoding="ascii")
    refused(command, *(("report", tmp_path) if file == "plan.json" else ("recheck", tmp_path / file)))


def test_a_bias_that_is_no_number(command: Command, numpy_adapters: None, tmp_path: Path) -> None:
    numpy_file = pytest.importorskip("safetensors.numpy")
    weights = lx.LSTMWeights.random(lx.LSTMSpec(3, 4), seed=1)
    arrays = {name: np.array(array) for name, array in weights.to_layout("torch").items()}
    arrays["bias_ih_l0"][2] = np.nan
    numpy_file.save_file(arrays, tmp_path / "m.safetensors")
    path = tmp_path / "m.safetensors"
    for arguments in (
        ("port", path, tmp_path / "m.pt"),
        ("compare", path, path),
        ("verify", path, "--adapters", "honest"),
        ("trace", path),
    ):
        assert "b[0, 2] is nan, but every weight should be a finite number" in refused(command, *arguments)
    assert list(tmp_path.iterdir()) == [path]
