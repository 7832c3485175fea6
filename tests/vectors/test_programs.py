"""The header and the module are compiled, and judge honest kernels and every planted mistake."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from lstm_xcheck.vectors.formats import FORMATS

from .sets import accepted, records, vectors_named

HERE = Path(__file__).parent
WARNINGS = ("-std=c99", "-Wall", "-Wextra", "-Wpedantic", "-Werror")


def needs_program(name: str) -> None:
    if shutil.which(name) is None:
        pytest.skip(f"needs {name}")


def write(folder: Path, format_name: str, vectors: str) -> None:
    for name, data in FORMATS[format_name].files(vectors_named(vectors)).items():
        (folder / name).write_bytes(data)


def run(*command: str | Path, data: bytes = b"") -> list[int]:
    ran = subprocess.run([*map(str, command)], input=data, capture_output=True, check=False, timeout=120)
    assert (ran.returncode, ran.stderr) == (0, b"")
    return [int(line) for line in ran.stdout.split()]


def compiled_c(folder: Path, source: str, *options: str) -> Path:
    program = folder / f"program{len(list(folder.iterdir()))}"
    run("gcc", *WARNINGS, *options, f"-I{folder}", HERE / source, "-o", program, "-lm")
    return program


@pytest.mark.parametrize("name", ["lengths", "bidirectional", "options", "two layers"])
def test_the_header_refuses_every_planted_mistake_and_nothing_else(tmp_path: Path, name: str) -> None:
    needs_program("gcc")
    write(tmp_path, "c", name)
    names, data = records(vectors_named(name))
    wrong = run(compiled_c(tmp_path, "judge.c", "-O2"), data=data)
    assert accepted(names, wrong) == (set(), 0)
    assert len([name for name in names if name]) >= len(vectors_named(name).kills)


@pytest.mark.parametrize("name", ["lengths", "streaming"])
@pytest.mark.parametrize(
    "options",
    [(), ("-DSUM=double",), ("-DSIGMOID_BY_TANH",), ("-O3", "-ffast-math")],
    ids=["float", "double", "tanh", "fast"],
)
def test_honest_kernels_in_c_pass(tmp_path: Path, name: str, options: tuple[str, ...]) -> None:
    needs_program("gcc")
    write(tmp_path, "c", name)
    assert run(compiled_c(tmp_path, "kernel.c", *options)) == [0, 0]


@pytest.mark.parametrize(
    "options", [("-DGATES_EXCHANGED",), ("-DNOT_A_NUMBER",), ("-DNOT_A_NUMBER", "-O3", "-ffast-math")]
)
def test_wrong_kernels_in_c_do_not(tmp_path: Path, options: tuple[str, ...]) -> None:
    needs_program("gcc")
    write(tmp_path, "c", "lengths")
    assert min(run(compiled_c(tmp_path, "kernel.c", *options))) > 0


@pytest.mark.parametrize("name", ["lengths", "bidirectional"])
def test_the_module_refuses_every_planted_mistake_and_nothing_else(tmp_path: Path, name: str) -> None:
    needs_program("rustc")
    write(tmp_path, "rust", name)
    shutil.copy(HERE / "judge.rs", tmp_path)
    run("rustc", "-O", "-Dwarnings", "--edition=2021", tmp_path / "judge.rs", "-o", tmp_path / "judge")
    names, data = records(vectors_named(name))
    assert accepted(names, run(tmp_path / "judge", data=data)) == (set(), 0)
    if name == "lengths":  # the kernel has one direction
        assert run(tmp_path / "judge", "f32") == run(tmp_path / "judge", "f64") == [0, 0]
