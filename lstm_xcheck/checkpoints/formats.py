"""Which formats can be read and written, how each is told from the others, and what must be installed.

A new format is one file with `read(path)`, perhaps `write(path, lstms, like)` there or in a file of its own, and one
entry here. Loads no format's library until a file needs it.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from os import PathLike
from pathlib import Path

from ..errors import CheckpointError
from ..model import LSTMWeights
from . import sniff
from .codecs.limits import escape, shortlist
from .detect.user_layout import reading_as
from .model import Checkpoint, Writer


@dataclass(frozen=True)
class Format:
    """One readable format; a `Reader` whose code is imported when it is needed.

    Attributes:
        name: as reports show it.
        suffixes: file endings, the longest that fits counts; used when the content says nothing.
        signature: whether a file's content is of this format; a folder's, where `folder` says so.
        module: the file beside this one that has `read`.
        requires: importable modules that reading needs.
        install: what `pip install` takes.
        to: what `--to` calls it; empty for a format that is only read.
        writer: the file beside this one that has `write`.
        writer_requires: importable modules that writing needs.
        writer_install: what `pip install` takes for them.
        stacks: whether one LSTM of the file may have several layers; else a stack is written as a chain.
        folder: whether a checkpoint is a folder, not a file.
        companions: suffixes of the files beside the one that is named, which the writer makes too.
    """

    name: str
    suffixes: tuple[str, ...]
    signature: Callable[[Path], bool]
    module: str
    requires: tuple[str, ...] = ()
    install: str = ""
    to: str = ""
    writer: str = ""
    writer_requires: tuple[str, ...] = ()
    writer_install: str = ""
    stacks: bool = True
    folder: bool = False
    companions: tuple[str, ...] = ()

    def parts(self, path: Path) -> tuple[Path, ...]:
        """The files of a checkpoint, the one that is named last."""
        return (*(path.with_suffix(suffix) for suffix in self.companions), path)

    @property
    def writes(self) -> bool:
        """Whether such files can be written."""
        return bool(self.writer)

    def sniff(self, path: Path) -> bool:
        """Whether the content, not the name, is of this format."""
        return self.signature(path)

    def read(self, path: Path) -> Checkpoint:
        """Every LSTM in the file.

        Raises:
            CheckpointError: for a file that cannot be read, and when a module is missing.
        """
        self._require(path, self.requires, self.install)
        reader: Callable[[Path], Checkpoint] = importlib.import_module(f".{self.module}", __package__).read
        return reader(path)

    def load_writer(self, path: Path) -> Writer:
        """The module that writes this format.

        Raises:
            CheckpointError: when the format is only read, or a module is missing.
        """
        if not self.writes:
            raise CheckpointError(f"{path}: {self.name} files can only be read; choose another format with --to")
        self._require(path, self.writer_requires, self.writer_install)
        module: Writer = importlib.import_module(f".{self.writer}", __package__)
        return module

    def _require(self, path: Path, modules: tuple[str, ...], install: str) -> None:
        missing = [name for name in modules if importlib.util.find_spec(name) is None]
        if missing:
            raise CheckpointError(
                f"{path} is a {self.name} file; it needs {', '.join(missing)}, which this Python does not have; "
                f"run: pip install '{install}'"
            )


FORMATS: tuple[Format, ...] = (
    Format(
        "PyTorch", (".pt", ".pth", ".bin", ".ckpt"), sniff.is_torch, "torch.read",
        to="torch", writer="torch.write",
    ),
    Format("TorchScript", (".pt", ".ptl"), sniff.is_torch_script, "torch.read_torchscript"),
    Format(
        "safetensors", (".safetensors",), sniff.is_safetensors, "safetensors.read",
        to="safetensors", writer="safetensors.write",
    ),
    Format("sharded safetensors", (sniff.SHARD_INDEX,), sniff.is_shard_index, "safetensors.read_sharded"),
    Format("sharded safetensors", (), sniff.has_shard_index, "safetensors.read_sharded", folder=True),
    Format(
        "Keras archive", (".keras",), sniff.is_keras_archive, "keras.read_archive", ("h5py",), "lstm-xcheck[hdf5]",
        to="keras", writer="keras.write_archive", writer_requires=("h5py",), writer_install="lstm-xcheck[hdf5]",
        stacks=False,
    ),
    Format("lstm-xcheck npz", (".npz",), sniff.is_own_npz, "numpy.own_npz", to="npz", writer="numpy.own_npz"),
    Format(
        "NumPy npz", (".npz",), sniff.is_npz, "numpy.named_npz", to="haiku", writer="numpy.write_haiku", stacks=False,
    ),
    Format("MLX npz", (".npz",), sniff.is_npz, "numpy.named_npz", to="mlx", writer="numpy.write_mlx", stacks=False),
    Format(
        "Flax msgpack", (".msgpack",), sniff.is_flax_msgpack, "jax.read_flax",
        to="flax", writer="jax.write_flax", stacks=False,
    ),
    Format(
        "Orbax", (".orbax",), sniff.is_orbax, "jax.read_orbax", ("tensorstore",), "lstm-xcheck[orbax]", to="orbax",
        writer="jax.write_orbax", writer_requires=("orbax", "tensorstore"), writer_install="lstm-xcheck[orbax]",
        stacks=False, folder=True,
    ),
    Format(
        "ONNX", (".onnx",), sniff.is_onnx, "onnx.read", ("onnx",), "lstm-xcheck[onnx]",
        to="onnx", writer="onnx.write", writer_requires=("onnx",), writer_install="lstm-xcheck[onnx]", stacks=False,
    ),
    Format(
        "ONNX opset 22", (".onnx",), sniff.is_onnx, "onnx.read", ("onnx",), "lstm-xcheck[onnx]",
        to="onnx-22", writer="onnx.write_opset22", writer_requires=("onnx",), writer_install="lstm-xcheck[onnx]",
        stacks=False,
    ),
    Format(
        "OpenVINO", (".xml",), sniff.is_openvino, "openvino.read",
        to="openvino", writer="openvino.write", stacks=False, companions=(".bin",),
    ),
    Format("LiteRT", (".tflite",), sniff.is_litert, "litert.read"),
    Format("Equinox", (".eqx",), sniff.is_npy, "jax.equinox", to="equinox", writer="jax.equinox", stacks=False),
    Format("Paddle", (".pdparams",), sniff.is_pickle, "paddle.read", to="paddle", writer="paddle.write"),
    Format("Haiku pickle", (".pkl", ".pickle"), sniff.is_pickle, "paddle.read"),
    Format(
        "TensorFlow checkpoint", (".index",), sniff.is_tensorflow_index, "tensorflow.read",
        to="tensorflow", writer="tensorflow.write", writer_requires=("tensorflow",),
        writer_install="lstm-xcheck[tensorflow]", stacks=False, companions=(".data-00000-of-00001",),
    ),
    Format("TensorFlow SavedModel", (), sniff.is_saved_model, "tensorflow.read", folder=True),
    # Before the other: Keras takes a plain `.h5` for the older kind, and `.weights.h5` for the newer.
    Format(
        "Keras HDF5", (".h5",), sniff.is_hdf5, "keras.read_weights_h5", ("h5py",), "lstm-xcheck[hdf5]",
        to="keras-h5", writer="keras.write_legacy_h5", writer_requires=("h5py",), writer_install="lstm-xcheck[hdf5]",
        stacks=False,
    ),
    Format(
        "Keras weights", (".weights.h5", ".h5", ".hdf5"), sniff.is_hdf5, "keras.read_weights_h5", ("h5py",),
        "lstm-xcheck[hdf5]", to="keras-weights", writer="keras.write_weights_h5", writer_requires=("h5py",),
        writer_install="lstm-xcheck[hdf5]", stacks=False,
    ),
)  # fmt: skip


def read_checkpoint(path: str | PathLike[str], layout: str | None = None) -> Checkpoint:
    """Every LSTM in a checkpoint, and the names of all other tensors. The content decides the format, then the suffix.

    Args:
        path: a file or a folder.
        layout: the row of the layout table that its tensors follow, where their names do not say it.

    Raises:
        CheckpointError: for a file that is missing, damaged, hostile, ambiguous or of an unknown format.
    """
    file = _meant(Path(path))
    try:
        _refuse_unreadable(file)
        with reading_as(layout):
            checkpoint = _format_of(file).read(file)
    except OSError as error:
        raise CheckpointError(f"{file} cannot be read: {escape(error.strerror or error)}") from error
    if layout is not None:
        _refuse_said(checkpoint, layout)
    return checkpoint


def _refuse_said(checkpoint: Checkpoint, layout: str) -> None:
    """Refuse a layout that is none of the file's."""
    unsupported = [lstm for lstm in checkpoint.lstms if lstm.layout != layout]
    if unsupported:
        raise CheckpointError(
            f"{checkpoint.path}: --layout is {layout}, but a {checkpoint.format} file says itself how it stores "
            f"{unsupported[0].name}: as {unsupported[0].layout}; leave --layout out for it"
        )
    if not checkpoint.lstms:
        tensors = shortlist([str(tensor) for tensor in checkpoint.other])
        raise CheckpointError(f"{checkpoint.path} holds no LSTM that fits --layout {layout}; its tensors are {tensors}")


def load(path: str | PathLike[str], layout: str | None = None) -> dict[str, LSTMWeights]:
    """The LSTMs of a checkpoint by name, in canonical form.

    Args:
        path: a file of any format in `FORMATS`: `.pt`, `.safetensors`, `.keras`, `.onnx`, `.msgpack`, `.eqx`, `.npz`,
            `.pdparams`, `.pkl`, `.index` and others, or a folder such as a SavedModel. Nothing in it is ever run.
        layout: a name of `lstm-xcheck layouts`, where the names of the tensors do not say whose they are.

    Raises:
        CheckpointError: when the file cannot be read or holds no LSTM; the message says what it holds.
    """
    found = {lstm.name: lstm.weights for lstm in read_checkpoint(path, layout).require_lstms()}
    for weights in found.values():
        _ = weights.layers  # read now: whoever loads a file may change it afterwards
    return found


def format_for_writing(path: Path, name: str | None = None) -> Format:
    """The format that `--to` names, else the one of the path's longest suffix.

    Raises:
        CheckpointError: for an unknown name or suffix, and a format that is only read; the message lists what can be.
    """
    writable = ", ".join(f"{f.to} ({' '.join(f.suffixes)})" for f in FORMATS if f.writes)
    if name is not None:
        for candidate in FORMATS:
            if name == candidate.to and candidate.writes:
                return candidate
        raise CheckpointError(f"--to is {escape(name)!r}, but should be one of {writable}")
    fitting = _by_suffix(path)
    chosen = [f for f in fitting if f.writes] or fitting
    if not chosen:
        raise CheckpointError(f"{path}: the suffix names no format; change it or add --to with one of {writable}")
    return chosen[0]


def _by_suffix(path: Path) -> list[Format]:
    """The formats whose suffix fits, the longest first."""
    fitting = [(len(suffix), f) for f in FORMATS for suffix in f.suffixes if path.name.lower().endswith(suffix)]
    return [f for _, f in sorted(fitting, key=lambda pair: -pair[0])]


def _meant(path: Path) -> Path:
    """The file that a name without suffix means: TensorFlow names its checkpoints so."""
    index = path.with_name(f"{path.name}.index") if path.name else path
    return index if not path.exists() and index.is_file() else path


def _refuse_unreadable(path: Path) -> None:
    if not path.exists():
        raise CheckpointError(f"{path} does not exist; check the path")
    if path.is_dir():
        return
    if not path.is_file():
        raise CheckpointError(f"{path} is not a regular file; expected a checkpoint file")
    if path.stat().st_size == 0:
        raise CheckpointError(f"{path} is empty; copy or download it again")
    if sniff.beginning(path, 40).startswith(b"version https://git-lfs.github.com/"):
        raise CheckpointError(f"{path} is a Git LFS pointer, not the checkpoint itself; run: git lfs pull")


def _format_of(path: Path) -> Format:
    """The format by content, else by the longest suffix that fits."""
    for candidate in FORMATS:
        if candidate.folder == path.is_dir() and candidate.sniff(path):
            return candidate
    if path.is_dir():
        folders = ", ".join(f.name for f in FORMATS if f.folder)
        raise CheckpointError(f"{path} is a directory, but of none of {folders}; expected a checkpoint file")
    fitting = [f for f in _by_suffix(path) if not f.folder]
    if fitting:
        return fitting[0]
    readable = ", ".join(f"{f.name} ({' '.join(f.suffixes)})" for f in FORMATS if not f.folder)
    start = escape(ascii(sniff.beginning(path, 16))[1:])
    raise CheckpointError(f"{path} is of an unknown format (it begins with {start}); readable are {readable}")
