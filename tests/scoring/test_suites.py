"""Suites of every kind, scored on the real torch: what they catch, why not the rest, and what is no suite at all."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lstm_xcheck.diagnose.catalogue import mistake_named
from lstm_xcheck.errors import UserError
from lstm_xcheck.scoring import Score, Suite, score
from lstm_xcheck.scoring.score import NO_EFFECT, NO_ROOM, NOT_COMPARED, WITHIN_TOLERANCE, vectors_of

from ..helpers import ROOT, Command

pytestmark = pytest.mark.framework("torch")
torch = pytest.importorskip("torch")

EXAMPLE = ROOT / "examples" / "scored_suite" / "test_constant_weights.py"
LSTM = """
import time, numpy as np, torch
from torch.nn.utils.rnn import pack_padded_sequence
torch.manual_seed(0)
LSTM = torch.nn.LSTM(3, 3, batch_first=True)
X = torch.randn(2, 4, 3)
BEFORE = LSTM(X)[0].detach()
"""
SUITES = {
    "vague": "def test_itself():\n    torch.testing.assert_close(LSTM(X)[0], BEFORE)\n"
             "def test_range():\n    assert (LSTM(X)[0].abs() < 1).all()",
    "hangs": "def test_it():\n    while abs(float(LSTM(X)[0].sum().detach()) - {value!r}) > 1e-4: time.sleep(0.1)",
    "looks": "def test_it():\n    assert abs(float(LSTM(X)[0].sum().detach()) - {value!r}) < 1e-4\n"
             "def test_where():\n    LSTM(X)\n    assert torch.nn.LSTM.forward.__module__.startswith('torch')",
    "fails": "def test_it():\n    assert 1 + 1 == 3",
    "another": "def test_it():\n    assert 1 + 1 == 2",
}  # fmt: skip

Scorer = Callable[..., Score]


@pytest.fixture
def scored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Scorer]:
    """Scores one of the suites with these mistakes alone."""
    torch.manual_seed(0)
    lstm = torch.nn.LSTM(3, 3, batch_first=True)
    value = float(lstm(torch.randn(2, 4, 3))[0].sum().detach())

    def run(name: str, *ids: str) -> Score:
        text = SUITES[name].replace("{value!r}", repr(value))
        (tmp_path / f"test_{name}.py").write_text((LSTM if name not in ("another", "fails") else "") + text)
        (tmp_path / "pytest.ini").write_text("[pytest]\nfilterwarnings = error\n")
        catalogue = tuple(mistake_named(id) for id in ids)
        monkeypatch.setattr(sys.modules["lstm_xcheck.scoring.score"], "CATALOGUE", catalogue)
        vectors_of.cache_clear()
        return score(Suite("torch", (str(tmp_path / f"test_{name}.py"),)))

    yield run
    vectors_of.cache_clear()


def reasons(found: Score) -> dict[str, str]:
    return {survivor.mistake: survivor.reason for survivor in found.survivors}


def test_a_test_with_a_number_catches_what_changes_it(scored: Scorer) -> None:
    found = scored("looks", "gates-iofg", "u-transposed", "h0-ignored", "halves-exchanged", "h-for-c", "merge-sum")
    assert found.caught == ("gates-iofg", "u-transposed")
    assert reasons(found) == {"h0-ignored": NO_ROOM, "halves-exchanged": NO_ROOM, "h-for-c": NOT_COMPARED}
    assert found.not_expressible == ("merge-sum",)
    assert list(found.by_family()) == [
        ("gates", 1, 1), ("orientation", 1, 1), ("state", 0, 2), ("direction", 0, 1)
    ]  # fmt: skip
    assert found.survivors[0].vector.startswith("h4-x4-t")
    # A test that sees the planting is set aside.
    assert [test.rpartition("::")[2] for test in found.tests] == ["test_it"]
    assert [test.rpartition("::")[2] for test in found.set_aside] == ["test_where"]


def test_numbers_of_the_framework_at_import_are_no_other_numbers_and_a_range_is_a_tolerance(scored: Scorer) -> None:
    found = scored("vague", "gates-iofg", "h-for-c")
    assert reasons(found) == {"gates-iofg": WITHIN_TOLERANCE, "h-for-c": NOT_COMPARED}


def test_a_run_without_an_end_is_a_mistake_that_was_caught(scored: Scorer) -> None:
    found = scored("hangs", "gates-iofg", "h-for-c")
    assert found.caught == ("gates-iofg",)
    assert reasons(found) == {"h-for-c": NOT_COMPARED}  # in a process that was started again


def test_a_suite_that_fails_by_itself_is_no_score(scored: Scorer) -> None:
    with pytest.raises(UserError, match=r"test_fails.py fails before anything is planted, at test_fails.py::test_it"):
        scored("fails", "gates-iofg")


def test_a_suite_without_an_lstm_is_no_score(scored: Scorer) -> None:
    with pytest.raises(UserError, match=r"passes with no call of an LSTM of torch; name tests that run one"):
        scored("another", "gates-iofg")


def test_equal_weights_hide_gate_orders_and_the_verb_says_so(command: Command) -> None:
    options = ("--host", "torch", "--pytest", str(EXAMPLE))
    ran = command("score", *options, "--family", "orientation", "--family", "activation", "--sample", "12", "--json")
    assert ran.code == 0, ran.err
    found = json.loads(ran.out)
    assert (found["host"], found["caught"], found["survived"], found["calls"]) == ("torch", 7, 5, 1)
    assert found["families"]["orientation"] == {"caught": 0, "of": 5}
    assert {survivor["reason"] for survivor in found["survivors"]} == {NO_EFFECT, NO_ROOM}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--host", "torch"), "one of --pytest TARGET and --onnx-node-tests says which suite to run"),
        (("--host", "torch", "--onnx-node-tests"), "--onnx-node-tests are tests of ONNX, but --host is torch"),
        (
            ("--host", "torch", "--pytest", "x", "--family", "gatez"),
            "there is no family gatez of mistakes; choose among",
        ),
        (("--host", "torch", "--pytest", "'a"), "--pytest 'a is no command line (No closing quotation)"),
        (("--host", "torch", "--pytest", "no_such_file.py"), "ends with exit code 4 and 0 tests passed"),
    ],
)
def test_what_cannot_be_scored_is_one_sentence(command: Command, options: tuple[str, ...], words: str) -> None:
    ran = command("score", *options)
    assert (ran.code, ran.out) == (2, "")
    assert words in ran.err
    assert ran.err.startswith("Error: ")
    assert ran.err.count("\n") == 1
