"""A power statement is about one comparison: its quantities, in the precision that judged them."""

from __future__ import annotations

from dataclasses import replace
from io import StringIO
from typing import Any

import numpy as np
import pytest
from rich.console import Console

import lstm_xcheck as lx
from lstm_xcheck.arrays import round_to
from lstm_xcheck.compare.reference import observed_quantities
from lstm_xcheck.diagnose import detection_power
from lstm_xcheck.diagnose.catalogue import mistake_named
from lstm_xcheck.diagnose.detection_power import power
from lstm_xcheck.diagnose.mistake import Mistake, result_from, run_mistakes
from lstm_xcheck.model import Case, LSTMSpec, Result
from lstm_xcheck.oracle import forward
from lstm_xcheck.oracle.precision_profiles import PROFILES
from lstm_xcheck.report.detection_power import sentences
from lstm_xcheck.report.terminal import print_report

RAGGED = Case.random(LSTMSpec(input_size=3, hidden_size=4), ragged=True, id="ragged")
STACK = Case.random(LSTMSpec(input_size=3, hidden_size=4, num_layers=2, bidirectional=True), steps=4, id="stack")
#: What y alone cannot show.
STATES_ALONE = {"h-c-exchanged", "h-for-c", "c-for-h"}


def answer(case: Case, names: tuple[str, ...], computed_in: str = "", mistake: str = "") -> Result | None:
    """An implementation's answer, the oracle's in float32, with a mistake or right."""
    outputs = run_mistakes([mistake_named(mistake)] if mistake else [], case)
    if outputs is None or not set(names) <= set(outputs):
        return None
    observed = {name: round_to(outputs[name], "float32") for name in names}
    return replace(result_from(observed), computed_in=computed_in)


def broken(case: Case, names: tuple[str, ...], computed_in: str = "") -> tuple[list[str], list[str]]:
    """The claims of an honest match, and those of them that match when planted."""
    honest = answer(case, names, computed_in)
    assert honest is not None
    verdict = lx.judge(honest, case)
    assert verdict.verdict == "match"
    claims = verdict.power["caught"]
    planted = ((id, answer(case, names, computed_in, id)) for id in claims)
    return claims, [id for id, found in planted if found and lx.judge(found, case).verdict != "mismatch"]


@pytest.mark.parametrize(
    ("case", "names", "not_claimed"),
    [
        (RAGGED, ("y",), {*STATES_ALONE, "last-step-state"}),
        (RAGGED, ("h_n", "c_n"), {"output-reversed", "padding-held"}),
        (RAGGED, ("h_n",), {"h-for-c", "padding-held"}),
        (RAGGED, ("last",), {"h-for-c", "padding-held"}),
        (STACK, ("y",), {*STATES_ALONE, "final-layers", "final-directions"}),
        (STACK, ("y", "h_n", "c_n"), set()),
    ],
    ids=lambda value: "+".join(value) if isinstance(value, tuple) else getattr(value, "id", ""),
)
def test_every_claim_is_true_of_what_was_observed(case: Case, names: tuple[str, ...], not_claimed: set[str]) -> None:
    claims, passed = broken(case, names)
    assert passed == []
    everything = set(power(case).caught)
    assert not_claimed <= everything - set(claims)
    assert len(claims) > 0.9 * len(everything), "nearly all else is claimed"


def test_every_claim_is_true_in_the_precision_that_judged() -> None:
    claims, passed = broken(RAGGED, ("y", "h_n", "c_n"), "bfloat16")
    assert passed == []
    assert 0.7 < len(claims) / len(power(RAGGED).caught) < 0.95, "bfloat16 shows less"
    assert "gate-clip-5" not in claims
    assert "weights-bfloat16" not in claims


def test_a_check_of_claims_can_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    """The mutant states the power of everything, whatever was observed."""
    monkeypatch.setattr("lstm_xcheck.api.power", lambda case, **_: power(case))
    assert set(broken(RAGGED, ("y",))[1]) >= STATES_ALONE
    assert len(broken(RAGGED, ("y", "h_n", "c_n"), "bfloat16")[1]) > 10


def test_what_was_not_observed_is_the_reason() -> None:
    statement = power(RAGGED, observed=["y"])
    assert statement.blind["h-for-c"] == "it shows in c_n, not observed"
    assert statement.observed == ("y",)
    assert statement.sentence.startswith(f"would have caught {len(statement.caught)} of ")
    assert " mistakes in y alone; blind here to " in statement.sentence
    assert (
        power(RAGGED, observed=["y"], precision="bfloat16")
        .sentence.partition(";")[0]
        .endswith(" mistakes in y alone, judged as bfloat16")
    )


def test_a_complete_comparison_needs_no_words() -> None:
    statement = power(STACK)
    assert statement.observed == ("layer0.y", "y", "h_n", "c_n")
    assert statement.sentence.partition(";")[0].endswith(" mistakes")


def test_a_rougher_judge_sees_fewer_digits() -> None:
    fine = Case.random(LSTMSpec(input_size=5, hidden_size=8), precision="float64", id="fine")
    assert "weights-6-digits" in power(fine).caught
    assert "weights-6-digits" not in power(fine, precision="float32").caught


@pytest.mark.framework("keras", "jax")
def test_what_keras_claims_in_float64_is_what_its_float32_shows() -> None:
    """Keras on JAX computes a float64 case in float32, and is judged so."""
    case = Case.random(LSTMSpec(input_size=5, hidden_size=8), precision="float64", id="d")
    verdict = lx.judge(lx.run("keras-jax", case), case)
    reason = "judged as float32, which the implementation declares; the case asks for float64; Keras computes the "
    assert (verdict.verdict, verdict.power["precision"]) == ("match", "float32")
    assert all(row.reason.startswith(reason) for row in verdict.rows if row.precision)
    claims = {
        id for id in ("weights-4-digits", "weights-5-digits", "weights-6-digits") if id in verdict.power["caught"]
    }
    assert claims == {"weights-4-digits", "weights-5-digits"}
    for id in claims:
        faulty = mistake_named(id).change_case(case)
        assert faulty is not None
        assert lx.judge(lx.run("keras-jax", faulty), case).verdict == "mismatch"


def function(case: Case, *names: str) -> Any:
    """A user's function that returns these quantities alone."""
    right = forward(case)

    def run(weights: Any, x: Any, h0: Any, c0: Any, lengths: Any) -> Any:
        given = {name: getattr(right, name).astype(np.float32) for name in names}
        return given.get("y"), given.get("h_n"), given.get("c_n")

    return run


def test_each_adapter_has_a_statement_of_what_it_returned() -> None:
    report = lx.verify([RAGGED], {"all": function(RAGGED, "y", "h_n", "c_n"), "final": function(RAGGED, "h_n")})
    statements = {tuple(one["adapters"]): one for one in report.power}
    assert {key: one["observed"] for key, one in statements.items()} == {
        ("all",): ["y", "h_n", "c_n"], ("final",): ["h_n"],
    }  # fmt: skip
    assert "h-for-c" in statements["all",]["caught"]
    assert "c-for-h" in statements["final",]["caught"]
    assert "h-for-c" not in statements["final",]["caught"]
    together, *single = sentences(report.power, report.adapters)
    always = set(statements["all",]["caught"]) & set(statements["final",]["caught"])
    assert together.startswith(f"the matches together would have caught {len(always)} of ")
    assert " mistakes in every adapter" in together
    assert "; no match of final could see " in together
    assert [line.partition(":")[0] for line in single] == ["ragged in all", "ragged in final"]


def test_adapters_that_return_the_same_share_a_statement() -> None:
    full = function(RAGGED, "y", "h_n", "c_n")
    report = lx.verify([RAGGED], {"one": full, "two": full})
    (statement,) = report.power
    assert statement["adapters"] == ["one", "two"]
    assert sentences(report.power, report.adapters)[0].partition(" would")[0] == "the matches together"
    assert sentences(report.power, ["one", "two", "large"])[0].startswith("the matches of one, two together")


def test_a_declared_precision_has_a_statement_of_its_own_and_a_note() -> None:
    def declaring(weights: Any, x: Any, h0: Any, c0: Any, lengths: Any) -> Result:
        right = observed_quantities(forward(RAGGED))
        return Result(**{n: round_to(right[n], "bfloat16") for n in ("y", "h_n", "c_n")}, computed_in="bfloat16")

    report = lx.verify([RAGGED], {"low": declaring, "full": function(RAGGED, "y", "h_n", "c_n")})
    assert report.ok
    by_adapter = {one["adapters"][0]: one for one in report.power}
    assert (by_adapter["low"]["precision"], by_adapter["full"]["precision"]) == ("bfloat16", "float32")
    assert "weights-bfloat16" in by_adapter["full"]["caught"]
    assert "weights-bfloat16" not in by_adapter["low"]["caught"]
    rows = {row["adapter"]: row for row in report.to_dict()["rows"] if row["quantity"] == "y"}
    reason = "judged as bfloat16, which the implementation declares; the case asks for float32"
    assert (rows["low"]["verdict"], rows["low"]["reason"], rows["low"]["precision"]) == ("match", reason, "bfloat16")
    assert (rows["full"]["reason"], rows["full"]["precision"]) == ("", "float32")
    console = Console(record=True, width=200, file=StringIO())
    print_report(report, console)
    assert f"low: {reason} (3)" in console.export_text()


def test_the_faulty_implementation_rounds_its_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    """A change that storage undoes is not claimed, however narrow the bound; the mutant does not look again."""
    monkeypatch.setitem(PROFILES, "bfloat16", replace(PROFILES["float32"], name="bfloat16"))
    short = Case.random(LSTMSpec(input_size=3, hidden_size=4), precision="bfloat16")
    case = replace(short, precision="float32", id="stored")
    factor = np.float32(1 + 2.0**-17)
    slight = Mistake(
        "slight", "weights a little larger", "", "", family="precision", cell=lambda c: c.map(factor.__mul__)
    )
    assert power(case, [slight], precision="bfloat16").caught == ()
    monkeypatch.setattr(detection_power, "_NEAR", 0.0)
    assert power(case, [slight], precision="bfloat16").caught == ("slight",)
