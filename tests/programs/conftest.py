"""The example programs, built where their compilers are found."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from ..helpers import ROOT

EXAMPLES = ROOT / "examples" / "programs"

Build = Callable[..., list[str]]


def tool(*names: str) -> str:
    """The first of some tools that is found, or a skip."""
    found = next(filter(None, map(shutil.which, names)), None)
    if found is None:
        pytest.skip(f"there is no {' or '.join(names)} here")
    return found


def run_tool(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]


@pytest.fixture(scope="session")
def compile_c(tmp_path_factory: pytest.TempPathFactory) -> Build:
    """`compile_c(source, "-DWRONG")`: the command of a C program, or with -shared the library."""
    folder = tmp_path_factory.mktemp("c")

    def build(source: Path, *options: str, name: str = "program") -> list[str]:
        compiler = tool("cc", "gcc", "clang")
        target = folder / f"{source.stem}-{name}"
        strict = ("-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic", "-O2", f"-I{EXAMPLES / 'c'}")
        run_tool(compiler, *strict, *options, str(source), "-lm", "-o", str(target))
        return [str(target)]

    return build


@pytest.fixture(scope="session")
def built(compile_c: Build, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], list[str]]:
    """`built("rust")`: the command of the example in that language."""
    commands: dict[str, list[str]] = {}

    def command(language: str) -> list[str]:
        if language not in commands:
            commands[language] = _build(language, compile_c, tmp_path_factory.mktemp(language))
        return commands[language]

    return command


def _build(language: str, compile_c: Build, folder: Path) -> list[str]:
    if language == "c":
        return compile_c(EXAMPLES / "c" / "my_lstm.c")
    if language == "c wrong":
        return compile_c(EXAMPLES / "c" / "my_lstm.c", "-DWRONG", name="wrong")
    if language.startswith("node"):
        return [tool("node"), str(EXAMPLES / "node" / "my_lstm.mjs"), *language.split()[1:]]
    # rustc alone: cargo would look for the manifests of folders above, and for a registry.
    target = folder / "my_lstm"
    run_tool(tool("rustc"), "-O", "--edition", "2021", str(EXAMPLES / "rust" / "src" / "main.rs"), "-o", str(target))
    return [str(target), *language.split()[1:]]
