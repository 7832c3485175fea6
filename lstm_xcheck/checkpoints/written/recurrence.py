"""Finds steps that are an LSTM's in kind, whatever their formula.

A state that sums of gated products make, and that no weights multiply, is the c of an LSTM. What a GRU sums is its
output too, which weights do multiply.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import reduce
from itertools import permutations
from typing import Generic

from .cell import listed
from .flow import Dataflow, Made, V

#: Why such a step is not read, before its weights.
OTHER_STEP = "it computes something else than c = i g + f c and h = o act(c); its weights are "
#: Operators of all graphs by their names in lower case.
_PRODUCT = re.compile(r".*(product|matmul|gemm|conv(?!ert)|einsum|fully_connected).*")
_REDUCED = re.compile(r"reduce.*|sum|mean|.*pool.*")
_OPAQUE = re.compile(r".*(lstm|gru|rnn).*|loop|scan|if|while|gather.*|step|attention")
_BENT = re.compile(r".*(function|tanh|sigmoid|logistic|relu|exp|softm|softp|softs|elu|erf|swish|mish).*")
_CLIPPED = re.compile(r"clip|min|max|minimum|maximum")
_SHAPES = ("shape", "size", "constant")
_SUMS = ("add", "sub", "max", "min", "maximum", "minimum")
#: Weights and states that one value is known to depend on, and terms of one sum.
_MOST_PAST, _MOST_TERMS = 32, 8


@dataclass(slots=True, eq=False)  # the quickest to make, as there is one for each value
class _Sign(Generic[V]):
    """What is known of a value."""

    varies: bool = False  # with what the graph is given
    product: bool = False  # made of weights without a function
    gated: bool = False  # a function of such
    scaled: bool = False  # multiplied by a gate
    bent: bool = False  # a function of its root
    again: bool = False  # made by weights of what they made before
    root: V | None = None  # the sum or the input that it is made of element by element
    kernels: frozenset[V] = frozenset()
    past: frozenset[V] = frozenset()  # the states of a loop, and weights used again, that it depends on


@dataclass
class Recurrences(Generic[V]):
    """The states of a graph that only an LSTM has.

    Attributes:
        flow: the graph.
        steps: the results of the steps that are read, or named already.
    """

    flow: Dataflow[V]
    steps: Collection[V] = ()
    _signs: dict[V, _Sign[V]] = field(default_factory=dict)
    _sums: dict[V, frozenset[V]] = field(default_factory=dict)  # with the states before them
    _fed: set[V] = field(default_factory=set)  # states that weights multiply
    _told: set[V] = field(default_factory=set)
    _states: set[V] = field(default_factory=set)  # of loops
    _repeated: frozenset[V] = frozenset()

    def find(self, values: Sequence[V]) -> Iterator[tuple[V, frozenset[V], str]]:
        """Each state, its weights, and these in words.

        There is one for the same weights.
        """
        makers = [made for made in map(self.flow.made, values) if _PRODUCT.fullmatch(_kind(made))]
        counted = Counter(one for made in makers for one in made.inputs[:2])
        self._repeated = frozenset(one for one, count in counted.items() if count > 1)
        cells: dict[V, frozenset[V]] = {}
        for value in values:
            for state, kernels in self._follow(value):
                cells[state] = cells.get(state, frozenset()) | kernels
        self._join_loops()
        others, seen = self._fed | self._told, set[V]()
        for state, kernels in cells.items():
            if state not in others and (seen.isdisjoint(kernels) or not kernels):
                seen |= kernels
                yield state, kernels, self._listed(kernels)

    def _listed(self, kernels: frozenset[V]) -> str:
        found = sorted({tensor.name: tensor for one in kernels if (tensor := self.flow.constant(one))}.items())
        return listed([tensor for _, tensor in found]) or "computed"

    def _join_loops(self) -> None:
        """A state of a loop and the sum that it becomes are one."""
        for state in self._states:
            after = self._signs.get(self.flow.becomes(state) or state)
            if after is not None and after.root is not None and not after.scaled and not after.bent:
                for known in (self._fed, self._told):
                    if not known.isdisjoint((state, after.root)):
                        known |= {state, after.root}

    def _follow(self, value: V) -> Iterator[tuple[V, frozenset[V]]]:
        """Sign a value and all that it is made of."""
        waiting, opened = [value], set[V]()
        while waiting:
            value = waiting[-1]
            inputs = self.flow.made(value).inputs
            missing = [one for one in inputs if one not in self._signs and one not in opened]
            opened.add(value)
            if missing:
                waiting += missing
                continue
            waiting.pop()
            if value not in self._signs:
                sign, cells = self._sign(value)
                if value in self.steps and sign.root is not None:
                    self._told |= {sign.root, *self._sums.get(sign.root, ())}
                    sign = _Sign(True, past=sign.past)
                self._signs[value] = sign
                yield from cells

    def _sign(self, value: V) -> tuple[_Sign[V], list[tuple[V, frozenset[V]]]]:
        """What a value is, and the states that it shows to be an LSTM's."""
        made = self.flow.made(value)
        kind, nothing = _kind(made), _Sign[V]()
        if not made.inputs:
            return (nothing if kind in _SHAPES or self.flow.constant(value) else self._given(value)), []
        given = [self._signs.get(one, nothing) for one in made.inputs]
        whole = reduce(_merged, given)
        if not whole.varies or kind in _SHAPES:
            return nothing, []
        if _OPAQUE.fullmatch(kind) or _REDUCED.fullmatch(kind):
            return _Sign(True, bool(_REDUCED.fullmatch(kind)), past=whole.past), []
        if _PRODUCT.fullmatch(kind):
            return self._product(made, given, whole), []
        terms = given[:_MOST_TERMS] if kind in _SUMS else []
        if any(_is_summed(one, other) for one, other in permutations(terms, 2)):
            before = frozenset(one.root for one in given if one.root is not None)
            self._sums[value] = before
            shown = [(one, whole.kernels) for one in before if one in self._sums or one in self._states]
            return _Sign(True, root=value, past=whole.past), shown if whole.again else []
        if kind in ("mul", "div") and all(one.varies for one in given) and any(one.gated for one in given):
            pairs = [(other, gate) for gate, other in permutations(given, 2) if gate.gated]
            root = next((other.root for other, _ in pairs if other.root is not None), whole.root)
            shown = [(other.root, whole.kernels) for other, _ in pairs if other.root in self._sums and other.root]
            return replace(whole, product=False, gated=False, scaled=True, root=root), shown
        if _BENT.fullmatch(kind) or _CLIPPED.fullmatch(kind) or made.kind in ("ADD", "MUL"):
            gated, bent = whole.gated or whole.product or whole.scaled, bool(_BENT.fullmatch(kind))
            return replace(whole, product=False, scaled=False, gated=gated, bent=whole.bent or bent), []
        return whole, []

    def _given(self, value: V) -> _Sign[V]:
        if self.flow.becomes(value) is None:
            return _Sign(True, root=value)
        self._states.add(value)
        return _Sign(True, root=value, past=frozenset((value,)))

    def _product(self, made: Made[V], given: Sequence[_Sign[V]], whole: _Sign[V]) -> _Sign[V]:
        self._fed |= {one.root for one in given if one.root is not None and not one.scaled and not one.bent}
        kernels = frozenset(one for one, sign in zip(made.inputs[:2], given, strict=False) if not sign.varies)
        again = not whole.past.isdisjoint(self._states) or not whole.past.isdisjoint(kernels)
        past = _union([whole.past, kernels & self._repeated])
        return _Sign(True, product=True, again=again, kernels=kernels, past=past)


def _kind(made: Made[V]) -> str:
    return made.kind.removeprefix("QLinear").lower()


def _merged(one: _Sign[V], other: _Sign[V]) -> _Sign[V]:
    """What is true of either."""
    return _Sign(
        one.varies or other.varies,
        one.product or other.product,
        one.gated or other.gated,
        one.scaled or other.scaled,
        one.bent or other.bent,
        one.again or other.again,
        other.root if one.root is None else one.root,
        _union([one.kernels, other.kernels]),
        _union([one.past, other.past]),
    )


def _union(sets: Sequence[frozenset[V]]) -> frozenset[V]:
    """The sets together, as long as they are few."""
    found = frozenset[V]()
    for one in sets:
        if len(found) + len(one) <= _MOST_PAST:
            found = one if found <= one else found if one <= found else found | one
    return found


def _is_summed(one: _Sign[V], other: _Sign[V]) -> bool:
    """Whether two terms add what a gate lets in to a state."""
    return (other.scaled and (one.root is not None or one.scaled)) or (one.scaled and other.gated)
