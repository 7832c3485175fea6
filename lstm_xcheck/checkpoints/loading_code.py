"""Code that loads a written file in its own framework.

Sources: torch 2.13.0, keras 3.15.1, flax 0.12.8, orbax-checkpoint 0.12.8, onnxruntime 1.32.0, tensorflow 2.21.0, each
run by the tests; paddle 3.3, mlx 0.31, haiku 0.0.16, equinox 0.13.8 and openvino 2026.4, whose loaders are named alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from ..model import LSTMSpec
from .formats import Format
from .model import FoundLSTM

#: Lines of code from the path of the file, as code, and its LSTMs.
_Lines = Callable[[str, Sequence[FoundLSTM]], list[str]]


def loading_code(format: Format, path: Path, lstms: Sequence[FoundLSTM], *, chain: bool, whole: bool) -> str:
    """A few lines of Python that load a file; of several LSTMs the first.

    Args:
        format: of the file.
        path: where it lies.
        lstms: those in the file, in its order.
        chain: whether these are the layers of one stack.
        whole: whether the file is that of a whole model, whose layers only the user has as code.
    """
    place = repr(str(path))
    if whole and format.id in _WHOLE:
        return "\n".join(line.format(place) for line in _WHOLE[format.id])
    if chain and format.id in ("keras-weights", "keras-h5"):
        return "\n".join(_keras_chain(place, lstms))
    return "\n".join(_LINES[format.id](place, lstms))


def _torch(path: str, lstms: Sequence[FoundLSTM]) -> list[str]:
    return _state_dict(f"torch.load({path})", "import torch", lstms[0])


def _safetensors(path: str, lstms: Sequence[FoundLSTM]) -> list[str]:
    return _state_dict(f"safetensors.torch.load_file({path})", "import safetensors.torch, torch", lstms[0])


def _state_dict(state: str, imports: str, lstm: FoundLSTM) -> list[str]:
    spec, prefix = lstm.weights.spec, lstm.arrays["weight_ih_l0"].removesuffix("weight_ih_l0")
    own = f"{{k.removeprefix({prefix!r}): v for k, v in {state}.items() if k.startswith({prefix!r})}}"
    return [
        imports,
        f"lstm = torch.nn.LSTM({_torch_arguments(spec, lstm.weights.dtype)})",
        f"lstm.load_state_dict({own if prefix else state})",
    ]


def _torch_arguments(spec: LSTMSpec, dtype: str) -> str:
    options = {
        "num_layers": spec.num_layers if spec.num_layers > 1 else None,
        "bias": False if spec.bias == "none" else None,
        "bidirectional": spec.bidirectional or None,
        "proj_size": spec.proj_size or None,
    }
    words = [f"{name}={value}" for name, value in options.items() if value is not None]
    words += ["batch_first=True", *([f"dtype=torch.{dtype}"] if dtype != "float32" else [])]
    return ", ".join([str(spec.input_size), str(spec.hidden_size), *words])


def _paddle(path: str, lstms: Sequence[FoundLSTM]) -> list[str]:
    spec, (key, name) = lstms[0].weights.spec, next(iter(lstms[0].arrays.items()))
    prefix = name.removesuffix(key).removesuffix("weight_ih_l0")
    own = f"{{k.removeprefix({prefix!r}): v for k, v in paddle.load({path}).items() if k.startswith({prefix!r})}}"
    direction = ", direction='bidirect'" if spec.bidirectional else ""
    layers = f", num_layers={spec.num_layers}" if spec.num_layers > 1 else ""
    projection = f", proj_size={spec.proj_size}" if spec.proj_size else ""
    lstm = f"lstm = paddle.nn.LSTM({spec.input_size}, {spec.hidden_size}{layers}{direction}{projection})"
    return ["import paddle", lstm, f"lstm.set_state_dict({own})"]


def _keras_model(path: str, lstms: Sequence[FoundLSTM]) -> list[str]:
    return [
        "import keras",
        f"model = keras.saving.load_model({path})",
        f"layer = model.get_layer({lstms[0].name!r})  # each LSTM is a layer: {', '.join(lstm.name for lstm in lstms)}",
    ]


def _keras_weights(path: str, lstms: Sequence[FoundLSTM]) -> list[str]:
    layers = ", ".join(_keras_layer(lstm) for lstm in lstms)
    inputs = ", ".join(f"keras.Input((None, {lstm.weights.spec.input_size}))" for lstm in lstms)
    return [
        "import keras",
        f"inputs, layers = [{inputs}], [{layers}]",
        "model = keras.Model(inputs, [layer(x) for layer, x in zip(layers, inputs)])",
        f"model.load_weights({path})",
    ]


def _keras_chain(path: str, lstms: Sequence[FoundLSTM]) -> list[str]:
    layers = ", ".join(_keras_layer(lstm) for lstm in lstms)
    return [
        "import keras",
        f"model = keras.Sequential([keras.Input((None, {lstms[0].weights.spec.input_size})), {layers}])",
        f"model.load_weights({path})",
    ]


def _keras_layer(lstm: FoundLSTM) -> str:
    spec = lstm.weights.spec
    words = [str(spec.hidden_size), "return_sequences=True"]
    words += [] if spec.cell_activation == "tanh" else [f"activation={spec.cell_activation!r}"]
    gates = spec.gate_activation.partition(":")[0]
    words += [] if gates == "sigmoid" else [f"recurrent_activation={gates!r}"]
    words += ["use_bias=False"] if spec.bias == "none" else []
    words += ["go_backwards=True"] if spec.reverse else []
    words += [] if lstm.weights.dtype == "float32" else [f"dtype={lstm.weights.dtype!r}"]
    layer = f"keras.layers.LSTM({', '.join(words)})"
    return f"keras.layers.Bidirectional({layer})" if spec.bidirectional else layer


def _onnx(path: str, lstms: Sequence[FoundLSTM]) -> list[str]:
    return [
        "import onnxruntime",
        f"session = onnxruntime.InferenceSession({path})",
        "outputs = session.run(None, {i.name: x for i in session.get_inputs()})  # x: (steps, batch, input)",
    ]


def _openvino(path: str, lstms: Sequence[FoundLSTM]) -> list[str]:
    return ["import openvino", f"model = openvino.compile_model({path})", "y = model(x)  # x: (batch, steps, input)"]


def _flax(path: str, lstms: Sequence[FoundLSTM]) -> list[str]:
    tree = f"flax.serialization.msgpack_restore(open({path}, 'rb').read())"
    return _linen("import flax", tree, lstms[0])


def _orbax(path: str, lstms: Sequence[FoundLSTM]) -> list[str]:
    import_line = "import flax, os, orbax.checkpoint"
    return _linen(import_line, f"orbax.checkpoint.StandardCheckpointer().restore(os.path.abspath({path}))", lstms[0])


def _linen(imports: str, tree: str, lstm: FoundLSTM) -> list[str]:
    spec = lstm.weights.spec
    key, place = next(iter(lstm.arrays.items()))
    parents = place.split("/")[: -len(key.split("/")) - spec.bidirectional]
    rnn = f"flax.linen.RNN(flax.linen.OptimizedLSTMCell({spec.hidden_size}))"
    params = tree + "".join(f"[{parent!r}]" for parent in parents)
    whole, own = (
        (f"flax.linen.Bidirectional({rnn}, {rnn})", "params") if spec.bidirectional else (rnn, "{'cell': params}")
    )
    reverse = ", reverse=True, keep_order=True" if spec.reverse else ""
    if spec.bias == "none":
        imports += ", numpy"
        params = _with_zero_biases(params, spec)
    return [
        imports,
        f"params = {params}",
        f"y = {whole}.apply({{'params': {own}}}, x{reverse})  # x: (batch, steps, input)",
    ]


def _with_zero_biases(params: str, spec: LSTMSpec) -> str:
    """Parameters with the biases that Flax's cells always have."""

    def gates(cell: str) -> str:
        zeros = f"{{'bias': numpy.zeros({spec.hidden_size})}} if gate[0] == 'h' else {{}}"
        return f"{{gate: kernel | ({zeros}) for gate, kernel in {cell}.items()}}"

    sides = "{{side: {{'cell': {}}} for side, rnn in {}.items()}}"
    return sides.format(gates("rnn['cell']"), params) if spec.bidirectional else gates(params)


def _tensorflow(path: str, lstms: Sequence[FoundLSTM]) -> list[str]:
    prefix = path.replace(".index'", "'")
    names = ", ".join(repr(name) for name in lstms[0].arrays.values())
    return [
        "import keras, tensorflow as tf",
        f"layer = {_keras_layer(lstms[0])}; layer.build((None, None, {lstms[0].weights.spec.input_size}))",
        f"layer.set_weights([tf.train.load_variable({prefix}, name) for name in [{names}]])",
    ]


def _own_npz(path: str, lstms: Sequence[FoundLSTM]) -> list[str]:
    return ["import lstm_xcheck as lx", f"weights = lx.load({path})[{lstms[0].name!r}]"]


def _haiku(path: str, lstms: Sequence[FoundLSTM]) -> list[str]:
    split = "{name.rpartition('/')[0]: {} for name in stored}"
    return [
        "import haiku, numpy",
        f"stored = numpy.load({path}); params = {split}",
        "for name in stored: params[name.rpartition('/')[0]][name.rpartition('/')[2]] = stored[name]",
    ]


def _mlx(path: str, lstms: Sequence[FoundLSTM]) -> list[str]:
    spec, prefix = lstms[0].weights.spec, next(iter(lstms[0].arrays.values())).rpartition(".")[0] + "."
    own = f"[(k.removeprefix({prefix!r}), v) for k, v in mx.load({path}).items() if k.startswith({prefix!r})]"
    return [
        "import mlx.core as mx, mlx.nn",
        f"lstm = mlx.nn.LSTM({spec.input_size}, {spec.hidden_size}, bias={spec.bias != 'none'})",
        f"lstm.load_weights({own})",
    ]


def _equinox(path: str, lstms: Sequence[FoundLSTM]) -> list[str]:
    sizes = [(lstm.weights.spec.input_size, lstm.weights.spec.hidden_size) for lstm in lstms]
    cells = ", ".join(f"equinox.nn.LSTMCell({x}, {h}, key=jax.random.key(0))" for x, h in sizes)
    return ["import equinox, jax", f"cells = equinox.tree_deserialise_leaves({path}, ({cells},))"]


_LINES: dict[str, _Lines] = {
    "torch": _torch,
    "safetensors": _safetensors,
    "paddle": _paddle,
    "keras": _keras_model,
    "keras-weights": _keras_weights,
    "keras-h5": _keras_weights,
    "onnx": _onnx,
    "onnx-22": _onnx,
    "openvino": _openvino,
    "flax": _flax,
    "orbax": _orbax,
    "tensorflow": _tensorflow,
    "npz": _own_npz,
    "haiku": _haiku,
    "mlx": _mlx,
    "equinox": _equinox,
}
_MODEL = "# model: yours, with the layers of this file"
#: The same for a whole model that weights alone are kept of.
_WHOLE = {
    "torch": ["import torch", f"model.load_state_dict(torch.load({{}}))  {_MODEL}"],
    "safetensors": ["import safetensors.torch", f"safetensors.torch.load_model(model, {{}})  {_MODEL}"],
    "paddle": ["import paddle", f"model.set_state_dict(paddle.load({{}}))  {_MODEL}"],
    "keras-weights": [f"model.load_weights({{}})  {_MODEL}"],
    "keras-h5": [f"model.load_weights({{}})  {_MODEL}"],
}
