"""Records answers without judging them, for a replay elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import replace

from ..arrays import fingerprint
from ..engine import Plan, Recipe
from ..errors import NothingComparedError, SpecError, Unsupported, XcheckError
from ..recordings import Answer, Question, Recording
from ..recordings.model import made_by
from ..recordings.schema import content_run, one_line
from ..workers.process import Worker


def record(plan: Plan, environment: str, run: str = "", progress: Callable[[int], None] | None = None) -> Recording:
    """Run a plan of recipes and record every answer.

    `run`: id of the run, by default a digest of the content. `progress` gets the number of tasks that have just ended.
    """
    found: dict[tuple[str, str], Answer] = {}
    layouts: dict[str, str] = {}
    for layout, answers in _answers(plan):
        for answer in answers:
            found[answer.adapter, answer.question] = answer
            layouts[answer.adapter] = layout or layouts.get(answer.adapter, "")
        if progress is not None:
            progress(len(answers))
    if not any(answer.kind == "answered" for answer in found.values()):
        reasons = sorted({f"{answer.adapter}: {answer.reason}" for answer in found.values()})
        raise NothingComparedError(f"nothing was recorded: {'; '.join(reasons[:5])}")
    recipes = _recipes(plan)
    recording = Recording(
        environment=environment,
        run=run,
        made_by=made_by(),
        layouts={entry.name: layouts[entry.name] for entry in plan.entries},
        questions=tuple(Question(recipe.id, recipe.fields(), recipe.case().fingerprint) for recipe in recipes),
        answers=tuple(found[entry.name, recipe.id] for entry in plan.entries for recipe in recipes),
    )
    return recording if run else replace(recording, run=content_run(recording))


def _recipes(plan: Plan) -> tuple[Recipe, ...]:
    recipes = tuple(case for case in plan.cases if isinstance(case, Recipe))
    if len(recipes) != len(plan.cases):
        raise NothingComparedError("only recipes can be recorded: a case made by hand cannot be made again elsewhere")
    for recipe in recipes:
        if recipe.impossible:
            raise SpecError(f"case {recipe.id} cannot be recorded: {recipe.impossible}; leave it out")
    return recipes


def _answers(plan: Plan) -> Iterator[tuple[str, list[Answer]]]:
    """Layout and answers of each chunk; stops all workers."""
    recipes = _recipes(plan)
    count = max(1, -(-plan.jobs // len(plan.entries)))
    chunks = [(plan.new_worker(entry), recipes[k::count]) for entry in plan.entries for k in range(count)]
    with ThreadPoolExecutor(max(1, plan.jobs)) as threads:
        futures = [threads.submit(_run_chunk, worker, chunk) for worker, chunk in chunks if chunk]
        try:
            for future in as_completed(futures):
                yield future.result()
        finally:
            for future in futures:
                future.cancel()
            for worker, _ in chunks:
                worker.stop()


def _run_chunk(worker: Worker, recipes: tuple[Recipe, ...]) -> tuple[str, list[Answer]]:
    with worker:
        answers = [_run_task(worker, recipe) for recipe in recipes]
        return worker.layout, answers


def _run_task(worker: Worker, recipe: Recipe) -> Answer:
    adapter = worker.entry.name
    try:
        result = worker.run(recipe.case())
    except Unsupported as reason:
        return Answer(recipe.id, adapter, "unsupported", reason=one_line(str(reason)))
    except XcheckError as crash:
        return Answer(recipe.id, adapter, "crashed", reason=one_line(str(crash)))
    weights_hash = fingerprint(result.native) if result.native else ""
    versions = {key: one_line(str(value)) for key, value in result.environment.items()}
    return Answer(
        recipe.id, adapter, "answered", replace(result, native={}, environment=versions), weights_hash=weights_hash
    )
