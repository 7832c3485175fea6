"""Replay judges recordings, and reports missing, stale and duplicate ones."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lstm_xcheck.adapters import Entry
from lstm_xcheck.engine import Plan, Recipe
from lstm_xcheck.errors import NothingComparedError
from lstm_xcheck.model import Case, LSTMSpec
from lstm_xcheck.recordings import Answer, Recording, encode, read
from lstm_xcheck.report import Report
from lstm_xcheck.runs.record import record
from lstm_xcheck.runs.replay import replay

Maker = Callable[..., Recording]
FIXTURE = Path(__file__).parent / "data" / "schema-1.npz"


def report_of(*recordings: Recording, **options: Any) -> Report:
    return Report.of(replay(recordings, **options))


def reasons(report: Report, verdict: str) -> list[str]:
    return [row.reason for row in report.rows if row.verdict == verdict]


@pytest.fixture(scope="module")
def here(honest: Recording) -> Recording:
    return replace(honest, questions=honest.questions[:2], answers=honest.answers[:2])


@pytest.fixture(scope="module")
def there(here: Recording) -> Recording:
    return replace(here, environment="there")


def changed(recording: Recording, **changes: Any) -> Recording:
    """The recording with its first question changed."""
    first, *others = recording.questions
    return replace(recording, questions=(replace(first, **changes), *others))


def with_result(recording: Recording, **changes: Any) -> Recording:
    """The recording with the result of its first answer changed."""
    first, *others = recording.answers
    assert first.result is not None
    return replace(recording, answers=(replace(first, result=replace(first.result, **changes)), *others))


def test_honest_recordings_agree(honest: Recording, there: Recording) -> None:
    report = report_of(honest, there)
    assert report.exit_code == 0
    expected = {"planned": 10, "match": 6, "unsupported": 1, "skipped": 3}
    assert {name: number for name, number in report.totals.items() if number} == expected
    assert set(report.adapters) == {"here/Honest", "there/Honest"}
    assert reasons(report, "unsupported") == ["batches of 5"]
    assert reasons(report, "skipped") == ["this recording does not hold the case, which others do"] * 3


def test_weights_and_counts_are_judged_too(here: Recording) -> None:
    report = report_of(here)
    quantities = {row.quantity for row in report.rows}
    assert quantities == {"y", "h_n", "c_n", "layer0.y", "weights", "parameters"}
    assert all(row.verdict == "match" for row in report.rows)
    assert len(report.counts) == 2
    assert "a second bias" in report.counts[0].explanation
    assert report.environment()["adapters"]["here/Honest"]["python"] == here.made_by["python"]


def test_schema_1_is_judged() -> None:
    report = report_of(read(FIXTURE))
    assert report.exit_code == 0
    assert report.totals["match"] == 4


def test_a_wrong_gate_order_is_caught(maker: Maker) -> None:
    report = report_of(maker("Honest", "WrongOrder", environment="mutant"))
    assert report.exit_code == 1
    verdicts = {outcome.adapter: outcome.verdict for outcome in report.outcomes}
    assert verdicts == {"mutant/Honest": "match", "mutant/WrongOrder": "mismatch"}
    diagnoses = report.to_dict()["diagnoses"]
    assert {diagnosis["adapter"] for diagnosis in diagnoses} == {"mutant/WrongOrder"}
    assert all("gates f and g exchanged" in diagnosis["cause"] for diagnosis in diagnoses)


def test_one_changed_number_is_caught(here: Recording) -> None:
    result = here.answers[0].result
    assert result is not None and result.y is not None
    y = np.array(result.y)
    y[0, 1, 1] += np.float32(1e-5)
    report = report_of(with_result(here, y=y))
    assert report.exit_code == 1
    (row,) = [row for row in report.rows if row.verdict == "mismatch" and row.quantity == "y"]
    assert row.worst == (0, 1, 1)


def test_weights_that_were_not_loaded_are_caught(maker: Maker) -> None:
    report = report_of(maker("Forgetful"))
    assert report.exit_code == 1
    assert {row.quantity for row in report.rows if row.verdict == "mismatch"} == {"weights"}


def test_a_wrong_count_is_caught(here: Recording) -> None:
    report = report_of(with_result(here, parameter_count=7))
    assert [row.quantity for row in report.rows if row.verdict == "mismatch"] == ["parameters"]


@pytest.mark.parametrize("quantity", ["y", "h_n", "c_n"])
def test_an_output_that_was_not_recorded_is_a_mismatch(here: Recording, quantity: str) -> None:
    report = report_of(with_result(here, **{quantity: None}))
    assert f"the adapter returned no {quantity}" in reasons(report, "mismatch")


def test_one_flipped_bit_of_the_inputs_is_drift(here: Recording) -> None:
    recipe = Recipe(**here.questions[0].recipe)
    case = recipe.case()
    x = np.array(case.x)
    x.view(np.uint32)[0, 0, 0] ^= 1
    assert here.questions[0].fingerprint == case.fingerprint
    report = report_of(changed(here, fingerprint=replace(case, x=x).fingerprint))
    assert report.exit_code == 2
    assert report.totals["match"] == 1
    assert [reason.startswith("INPUT DRIFT: ") for reason in reasons(report, "crashed")] == [True]


def test_a_crash_is_recorded_and_reported(maker: Maker) -> None:
    recording = maker("Honest", recipes=(Recipe(hidden=1), Recipe(hidden=1, batch=6)))
    report = report_of(recording)
    assert report.exit_code == 2
    assert "cannot do batches of 6" in reasons(report, "crashed")[0]


def test_recording_no_answer_at_all_is_an_error(maker: Maker) -> None:
    with pytest.raises(NothingComparedError, match="nothing was recorded: Honest: batches of 5"):
        maker("Honest", recipes=(Recipe(batch=5),))


def test_only_recipes_can_be_recorded() -> None:
    case = Case.random(LSTMSpec(2, 3))
    with pytest.raises(NothingComparedError, match="only recipes can be recorded"):
        record(Plan((case,), (Entry("Honest", "own_adapters:Honest"),)), "here")


def test_a_missing_environment_is_an_error(here: Recording) -> None:
    report = report_of(here, expect=["here", "py399-torch"])
    assert report.exit_code == 2
    assert report.totals["match"] == 2
    (row,) = [row for row in report.rows if row.adapter == "py399-torch"]
    assert row.verdict == "crashed"
    assert row.reason.startswith("MISSING: no recording of py399-torch was given (found: here)")


def test_nothing_but_missing_environments(here: Recording) -> None:
    report = report_of(expect=["a", "b", "a"])
    assert (report.exit_code, report.totals["crashed"]) == (2, 2)
    assert "found: no other" in reasons(report, "crashed")[0]


def test_every_expected_environment_is_there(here: Recording, there: Recording) -> None:
    assert report_of(here, there, expect=["here", "there"]).exit_code == 0


@pytest.mark.parametrize("questions", [True, False])
def test_a_recording_without_answers_is_no_agreement(here: Recording, there: Recording, questions: bool) -> None:
    empty = replace(there, answers=(), questions=there.questions if questions else ())
    for report in (report_of(here, empty, expect=["here", "there"]), report_of(here, empty)):
        assert report.exit_code == 2
        (reason,) = reasons(report, "crashed")
        assert reason.startswith("EMPTY: ")
        assert f"holds {len(empty.questions)} cases and no answer" in reason


def test_an_expected_environment_answers_something(here: Recording, there: Recording) -> None:
    none = [replace(answer, kind="unsupported", result=None, reason="no") for answer in there.answers]
    silent = replace(there, answers=tuple(none))
    assert report_of(here, silent).exit_code == 0
    report = report_of(here, silent, expect=["here", "there"])
    assert (report.exit_code, report.totals["crashed"]) == (2, 1)
    assert "none of which gives outputs" in reasons(report, "crashed")[0]


def test_an_expected_recording_has_all_cases_of_its_peers(here: Recording, there: Recording) -> None:
    first = there.questions[0].id
    fewer = replace(there, answers=tuple(answer for answer in there.answers if answer.question != first))
    assert report_of(here, fewer).exit_code == 0
    report = report_of(here, fewer, expect=["here", "there"])
    assert (report.exit_code, report.totals["crashed"]) == (2, 1)
    assert reasons(report, "crashed") == ["this recording does not hold the case, which others do"]
    assert report_of(here, fewer, expect=["here"]).exit_code == 0


def test_two_runs_of_one_environment_contradict(here: Recording) -> None:
    report = report_of(replace(here, run="1", source="a.npz"), replace(here, run="2", source="b.npz"))
    assert report.exit_code == 2
    assert report.totals["planned"] == 1
    assert reasons(report, "crashed")[0].startswith(
        "STALE or DUPLICATE: a.npz and b.npz are both of the environment here, but of the runs 1 and 2"
    )


def test_the_same_recording_twice_is_judged_once(here: Recording) -> None:
    report = report_of(replace(here, source="a.npz"), replace(here, source="b.npz"))
    assert report.exit_code == 0
    assert report.totals["match"] == 2
    assert reasons(report, "skipped") == ["b.npz is the same recording as a.npz, judged once"]


def test_one_run_that_answers_twice_contradicts_itself(here: Recording) -> None:
    other = with_result(here, note="otherwise")
    assert reasons(report_of(here, other), "crashed")[0].startswith("DUPLICATE: ")


def test_parts_of_one_run_belong_together(maker: Maker) -> None:
    parts = [maker("Honest", run="7", recipes=(Recipe(hidden=size, steps=3),)) for size in (1, 2)]
    report = report_of(*parts)
    assert (report.exit_code, report.totals["planned"], report.totals["match"]) == (0, 2, 2)


STALE = {
    "expected": ({"expect": ["here"]}, 2, "crashed", "did not record this time"),
    "nothing-expected": ({}, 2, "crashed", "did not record this time"),
    "not-expected": ({"expect": ["there"]}, 0, "skipped", "it is not expected"),
}


@pytest.mark.parametrize(("options", "code", "verdict", "words"), STALE.values(), ids=STALE)
def test_another_run_is_stale(
    here: Recording, there: Recording, options: dict[str, Any], code: int, verdict: str, words: str
) -> None:
    report = report_of(replace(here, run="old", source="x.npz"), replace(there, run="new"), run="new", **options)
    assert report.exit_code == code
    (reason,) = reasons(report, verdict)
    assert reason.startswith("STALE: x.npz belongs to the run old, but should belong to new")
    assert words in reason


def test_names_of_nameless_recordings(here: Recording) -> None:
    first, second = (replace(here, environment="", source=f"folder/{name}.npz", run=name) for name in "ab")
    assert report_of(first).adapters == ("Honest",)
    assert report_of(first, live=True).adapters == ("a/Honest",)
    assert report_of(first, second, expect=["a", "b"]).adapters == ("a/Honest", "b/Honest")


RECIPES: dict[str, tuple[dict[str, Any], str]] = {
    "unknown": ({"dropout": 1}, "has a field 'dropout', which this version does not know"),
    "type": ({"hidden": "many"}, "hidden is 'many', but should be of type int"),
    "bool": ({"hidden": True}, "hidden is True, but should be of type int"),
    "zero": ({"hidden": 0}, "hidden_size is 0"),
    "wide": ({"hidden": 10**6}, "more than the 268,435,456 allowed"),
    "giant": ({"hidden": 10**9}, "hidden is 1,000,000,000, but should be at most 1,048,576"),
    "deep": ({"layers": 10**12}, "but should be at most 1,048,576"),
    "long": ({"steps": 10**6, "batch": 10**4}, "more than the 268,435,456 allowed"),
    "negative": ({"steps": -1}, "steps is -1"),
    "init": ({"init": "magic"}, "magic"),
}


@pytest.mark.parametrize(("fields", "words"), RECIPES.values(), ids=RECIPES)
def test_a_recipe_that_makes_no_case(here: Recording, fields: dict[str, Any], words: str) -> None:
    report = report_of(changed(here, recipe={**here.questions[0].recipe, **fields}))
    assert report.exit_code == 2
    (reason,) = reasons(report, "crashed")
    assert reason.startswith("the case cannot be made again: ")
    assert words in reason
    assert report.totals["match"] == 1


def test_a_recipe_of_an_older_version_has_fewer_fields(here: Recording) -> None:
    recipe = {name: value for name, value in here.questions[0].recipe.items() if value != asdict(Recipe())[name]}
    assert len(recipe) < len(here.questions[0].recipe)
    assert report_of(changed(here, recipe=recipe)).exit_code == 0


def test_an_older_id_stays(here: Recording) -> None:
    questions = (replace(here.questions[0], id="old-id"), here.questions[1])
    answers = (replace(here.answers[0], question="old-id"), here.answers[1])
    report = report_of(replace(here, questions=questions, answers=answers))
    assert report.exit_code == 0
    assert {row.case for row in report.rows} == {"old-id", here.questions[1].id}


def test_an_unknown_layout_is_reported(here: Recording) -> None:
    report = report_of(replace(here, layouts={"Honest": "nowhere"}))
    assert report.exit_code == 2
    assert "nowhere" in reasons(report, "crashed")[0]


def test_wrong_shapes_are_a_mismatch(here: Recording) -> None:
    result = here.answers[0].result
    assert result is not None and result.y is not None
    report = report_of(with_result(here, y=result.y[:, :1]))
    assert report.exit_code == 1


def test_the_order_of_files_does_not_matter(here: Recording, there: Recording) -> None:
    def rows(*recordings: Recording) -> set[str]:
        return {repr(row) for row in report_of(*recordings).rows}

    assert rows(here, there) == rows(there, here)


def test_a_crashed_answer_survives_the_file(here: Recording, tmp_path: Path) -> None:
    crash = Answer(here.questions[0].id, "Honest", "crashed", reason="died")
    path = tmp_path / "a.npz"
    path.write_bytes(encode(replace(here, answers=(crash, here.answers[1]))))
    assert reasons(report_of(read(path)), "crashed") == ["died"]
