"""The table of built-in adapters: one row each, family by family. Loads no framework."""

from __future__ import annotations

from functools import partial

from .entry import Entry

_QUIET_TENSORFLOW = {"TF_CPP_MIN_LOG_LEVEL": "3", "TF_ENABLE_ONEDNN_OPTS": "0"}

#: The Keras adapters differ in their backend alone.
_keras_entry = partial(
    Entry,
    target="lstm_xcheck.adapters.keras.choice:keras_adapter",
    layout="keras",
    call="keras.layers.LSTM",
    call_versions={"keras": "3"},
    live="lstm_xcheck.live.read_keras:read",
)

_jax_library = partial(Entry, variables={"JAX_ENABLE_X64": "1"}, family="jax")
#: Paths from `nn.LSTM` of the adapter torch, which verifies ports.
_torch_path = partial(Entry, requires=("torch",), install="lstm-xcheck[torch]", layout="torch", rank=9, family="torch")

BUILT_IN = (
    Entry(
        name="torch",
        target="lstm_xcheck.adapters.torch.nn:TorchNN",
        requires=("torch",),
        install="lstm-xcheck[torch]",
        summary="torch.nn.LSTM",
        layout="torch",
        call="torch.nn.LSTM",
        live="lstm_xcheck.live.read_torch:read",
        family="torch",
    ),
    _keras_entry(
        name="keras-tensorflow",
        requires=("keras", "tensorflow"),
        install="lstm-xcheck[keras,tensorflow]",
        variables={"KERAS_BACKEND": "tensorflow", **_QUIET_TENSORFLOW},
        when_repeated={"LSTM_XCHECK_TENSORFLOW": "function"},
        summary="keras.layers.LSTM and Bidirectional on TensorFlow",
        family="tensorflow",
        rank=2,
    ),
    _keras_entry(
        name="keras-jax",
        requires=("keras", "jax"),
        install="lstm-xcheck[keras,jax]",
        variables={"KERAS_BACKEND": "jax", "JAX_ENABLE_X64": "1"},
        summary="keras.layers.LSTM and Bidirectional on JAX",
        family="jax",
        rank=1,
    ),
    _keras_entry(
        name="keras-torch",
        requires=("keras", "torch"),
        install="lstm-xcheck[keras,torch]",
        variables={"KERAS_BACKEND": "torch"},
        summary="keras.layers.LSTM and Bidirectional on PyTorch",
        family="torch",
    ),
    Entry(
        name="jax",
        target="lstm_xcheck.adapters.jax.scan:JaxScan",
        requires=("jax",),
        install="lstm-xcheck[jax]",
        variables={"JAX_ENABLE_X64": "1"},
        summary="a readable jax.lax.scan",
        layout="jax",
        call="jax.lax.scan",
        family="jax",
    ),
    # Libraries on JAX, and what the scan is exported to.
    _jax_library(
        name="flax-linen",
        target="lstm_xcheck.adapters.jax.flax_linen:FlaxLinen",
        requires=("flax", "jax"),
        install="lstm-xcheck[flax]",
        summary="flax.linen.RNN and Bidirectional of OptimizedLSTMCell",
        layout="flax-linen",
    ),
    _jax_library(
        name="flax-nnx",
        target="lstm_xcheck.adapters.jax.flax_nnx:FlaxNnx",
        requires=("flax", "jax"),
        install="lstm-xcheck[flax]",
        summary="flax.nnx.RNN and Bidirectional of LSTMCell",
        layout="flax-nnx",
    ),
    _jax_library(
        name="flax-nnx-optimized",
        target="lstm_xcheck.adapters.jax.flax_nnx:FlaxNnxOptimized",
        requires=("flax", "jax"),
        install="lstm-xcheck[flax]",
        summary="flax.nnx.RNN and Bidirectional of OptimizedLSTMCell",
        layout="flax-nnx-optimized",
    ),
    _jax_library(
        name="equinox",
        target="lstm_xcheck.adapters.jax.equinox:Equinox",
        requires=("equinox", "jax"),
        install="lstm-xcheck[equinox]",
        summary="equinox.nn.LSTMCell in jax.lax.scan",
        layout="equinox",
    ),
    _jax_library(
        name="haiku",
        target="lstm_xcheck.adapters.jax.haiku:Haiku",
        requires=("haiku", "jax"),
        install="lstm-xcheck[haiku]",
        summary="haiku.LSTM in dynamic_unroll",
        layout="haiku",
    ),
    _jax_library(
        name="jax-export",
        target="lstm_xcheck.adapters.jax.export:JaxExport",
        requires=("jax",),
        install="lstm-xcheck[jax]",
        summary="the scan of jax through jax.export",
        layout="jax",
        rank=1,
        compiles=True,
    ),
    _jax_library(
        name="jax-onnx",
        target="lstm_xcheck.adapters.jax.onnx_file:JaxOnnx",
        requires=("jax", "jax2onnx", "onnxruntime"),
        install="lstm-xcheck[jax-onnx]",
        summary="the scan of jax through jax2onnx, in onnxruntime",
        layout="jax",
        rank=2,
        compiles=True,
    ),
    # Loops over PyTorch's cell, and runtimes of their own.
    Entry(
        name="torch-cell",
        target="lstm_xcheck.adapters.torch.cell:TorchCell",
        requires=("torch",),
        install="lstm-xcheck[torch]",
        summary="torch.nn.LSTMCell in a loop over time",
        layout="torch",
        rank=1,
        family="torch",
    ),
    Entry(
        name="paddle",
        target="lstm_xcheck.adapters.paddle:PaddleLSTM",
        requires=("paddle",),
        install="lstm-xcheck[paddle]",
        summary="paddle.nn.LSTM",
        layout="paddle",
        family="paddle",
    ),
    Entry(
        name="mlx",
        target="lstm_xcheck.adapters.mlx:Mlx",
        requires=("mlx.core",),
        install="lstm-xcheck[mlx]",
        summary="mlx.nn.LSTM on the CPU",
        layout="mlx",
        family="small",
    ),
    Entry(
        name="tinygrad",
        target="lstm_xcheck.adapters.tinygrad:TinygradCell",
        requires=("tinygrad",),
        install="lstm-xcheck[tinygrad]",
        variables={"DEV": "PYTHON"},
        summary="tinygrad's nn.LSTMCell in a loop over time, on its device PYTHON",
        layout="tinygrad",
        family="small",
        compiles=True,
    ),
    # Runtimes of ONNX models, and OpenVINO. Only onnxruntime verifies ports: the others ignore parts of a model.
    Entry(
        name="onnxruntime",
        target="lstm_xcheck.adapters.onnx.onnxruntime:OnnxRuntime",
        requires=("onnxruntime", "onnx"),
        install="lstm-xcheck[onnx]",
        summary="the ONNX operator LSTM on ONNX Runtime",
        layout="onnx",
        family="small",
    ),
    Entry(
        name="onnx-reference",
        target="lstm_xcheck.adapters.onnx.reference:OnnxReference",
        requires=("onnx",),
        install="lstm-xcheck[onnx]",
        summary="the ONNX operator LSTM on onnx.reference, which ignores lengths, clips and other activations",
        family="small",
    ),
    Entry(
        name="onnx-openvino",
        target="lstm_xcheck.adapters.onnx.openvino:OnnxOpenvino",
        requires=("openvino", "onnx"),
        install="lstm-xcheck[onnx,openvino]",
        summary="the ONNX operator LSTM on OpenVINO",
        family="small",
    ),
    Entry(
        name="tract",
        target="lstm_xcheck.adapters.onnx.tract:Tract",
        requires=("tract", "onnx"),
        install="lstm-xcheck[onnx,tract]",
        summary="the ONNX operator LSTM on tract",
        family="small",
    ),
    Entry(
        name="openvino",
        target="lstm_xcheck.adapters.openvino:Openvino",
        requires=("openvino",),
        install="lstm-xcheck[openvino]",
        summary="OpenVINO's operator LSTMSequence",
        layout="openvino",
        family="small",
    ),
    # What scripts, compilers and exporters make of the LSTM of PyTorch.
    _torch_path(
        name="torchscript",
        target="lstm_xcheck.adapters.torch.script:TorchScript",
        summary="torch.jit.script of nn.LSTM",
    ),
    _torch_path(
        name="torch-autocast",
        target="lstm_xcheck.adapters.torch.autocast:TorchAutocast",
        summary="nn.LSTM under torch.autocast, in bfloat16",
    ),
    _torch_path(
        name="torch-export",
        target="lstm_xcheck.adapters.torch.export:TorchExport",
        summary="nn.LSTM through torch.export",
        compiles=True,
    ),
    _torch_path(
        name="torch-export-decomposed",
        target="lstm_xcheck.adapters.torch.export:TorchExportDecomposed",
        summary="nn.LSTM through torch.export, decomposed into core operators",
        compiles=True,
    ),
    _torch_path(
        name="torch-compile",
        target="lstm_xcheck.adapters.torch.compiled:TorchCompile",
        summary="torch.compile of nn.LSTM, with allow_rnn",
        compiles=True,
    ),
    _torch_path(
        name="torch-onnx",
        target="lstm_xcheck.adapters.torch.onnx_export:TorchOnnx",
        requires=("torch", "onnx", "onnxruntime", "onnxscript"),
        install="lstm-xcheck[torch-onnx]",
        summary="torch.onnx.export(dynamo=True) of nn.LSTM in ONNX Runtime",
        compiles=True,
    ),
    _torch_path(
        name="torch-onnx-script",
        target="lstm_xcheck.adapters.torch.onnx_export:TorchOnnxScript",
        requires=("torch", "onnx", "onnxruntime"),
        install="lstm-xcheck[torch-onnx]",
        summary="torch.onnx.export(dynamo=False) of nn.LSTM in ONNX Runtime",
    ),
)
