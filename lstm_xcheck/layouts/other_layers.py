"""Layouts of other layers than LSTMs: one row per framework and kind of layer.

Canonical arrays: an embedding's `table` (entries, size); a dense layer's `kernel` (input, output) and `bias`; a
normalisation's `scale` and `offset`, and the statistics of a batch normalisation, `mean`, `variance` and `count`.
Each row was established by saving a layer of that framework and reading the file.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from ..arrays import Array


@dataclass(frozen=True)
class Kind:
    """One kind of layer.

    Attributes:
        parts: its canonical arrays and their numbers of axes, in Keras' order.
        needed: the parts that every layer of this kind has.
        words: parts of class and layer names that indicate the kind.
        unmistakable: whether names and shapes of the arrays identify the kind, in frameworks that name arrays.
    """

    name: str
    parts: Mapping[str, int]
    needed: frozenset[str]
    words: tuple[str, ...]
    unmistakable: bool = True


KINDS: dict[str, Kind] = {
    "embedding": Kind(
        "embedding", {"table": 2}, frozenset({"table"}), ("embed", "embedding", "embeddings", "emb", "wte")
    ),
    "dense": Kind(
        "dense", {"kernel": 2, "bias": 1}, frozenset({"kernel"}),
        ("dense", "linear", "fc", "head", "proj", "projection", "classifier", "logits"),
    ),
    "batch_norm": Kind(
        "batch_norm", {"scale": 1, "offset": 1, "mean": 1, "variance": 1, "count": 0},
        frozenset({"mean", "variance"}), ("batch_norm", "batchnorm", "batch_normalization", "bn"),
    ),
    "layer_norm": Kind(
        "layer_norm", {"scale": 1, "offset": 1}, frozenset(), ("layer_norm", "layernorm", "layer_normalization", "ln"),
        unmistakable=False,
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Row:
    """How one framework stores one kind.

    Attributes:
        names: the framework's name of each canonical array.
        transposed: arrays with their two axes exchanged.
        together: arrays that are either all present or all absent.
        epsilon: default constant added to the variance of a normalisation.
        axis: the axis that a batch normalisation normalises.
        source: framework and version that was run.
    """

    class_name: str
    names: Mapping[str, str]
    source: str
    transposed: frozenset[str] = frozenset()
    together: frozenset[str] = frozenset()
    required: frozenset[str] = frozenset()
    epsilon: float | None = None
    axis: int = -1


_TORCH, _KERAS, _FLAX = "torch 2.13.0", "keras 3.15.1", "flax 0.12.8"
_PADDLE, _HAIKU, _MLX = "paddlepaddle 3.3.1", "dm-haiku 0.0.17", "mlx 0.32.4"
_ONNX = "onnx 1.23.2, onnxruntime 1.32.0"
_AFFINE = {"scale": "weight", "offset": "bias"}
_GREEK = {"scale": "gamma", "offset": "beta"}
_PLAIN = {"scale": "scale", "offset": "bias"}

#: Framework -> kind -> row.
OTHER_LAYERS: dict[str, dict[str, Row]] = {
    "torch": {
        "embedding": Row("Embedding", {"table": "weight"}, _TORCH),
        "dense": Row("Linear", {"kernel": "weight", "bias": "bias"}, _TORCH, frozenset({"kernel"})),
        "batch_norm": Row(
            "BatchNorm1d",
            {**_AFFINE, "mean": "running_mean", "variance": "running_var", "count": "num_batches_tracked"},
            _TORCH, together=frozenset({"scale", "offset"}), epsilon=1e-5, axis=1,
        ),
        "layer_norm": Row("LayerNorm", _AFFINE, _TORCH, together=frozenset({"scale"}), epsilon=1e-5),
    },
    "keras": {
        "embedding": Row("Embedding", {"table": "embeddings"}, _KERAS),
        "dense": Row("Dense", {"kernel": "kernel", "bias": "bias"}, _KERAS),
        "batch_norm": Row(
            "BatchNormalization", {**_GREEK, "mean": "moving_mean", "variance": "moving_variance"}, _KERAS, epsilon=1e-3
        ),
        "layer_norm": Row("LayerNormalization", _GREEK, _KERAS, epsilon=1e-3),
    },
    "flax": {
        "embedding": Row("Embed", {"table": "embedding"}, _FLAX),
        "dense": Row("Dense", {"kernel": "kernel", "bias": "bias"}, _FLAX),
        "batch_norm": Row("BatchNorm", {**_PLAIN, "mean": "mean", "variance": "var"}, _FLAX, epsilon=1e-5),
        "layer_norm": Row("LayerNorm", _PLAIN, _FLAX, epsilon=1e-6),
    },
    "paddle": {
        "embedding": Row("Embedding", {"table": "weight"}, _PADDLE),
        "dense": Row("Linear", {"kernel": "weight", "bias": "bias"}, _PADDLE),
        "batch_norm": Row(
            "BatchNorm1D", {**_AFFINE, "mean": "_mean", "variance": "_variance"}, _PADDLE,
            together=frozenset({"scale", "offset"}), epsilon=1e-5, axis=1,
        ),
        "layer_norm": Row("LayerNorm", _AFFINE, _PADDLE, epsilon=1e-5),
    },
    # Haiku's batch normalisation keeps averages and counters in a separate state.
    "haiku": {
        "embedding": Row("Embed", {"table": "embeddings"}, _HAIKU),
        "dense": Row("Linear", {"kernel": "w", "bias": "b"}, _HAIKU),
        "layer_norm": Row("LayerNorm", {"scale": "scale", "offset": "offset"}, _HAIKU, epsilon=1e-5),
    },
    "mlx": {
        "embedding": Row("Embedding", {"table": "weight"}, _MLX),
        "dense": Row("Linear", {"kernel": "weight", "bias": "bias"}, _MLX, frozenset({"kernel"})),
        "batch_norm": Row(
            "BatchNorm", {**_AFFINE, "mean": "running_mean", "variance": "running_var"}, _MLX,
            together=frozenset({"scale", "offset"}), epsilon=1e-5,
        ),
        "layer_norm": Row("LayerNorm", _AFFINE, _MLX, together=frozenset({"scale"}), epsilon=1e-5),
    },
    "onnx": {
        "embedding": Row("Gather", {"table": "table"}, _ONNX),
        "dense": Row("MatMul", {"kernel": "kernel", "bias": "bias"}, _ONNX),
        "batch_norm": Row(
            "BatchNormalization",
            {"scale": "scale", "offset": "B", "mean": "input_mean", "variance": "input_var"},
            _ONNX, required=frozenset({"scale", "offset"}), epsilon=1e-5,
        ),
        "layer_norm": Row(
            "LayerNormalization", {"scale": "Scale", "offset": "B"}, _ONNX,
            required=frozenset({"scale"}), epsilon=1e-5,
        ),
    },
}  # fmt: skip


#: Layout of LSTMs -> framework whose names the other layers of their file have.
_FAMILIES = {
    "haiku": "haiku", "mlx": "mlx", "torch": "torch", "flax-linen": "flax", "flax-nnx": "flax",
    "flax-nnx-optimized": "flax",
}  # fmt: skip


def family_of(layouts: Iterable[str], default: str = "") -> str:
    """The family of a file's other layers, by the layout of its LSTMs."""
    distinct = set(layouts)
    return _FAMILIES.get(distinct.pop(), "") if len(distinct) == 1 else default


def own_names(framework: str, kind: str) -> dict[str, str]:
    """Canonical name by framework name."""
    return {name: part for part, name in OTHER_LAYERS[framework][kind].names.items()}


def transposed(framework: str, kind: str, part: str, array: Array) -> Array:
    """An array between the framework's and the canonical orientation, both ways."""
    return array.T if part in OTHER_LAYERS[framework][kind].transposed else array


def kinds_named(text: str) -> set[str]:
    """The kinds that a class or layer name indicates.

    >>> kinds_named("LayerNorm_0"), kinds_named("fc2"), kinds_named("encoder.norm")
    ({'layer_norm'}, {'dense'}, set())
    """
    separate = re.sub("([a-z])([A-Z])", r"\1_\2", text).lower()
    # Keras' EinsumDense is another layer than a dense one.
    plain = "_".join(["", *re.findall("[a-z]+", separate), ""]).replace("_einsum_dense_", "_")
    return {kind.name for kind in KINDS.values() if any(f"_{word}_" in plain for word in kind.words)}
