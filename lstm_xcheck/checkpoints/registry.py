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
from ..spec import LSTMWeights
from . import signatures
from .protocol import Checkpoint, Writer
from .recognise_said import reading_as
from .untrusted import shown, some


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
        beside: suffixes of the files beside the one that is named, which the writer makes too.
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
    beside: tuple[str, ...] = ()

    def parts(self, path: Path) -> tuple[Path, ...]:
        """The files of a checkpoint, the one that is named last."""
        return (*(path.with_suffix(suffix) for suffix in self.beside), path)

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
        "PyTorch", (".pt", ".pth", ".bin", ".ckpt"), signatures.is_torch, "torch_pickle",
        to="torch", writer="torch_write",
    ),
    Format("TorchScript", (".pt", ".ptl"), signatures.is_torch_script, "torch_script"),
    Format(
        "safetensors", (".safetensors",), signatures.is_safetensors, "safetensors_file",
        to="safetensors", writer="safetensors_write",
    ),
    Format("sharded safetensors", (signatures.SHARD_INDEX,), signatures.is_shard_index, "safetensors_sharded"),
    Format("sharded safetensors", (), signatures.has_shard_index, "safetensors_sharded", folder=True),
    Format(
        "Keras archive", (".keras",), signatures.is_keras_archive, "keras_archive", ("h5py",), "lstm-xcheck[hdf5]",
        to="keras", writer="keras_archive_write", writer_requires=("h5py",), writer_install="lstm-xcheck[hdf5]",
        stacks=False,
    ),
    Format("lstm-xcheck npz", (".npz",), signatures.is_own_npz, "own_npz", to="npz", writer="own_npz"),
    Format("NumPy npz", (".npz",), signatures.is_npz, "named_npz", to="haiku", writer="haiku_npz_write", stacks=False),
    Format("MLX npz", (".npz",), signatures.is_npz, "named_npz", to="mlx", writer="mlx_npz_write", stacks=False),
    Format(
        "Flax msgpack", (".msgpack",), signatures.is_flax_msgpack, "flax_msgpack",
        to="flax", writer="flax_msgpack_write", stacks=False,
    ),
    Format(
        "Orbax", (".orbax",), signatures.is_orbax, "orbax_folder", ("tensorstore",), "lstm-xcheck[orbax]", to="orbax",
        writer="orbax_write", writer_requires=("orbax", "tensorstore"), writer_install="lstm-xcheck[orbax]",
        stacks=False, folder=True,
    ),
    Format(
        "ONNX", (".onnx",), signatures.is_onnx, "onnx_file", ("onnx",), "lstm-xcheck[onnx]",
        to="onnx", writer="onnx_write", writer_requires=("onnx",), writer_install="lstm-xcheck[onnx]", stacks=False,
    ),
    Format(
        "ONNX opset 22", (".onnx",), signatures.is_onnx, "onnx_file", ("onnx",), "lstm-xcheck[onnx]",
        to="onnx-22", writer="onnx_write_opset22", writer_requires=("onnx",), writer_install="lstm-xcheck[onnx]",
        stacks=False,
    ),
    Format(
        "OpenVINO", (".xml",), signatures.is_openvino, "openvino_file",
        to="openvino", writer="openvino_write", stacks=False, beside=(".bin",),
    ),
    Format("LiteRT", (".tflite",), signatures.is_litert, "litert_file"),
    Format("Equinox", (".eqx",), signatures.is_npy, "equinox_eqx", to="equinox", writer="equinox_eqx", stacks=False),
    Format("Paddle", (".pdparams",), signatures.is_pickle, "array_pickle", to="paddle", writer="paddle_write"),
    Format("Haiku pickle", (".pkl", ".pickle"), signatures.is_pickle, "array_pickle"),
    Format(
        "TensorFlow checkpoint", (".index",), signatures.is_tensorflow_index, "tensorflow_file",
        to="tensorflow", writer="tensorflow_write", writer_requires=("tensorflow",),
        writer_install="lstm-xcheck[tensorflow]", stacks=False, beside=(".data-00000-of-00001",),
    ),
    Format("TensorFlow SavedModel", (), signatures.is_saved_model, "tensorflow_file", folder=True),
    # Before the other: Keras takes a plain `.h5` for the older kind, and `.weights.h5` for the newer.
    Format(
        "Keras HDF5", (".h5",), signatures.is_hdf5, "keras_weights_h5", ("h5py",), "lstm-xcheck[hdf5]",
        to="keras-h5", writer="keras_legacy_h5_write", writer_requires=("h5py",), writer_install="lstm-xcheck[hdf5]",
        stacks=False,
    ),
    Format(
        "Keras weights", (".weights.h5", ".h5", ".hdf5"), signatures.is_hdf5, "keras_weights_h5", ("h5py",),
        "lstm-xcheck[hdf5]", to="keras-weights", writer="keras_weights_write", writer_requires=("h5py",),
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
            held = _format_of(file).read(file)
    except OSError as error:
        raise CheckpointError(f"{file} cannot be read: {shown(error.strerror or error)}") from error
    if layout is not None:
        _refuse_said(held, layout)
    return held


def _refuse_said(held: Checkpoint, layout: str) -> None:
    """Refuse a layout that is none of the file's."""
    strange = [lstm for lstm in held.lstms if lstm.layout != layout]
    if strange:
        raise CheckpointError(
            f"{held.path}: --layout is {layout}, but a {held.format} file says itself how it stores "
            f"{strange[0].name}: as {strange[0].layout}; leave --layout out for it"
        )
    if not held.lstms:
        tensors = some([str(tensor) for tensor in held.other])
        raise CheckpointError(f"{held.path} holds no LSTM that fits --layout {layout}; its tensors are {tensors}")


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
        raise CheckpointError(f"--to is {shown(name)!r}, but should be one of {writable}")
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
    if signatures.beginning(path, 40).startswith(b"version https://git-lfs.github.com/"):
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
    start = shown(ascii(signatures.beginning(path, 16))[1:])
    raise CheckpointError(f"{path} is of an unknown format (it begins with {start}); readable are {readable}")
