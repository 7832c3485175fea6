"""Cells that share a compilation stay together, idle lanes take over, and nothing is done twice or left out."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import lstm_xcheck as lx
from lstm_xcheck.adapters import Entry
from lstm_xcheck.engine import Plan, Recipe, grid, preset, run, scheduler
from lstm_xcheck.engine.work_queue import LEAST_TO_STEAL, Schedule, for_repeats, grouped, shape_key, shard_of
from lstm_xcheck.errors import UserError
from lstm_xcheck.events import Outcome, Planned, Started
from lstm_xcheck.report import Report
from lstm_xcheck.runs.resume import sharded

HERE = str(Path(__file__).parent)
HONEST = Entry("honest", "faulty_adapters:Honest", path=(HERE,))


def seeds(number: int, **fields: int) -> list[Recipe]:
    return grid(**fields, seeds=number)


# --- compiling where shapes come again ---


def test_an_adapter_is_told_to_compile_where_shapes_come_again(monkeypatch: pytest.MonkeyPatch) -> None:
    entry = Entry("any", "module:Class", variables={"A": "1"}, when_repeated={"LSTM_XCHECK_SPEED": "fast"})
    told = {number: for_repeats([entry], seeds(number, hidden=3))[0].variables for number in (1, 3, 4, 10)}
    assert told[1] == told[3] == {"A": "1"}
    assert told[4] == told[10] == {"A": "1", "LSTM_XCHECK_SPEED": "fast"}
    assert for_repeats([HONEST], seeds(10, hidden=3)) == (HONEST,)
    monkeypatch.setenv("LSTM_XCHECK_SPEED", "what the user wants")
    assert for_repeats([entry], seeds(10, hidden=3)) == (entry,)


@pytest.mark.framework("tensorflow", "keras")
def test_every_way_to_run_a_sweep_tells_adapters_so() -> None:
    with ThreadPoolExecutor(1) as executor:
        reports = [
            lx.verify(seeds(4, hidden=2), ["keras-tensorflow"]),
            lx.verify_grid(seeds(4, hidden=2), ["keras-tensorflow"], executor=executor),
            lx.verify_grid(seeds(1, hidden=2), ["keras-tensorflow"]),
        ]
    assert [report.exit_code for report in reports] == [0, 0, 0]
    told = [json.loads(report.to_json())["environment"]["adapters"]["keras-tensorflow"] for report in reports]
    graphs = "in graphs of tf.function, without Grappler"
    assert [versions.get("runs") for versions in told] == [graphs, graphs, None]


# --- groups ---


def test_seeds_and_numbers_share_a_compilation() -> None:
    base = Recipe()
    for same in (Recipe(seed=7), Recipe(init="keras"), Recipe(one_hot=True)):
        assert shape_key(same) == shape_key(base)


@pytest.mark.parametrize(
    "other",
    [Recipe(hidden=9), Recipe(input=6), Recipe(steps=8), Recipe(batch=4), Recipe(layers=2), Recipe(directions=2),
     Recipe(bias="none"), Recipe(proj=2), Recipe(states=False), Recipe(ragged=True), Recipe(returns="last"),
     Recipe(dtype="float64"), Recipe(gradients=True)],
    ids=lambda recipe: recipe.id,
)  # fmt: skip
def test_whatever_a_framework_compiles_for_tells_groups_apart(other: Recipe) -> None:
    assert shape_key(other) != shape_key(Recipe())
    assert shape_key(other.case()) != shape_key(Recipe().case())


def test_cases_are_grouped_as_their_recipes_are() -> None:
    recipes = preset("quick")
    by_recipe = [[recipe.id for recipe in group] for group in grouped(recipes)]
    assert [[case.id for case in group] for group in grouped(recipe.case() for recipe in recipes)] == by_recipe


def test_groups_of_one_build_are_neighbours() -> None:
    recipes = [
        Recipe(hidden=hidden, steps=steps, seed=seed) for seed in (0, 1) for steps in (2, 3) for hidden in (1, 2)
    ]
    groups = grouped(recipes)
    assert [[(recipe.hidden, recipe.steps, recipe.seed) for recipe in group] for group in groups] == [
        [(hidden, steps, seed) for seed in (0, 1)] for hidden in (1, 2) for steps in (2, 3)
    ]


# --- who does what ---


def drained(schedule: Schedule, name: str, slot: int) -> list[str]:
    return [case.id for case in iter(lambda: schedule.take(name, slot), None)]


def test_a_slot_finishes_one_group_before_it_begins_the_next() -> None:
    mixed = [recipe for pair in zip(seeds(3, hidden=1), seeds(3, hidden=2), strict=True) for recipe in pair]
    schedule = Schedule({"a": mixed})
    assert drained(schedule, "a", 0) == [recipe.id for recipe in (*seeds(3, hidden=1), *seeds(3, hidden=2))]


def test_idle_lanes_take_untouched_adapters_first() -> None:
    schedule = Schedule({"a": seeds(20), "b": seeds(2), "c": []})
    assert schedule.choose() == ("a", False)
    assert schedule.choose() == ("b", False)
    assert schedule.choose() == ("a", True)  # much is left of a, nothing of b is worth a second worker
    assert schedule.choose(refused={"a"}) is None


def test_a_thief_takes_the_later_half_of_the_largest_hand() -> None:
    schedule = Schedule({"a": seeds(10)})
    first = schedule.take("a", 0)
    assert first is not None
    stolen = [schedule.take("a", 1) for _ in range(4)]
    assert [recipe.seed for recipe in stolen if isinstance(recipe, Recipe)] == [6, 7, 8, 9]
    assert len({*drained(schedule, "a", 0), *drained(schedule, "a", 1)}) == 5
    assert schedule.exhausted


def test_few_cells_are_not_worth_stealing() -> None:
    schedule = Schedule({"a": seeds(LEAST_TO_STEAL)})
    assert schedule.take("a", 0) is not None
    assert schedule.take("a", 1) is None
    assert schedule.exhausted
    assert schedule.choose() is None


@pytest.mark.parametrize(("seconds", "joins"), [(0.001, False), (10.0, True)], ids=["quick", "slow"])
def test_a_second_worker_must_be_worth_its_start(seconds: float, joins: bool) -> None:
    schedule = Schedule({"a": seeds(20)})
    assert schedule.choose() == ("a", False)
    assert schedule.take("a", 0) is not None
    schedule.started("a", 3.0)
    schedule.ended("a", seconds)
    assert schedule.choose() == (("a", True) if joins else None)
    assert not schedule.exhausted


def test_many_lanes_together_take_every_cell_once() -> None:
    recipes = [*seeds(200), *seeds(50, hidden=2)]
    schedule, taken = Schedule({"a": recipes}), [list[str]() for _ in range(8)]
    threads = [
        threading.Thread(target=lambda slot=slot: taken[slot].extend(drained(schedule, "a", slot))) for slot in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert Counter(name for part in taken for name in part) == Counter(recipe.id for recipe in recipes)


# --- shards ---


@pytest.mark.parametrize("shards", [1, 2, 3, 7])
def test_shards_hold_every_case_once_and_nearly_as_many_each(shards: int) -> None:
    recipes = preset("standard")
    parts = [shard_of(recipes, number, shards) for number in range(1, shards + 1)]
    assert Counter(case.id for part in parts for case in part) == Counter(recipe.id for recipe in recipes)
    sizes = [len(part) for part in parts]
    assert max(sizes) - min(sizes) <= len(recipes) // (4 * shards) + 1


def test_seeds_of_a_shape_stay_in_one_shard_where_that_is_even() -> None:
    recipes = grid(hidden=list(range(1, 17)), seeds=4)
    part = shard_of(recipes, 1, 2)
    assert set(Counter(recipe.hidden for recipe in part if isinstance(recipe, Recipe)).values()) == {4}


def test_one_group_is_spread_over_all_shards() -> None:
    assert [len(shard_of(seeds(9), number, 9)) for number in range(1, 10)] == [1] * 9


def test_a_shard_without_cases_is_refused() -> None:
    assert sharded(seeds(3), (3, 3))
    with pytest.raises(UserError, match="--shard 4/4: there are only 3 cases; use at most 3 shards"):
        sharded(seeds(3), (4, 4))


# --- the engine ---


@pytest.mark.parametrize("jobs", [1, 2, 5])
def test_every_cell_begins_and_ends_once(jobs: int) -> None:
    recipes = tuple(grid(hidden=[1, 2], input=2, steps=2, batch=1, seeds=12))
    entries = (HONEST, Entry("lossy", "faulty_adapters:Lossy", path=(HERE,)))
    begun, ended = Counter[tuple[str, str]](), Counter[tuple[str, str]]()
    for event in run(Plan(recipes, entries, jobs=jobs)):
        if isinstance(event, Started):
            begun[event.case, event.adapter] += 1
        elif isinstance(event, Outcome):
            ended[event.case, event.adapter] += 1
            assert begun[event.case, event.adapter] == 1
    wanted = Counter((recipe.id, entry.name) for recipe in recipes for entry in entries)
    assert begun == ended == wanted


def test_cells_to_skip_are_neither_planned_nor_run() -> None:
    cases = (Recipe(hidden=1), Recipe(hidden=2))
    plan = Plan(cases, (HONEST,), jobs=1, skip=frozenset({(cases[0].id, "honest")}))
    events = list(run(plan))
    assert isinstance(events[0], Planned)
    assert events[0].cells == 1
    assert [event.case for event in events if isinstance(event, Outcome)] == [cases[1].id]
    nothing = Plan(cases[:1], (HONEST,), skip=frozenset({(cases[0].id, "honest")}))
    assert Report.of(run(nothing)).planned == 0


def test_the_oracle_judges_while_the_worker_computes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Judging is held up until the third case has begun; one after the other, that would never come."""
    third = threading.Event()
    judge = scheduler.judged

    def waiting(*arguments: object) -> Outcome:
        assert third.wait(30.0)
        return judge(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(scheduler, "judged", waiting)
    begun = 0
    for event in run(Plan(tuple(seeds(4)), (HONEST,), jobs=1)):
        begun += isinstance(event, Started)
        if begun == 3:
            third.set()
    assert begun == 4


def test_a_slow_oracle_holds_the_backend_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else answers that wait to be judged would fill the memory."""
    release, judge = threading.Event(), scheduler.judged

    def waiting(*arguments: object) -> Outcome:
        assert release.wait(30.0)
        return judge(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(scheduler, "judged", waiting)
    events = run(Plan(tuple(seeds(20)), (HONEST,), jobs=1))
    begun = [event for event in (next(events) for _ in range(4)) if isinstance(event, Started)]
    time.sleep(0.5)
    waits = events.gi_frame.f_locals["lanes"]._events.qsize()
    release.set()
    assert (len(begun), waits) == (3, 0)
    assert len([event for event in events if isinstance(event, Outcome)]) == 20


def test_a_fault_of_the_judge_reaches_the_caller_and_leaves_no_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*arguments: object) -> Outcome:
        raise ZeroDivisionError("the judge is broken")

    monkeypatch.setattr(scheduler, "judged", broken)
    with pytest.raises(ZeroDivisionError, match="the judge is broken"):
        list(run(Plan(tuple(seeds(20)), (HONEST,), jobs=2)))
    assert not [thread for thread in threading.enumerate() if "_guarded" in thread.name]


def test_a_case_that_cannot_be_made_reaches_the_caller() -> None:
    with pytest.raises(ValueError, match="unknown init 'best'"):
        list(run(Plan((Recipe(init="best"),), (HONEST,), jobs=1)))
