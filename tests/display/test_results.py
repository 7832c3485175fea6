"""Every result prints as a few lines and shows itself in a notebook; names from outside cannot become HTML."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lstm_xcheck as lx
from lstm_xcheck.checkpoints import write_checkpoint
from lstm_xcheck.compare import Row, Verdict
from lstm_xcheck.diagnose.catalogue import mistake_named
from lstm_xcheck.display import Shown, Summary
from lstm_xcheck.events import Finished, Outcome, Planned
from lstm_xcheck.porting.certificate import Certificate, read_certificate

HOSTILE = "<script>alert(1)</script>"
SPEC = lx.LSTMSpec(input_size=3, hidden_size=2, bias="single")
CASE = lx.Case.random(SPEC, seed=1, id="one")


def wrong(weights: lx.LSTMWeights, x: Any, h0: Any, c0: Any, lengths: Any) -> Any:
    """The function with its candidate and output gate exchanged."""
    mistake = mistake_named("gates-ifog")
    changed = mistake.change_case(replace(CASE, weights=weights, x=x, h0=h0, c0=c0, lengths=lengths))
    assert changed is not None
    run = lx.trace(changed).result
    return run.y, run.h_n, run.c_n


@cache
def report() -> lx.Report:
    return lx.verify(CASE, {"mine": wrong})


class Tags(HTMLParser):
    """The tags of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.opened: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, _: Any) -> None:
        self.opened.append(tag)


def other_tags(page: str) -> set[str]:
    return {*Tags(page).opened} - {"div", "p", "strong", "table", "thead", "tbody", "tr", "th", "td"}


def shows(result: Any, *words: str) -> None:
    """A few lines with these words, and the same words as HTML."""
    text = str(result)
    assert 1 <= len(text.splitlines()) <= 24, text
    for word in words:
        assert word in text
    page = result._repr_html_()
    assert other_tags(page) == set()
    assert Tags(page).opened[0] == "div"


def test_weights_a_case_and_a_result() -> None:
    shows(CASE.weights, "LSTM of input 3, hidden 2, layers 1, 1 bias, float32: 48 parameters")
    shows(CASE, "case one: LSTM of input 3", f"x   {CASE.x.shape}")
    shows(lx.trace(CASE).result, "outputs of an LSTM", "h_n   (1, 3, 2)")


def test_a_report() -> None:
    shows(
        report(),
        "DISAGREE: 1 mismatch of 1 planned",
        "adapter  mismatch  error / bound\nmine     1",
        "gates g and o exchanged",
    )


def test_a_verdict() -> None:
    verdict = lx.judge(lx.trace(CASE).result, CASE)
    shows(verdict, "MATCH\nquantity", "error / bound", "\nh_n ")
    shows(Verdict((Row("one", "mine", "y", "suspect", reason="a reason"),)), "SUSPECT", "a reason")
    assert repr(verdict).startswith("<Verdict match")


def test_a_diagnosis() -> None:
    y, h_n, c_n = wrong(CASE.weights, CASE.x, CASE.h0, CASE.c0, CASE.lengths)
    found = lx.diagnose(lx.Result(y=y, h_n=h_n, c_n=c_n), CASE)
    assert found.mistakes == ("gates-ifog",)
    shows(found, str(found.cause), f"fix: {found.fix}")
    nothing = lx.diagnose(lx.trace(CASE).result, CASE)
    shows(nothing, "nothing is wrong")


def test_a_parameter_count() -> None:
    count = lx.count_parameters(SPEC, "torch")
    shows(count, "56 parameters\nW    24\nU    16\nb    8\nb_r  8", "56 = canonical 48 + 8")


def test_a_trace_prints_its_first_steps() -> None:
    run = lx.trace(SPEC, np.ones((30, 3)))
    shows(run, "LSTM of input 3, hidden 2, layers 1, 1 bias; x (1, 30, 3)", "and 10 more")
    first = str(run).splitlines()[2].split()
    assert first == [
        "0",
        *(f"{getattr(run.cells[0][0], name)[0, 0, 0]:.3g}" for name in ("i", "f", "g", "o", "c", "h")),
    ]


@pytest.mark.usefixtures("oracle_alone", "no_detection_power")
def test_a_certificate_a_checkpoint_and_a_comparison(tmp_path: Path) -> None:
    source, target = tmp_path / "a.npz", tmp_path / "b.safetensors"
    write_checkpoint(source, {"encoder": CASE.weights})
    certificate = lx.port(source, target)
    assert certificate["verdict"] == "agree"
    words = ("AGREE: a.npz (npz) to b.safetensors (safetensors)", "encoder", "every bit is kept")
    shows(certificate, *words)
    shows(Certificate.from_dict(read_certificate(tmp_path / "b.safetensors.xcheck.json")), *words)
    shows(lx.inspect(source), "a.npz: npz", "encoder  1 bias")
    shows(lx.compare(source, target), "SAME: every LSTM is the same", "the same  match")
    other = LSTM_OF_OTHER_SEED
    write_checkpoint(tmp_path / "c.npz", {"encoder": other})
    found = lx.compare(source, tmp_path / "c.npz")
    shows(found, "DIFFERENT", "0.0.W, 0.0.U, 0.0.b  mismatch")
    assert found.to_dict()["lstms"][0]["same"] is False
    with pytest.raises(lx.UserError, match="layout has 3 names, but should have one, or one for each"):
        lx.compare(source, target, layout=["a", "b", "c"])


LSTM_OF_OTHER_SEED = lx.LSTMWeights.random(SPEC, seed=7)


def test_names_from_outside_stay_text() -> None:
    rows = (Row(HOSTILE, HOSTILE, HOSTILE, "mismatch", reason=HOSTILE),)
    events = [Planned(1, 1, (HOSTILE,)), Outcome("c", HOSTILE, rows), Finished(0.0)]
    shows(lx.Report.of(events), HOSTILE)
    shows(Verdict(rows), HOSTILE)
    assert "&lt;script&gt;" in Verdict(rows)._repr_html_()


def test_an_unescaped_name_is_found() -> None:
    assert other_tags(f"<div>{HOSTILE}</div>") == {"script"}


def test_a_long_sentence_is_cut() -> None:
    assert str(Summary("a", notes=("b" * 400,)).to_text()).endswith("b...")


def test_many_rows_are_counted() -> None:
    text = Summary("a", rows=tuple((str(k),) for k in range(30)), notes=("b",) * 10).to_text().splitlines()
    assert (len(text), text[-1]) == (1 + 20 + 8 + 1, "and 12 more")


def test_a_result_without_a_summary_says_so() -> None:
    with pytest.raises(NotImplementedError):
        str(Shown())


@pytest.mark.parametrize("suffix", [".html", ".json", ".xml", ".md"])
def test_a_report_is_saved_as_its_suffix_says(tmp_path: Path, suffix: str) -> None:
    report().save(tmp_path / f"report{suffix}")
    starts = {".html": "<!", ".json": "{", ".xml": "<", ".md": "#"}
    text = (tmp_path / f"report{suffix}").read_text(encoding="utf-8")
    assert text.lstrip().startswith(starts[suffix])
    assert "mine" in text


def test_a_suffix_that_says_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(lx.UserError, match=r"^.*report\.txt: the suffix is '\.txt', but should be one of"):
        report().save(str(tmp_path / "report.txt"))
