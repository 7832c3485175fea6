"""Tells formats by first bytes and archive members, without their libraries."""

from __future__ import annotations

import zipfile
from functools import lru_cache
from pathlib import Path

from .codecs.lazy_bytes import FileVersion, file_version

#: torch 2.13.0, torch/serialization.py MAGIC_NUMBER, as its pickle spells it.
TORCH_LEGACY_MAGIC = bytes.fromhex("8a0a6cfc9c46f9206aa85019")

#: What the name of an index of shards ends in.
SHARD_INDEX = ".safetensors.index.json"

#: The file of an Orbax checkpoint that describes its tree.
ORBAX_TREE = "_METADATA"

#: The member of an ExportedProgram of PyTorch before 2.8.
OLD_PROGRAM = "serialized_exported_program.json"

HDF5_MAGIC = b"\x89HDF\r\n\x1a\n"


def beginning(path: Path, size: int) -> bytes:
    """The first bytes of a file."""
    with path.open("rb") as file:
        return file.read(size)


def is_zip(path: Path) -> bool:
    """Whether it begins as a zip archive."""
    return beginning(path, 4) == b"PK\x03\x04"


def members(path: Path) -> list[str]:
    """Names in a zip archive; none in any other file."""
    return _members(path, file_version(path)) if is_zip(path) else []


@lru_cache(maxsize=1)
def _members(path: Path, _: FileVersion) -> list[str]:
    """The names, listed once for all formats that ask for them."""
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.namelist()
    except (zipfile.BadZipFile, ValueError, NotImplementedError, OverflowError):
        return []


def is_torch(path: Path) -> bool:
    """A zip with `data.pkl` that is no program, or the old magic number."""
    return (_has_member(path, "data.pkl") and not is_torch_script(path)) or TORCH_LEGACY_MAGIC in beginning(path, 32)


def is_torch_script(path: Path) -> bool:
    """A zip archive with the `data.pkl` and `constants.pkl` of `torch.jit.save`."""
    return _has_member(path, "data.pkl") and _has_member(path, "constants.pkl")


def is_exported_program(path: Path) -> bool:
    """A zip archive of `torch.export.save`."""
    return _has_member(path, "archive_format") or OLD_PROGRAM in members(path)


def _has_member(path: Path, last: str) -> bool:
    return any(name == last or name.endswith(f"/{last}") for name in members(path))


def is_keras_archive(path: Path) -> bool:
    """A zip with `config.json` at its top."""
    return "config.json" in members(path)


def is_hdf5(path: Path) -> bool:
    """An HDF5 file without a user block."""
    return beginning(path, 8) == HDF5_MAGIC


def is_safetensors(path: Path) -> bool:
    """A header length that fits the file, then a brace."""
    head = beginning(path, 9)
    length = int.from_bytes(head[:8], "little")
    return head[8:] == b"{" and 0 < length <= path.stat().st_size - 8


def is_own_npz(path: Path) -> bool:
    """A zip with this project's own index."""
    return "lstm_xcheck.npy" in members(path)


def is_npz(path: Path) -> bool:
    """A zip of `.npy` members and nothing else."""
    names = members(path)
    return bool(names) and all(name.endswith(".npy") for name in names)


def is_pickle(path: Path) -> bool:
    """A pickle of protocol 2 to 5."""
    head = beginning(path, 2)
    return len(head) == 2 and head[0] == 0x80 and 2 <= head[1] <= 5


def is_tensorflow_index(path: Path) -> bool:
    """A sorted table (SSTable) by its last bytes."""
    from .codecs.sstable import MAGIC

    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - len(MAGIC)))
        return file.read() == MAGIC


def is_saved_model(path: Path) -> bool:
    """A folder of TensorFlow's SavedModel with its variables."""
    return (path / "saved_model.pb").is_file() and (path / "variables" / "variables.index").is_file()


def is_npy(path: Path) -> bool:
    """An array in NumPy's form at the beginning."""
    return beginning(path, 6) == b"\x93NUMPY"


def is_flax_msgpack(path: Path) -> bool:
    """A msgpack map of few entries whose first key is text."""
    head = beginning(path, 2)
    return len(head) == 2 and 0x81 <= head[0] <= 0x8F and (0xA1 <= head[1] <= 0xBF or head[1] == 0xD9)


def is_onnx(path: Path) -> bool:
    """A protobuf message that begins as ONNX's ModelProto does."""
    head = beginning(path, 3)
    return (
        len(head) == 3 and head[0] == 0x08 and 3 <= head[1] < 0x30 and head[2] in (0x12, 0x1A, 0x22, 0x28, 0x3A, 0x42)
    )


def is_openvino(path: Path) -> bool:
    """XML whose outermost element is OpenVINO's `net`."""
    head = beginning(path, 512).lstrip()
    return head.startswith(b"<") and b"<net " in head


def is_litert(path: Path) -> bool:
    """A FlatBuffers file with the identifier of LiteRT and TensorFlow Lite."""
    return beginning(path, 8)[4:] == b"TFL3"


def is_shard_index(path: Path) -> bool:
    """JSON that maps tensors to shards."""
    head = beginning(path, 1 << 16).lstrip()
    return head.startswith(b"{") and b'"weight_map"' in head


def has_shard_index(path: Path) -> bool:
    """A folder with an index of shards in it."""
    return any(path.glob(f"*{SHARD_INDEX}"))


def is_orbax(path: Path) -> bool:
    """A folder with an Orbax tree, at most two levels down."""
    return any(next(path.glob(f"{inner}{ORBAX_TREE}"), None) for inner in ("", "*/", "*/*/"))
