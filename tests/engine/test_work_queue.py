"""Every task is taken once; idle slots join adapters and steal tasks."""

from __future__ import annotations

import threading
from collections import Counter

import pytest

from lstm_xcheck.engine import Recipe, grid
from lstm_xcheck.engine.work_queue import MIN_TASKS_TO_STEAL, WorkQueue


def seeds(number: int, **fields: int) -> list[Recipe]:
    return grid(**fields, seeds=number)


def drained(queue: WorkQueue, name: str, slot: int) -> list[str]:
    return [case.id for case in iter(lambda: queue.take(name, slot), None)]


def test_a_slot_finishes_one_group_before_it_begins_the_next() -> None:
    mixed = [recipe for pair in zip(seeds(3, hidden=1), seeds(3, hidden=2), strict=True) for recipe in pair]
    queue = WorkQueue({"a": mixed})
    assert drained(queue, "a", 0) == [recipe.id for recipe in (*seeds(3, hidden=1), *seeds(3, hidden=2))]


def test_idle_slots_take_unserved_adapters_first() -> None:
    queue = WorkQueue({"a": seeds(20), "b": seeds(2), "c": []})
    assert queue.choose_adapter(0) == ("a", False)
    assert queue.choose_adapter(0) == ("b", False)
    assert queue.choose_adapter(0) == ("a", True)  # much is left of a, nothing of b is worth a second worker
    assert queue.choose_adapter(0, refused={"a"}) is None


def test_an_idle_slot_steals_the_later_half_of_the_largest_share() -> None:
    queue = WorkQueue({"a": seeds(10)})
    first = queue.take("a", 0)
    assert first is not None
    stolen = [queue.take("a", 1) for _ in range(4)]
    assert [recipe.seed for recipe in stolen if isinstance(recipe, Recipe)] == [6, 7, 8, 9]
    assert len({*drained(queue, "a", 0), *drained(queue, "a", 1)}) == 5
    assert queue.exhausted


def test_few_tasks_are_not_worth_stealing() -> None:
    queue = WorkQueue({"a": seeds(MIN_TASKS_TO_STEAL)})
    assert queue.take("a", 0) is not None
    assert queue.take("a", 1) is None
    assert queue.exhausted
    assert queue.choose_adapter(0) is None


@pytest.mark.parametrize(("seconds", "joins"), [(0.001, False), (10.0, True)], ids=["quick", "slow"])
def test_a_second_worker_must_be_worth_its_start(seconds: float, joins: bool) -> None:
    queue = WorkQueue({"a": seeds(20)})
    assert queue.choose_adapter(0) == ("a", False)
    assert queue.take("a", 0) is not None
    queue.worker_started("a", 3.0)
    queue.task_ended("a", seconds)
    assert queue.choose_adapter(0) == (("a", True) if joins else None)
    assert not queue.exhausted


def test_many_slots_take_every_task_once() -> None:
    recipes = [*seeds(200), *seeds(50, hidden=2)]
    queue, taken = WorkQueue({"a": recipes}), [list[str]() for _ in range(8)]
    threads = [
        threading.Thread(target=lambda slot=slot: taken[slot].extend(drained(queue, "a", slot))) for slot in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert Counter(name for part in taken for name in part) == Counter(recipe.id for recipe in recipes)
