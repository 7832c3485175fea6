"""What a shell completes: verbs, and the values of options, also after a comma."""

from __future__ import annotations

import click
import pytest
from click.shell_completion import ShellComplete

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
    ],
    ids=str,
)
def test_names_are_completed(words: list[str], incomplete: str, expected: tuple[str, ...]) -> None:
    assert isinstance(cli, click.Group)
    shell = ShellComplete(cli, {}, "lstm-xcheck", "_LSTM_XCHECK_COMPLETE")
    assert set(expected) <= {item.value for item in shell.get_completions(words, incomplete)}
