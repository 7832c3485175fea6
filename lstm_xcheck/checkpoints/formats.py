"""The formats that can be read and written, one row each.

A new format is a folder beside this file with a reader and perhaps a writer, and one row here. A format's library is
loaded when a file needs it.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from ..atomic_files import files_in
from ..errors import CheckpointError
from ..model import LSTMWeights
from . import sniff
from .codecs.limits import FLOAT_SIZES, Budget, escape, shortlist
from .model import Checkpoint
from .options import KerasOptions, ReadOptions, layout_row

if TYPE_CHECKING:
    from .other_layers.model import OtherLayers
    from .template import Template

#: Packages that read what Keras writes.
_KERAS_READERS = ("keras.", "tensorflow.")
Reader = Callable[[Path, ReadOptions], Checkpoint]


class Writer(Protocol):
    """A module that writes one format.

    `write_checkpoint` does all the rest: it refuses to overwrite, gives a temporary path with the format's suffix in
    the folder of the destination, reads the file back, compares every bit and renames.
    """

    def write(self, path: Path, lstms: Mapping[str, LSTMWeights], other_layers: OtherLayers) -> None:
        """Writes a new file.

        Args:
            path: where to; no file but the format's own is touched.
            lstms: by the name each is to be found under when the file is read again, in their order. The weights'
                dtype is kept; a bias scheme that the format lacks is adapted by `to_layout`.
            other_layers: layers to write with them; empty for a format without a family.

        Raises:
            CheckpointError: when the format cannot say what a spec or a name says; nothing else but OSError.
        """

    def fill(self, path: Path, template: Template) -> None:
        """Writes the template with new numbers; all else stays.

        Raises:
            CheckpointError: for a file that cannot be filled; nothing else but OSError.
        """


@dataclass(frozen=True)
class Format:
    """Everything about one format.

    Attributes:
        id: what `--to` calls it.
        name: as messages show it.
        suffixes: file endings, the longest that fits counts; used when the content says nothing.
        sniff: whether a file's content is of this format; a folder's, where `folder` says so. Never raises on a
            readable file.
        reader: function that reads it, as `module:function` below this package.
        writer: module that writes it; empty for a format that is only read.
        extra: the extra of this package that installs its library.
        reads_with: importable modules that reading needs.
        writes_with: importable modules that writing needs.
        family: framework whose names other layers are written under; empty where only LSTMs are written.
        is_model: whether a file is a model that runs, not weights alone.
        stacks: whether one LSTM of the file may have several layers; else a stack is written as a chain.
        folder: whether a checkpoint is a folder, not a file.
        data_outside: whether numbers may lie in files beside the one that is named.
        companions: suffixes of the files beside the one that is named, which the writer makes too.
    """

    id: str
    name: str
    suffixes: tuple[str, ...]
    sniff: Callable[[Path], bool]
    reader: str
    writer: str = ""
    extra: str = ""
    reads_with: tuple[str, ...] = ()
    writes_with: tuple[str, ...] = ()
    family: str = ""
    is_model: bool = False
    stacks: bool = True
    folder: bool = False
    data_outside: bool = False
    companions: tuple[str, ...] = ()

    @property
    def is_of_keras(self) -> bool:
        """Whether Keras writes such files."""
        return self.reader.startswith(_KERAS_READERS)

    def parts(self, path: Path) -> tuple[Path, ...]:
        """The files of a checkpoint, the one that is named last."""
        return (*(path.with_suffix(suffix) for suffix in self.companions), path)

    def read(self, path: Path, options: ReadOptions) -> Checkpoint:
        """Every LSTM in the file.

        Raises:
            CheckpointError: for a file that cannot be read, and when a module is missing.
        """
        self._require(path, self.reads_with)
        module, _, function = self.reader.partition(":")
        reader: Reader = getattr(importlib.import_module(f".{module}", __package__), function)
        return reader(path, options)

    def load_writer(self, path: Path) -> Writer:
        """The module that writes this format."""
        if not self.writer:
            raise CheckpointError(f"{path}: {self.name} files can only be read; choose another format with --to")
        self._require(path, self.writes_with)
        module: Writer = importlib.import_module(f".{self.writer}", __package__)
        return module

    def _require(self, path: Path, modules: tuple[str, ...]) -> None:
        missing = [name for name in modules if importlib.util.find_spec(name) is None]
        if missing:
            raise CheckpointError(
                f"{path} is a {self.name} file; it needs {', '.join(missing)}, which this Python does not have; "
                f"run: pip install 'lstm-xcheck[{self.extra}]'"
            )


FORMATS: tuple[Format, ...] = (
    Format(
        "torch", "PyTorch", (".pt", ".pth", ".bin", ".ckpt"), sniff.is_torch, "torch.read:read", "torch.write",
        family="torch",
    ),
    Format("torchscript", "TorchScript", (".pt", ".ptl"), sniff.is_torch_script, "torch.read_torchscript:read"),
    Format("pt2", "PyTorch ExportedProgram", (".pt2",), sniff.is_exported_program, "torch.read_pt2:read"),
    Format(
        "safetensors", "safetensors", (".safetensors",), sniff.is_safetensors, "safetensors.read:read",
        "safetensors.write", family="torch",
    ),
    Format(
        "safetensors-index", "sharded safetensors", (sniff.SHARD_INDEX,), sniff.is_shard_index,
        "safetensors.read_sharded:read", data_outside=True,
    ),
    Format(
        "safetensors-folder", "sharded safetensors", (), sniff.has_shard_index, "safetensors.read_sharded:read",
        folder=True,
    ),
    Format(
        "keras", "Keras archive", (".keras",), sniff.is_keras_archive, "keras.read:read_archive",
        "keras.write_archive", "hdf5", ("h5py",), ("h5py",), family="keras", is_model=True, stacks=False,
    ),
    Format("npz", "lstm-xcheck npz", (".npz",), sniff.is_own_npz, "numpy.own_npz:read", "numpy.own_npz"),
    Format(
        "haiku", "NumPy npz", (".npz",), sniff.is_npz, "numpy.named_npz:read", "numpy.write_haiku", family="haiku",
        stacks=False,
    ),
    Format(
        "mlx", "MLX npz", (".npz",), sniff.is_npz, "numpy.named_npz:read", "numpy.write_mlx", family="mlx",
        stacks=False,
    ),
    Format(
        "flax", "Flax msgpack", (".msgpack",), sniff.is_flax_msgpack, "jax.read_flax:read", "jax.write_flax",
        family="flax", stacks=False,
    ),
    Format(
        "orbax", "Orbax", (".orbax",), sniff.is_orbax, "jax.read_orbax:read", "jax.write_orbax", "orbax",
        ("tensorstore",), ("orbax", "tensorstore"), family="flax", stacks=False, folder=True,
    ),
    Format(
        "onnx", "ONNX", (".onnx",), sniff.is_onnx, "onnx.read:read", "onnx.write", "onnx", ("onnx",), ("onnx",),
        family="onnx", is_model=True, stacks=False, data_outside=True,
    ),
    Format(
        "onnx-22", "ONNX opset 22", (".onnx",), sniff.is_onnx, "onnx.read:read", "onnx.write_opset22", "onnx",
        ("onnx",), ("onnx",), family="onnx", is_model=True, stacks=False, data_outside=True,
    ),
    Format(
        "openvino", "OpenVINO", (".xml",), sniff.is_openvino, "openvino.read:read", "openvino.write", stacks=False,
        data_outside=True, companions=(".bin",),
    ),
    Format("litert", "LiteRT", (".tflite",), sniff.is_litert, "litert.read:read"),
    Format("equinox", "Equinox", (".eqx",), sniff.is_npy, "jax.equinox:read", "jax.equinox", stacks=False),
    Format(
        "paddle", "Paddle", (".pdparams",), sniff.is_pickle, "paddle.read:read", "paddle.write", family="paddle",
    ),
    Format("haiku-pickle", "Haiku pickle", (".pkl", ".pickle"), sniff.is_pickle, "paddle.read:read"),
    Format(
        "tensorflow", "TensorFlow checkpoint", (".index",), sniff.is_tensorflow_index, "tensorflow.read:read",
        "tensorflow.write", "tensorflow", (), ("tensorflow",), stacks=False, data_outside=True,
        companions=(".data-00000-of-00001",),
    ),
    Format("saved-model", "TensorFlow SavedModel", (), sniff.is_saved_model, "tensorflow.read:read", folder=True),
    # Before the other: Keras takes a plain `.h5` for the older kind, and `.weights.h5` for the newer.
    Format(
        "keras-h5", "Keras HDF5", (".h5",), sniff.is_hdf5, "keras.read:read_weights", "keras.write_legacy_h5", "hdf5",
        ("h5py",), ("h5py",), family="keras", stacks=False,
    ),
    Format(
        "keras-weights", "Keras weights", (".weights.h5", ".h5", ".hdf5"), sniff.is_hdf5, "keras.read:read_weights",
        "keras.write_weights_h5", "hdf5", ("h5py",), ("h5py",), family="keras", stacks=False,
    ),
)  # fmt: skip


def read_checkpoint(
    path: str | PathLike[str],
    layout: str | None = None,
    *,
    load_other_tensors: bool = False,
    keras: KerasOptions | None = None,
    leave_out: Iterable[str] = (),
) -> Checkpoint:
    """Reads every LSTM of a checkpoint, and lists all other tensors.

    The content decides the format, then the suffix.

    Args:
        path: a file or a folder.
        layout: the row of the layout table that its tensors follow, where their names do not say it.
        load_other_tensors: whether the values of all other tensors are loaded too, for who wants the whole model.
        keras: what the user adds to a Keras file that does not say it.
        leave_out: tensors and modules that are no part of any LSTM, says the user.

    Raises:
        CheckpointError: for a file that is missing, damaged, hostile, ambiguous or of an unknown format.
    """
    row = None if layout is None else layout_row(layout)
    file = Path(path)
    try:
        file = _resolve(file)
        _refuse_unreadable(file)
        format = format_of(file)
        spend, left_out = Budget(file, _size(file, format)).spend, frozenset(leave_out)
        options = ReadOptions(row, load_other_tensors, spend, keras or KerasOptions(), left_out)
        if options.keras != KerasOptions() and not format.is_of_keras:
            raise CheckpointError(
                f"{file} is a {format.name} file, of which the options of Keras say nothing; leave --keras-config, "
                "--activation, --recurrent-activation, --go-backwards and --accept-class out"
            )
        checkpoint = format.read(file, options)
        _refuse_shared(checkpoint)
    except OSError as error:
        raise CheckpointError(f"{file} cannot be read: {escape(error.strerror or error)}") from error
    if layout is not None:
        _refuse_other_layout(checkpoint, layout)
    return checkpoint


def keras_options_for(paths: Sequence[str | PathLike[str]], options: KerasOptions) -> list[KerasOptions]:
    """The options for each file; only those of Keras take them."""
    if options == KerasOptions():
        return [options] * len(paths)
    files = [_resolve(Path(path)) for path in paths]
    takes = [file.exists() and format_of(file).is_of_keras for file in files]
    return [options if own or not any(takes) else KerasOptions() for own in takes]


def _size(path: Path, format: Format) -> int:
    """The size of a checkpoint and of what may be its data."""
    near = path.parent.iterdir() if format.data_outside else [path]
    return sum(file.stat().st_size for file in (files_in(path) if path.is_dir() else near) if file.is_file())


def _refuse_shared(checkpoint: Checkpoint) -> None:
    """Refuse LSTMs that are read lazily, but share few numbers among many."""
    budget = Budget(checkpoint.path, sum(file.stat().st_size for file in checkpoint.files if file.is_file()))
    for weights in {id(lstm.weights): lstm.weights for lstm in checkpoint.lstms}.values():
        budget.spend(weights.parameter_count * FLOAT_SIZES[weights.dtype], "the weights of its LSTMs")


def _refuse_other_layout(checkpoint: Checkpoint, layout: str) -> None:
    """Refuse a layout that is none of the file's."""
    other = [lstm for lstm in checkpoint.lstms if lstm.layout != layout]
    if other:
        raise CheckpointError(
            f"{checkpoint.path}: --layout is {layout}, but a {checkpoint.format} file says itself how it stores "
            f"{other[0].name}: as {other[0].layout}; leave --layout out for it"
        )
    if not checkpoint.lstms:
        tensors = checkpoint.listed_tensors()
        raise CheckpointError(f"{checkpoint.path} holds no LSTM that fits --layout {layout}; its tensors are {tensors}")


def load(
    path: str | PathLike[str],
    layout: str | None = None,
    *,
    keras_config: str | PathLike[str] | None = None,
    activation: str | None = None,
    recurrent_activation: str | None = None,
    go_backwards: bool = False,
    accept_class: Sequence[str] = (),
) -> dict[str, LSTMWeights]:
    """The LSTMs of a checkpoint by name, in canonical form.

    An `UnreadLSTMWarning` names those that are not read.

    Args:
        path: a file of any format in `FORMATS`: `.pt`, `.safetensors`, `.keras`, `.onnx`, `.msgpack`, `.eqx`, `.npz`,
            `.pdparams`, `.pkl`, `.index` and others, or a folder such as a SavedModel. Nothing in it is ever run.
        layout: a name of `lstm-xcheck layouts`, where the names of the tensors do not say whose they are.
        keras_config: the JSON of `model.to_json()`, for a Keras file without a config.
        activation, recurrent_activation, go_backwards: of Keras LSTMs whose file does not say it.
        accept_class: classes that are not Keras' own and compute what its LSTM does.

    Raises:
        CheckpointError: when the file cannot be read or holds no LSTM; the message says what it holds.

    >>> load("model.keras")["encoder"].spec.hidden_size  # doctest: +SKIP
    """
    keras = KerasOptions.of(keras_config, activation, recurrent_activation, go_backwards, accept_class)
    checkpoint = read_checkpoint(path, layout, keras=keras)
    found = {lstm.name: lstm.weights for lstm in checkpoint.lstms or checkpoint.require_lstms()}
    for weights in found.values():
        _ = weights.layers  # read now: whoever loads a file may change it afterwards
    checkpoint.warn_of_unread()
    return found


def writable() -> dict[str, Format]:
    """The formats that `--to` takes, by their ids."""
    return {format.id: format for format in FORMATS if format.writer}


def format_for_writing(path: Path, id: str | None = None) -> Format:
    """The format of `--to`, else of the path's longest suffix."""
    choices = writable()
    listed = ", ".join(f"{f.id} ({' '.join(f.suffixes)})" for f in choices.values())
    if id is not None:
        if id not in choices:
            raise CheckpointError(f"--to is {escape(id)!r}, but should be one of {listed}")
        return choices[id]
    fitting = _by_suffix(path)
    chosen = [f for f in fitting if f.writer] or fitting
    if not chosen:
        raise CheckpointError(f"{path}: the suffix names no format; change it or add --to with one of {listed}")
    return chosen[0]


def _by_suffix(path: Path) -> list[Format]:
    """The formats whose suffix fits, the longest first."""
    fitting = [(len(suffix), f) for f in FORMATS for suffix in f.suffixes if path.name.lower().endswith(suffix)]
    return [f for _, f in sorted(fitting, key=lambda pair: -pair[0])]


def _readable(names: Iterable[str]) -> str:
    """Those of some file names that a format's suffix fits."""
    return shortlist([escape(name) for name in names if _by_suffix(Path(name)) and not name.endswith("/")])


def _resolve(path: Path) -> Path:
    """The `.index` file that a TensorFlow prefix means."""
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


def format_of(path: Path) -> Format:
    """The format by content, else by the longest suffix that fits."""
    for candidate in FORMATS:
        if candidate.folder == path.is_dir() and candidate.sniff(path):
            return candidate
    if path.is_dir():
        folders = ", ".join(f.name for f in FORMATS if f.folder)
        inner = _readable(file.name for file in sorted(path.iterdir()) if file.is_file())
        advice = f"it holds {inner}; name one of these" if inner else "expected a checkpoint file"
        raise CheckpointError(f"{path} is a directory, but of none of {folders}; {advice}")
    fitting = [f for f in _by_suffix(path) if not f.folder]
    inner = _readable(sniff.members(path))
    if inner and (not fitting or fitting[0].family == "torch"):
        raise CheckpointError(f"{path} is a zip archive of other files; unpack it and name one of these in it: {inner}")
    if fitting:
        return fitting[0]
    readable = ", ".join(f"{f.name} ({' '.join(f.suffixes)})" for f in FORMATS if not f.folder)
    start = escape(ascii(sniff.beginning(path, 16))[1:])
    raise CheckpointError(f"{path} is of an unknown format (it begins with {start}); readable are {readable}")
