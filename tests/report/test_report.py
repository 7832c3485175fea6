"""A report adds up, has the worst verdict, and is written atomically."""

from __future__ import annotations

import io
import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from lstm_xcheck.compare import VERDICTS, CountRow, Row
from lstm_xcheck.errors import DisagreementError, NothingComparedError, UserError, XcheckError
from lstm_xcheck.events import Event, Finished, Outcome, Planned, Started
from lstm_xcheck.report import Report
from lstm_xcheck.report.json_file import check_report_path, write_atomically, write_report
from lstm_xcheck.report.progress import ProgressBar
from lstm_xcheck.report.summary import headline, summarise
from lstm_xcheck.report.terminal import print_report


def outcome(verdict: str, case: str = "case", adapter: str = "torch", **row: Any) -> Outcome:
    reason = "" if verdict == "match" else f"why {verdict}"
    rows = (Row(case, adapter, "y", verdict, **{"reason": reason, **row}),)  # type: ignore[arg-type]
    return Outcome(case, adapter, rows, environment={"torch": "2"} if verdict == "match" else {})


def report_of(*verdicts: str, planned: int | None = None, interrupted: bool = False) -> Report:
    cells = len(verdicts) if planned is None else planned
    outcomes = [outcome(verdict, f"case-{k}") for k, verdict in enumerate(verdicts)]
    events: list[Event] = [Planned(cells, cells, ("torch",)), *outcomes, Finished(1.5, interrupted)]
    return Report.of(events)


@pytest.mark.parametrize(
    ("verdicts", "verdict", "code"),
    [
        (["match"], "agree", 0),
        (["match", "unsupported", "skipped"], "agree", 0),
        (["match", "inconclusive"], "agree", 0),
        (["match", "mismatch"], "disagree", 1),
        (["match", "suspect"], "disagree", 1),
        (["match", "crashed"], "error", 2),
        (["mismatch", "crashed"], "disagree", 1),
        (["unsupported"], "error", 2),
        (["skipped"], "error", 2),
        (["inconclusive"], "error", 2),
        ([], "error", 2),
    ],
    ids=str,
)
def test_the_verdict_of_a_run(verdicts: list[str], verdict: str, code: int) -> None:
    report = report_of(*verdicts)
    assert (report.verdict, report.exit_code, report.ok) == (verdict, code, code == 0)


def test_totals_add_up_and_what_never_ended_was_skipped() -> None:
    report = report_of(*VERDICTS, "match", planned=12)
    assert report.totals == {
        "planned": 12, "match": 2, "suspect": 1, "mismatch": 1, "inconclusive": 1, "unsupported": 1, "crashed": 1,
        "skipped": 5,
    }  # fmt: skip


def test_a_cell_that_never_ended_is_no_agreement() -> None:
    report = report_of("match", planned=2)
    assert (report.verdict, report.exit_code) == ("error", 2)
    with pytest.raises(NothingComparedError, match="1 of 2 cells never ended"):
        report.raise_if_failed()


def test_more_cells_than_planned_is_a_fault_that_shows() -> None:
    with pytest.raises(XcheckError, match="2 cells ended, but 1 were planned"):
        _ = report_of("match", "match", planned=1).totals


@pytest.mark.parametrize(("verdicts", "verdict"), [(["match"], "error"), (["mismatch"], "disagree")])
def test_an_interrupted_run_never_agrees(verdicts: list[str], verdict: str) -> None:
    report = report_of(*verdicts, planned=3, interrupted=True)
    assert (report.verdict, report.exit_code, report.ok) == (verdict, 130, False)
    assert report.to_dict()["environment"]["interrupted"] is True
    assert "INTERRUPTED: 3 planned" in printed(report)


def test_raising_names_the_worst_rows_first() -> None:
    events: list[Event] = [Planned(11, 11, ("torch",))]
    events += [outcome("mismatch", f"case-{k}", score=float(k)) for k in range(10)]
    events += [outcome("match", "good")]
    with pytest.raises(DisagreementError) as caught:
        Report.of(events).raise_if_failed()
    lines = str(caught.value).splitlines()
    assert lines[0] == "10 quantities disagree:"
    assert lines[1] == "  torch, case case-9, mismatch: why mismatch"
    assert lines[8:] == ["  torch, case case-2, mismatch: why mismatch", "  and 2 more"]
    assert isinstance(caught.value, AssertionError)


def test_raising_does_nothing_for_a_good_run_and_explains_an_empty_comparison() -> None:
    report_of("match", "unsupported").raise_if_failed()
    with pytest.raises(NothingComparedError, match="nothing was compared: why unsupported"):
        report_of("unsupported").raise_if_failed()
    with pytest.raises(NothingComparedError, match="no cell was run"):
        Report().raise_if_failed()


def test_two_runs_make_one_report() -> None:
    report = report_of("match")
    for event in (Planned(1, 1, ("jax",)), Started("x", "jax"), outcome("match", "x", "jax"), Finished(0.5)):
        report.handle(event)
    assert (report.adapters, report.planned, report.seconds) == (("torch", "jax"), 2, 2.0)
    assert report.totals["match"] == 2


def test_the_json_is_strict_and_has_the_documented_keys() -> None:
    rows = (Row("case", "torch", "y", "mismatch", float("nan"), float("inf"), (0, 1, 2), "why"),)
    count = CountRow("case", "torch", 16, 12, "why")
    diagnosis, power = {"cause": "swapped"}, {"would_catch": 3}
    event = Outcome("case", "torch", rows, count, {"torch": "2"}, (diagnosis,))
    report = Report.of([Planned(1, 1, ("torch",)), event])
    report.power.append(power)
    data = json.loads(report.to_json(), parse_constant=pytest.fail)
    assert list(data) == [
        "schema", "verdict", "totals", "rows", "parameter_counts", "diagnoses", "power", "environment",
    ]  # fmt: skip
    assert data["schema"] == 1
    assert data["totals"] == {"planned": 1, **{verdict: int(verdict == "mismatch") for verdict in VERDICTS}}
    assert (data["rows"][0]["max_abs"], data["rows"][0]["score"]) == ("nan", "inf")
    assert data["parameter_counts"] == [
        {"case": "case", "adapter": "torch", "native": 16, "canonical": 12, "explanation": "why"}
    ]
    assert (data["diagnoses"], data["power"]) == ([diagnosis], [power])
    assert data["environment"]["adapters"] == {"torch": {"torch": "2"}}


# --- files ---


def test_a_report_replaces_an_old_one_and_leaves_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_text("old", encoding="ascii")
    write_report(report_of("match"), path)
    assert json.loads(path.read_text(encoding="utf-8"))["verdict"] == "agree"
    assert list(tmp_path.iterdir()) == [path]


def test_a_report_that_fails_half_way_leaves_the_old_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x.json"
    path.write_text("old", encoding="ascii")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(UserError, match=r"x\.json: cannot be written: No space left on device"):
        write_report(report_of("match"), path)
    assert path.read_text(encoding="ascii") == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_an_interrupted_writer_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x.json"
    path.write_text("old", encoding="ascii")

    def stopped(_: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", stopped)
    with pytest.raises(KeyboardInterrupt):
        write_atomically(path, b"new")
    assert path.read_text(encoding="ascii") == "old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.skipif(os.name != "posix", reason="file modes are POSIX")
def test_a_report_may_be_read_by_whoever_may_read_a_new_file(tmp_path: Path) -> None:
    (tmp_path / "usual").touch()
    write_report(report_of("match"), tmp_path / "x.json")
    assert (tmp_path / "x.json").stat().st_mode == (tmp_path / "usual").stat().st_mode


@pytest.mark.parametrize(
    ("path", "part"),
    [
        ("x.txt", "the suffix is '.txt'"),
        ("x", "the suffix is ''"),
        ("none/x.json", "does not exist"),
        ("d.json", "is a folder"),
    ],
)
def test_a_path_that_cannot_be_written_is_refused_before_the_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str, part: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "d.json").mkdir()
    with pytest.raises(UserError, match="--report") as caught:
        check_report_path(Path(path))
    assert part in str(caught.value)


# --- terminal ---


def printed(report: Report, detail: int = 1, width: int = 160, *, terminal: bool = False) -> str:
    stream = io.StringIO()
    console = Console(file=stream, width=width, force_terminal=terminal, no_color=True, color_system=None)
    print_report(report, console, detail)
    return stream.getvalue()


def test_the_tables_say_verdicts_counts_reasons_and_one_line() -> None:
    good = outcome("match", "a", max_abs=1e-7, score=0.25)
    events: list[Event] = [
        Planned(4, 4, ("torch", "jax")),
        replace(good, count=CountRow("a", "torch", 16, 12, "16 = 12 + 4")),
        outcome("mismatch", "b", max_abs=0.5, score=123.0),
        outcome("unsupported", "a", "jax"),
        outcome("crashed", "b", "jax"),
        Finished(2.0),
    ]
    report = Report.of(events)
    for part in (
        "DISAGREE: torch: not diagnosed", "1.2e+02", "versions: torch 2", "torch keeps a second bias",
        "torch: not diagnosed, in 1 case", "worst: y of case b, error 0.5, 1.2e+02 times the bound",
        "jax crashed: why crashed, in 1 case", "jax: why unsupported (1)",
        "DISAGREE: 4 planned = 1 match, 1 mismatch, 1 unsupported, 1 crashed (2.0 s)",
    ):  # fmt: skip
        assert part in printed(report)
    for part in (
        "torch: second bias in 1 case, e.g. 16 = 12 + 4", "MISMATCH torch, case b: why mismatch",
        "CRASHED jax, case b: why crashed",
    ):  # fmt: skip
        assert part in printed(report, detail=2)
    assert printed(report, detail=0).splitlines() == [printed(report).splitlines()[-1]]


def test_a_long_list_of_trouble_is_one_group_and_points_to_the_rest() -> None:
    report = report_of(*["mismatch"] * 60)
    assert "torch: not diagnosed, in 60 cases" in printed(report)
    text = printed(report, detail=2)
    assert text.count("MISMATCH torch") == 50
    assert "and 10 more; --report FILE.json has them all" in text


def diagnosed(case: str, cause: str | None, adapter: str = "torch", **more: Any) -> Outcome:
    found = {"case": case, "adapter": adapter, "cause": cause, "fix": f"mend {cause}", "explanation": "Why.", **more}
    return replace(outcome("mismatch", case, adapter, max_abs=0.5, score=9.0), diagnoses=(found,))


def test_a_cause_belongs_to_the_cases_that_have_it() -> None:
    one = [diagnosed("a", "gates exchanged"), diagnosed("b", "gates exchanged"), outcome("mismatch", "c", score=20.0)]
    (group,) = summarise(Report.of([Planned(3, 3, ("torch",)), *one]), 0).groups
    assert (group.cases, group.undiagnosed, group.worst.case) == (2, 1, "c")
    assert group.sentence == "gates exchanged, in 2 cases; 1 more is wrong, too, and was not diagnosed"
    where = {"layer": 0, "step": 1, "gates_by_c_n": ["f"]}
    two = [*one, diagnosed("d", None, location=where), diagnosed("e", None, location={**where, "step": 2})]
    many = Report.of([Planned(5, 5, ("torch",)), *two[:4]])
    assert [(found.cause, found.cases, found.undiagnosed) for found in summarise(many, 0).groups] == [
        ("gates exchanged", 2, 0), ("not diagnosed", 1, 0), ("unexplained: wrong from layer 0, step 1, gate f", 1, 0),
    ]  # fmt: skip
    places = summarise(Report.of([Planned(2, 2, ("torch",)), *two[3:]]), 0).groups
    assert [found.explained for found in places] == ["Case d: Why.", "Case e: Why."]
    assert len({found.cause for found in places}) == 2


def headline_of(*outcomes: Outcome, own: tuple[str, ...] = ()) -> str:
    names = tuple(dict.fromkeys(one.adapter for one in outcomes))
    report = Report.of([Planned(len(outcomes), len(outcomes), names), *outcomes, Finished(1.0)])
    report.subject["own"] = list(own)
    return headline(summarise(report, 0))


def test_the_headline_says_no_more_than_was_compared() -> None:
    match, refused, crashed = (
        outcome("match", "a", "torch"),
        outcome("unsupported", "a", "mine"),
        outcome("crashed", "a", "c"),
    )
    assert headline_of(match).startswith("1 adapter computed")
    assert headline_of(match, refused).endswith("in every case that was compared; never compared: mine")
    assert headline_of(match, refused).startswith("1 of 2 adapters computed")
    assert headline_of(crashed) == "c: why crashed"
    assert headline_of(crashed, match) == "c: why crashed; all that was compared agrees"
    assert headline_of(refused) == "nothing was compared"
    wrong = [diagnosed("a", "gates exchanged", "m"), diagnosed("a", "bias dropped", "n"), diagnosed("a", "c", "o")]
    assert headline_of(*wrong) == "m: gates exchanged; n: bias dropped; and 1 more wrong adapters"


def test_an_implementation_of_the_users_that_refused_everything_is_no_agreement() -> None:
    outcomes = [outcome("match", "a", "torch"), outcome("unsupported", "a", "mine")]
    report = Report.of([Planned(2, 1, ("torch", "mine")), *outcomes])
    assert report.verdict == "agree"
    report.subject["own"] = ["mine"]
    assert (report.verdict, report.exit_code) == ("error", 2)
    with pytest.raises(NothingComparedError, match="mine"):
        report.raise_if_failed()


def test_every_adapter_with_trouble_is_shown_however_many_there_are() -> None:
    names = tuple(f"adapter-{k}" for k in range(30))
    many = [outcome("mismatch", f"case-{k}", names[0]) for k in range(200)]
    events: list[Event] = [Planned(400, 200, names), *many, *(outcome("crashed", "case-1", name) for name in names[1:])]
    text = printed(Report.of(events))
    assert all(f"{name} crashed: why crashed" in text for name in names[1:])
    assert "adapter-0: not diagnosed, in 200 cases" in text


@pytest.mark.parametrize("width", [60, 80, 100, 200])
def test_a_terminal_of_any_width_breaks_lines_between_words_and_crops_nothing(width: int) -> None:
    names = ("plain", "stacked", "both ways", "lengths", "cell", "calls", "16 bit", "gradients")
    families = dict(zip("abcdefgh", names, strict=True))
    name = "flax-nnx-optimized"
    events: list[Event] = [
        Planned(8, 8, (name,), order=tuple(families), families=families),
        *(diagnosed(case, "gates g and o exchanged in W, U and b", name) for case in families),
    ]
    report = Report.of(events)
    report.subject["command"] = {"verify": "lstm-xcheck verify", "adapters": {name: f"--adapter {name}=kernel:f"}}
    text = printed(report, width=width, terminal=True)
    lines = text.splitlines()
    assert max(len(line) for line in lines if "run: " not in line) <= width
    assert f"run: lstm-xcheck verify --adapter {name}=kernel:f --case a" in text  # a command is never broken
    assert all(family in text for family in families.values())
    words = set(printed(report, width=400).split())
    assert words - set(text.split()) == set()


def test_reasons_are_printed_verbatim() -> None:
    """Brackets are indices, not styles."""
    report = Report.of([Planned(1, 1, ("torch",)), outcome("mismatch", reason="y[0, 1] [bold]= 2[/bold] [/]")])
    assert "y[0, 1] [bold]= 2[/bold] [/]" in printed(report, detail=2)


def test_the_progress_bar_is_silent_without_a_terminal(capfd: pytest.CaptureFixture[str]) -> None:
    with ProgressBar() as bar:
        for event in (Planned(1, 1, ("torch",)), Started("case", "torch"), outcome("match"), Finished(1.0)):
            bar.handle(event)
    assert capfd.readouterr() == ("", "")
