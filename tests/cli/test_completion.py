"""What a shell completes: verbs, and the values of options, also after a comma."""

from __future__ import annotations

import click
import pytest
from click.shell_completion import ShellComplete, get_completion_class

from lstm_xcheck.cli.main import cli


@pytest.mark.parametrize(
    ("words", "incomplete", "expected"),
    [
        ([], "ver", ("verify",)),
        (["verify", "--preset"], "", ("quick", "standard", "deep")),
        (["verify", "--adapters"], "torch,jax-e", ("torch,jax-export",)),
        (["record", "--adapters"], "flax-l", ("flax-linen",)),
        (["port", "a", "b", "--to"], "keras", ("keras", "keras-weights")),
        (["inspect", "a", "--layout"], "kera", ("keras",)),
        (["diagnose", "a", "--layout"], "kera", ("keras",)),
        (["report", "d", "--verdict"], "mis", ("mismatch",)),
        (["verify", "--precision"], "b", ("bfloat16",)),
        (["record", "--precision"], "float", ("float32", "float64", "float16")),
        (["verify", "a.pt", "--layout"], "a.pt=kera", ("a.pt=keras",)),
        (["compare", "a", "b", "--layout"], "a.npz=", ("a.npz=torch", "a.npz=keras")),
    ],
    ids=str,
)
def test_names_are_completed(words: list[str], incomplete: str, expected: tuple[str, ...]) -> None:
    assert isinstance(cli, click.Group)
    shell = ShellComplete(cli, {}, "lstm-xcheck", "_LSTM_XCHECK_COMPLETE")
    assert set(expected) <= {item.value for item in shell.get_completions(words, incomplete)}


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("verify --layout a.pt = hai", ["haiku"]),
        ("verify --layout = hai", ["haiku"]),
        ("verify --layout hai", ["haiku"]),
        ("verify --precision b", ["bfloat16"]),
        ("compare a.npz --layout a.npz =", ["torch", "keras"]),
    ],
)
def test_bash_cuts_words_at_the_sign(monkeypatch: pytest.MonkeyPatch, typed: str, expected: list[str]) -> None:
    monkeypatch.setenv("COMP_WORDS", f"lstm-xcheck {typed}")
    monkeypatch.setenv("COMP_CWORD", str(len(typed.split())))
    bash = get_completion_class("bash")
    assert bash is not None
    printed = bash(cli, {}, "lstm-xcheck", "_LSTM_XCHECK_COMPLETE").complete().splitlines()
    assert printed[: len(expected)] == [f"plain,{name}" for name in expected]
