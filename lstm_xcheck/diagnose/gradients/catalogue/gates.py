"""Gates in the wrong order inside the backward pass."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import permutations

from ....model import GATES, Case
from ..mistake import GradientMistake
from ..wrong_pass import Rule

#: Suffix of an id -> in words, and where the rule permutes.
_PLACES = {
    "": ("everywhere in the backward pass", ("dz",)),
    "-products": ("in the products with W and U", ("to_x", "to_h")),
    "-to-h": ("in the product with U", ("to_h",)),
    "-to-x": ("in the product with W", ("to_x",)),
}


def order_words(order: str) -> str:
    """A permutation of the gates in words."""
    moved = [gate for gate, own in zip(order, GATES, strict=True) if gate != own]
    return f"gates {moved[0]} and {moved[1]} exchanged" if len(moved) == 2 else f"gates in the order {', '.join(order)}"


def entries(case: Case) -> Iterator[GradientMistake]:
    """Each of the 23 wrong orders, everywhere and in single products."""
    for suffix, (words, places) in _PLACES.items():
        for letters in permutations(GATES):
            order = "".join(letters)
            if letters != GATES:
                index = tuple(GATES.index(gate) for gate in order)
                yield GradientMistake(
                    id=f"gradient-pass-gates-{order}{suffix}",
                    title=f"{order_words(order)} {words}",
                    explanation=f"Where i, f, g, o belong, the pass has the gradients of {', '.join(order)}.",
                    fix="Stack the gradients of the four gates in the order of the weights.",
                    rule=Rule(**dict.fromkeys(places, index)),  # type: ignore[arg-type]
                )
