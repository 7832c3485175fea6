"""Case families: the few kinds of cases by which reports sum up a run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ..model import Case, LSTMSpec
from ..model.features import feature_named
from .recipe import CaseOrRecipe

#: Families in the order of reports, with what their cases have.
FAMILIES: Mapping[str, str] = {
    "plain": "one layer of one direction",
    "stacked": "two or more layers",
    "both ways": "two directions, stacked or not",
    "lengths": "padding: lengths or a mask",
    "cell": "another cell: projections, peepholes, clips, activations",
    "calls": "special calls, states, outputs or sizes",
    "16 bit": "float16 or bfloat16",
    "gradients": "gradients, too",
    "other": "cases of unknown kind",
}

#: The family of a feature's group; its other groups leave it to the spec and data.
_OF_GROUP = {"cell": "cell", "padding": "lengths", "states": "calls", "calls": "calls", "outputs": "calls",
             "sizes": "calls", "gradients": "gradients"}  # fmt: skip


def families(questions: Iterable[CaseOrRecipe]) -> dict[str, str]:
    """The family of each case, by id."""
    return {question.id: family(question) for question in questions}


def family(question: CaseOrRecipe) -> str:
    """The first family that fits a case or recipe, rare ones first.

    >>> from lstm_xcheck.engine import grid
    >>> [family(recipe) for recipe in grid(layers=[1, 2], directions=[1, 2])]
    ['plain', 'both ways', 'stacked', 'both ways']
    """
    if question.gradients:
        return "gradients"
    if isinstance(question, Case):
        padded = question.lengths is not None or question.mask is not None
        return _by_content(question.spec, padded, question.precision)
    feature = feature_named(question.feature) if question.feature else None
    if feature is not None and (group := _OF_GROUP.get(feature.group)):
        return group
    if question.impossible:
        return "other"
    precision = question.dtype if feature is None else feature.data.get("precision", question.dtype)
    return _by_content(question.spec, question.ragged, precision)


def _by_content(spec: LSTMSpec, padded: bool, precision: str) -> str:
    if precision in ("float16", "bfloat16"):
        return "16 bit"
    if spec.proj_size or not spec.is_plain:
        return "cell"
    if padded:
        return "lengths"
    if spec.bidirectional:
        return "both ways"
    return "stacked" if spec.num_layers > 1 else "plain"
