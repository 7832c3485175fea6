"""Every mistake is named, and none that was not made."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from lstm_xcheck.arrays import round_to
from lstm_xcheck.compare import judge
from lstm_xcheck.compare.reference import observed_quantities
from lstm_xcheck.diagnose import CATALOGUE, Diagnosis, Mistake, diagnose
from lstm_xcheck.diagnose.mistake import in_cells, result_from, run_mistakes
from lstm_xcheck.diagnose.numbers import same_change
from lstm_xcheck.model import Case, LSTMSpec, Result
from lstm_xcheck.oracle import forward

from .cases import CASES, answer, named, others_than, same, where_it_shows


def by_id(mistake: Mistake) -> str:
    return mistake.id


def visible_case(mistake: Mistake) -> Case:
    case = where_it_shows(mistake)
    assert case is not None
    return case


def means(found: Diagnosis, mistake: Mistake, case: Case) -> bool:
    """Whether the named cause is this mistake or its equal."""
    return found.mistakes == (mistake.id,) or same(
        run_mistakes(named(*found.mistakes), case) if found.mistakes else None, run_mistakes([mistake], case)
    )


@pytest.mark.parametrize("mistake", CATALOGUE, ids=by_id)
def test_it_is_named_with_its_remedy(mistake: Mistake) -> None:
    case = visible_case(mistake)
    found = diagnose(answer([mistake], case), case, pairs=False)
    assert means(found, mistake, case), (found.mistakes, found.explanation)
    (chosen,) = named(*found.mistakes)
    assert (found.cause, found.explanation, found.fix) == (chosen.title, chosen.explanation, chosen.fix)
    assert found.evidence["residual_after"] <= 1.0
    if chosen.id != mistake.id:
        same_here = [other["mistakes"] for other in found.alternatives if other["same_on_this_case"]]
        assert [mistake.id] in same_here


@pytest.mark.parametrize("mistake", CATALOGUE, ids=by_id)
def test_without_its_entry_nothing_is_named(mistake: Mistake) -> None:
    case = visible_case(mistake)
    found = diagnose(answer([mistake], case), case, pairs=False, catalogue=others_than(mistake, case))
    if found.parameters:  # a bias dropped is a bias times 0
        assert same_change(found.named[0], mistake, case), found.cause
        return
    assert found.cause is None, found.mistakes
    verb = "is proven by" if found.within_reach else "explains"
    assert found.explanation.startswith(f"No mistake of the catalogue {verb} these outputs.")


@pytest.mark.parametrize("mistake", CATALOGUE[::40], ids=by_id)
def test_without_its_entry_no_pair_is_named_unless_equal(mistake: Mistake) -> None:
    case = visible_case(mistake)
    truth = run_mistakes([mistake], case)
    found = diagnose(answer([mistake], case), case, catalogue=others_than(mistake, case))
    if found.parameters:
        assert same_change(found.named[0], mistake, case), found.cause
        return
    assert found.cause is None or same(run_mistakes(found.named, case), truth), found.mistakes


@pytest.mark.parametrize(
    ("cell", "words"),
    [
        ((0, 0), "layer 0 forward"),
        ((0, 1), "layer 0 backward"),
        ((1, 0), "layer 1 forward"),
        ((2, 1), "layer 2 backward"),
    ],
    ids=["bottom", "bottom-backward", "middle", "top-backward"],
)
@pytest.mark.parametrize("id", ["gates-iofg", "u-transposed", "bias-hh-dropped", "gates-ifog-u"])
def test_a_mistake_in_one_cell_is_named_with_its_place(id: str, cell: tuple[int, int], words: str) -> None:
    case = CASES["stack"]
    (mistake,) = named(id)
    found = diagnose(answer([in_cells(mistake, [cell])], case), case)
    assert found.cause == f"{mistake.title}, in {words} alone"
    assert (found.evidence["first"]["layer"], found.evidence["first"]["direction"]) == cell


def test_a_mistake_in_two_cells_is_named_with_both() -> None:
    case = CASES["stack"]
    (mistake,) = named("bias-doubled")
    found = diagnose(answer([in_cells(mistake, [(1, 0), (1, 1)])], case), case)
    assert found.cause == f"{mistake.title}, in layer 1 forward, layer 1 backward alone"


@pytest.mark.parametrize("id", ["gates-iofg", "u-transposed", "bias-hh-dropped", "h0-ignored", "reads-backward"])
def test_the_outputs_alone_are_enough(id: str) -> None:
    case = CASES["plain"]
    (mistake,) = named(id)
    found = diagnose(Result(y=answer([mistake], case).y), case)
    assert found.mistakes == (id,)


@pytest.mark.parametrize("id", ["h-c-exchanged", "h-for-c", "c-for-h"])
def test_final_states_that_are_wrong_alone_are_named(id: str) -> None:
    case = CASES["plain"]
    found = diagnose(answer(named(id), case), case)
    assert found.mistakes == (id,)
    assert found.evidence["first"] == {}


@pytest.mark.parametrize("id", ["gates-iofg", "bias-hh-dropped", "directions-exchanged"])
def test_a_stack_is_explained_by_its_top_outputs(id: str) -> None:
    """A free run over few steps replaces the unobserved layers."""
    stack = CASES["stack"]
    case = replace(stack, x=stack.x[:, :3], id="short")
    (mistake,) = named(id)
    found = diagnose(Result(y=answer([mistake], case).y), case, pairs=False)
    assert means(found, mistake, case), (found.mistakes, found.explanation)


@pytest.mark.parametrize("id", ["merge-sum", "merge-average"])
@pytest.mark.parametrize("name", ["bidirectional", "stack"])
def test_merged_directions_are_named_though_y_has_half_the_width(id: str, name: str) -> None:
    case = CASES[name]
    result = answer(named(id), case)
    assert result.y is not None and result.y.shape[-1] == case.spec.output_size
    assert diagnose(result, case).mistakes == (id,)


def test_merged_directions_that_nothing_explains_are_reported() -> None:
    case = CASES["bidirectional"]
    result = answer(named("merge-sum"), case)
    assert result.y is not None
    found = diagnose(replace(result, y=np.array(result.y) * np.float32(1.7)), case, pairs=False)
    assert found.cause is None
    assert "y (of another shape)" in found.explanation


@pytest.mark.parametrize("mistake", [m for m in CATALOGUE if m.family == "lengths"], ids=by_id)
def test_lengths_are_named_from_the_outputs_and_states(mistake: Mistake) -> None:
    own = {"length-0-without-states": "length-0", "length-0-reads-all": "length-0", "padding-zero": "held"}
    case = CASES[own.get(mistake.id, "ragged")]
    result = answer([mistake], case)
    found = diagnose(Result(y=result.y, h_n=result.h_n, c_n=result.c_n), case)
    assert means(found, mistake, case)


@pytest.mark.parametrize("name", CASES)
def test_correct_outputs_are_not_diagnosed(name: str) -> None:
    case = CASES[name]
    outputs = observed_quantities(forward(case))
    result = result_from({n: round_to(a, case.precision) for n, a in outputs.items()})
    assert judge(result, case).verdict == "match"
    found = diagnose(result, case)
    assert found.cause is None
    assert found.explanation == "Nothing is wrong: every number is what honest rounding allows."
    assert found.evidence["residual_before"] <= 1.0


def test_unobserved_layers_are_not_called_right() -> None:
    case = Case.random(CASES["stack"].spec, steps=40, batch=2, init="normal")
    honest = forward(case).h_n
    assert honest is not None
    found = diagnose(Result(h_n=honest), case)
    assert found.cause is None
    assert found.explanation.startswith("Nothing is wrong as far as can be seen, but the outputs of layer 0 were not")


def test_a_lower_precision_is_named() -> None:
    case = CASES["plain"]
    coarse = forward(replace(case, precision="bfloat16", id="coarse"))
    rounded = {name: round_to(getattr(coarse, name), "bfloat16") for name in ("y", "h_n", "c_n")}
    found = diagnose(Result(**rounded), case)
    assert found.mistakes == ("computed-in-bfloat16",)
    assert found.cause == "computed in bfloat16 instead of float32"


def test_a_small_mistake_is_not_blamed_on_low_precision() -> None:
    """A wider bound would explain it, but the format does not fit."""
    case = CASES["plain"]
    (truth,) = named("weights-5-digits")
    others = [mistake for mistake in CATALOGUE if mistake is not truth]
    found = diagnose(answer([truth], case), case, pairs=False, catalogue=others)
    assert found.cause is None
    assert "tf32" not in found.explanation


def test_an_unknown_mistake_is_not_guessed_and_its_place_is_reported() -> None:
    case = CASES["stack"]
    result = forward(case)
    y = np.array(result.y)
    y[1, 3, 2] += 0.01
    found = diagnose(replace(result, y=y), case)
    assert found.cause is None
    assert found.evidence["first"] == {"layer": 2, "direction": 0, "step": 3, "batch": 1, "unit": 2}
    assert "layer 2, direction 0, step 3" in found.explanation


def test_a_diagnosis_is_plain_data() -> None:
    case = CASES["square"]
    data = diagnose(answer(named("u-transposed"), case), case).to_dict()
    assert data["mistakes"] == ["u-transposed"]
    assert data["alternatives"][0]["mistakes"] == ["u-gates-reshaped"]
    assert data["alternatives"][0]["same_on_this_case"] is True


def test_a_mistake_in_a_wide_cell_is_named() -> None:
    """More than 65,536 numbers in W and U."""
    case = Case.random(LSTMSpec(input_size=40, hidden_size=128), steps=3, batch=2, seed=6, init="torch")
    for id in ("gates-iofg", "h-c-exchanged"):
        assert diagnose(answer(named(id), case), case, pairs=False).mistakes == (id,)
