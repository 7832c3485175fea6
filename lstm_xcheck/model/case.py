"""A case: weights, inputs, initial states and lengths."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from ..arrays import Array, fingerprint, frozen, round_to
from ..display import Shown, Summary
from ..errors import SpecError
from .draws import draw_c0, draw_h0, draw_lengths, draw_mask, draw_one_hot
from .initializers import generator, signed
from .options import CHOICES, Call, Chunks, Merge, Padding, impossible_options, unusual
from .spec import LSTMSpec
from .weights import LSTMWeights

Returns = Literal["sequence", "last"]


@dataclass(frozen=True, eq=False)
class Case(Shown):
    """Weights and data that determine the outputs of an LSTM.

    Attributes:
        weights: canonical parameters.
        x: inputs, shape (batch, steps, input).
        h0: initial hidden state, shape (layers * directions, batch, output), or None for zeros.
        c0: initial cell state, shape (layers * directions, batch, hidden), or None for zeros.
        lengths: valid steps of each row, shape (batch,), each from 0 to steps; the rest is padding on the right.
        mask: instead of lengths, which steps are valid, boolean, shape (batch, steps).
        precision: in which the backend computes, by default that of the weights. All numbers are rounded to it.
        returns: whether the last output is requested in addition to the sequence.
        gradients: whether gradients of the loss in `model/loss.py` are requested in addition to the outputs.
        id: a readable name.
        padding: what outputs are where a step is not valid: `zero`, or `held`, the output of the step that the
            direction processed before it, and zero before the first valid one.
        merge: how the halves of a bidirectional top layer are merged in `Result.merged`; y stays concatenated.
        call: how the framework is called; results have the canonical shapes whatever it is.
        chunks: in how many calls: `halves` or single `steps` of time with the state carried on, `rows` one by one, the
            second of two calls (`twice`), or a call `after-another` sequence.

    Padding leaves the states of a row unchanged; a row without a valid step ends with h0 and c0.

    Raises:
        SpecError: for shapes that do not fit, lengths outside 0..steps, options that exclude each other, or numbers
            that are not finite.

    >>> Case.random(LSTMSpec(input_size=2, hidden_size=3), steps=7, batch=4).x.shape
    (4, 7, 2)
    """

    weights: LSTMWeights
    x: Array
    h0: Array | None = None
    c0: Array | None = None
    lengths: Array | None = None
    mask: Array | None = None
    precision: str = ""
    returns: Returns = "sequence"
    id: str = field(default="")
    gradients: bool = False
    padding: Padding = "zero"
    merge: Merge = "concat"
    call: Call = "batch-major"
    chunks: Chunks = ""

    def summary(self) -> Summary:
        """The LSTM and the shapes of the data."""
        data = {name: getattr(self, name) for name in ("x", "h0", "c0", "lengths", "mask")}
        rows = tuple((name, str(array.shape)) for name, array in data.items() if array is not None)
        return Summary(f"case {self.id}: {self.weights.summary().title}", rows=rows)

    def __post_init__(self) -> None:
        precision = self.precision or self.weights.dtype
        self._set("precision", precision)
        self._set("weights", self.weights.astype(precision))
        for name in ("x", "h0", "c0"):
            self._set_rounded(name, getattr(self, name))
        self._check_shapes()
        self._check_valid_steps()
        if self.returns not in ("sequence", "last"):
            raise SpecError(f"returns is {self.returns!r}, but should be 'sequence' or 'last'")
        self._check_options()
        if not self.id:
            self._set("id", f"{describe_shape(self)}-{self.fingerprint[:8]}")

    def _set(self, name: str, value: Any) -> None:
        object.__setattr__(self, name, value)

    def _set_rounded(self, name: str, value: npt.ArrayLike | None) -> None:
        if value is None:
            return
        with np.errstate(over="ignore"):
            rounded = frozen(round_to(value, self.precision))
        if not np.isfinite(rounded).all():
            raise SpecError(
                f"{name} holds NaN, infinity or a number too large for {self.precision}; give finite numbers"
            )
        self._set(name, rounded)

    def _check_shapes(self) -> None:
        spec = self.spec
        if self.x.ndim != 3 or self.x.shape[2] != spec.input_size or 0 in self.x.shape:
            raise SpecError(
                f"x has shape {self.x.shape}, but should be (batch, steps, {spec.input_size}), none of them 0"
            )
        rows = spec.num_layers * spec.num_directions
        for name, width in (("h0", spec.output_size), ("c0", spec.hidden_size)):
            array = getattr(self, name)
            expected = (rows, self.batch, width)
            if array is not None and array.shape != expected:
                raise SpecError(
                    f"{name} has shape {array.shape}, but should be {expected}, (layers * directions, batch, width)"
                )

    def _check_valid_steps(self) -> None:
        if self.lengths is not None and self.mask is not None:
            raise SpecError("both lengths and mask are given, but should be one of them")
        if self.lengths is not None:
            lengths = np.asarray(self.lengths)
            if lengths.shape != (self.batch,) or lengths.dtype.kind not in "iu":
                raise SpecError(
                    f"lengths has shape {lengths.shape} and type {lengths.dtype}, "
                    f"but should be ({self.batch},) whole numbers"
                )
            if lengths.min() < 0 or lengths.max() > self.steps:
                raise SpecError(f"lengths are {lengths.tolist()}, but each should be from 0 to steps={self.steps}")
            self._set("lengths", frozen(lengths.astype(np.int64)))
        if self.mask is not None:
            mask = np.asarray(self.mask)
            if mask.shape != (self.batch, self.steps) or mask.dtype != np.bool_:
                raise SpecError(
                    f"mask has shape {mask.shape} and type {mask.dtype}, but should be boolean "
                    f"({self.batch}, {self.steps}), (batch, steps)"
                )
            self._set("mask", frozen(mask.copy()))

    def _check_options(self) -> None:
        options = {name: getattr(self, name) for name in CHOICES}
        padded = self.lengths is not None or self.mask is not None
        reason = impossible_options(
            options, self.spec, batch=self.batch, steps=self.steps, padded=padded, gradients=self.gradients
        )
        if reason:
            raise SpecError(reason)

    @classmethod
    def random(
        cls,
        spec: LSTMSpec,
        *,
        weights: LSTMWeights | None = None,
        steps: int = 7,
        batch: int = 3,
        seed: int = 0,
        states: bool | Literal["h0", "c0"] = True,
        ragged: bool | Literal["zero"] = False,
        mask: Literal["", "left", "interior", "empty"] = "",
        one_hot: bool = False,
        scale: float = 1.0,
        init: str = "probe",
        precision: str = "float32",
        returns: Returns = "sequence",
        id: str = "",
        gradients: bool = False,
        padding: Padding = "zero",
        merge: Merge = "concat",
        call: Call = "batch-major",
        chunks: Chunks = "",
    ) -> Case:
        """A random case, the same bits everywhere; weights of the same seed unless given.

        Args:
            states: which initial states are random; others are absent.
            ragged: whether rows have lengths; with `zero` the first row has length 0.
            mask: padding on the `left`, holes in the `interior`, or a first row that is `empty`.

        >>> case = Case.random(LSTMSpec(input_size=5, hidden_size=4), steps=7, batch=3, seed=1)
        >>> case.x.shape, case.h0.shape
        ((3, 7, 5), (1, 3, 4))
        """
        if weights is None:
            weights = LSTMWeights.random(spec, seed=seed, init=init, dtype=precision)
        if weights.spec != spec:
            raise SpecError(f"the weights describe {weights.spec}, but the spec given is {spec}; pass weights.spec")
        if states not in (True, False, "h0", "c0"):
            raise SpecError(f"states is {states!r}, but should be True, False, 'h0' or 'c0'")
        for name, size in (("steps", steps), ("batch", batch)):
            if size < 1:
                raise SpecError(f"{name} is {size}, but should be 1 or more")
        shape = (batch, steps, spec.input_size)
        return cls(
            weights=weights,
            x=draw_one_hot(seed, shape) if one_hot else scale * signed(generator(seed, "x"), shape, 0.35, 1.6),
            h0=draw_h0(spec, batch, seed) if states in (True, "h0") else None,
            c0=draw_c0(spec, batch, seed) if states in (True, "c0") else None,
            lengths=draw_lengths(batch, steps, seed, empty=ragged == "zero") if ragged else None,
            mask=draw_mask(mask, batch, steps, seed) if mask else None,
            precision=precision,
            returns=returns,
            id=id,
            gradients=gradients,
            padding=padding,
            merge=merge,
            call=call,
            chunks=chunks,
        )

    @property
    def spec(self) -> LSTMSpec:
        """The spec of the weights."""
        return self.weights.spec

    @property
    def batch(self) -> int:
        """Number of rows."""
        return int(self.x.shape[0])

    @property
    def steps(self) -> int:
        """Number of time steps, padding included."""
        return int(self.x.shape[1])

    @cached_property
    def valid(self) -> Array:
        """Whether each step is valid, boolean, shape (batch, steps)."""
        if self.mask is not None:
            return self.mask
        if self.lengths is not None:
            return np.arange(self.steps) < np.asarray(self.lengths)[:, None]
        return np.ones((self.batch, self.steps), dtype=bool)

    def initial(self, name: Literal["h0", "c0"], layer: int, direction: int) -> Array:
        """Initial state of one direction of one layer in float64, by default zeros."""
        states = getattr(self, name)
        width = self.spec.output_size if name == "h0" else self.spec.hidden_size
        if states is None:
            return np.zeros((self.batch, width))
        return np.asarray(states[layer * self.spec.num_directions + direction], dtype=np.float64)

    def arrays(self) -> dict[str, Array]:
        """The data without the weights, by name; absent arrays are left out."""
        data = {name: getattr(self, name) for name in ("x", "h0", "c0", "lengths", "mask")}
        return {name: array for name, array in data.items() if array is not None}

    @property
    def options(self) -> dict[str, str]:
        """The options of `model/options.py` that are not the usual ones."""
        return unusual({name: getattr(self, name) for name in CHOICES})

    @cached_property
    def fingerprint(self) -> str:
        """sha256 over weights and data."""
        return fingerprint({**self.weights.arrays(), **self.arrays()})

    def with_id(self, id: str) -> Case:
        """The same case with another id."""
        return replace(self, id=id)


def describe_shape(case: Case) -> str:
    """A name such as `h4-x5-t7-b3-l2-bi-split-states-ragged-float32`."""
    spec = case.spec
    words = [f"h{spec.hidden_size}", f"x{spec.input_size}", f"t{case.steps}", f"b{case.batch}"]
    words += [f"l{spec.num_layers}"] if spec.num_layers > 1 else []
    words += ["bi"] if spec.bidirectional else (["reverse"] if spec.reverse else [])
    words += [spec.bias]
    words += [f"p{spec.proj_size}"] if spec.proj_size else []
    words += ["peepholes"] if spec.peepholes else []
    words += ["states"] if case.h0 is not None or case.c0 is not None else []
    words += ["ragged"] if case.lengths is not None else (["masked"] if case.mask is not None else [])
    words += ["last"] if case.returns == "last" else []
    words += ["gradients"] if case.gradients else []
    words += case.options.values()
    return "-".join([*words, case.precision])
