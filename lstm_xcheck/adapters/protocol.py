"""The protocol of adapters: the same methods in the same order in each file.

An adapter takes canonical weights and NumPy arrays and returns NumPy arrays; no framework type leaves it.
It converts through `lstm_xcheck.layouts` alone and never imports the oracle: the judged do not know the judge.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any, Protocol, runtime_checkable

from ..arrays import Array
from ..errors import Unsupported
from ..layouts import to_layout
from ..model import Case, LSTMSpec, Result
from .chunks import pieces, run_in_chunks

#: Of a case that an adapter does not put to its framework, which may know more.
NOT_ASKED = "does not ask its framework for"

#: What an adapter may implement and name in its attribute `options`; a case that needs another one is refused.
OPTIONS = {
    "held": "outputs at padding that repeat the last valid one",
    "merge": "merged halves of a bidirectional layer",
    "time-major": "calls with the steps first",
    "unbatched": "calls without a batch",
}


class Adapter(Protocol):
    """One implementation of the LSTM, driven through its own public interface.

    An attribute `options: frozenset[str]` names what it implements of `OPTIONS`; without it, that is nothing.
    """

    #: Name as users write it, such as `torch`.
    name: str
    #: Row of `lstm_xcheck.layouts.TABLE` for the framework's own arrays; "" for a function of canonical weights,
    #: for which nothing is built, loaded, read back or counted.
    layout: str

    def environment(self) -> dict[str, str]:
        """Versions of the packages that compute."""

    def unsupported(self, case: Case) -> str | None:
        """The reason why the framework cannot run this case, or None."""

    def computes_in(self, case: Case) -> tuple[str, str]:
        """The precision computed in, and why it is not the one requested, or ""."""

    def build(self, spec: LSTMSpec, precision: str) -> Any:
        """Build the framework's own layer or stack."""

    def load(self, model: Any, arrays: Mapping[str, Array]) -> None:
        """Load arrays in the framework's layout into the model."""

    def read_back(self, model: Any) -> dict[str, Array]:
        """The model's present arrays, under the layout's names."""

    def count_parameters(self, model: Any) -> int:
        """The number of trainable parameters that the framework itself reports."""

    def run(self, model: Any, case: Case) -> Result:
        """Outputs and states in canonical form."""


@runtime_checkable
class Differentiates(Protocol):
    """An adapter whose framework computes gradients."""

    def run_with_gradients(self, model: Any, case: Case) -> Result:
        """As `run`, with the framework's gradients of the loss in `model/loss.py`.

        `Result.gradients` has canonical names; those of parameters come through `gradients_from_layout`. Outputs and
        gradients must come from the same forward pass: another kernel rounds in another way.

        Raises:
            Unsupported: with the framework's reason, where it has no such gradient.
        """


@dataclass
class Session:
    """Runs cases through one adapter; cases of one shape share a model.

    What an adapter does not say that it implements, it is not asked for; `Case.chunks` are calls of its one model.
    """

    adapter: Adapter
    _key: tuple[LSTMSpec, str] | None = None
    _model: Any = None

    @cached_property
    def environment(self) -> dict[str, str]:
        """The adapter's environment, cached: reading versions takes as long as a small case."""
        return self.adapter.environment()

    def execute(self, case: Case) -> Result:
        """Build or reuse a model, load it, read it back, count and run."""
        adapter = self.adapter
        reason = self.refusal(case)
        if reason:
            raise Unsupported(reason)
        if not adapter.layout:
            return replace(run_in_chunks(partial(adapter.run, None), case), environment=self.environment)
        key = (case.spec, case.precision)
        if self._key != key:
            self._key, self._model = None, adapter.build(*key)
            self._key = key
        adapter.load(self._model, to_layout(case.weights, adapter.layout))
        native = adapter.read_back(self._model)
        count = int(adapter.count_parameters(self._model))  # json cannot encode NumPy integers
        computed_in, note = adapter.computes_in(case)
        run = adapter.run_with_gradients if case.gradients and isinstance(adapter, Differentiates) else adapter.run
        result = run_in_chunks(partial(run, self._model), case)
        return replace(
            result,
            native=native,
            parameter_count=count,
            computed_in=computed_in,
            note=note,
            environment=self.environment,
        )

    def refusal(self, case: Case) -> str | None:
        """Why the adapter cannot run a case, or one of its calls."""
        adapter = self.adapter
        reasons = (adapter.unsupported(piece) for piece in pieces(case))
        missing = missing_option(case, adapter.name, getattr(adapter, "options", frozenset()))
        return next(filter(None, reasons), None) or missing or _no_gradients(adapter, case)


def missing_option(case: Case, name: str, options: Collection[str]) -> str | None:
    """The reason of an implementation that lacks an option of the case, or None."""
    for option, value in case.options.items():
        needed = "merge" if option == "merge" else value
        if needed in OPTIONS and needed not in options:
            return f"{needed}: {name} {NOT_ASKED} {OPTIONS[needed]}"
    return None


def _no_gradients(adapter: Adapter, case: Case) -> str | None:
    """The reason why there are no gradients; a user's function may return its own."""
    if not case.gradients or not adapter.layout or isinstance(adapter, Differentiates):
        return None
    return f"gradients: adapter {adapter.name} gives none; leave out --gradients to compare its outputs"


def plain_function_only(spec: LSTMSpec, framework: str) -> str | None:
    """The reason of a framework that computes the textbook LSTM alone, or None."""
    if spec.peepholes:
        return f"peepholes: {framework} has none"
    if not spec.is_plain:
        return f"activations, clips or coupled gates: {framework} computes sigmoid, tanh, tanh alone"
    return None
