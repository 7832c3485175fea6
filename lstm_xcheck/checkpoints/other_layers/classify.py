"""Which kind of layer a group of tensors is.

Shapes say what it can be; where that leaves a choice, a config, names and the sizes of the neighbours decide, and if
they do not, nobody does: the group is refused with the choices.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ...layouts.other_layers import KINDS, OTHER_LAYERS, kinds_named, own_names
from ..codecs.limits import FLOAT_SIZES, escape
from ..model import FoundLSTM
from ..tensor_info import TensorInfo
from ..topology import LayerGroup

#: Keras classes by kind; another class of the same shapes computes something else.
_CLASSES = {row.class_name: kind for kind, row in OTHER_LAYERS["keras"].items()}
#: What the config of a Keras layer calls the switch of an array that may be missing.
_SWITCHES = {"bias": "use_bias", "scale": "scale", "offset": "center"}
#: What it calls the sizes of the last axes of an array.
_SIZES = {"kernel": ("units",), "table": ("input_dim", "output_dim")}


@dataclass(frozen=True)
class Classified:
    """A kind, and the tensor of each canonical array."""

    kind: str
    parts: dict[str, TensorInfo]


@dataclass(frozen=True)
class Sizes:
    """Widths into the LSTMs, and out of LSTMs and certain layers."""

    inputs: frozenset[int]
    outputs: frozenset[int]

    @classmethod
    def of(cls, lstms: Sequence[FoundLSTM], groups: Sequence[LayerGroup], family: str) -> Sizes:
        """The widths of a file."""
        specs = [lstm.weights.spec for lstm in lstms]
        names = OTHER_LAYERS[family]["dense"].names
        kernels = [_shape(group, names["kernel"]) for group in groups if names["bias"] in group.tensors]
        dense = [shape[0 if is_transposed(family) else 1] for shape in kernels if shape]
        outputs = [spec.output_size * spec.num_directions for spec in specs] + dense
        return cls(frozenset(spec.input_size for spec in specs), frozenset(outputs))


def classify(group: LayerGroup, family: str, sizes: Sizes, kind: str | None = None) -> Classified | str:
    """The one kind that a group can be, or why there is none.

    Args:
        group: the tensors.
        family: whose names they have.
        sizes: of the neighbours.
        kind: what somebody who knows says it is.
    """
    fitting = {
        n: parts for n in OTHER_LAYERS[family] if (parts := _parts(group, family, n)) and _as_configured(group, parts)
    }
    declared = kind or _CLASSES.get(group.class_name)
    if group.class_name and not declared:
        return f"a layer of class {escape(group.class_name)}, which has no canonical form"
    unsupported = [key for key in ("rms_scaling",) if group.attributes.get(key)]
    axis = group.attributes.get("axis", -1)
    if unsupported or (isinstance(axis, (int, list)) and axis not in (-1, [-1], 2, [2])):  # the last alone is supported
        what = unsupported[0] if unsupported else "an axis"
        return f"a {escape(group.class_name)} with {what} that has no canonical form"
    if not group.name:
        return "a layer without a name"
    if not fitting:
        return "of no layer that is known, by its names and shapes"
    if declared:
        other = f"not the {declared} that it should be, by its names and shapes"
        return Classified(declared, fitting[declared]) if declared in fitting else other
    named = {found for word in group.words for found in kinds_named(word)} & set(fitting)
    certain = {name for name in fitting if KINDS[name].unmistakable and "0" not in group.tensors}
    chosen = certain if len(fitting) == len(certain) == 1 else named or _by_sizes(group, family, set(fitting), sizes)
    if len(chosen) == 1:
        (one,) = chosen
        return Classified(one, fitting[one])
    return _choices(group, family, sorted(fitting))


def _choices(group: LayerGroup, family: str, fitting: Sequence[str]) -> str:
    rows = [OTHER_LAYERS[family][name].class_name for name in fitting]
    other = " or ".join(rows) if len(rows) > 1 else f"{rows[0]} or another layer of the same shapes"
    asked = " or ".join(f"--rename {escape(group.name)}={escape(group.name)}_{name}" for name in fitting)
    return f"perhaps {other}; say which with {asked}"


def _parts(group: LayerGroup, family: str, kind: str) -> dict[str, TensorInfo] | None:
    """The tensors by canonical array, if the group fits the kind."""
    keys = list(group.tensors)
    if all(key.isdecimal() for key in keys) and family == "keras":
        named = _numbered(group, kind)
    else:
        own = own_names(family, kind)
        named = {own[key]: group.tensors[key] for key in keys} if set(keys) <= set(own) else {}
    return named if named and fits(kind, named, transposed=is_transposed(family)) else None


def _numbered(group: LayerGroup, kind: str) -> dict[str, TensorInfo]:
    """Arrays that Keras numbers; the config tells which are missing."""
    row = OTHER_LAYERS["keras"][kind].names
    switched = [part for part in row if group.attributes.get(_SWITCHES.get(part, ""), True)]
    needed = [part for part in row if part in KINDS[kind].needed]
    for parts in (switched, needed) if not group.attributes else (switched,):
        if sorted(group.tensors) == [str(number) for number in range(len(parts))]:
            return {part: group.tensors[str(number)] for number, part in enumerate(parts)}
    return {}


def is_transposed(family: str) -> bool:
    """Whether a framework stores dense kernels as (output, input)."""
    return "kernel" in OTHER_LAYERS[family]["dense"].transposed


def fits(kind: str, parts: Mapping[str, TensorInfo], *, transposed: bool) -> bool:
    """Whether types and shapes fit; `transposed` kernels are (output, input)."""
    axes = KINDS[kind].parts
    floats = {tensor.dtype for part, tensor in parts.items() if part != "count"}
    widths = {tensor.shape[-1] for part, tensor in parts.items() if tensor.shape and part not in ("kernel", "table")}
    if not KINDS[kind].needed <= set(parts) or len(floats) != 1 or not floats <= set(FLOAT_SIZES) or len(widths) > 1:
        return False
    if any(len(tensor.shape) != axes[part] or 0 in tensor.shape for part, tensor in parts.items()):
        return False
    width = parts["kernel"].shape[0 if transposed else 1] if kind == "dense" else 0
    return kind != "dense" or "bias" not in parts or width == parts["bias"].shape[0]


def _as_configured(group: LayerGroup, parts: Mapping[str, TensorInfo]) -> bool:
    """Whether sizes agree with the config, if any."""
    for part in set(parts) & set(_SIZES):
        declared = tuple(group.attributes.get(key) for key in _SIZES[part])
        if None not in declared and declared != parts[part].shape[-len(declared) :]:
            return False
    return True


def _by_sizes(group: LayerGroup, family: str, fitting: set[str], sizes: Sizes) -> set[str]:
    """Kinds whose widths fit the neighbours.

    An embedding gives what an LSTM takes; a dense layer takes what another layer gives.
    """
    if fitting != {"embedding", "dense"}:
        return set()
    shape = next(iter(group.tensors.values())).shape
    taken, given = (shape[1], shape[0]) if is_transposed(family) else (shape[0], shape[1])
    embeds = shape[1] in sizes.inputs
    turns = taken in sizes.outputs or given in sizes.inputs
    return {"embedding"} if embeds and not turns else {"dense"} if turns and not embeds else set()


def _shape(group: LayerGroup, key: str) -> tuple[int, ...]:
    tensor = group.tensors.get(key)
    return tensor.shape if tensor and len(tensor.shape) == 2 else ()
