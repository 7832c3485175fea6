"""States cut off from the past: detached, truncated, or windowed."""

from __future__ import annotations

from collections.abc import Iterator

from ....model import Case
from ..mistake import GradientMistake
from ..wrong_pass import Rule

#: Of longer cases only windows of these sizes are tried, or those below this size.
_WINDOWS = (1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 16, 20, 24, 25, 30, 32, 35, 40, 50, 64, 70, 100, 128)
_ALL_WINDOWS, _ALL_SLIDING = 40, 16

#: Suffix of an id -> what is cut, in words, and whether h and c are.
_STATES = {"": ("h and c", True, True), "-h": ("h", True, False), "-c": ("c", False, True)}


def _rule(steps: frozenset[int], h: bool, c: bool) -> Rule:
    return Rule(cut_h=steps if h else frozenset(), cut_c=steps if c else frozenset())


def _detached(case: Case) -> Iterator[GradientMistake]:
    """No gradient goes from any step to the one before."""
    every = frozenset(range(case.steps))
    for suffix, (words, h, c) in _STATES.items():
        path = {"": "", "-h": " through U", "-c": " through f"}[suffix]
        for steps, where, tail in (
            (every - {0}, "between steps", "-between-steps"),
            (every, "at every step", ""),
        ):
            yield GradientMistake(
                id=f"gradient-detached{suffix}{tail}",
                title=f"{words} detached {where}",
                explanation=f"No gradient flows{path} from a step to the one before; {words} was taken as a constant.",
                fix=f"Do not detach or stop the gradient of {words} inside the loop over time.",
                rule=_rule(steps, h, c),
            )


def _at_one_step(case: Case) -> Iterator[GradientMistake]:
    for suffix, (words, h, c) in _STATES.items():
        for step in range(case.steps) if case.steps <= _ALL_WINDOWS else (0, case.steps - 1):
            where = {0: "the first step", case.steps - 1: "the last step"}.get(step, f"step {step}")
            yield GradientMistake(
                id=f"gradient-cut-once{suffix}",
                title=f"{words} detached at {where} only (steps counted as they are processed)",
                explanation=f"The gradient does not go from {where} to what came before, as after a detach there.",
                fix=f"Let the gradient of {words} pass {where}, or declare that the sequence is cut there.",
                rule=_rule(frozenset({step}), h, c),
                parameters={"step": float(step)},
            )


def _truncated(case: Case) -> Iterator[GradientMistake]:
    """Back-propagation that starts anew every so many steps."""
    windows = [k for k in range(2, case.steps) if k in _WINDOWS or case.steps <= _ALL_WINDOWS]
    for suffix, (words, h, c) in _STATES.items():
        for window in windows:
            phases = range(window) if case.steps <= _ALL_WINDOWS else (0, case.steps % window)
            for phase in dict.fromkeys(phases):
                cuts = frozenset(range(phase, case.steps, window))
                for steps, initial in ((cuts, True), (cuts - {0}, False)) if phase == 0 else ((cuts, False),):
                    if len(steps) > 1:
                        yield GradientMistake(
                            id=f"gradient-truncated{suffix}",
                            title=f"back-propagation of {words} truncated every {window} steps"
                            + (", the initial states included" if initial else f", first at step {min(steps)}"),
                            explanation=f"Gradients of {words} stop at every {window}th step: truncated BPTT.",
                            fix="Back-propagate through the whole sequence, or compare in pieces of that length.",
                            rule=_rule(steps, h, c),
                            parameters={"window": float(window), "first_cut": float(min(steps))},
                        )


def _sliding(case: Case) -> Iterator[GradientMistake]:
    """The gradient of each output goes back so many steps."""
    for window in range(2, case.steps):
        if case.steps <= _ALL_SLIDING or (window in _WINDOWS and case.steps <= _ALL_WINDOWS):
            yield GradientMistake(
                id="gradient-sliding-window",
                title=f"the gradient of each output goes back {window} steps only",
                explanation=f"Each output's gradient is truncated after {window} steps: truncated BPTT at every step.",
                fix="Back-propagate each output through all the steps before it.",
                rule=Rule(window=window),
                parameters={"window": float(window)},
            )


def _last_steps(case: Case) -> Iterator[GradientMistake]:
    """The first steps gave no gradient at all."""
    for first in range(1, case.steps) if case.steps <= _ALL_WINDOWS else ():
        kept = case.steps - first
        yield GradientMistake(
            id="gradient-last-steps-only",
            title=f"only the last {kept} of {case.steps} steps were differentiated",
            explanation="Outputs and states of the steps before give no gradient, as if they ran without one.",
            fix="Differentiate all steps.",
            rule=Rule(
                cut_h=frozenset({first}), cut_c=frozenset({first}), silent=frozenset(range(first)),
            ),
            parameters={"steps": float(kept)},
        )  # fmt: skip


def entries(case: Case) -> Iterator[GradientMistake]:
    """Detached states, truncated and windowed back-propagation."""
    yield from _detached(case)
    yield from _at_one_step(case)
    yield from _last_steps(case)
    yield from _truncated(case)
    yield from _sliding(case)
