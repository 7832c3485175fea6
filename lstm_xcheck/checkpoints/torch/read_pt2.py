"""Reads the weights and constants of PyTorch's `.pt2`, an ExportedProgram, without PyTorch.

Since 2.8 the archive has a JSON table of names for each model and one member of raw bytes per storage; before that, its
state dict and constants are two `.pt` files within. Of the program only the classes of modules are looked at.
Source: torch 2.13.0, torch/export/pt2_archive/_package.py and torch/_export/serde/schema.py; torch 2.5, serialize.py.
"""

from __future__ import annotations

import io
import json
import re
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ...arrays import Array
from ...errors import CheckpointError
from ..codecs.limits import ZIP_ERRORS, check_member, escape, open_archive, read_member
from ..detect.torch_names import detect_torch_names
from ..detect.user_layout import detect
from ..model import Checkpoint
from ..options import ReadOptions
from ..sniff import OLD_PROGRAM
from ..tensor_info import TensorInfo
from ..topology import ModelTopology
from .read import MAX_PICKLE, archive_root, is_big_endian, member_storages, unpickle
from .tensors import Storage, checked_view, element_size, load_view, named_tensors

_TABLE = re.compile(
    r"(?P<root>(?:.*/)?)data/(?P<part>weights|constants)/(?P<model>.+)_(?P=part)_config\.json", re.DOTALL
)
#: The programs, and what their nodes say of the modules that they are from: key, path and class of each.
_PROGRAM = re.compile(r"(?P<root>(?:.*/)?)models/(?P<model>.+)\.json", re.DOTALL)
_MODULES = re.compile(rb'"nn_module_stack": "([^"\\]*)"')
#: Programs are text; the largest public ones take some 20 MB.
_MAX_PROGRAM = 256 << 20
#: torch/_export/serde/schema.py, ScalarType.
_TYPES = {
    1: "uint8", 2: "int8", 3: "int16", 4: "int32", 5: "int64", 6: "float16", 7: "float32", 8: "float64",
    9: "complex32", 10: "complex64", 11: "complex128", 12: "bool", 13: "bfloat16", 28: "uint16", 34: "uint32",
    35: "uint64",
}  # fmt: skip


def read(path: Path, options: ReadOptions) -> Checkpoint:
    """Every LSTM among the weights and constants."""
    with open_archive(path) as archive:
        tables = [match for name in archive.namelist() if (match := _TABLE.fullmatch(name))]
        models = {table["model"] for table in tables}
        tensors: list[TensorInfo] = []
        for table in tables:
            scope = f"{table['model']}." if len(models) > 1 else ""
            tensors += _of_table(path, archive, table, scope)
        owners = _owners(path, archive, many=len(models) > 1)
        if OLD_PROGRAM in archive.NameToInfo:
            for part in ("state_dict", "constants"):
                tensors += _of_member(path, archive, f"serialized_{part}.pt")
        if not tables and OLD_PROGRAM not in archive.NameToInfo:
            raise CheckpointError(
                f"{path} is a package of compiled PyTorch code without names of weights; export the model itself with "
                "torch.export.save"
            )
        unique = [
            replace(tensor, owner=owners.get(tensor.name.rpartition(".")[0], ""))
            for tensor in {tensor.name: tensor for tensor in tensors}.values()
        ]
        lstms, other = detect(path, unique, detect_torch_names, options)
    order = ModelTopology(tensor_order=tuple(tensor.name for tensor in unique))
    return Checkpoint(path, "pt2", lstms, other, "torch", order)


def _owners(path: Path, archive: zipfile.ZipFile, *, many: bool) -> dict[str, str]:
    """The classes that are not PyTorch's own, by the paths of their modules."""
    found: dict[str, str] = {}
    for name in archive.namelist():
        program = _PROGRAM.fullmatch(name)
        if program is None and name != OLD_PROGRAM:
            continue
        scope = f"{program['model']}." if program and many else ""
        for stack in set(_MODULES.findall(read_member(path, archive, name, _MAX_PROGRAM))):
            for module in stack.decode("utf-8", "replace").split(";"):
                _, place, kind = (*module.split(","), "", "")[:3]
                if not kind.startswith("torch."):
                    found[(scope + place).rstrip(".")] = escape(kind, 200)
    return found


def _of_table(path: Path, archive: zipfile.ZipFile, table: re.Match[str], scope: str) -> Iterator[TensorInfo]:
    """The tensors of one table; those stored as pickles are only named."""
    folder = f"{table['root']}data/{table['part']}"
    fetch, look = member_storages(path, archive, folder, is_big_endian(path, archive, table["root"]))
    for name, entry in _entries(path, read_member(path, archive, table[0], MAX_PICKLE)).items():
        try:
            meta = entry["tensor_meta"]
            if entry["use_pickle"] or meta is None:
                yield TensorInfo(scope + name, (), "pickled", partial(_refuse, path, name), scope)
                continue
            dtype = _TYPES.get(meta["dtype"], "unknown")
            shape, strides = (tuple(size["as_int"] for size in meta[key]) for key in ("sizes", "strides"))
            offset, key = meta["storage_offset"]["as_int"], entry["path_name"]
            size = check_member(path, archive, f"{folder}/{key}").file_size
        except (KeyError, TypeError, AttributeError) as error:
            raise CheckpointError(f"{path}: {escape(name)} is described in an unknown way ({escape(error)})") from error
        if dtype == "unknown":
            yield TensorInfo(scope + name, shape, dtype, partial(_refuse, path, name), scope)
            continue
        view = checked_view(path, Storage(key, dtype, size // element_size(dtype)), dtype, offset, shape, strides)
        load = partial(load_view, path, view, fetch)
        yield TensorInfo(scope + name, view.shape, dtype, load, scope, partial(look, view.storage))


def _refuse(path: Path, name: str) -> Any:
    raise CheckpointError(f"{path}: {escape(name)} is stored in a form that is not read")


def _entries(path: Path, text: bytes) -> dict[str, Any]:
    """Names and descriptions of a table."""
    try:
        content = json.loads(text)
        config = content["config"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise CheckpointError(f"{path}: a table of its weights is damaged ({escape(error)}); copy it again") from error
    if not isinstance(config, dict):
        raise CheckpointError(f"{path}: a table of its weights is no table; copy it again")
    return config


def _of_member(path: Path, archive: zipfile.ZipFile, name: str) -> list[TensorInfo]:
    """The tensors of a `.pt` file within the archive, read at once."""
    content = read_member(path, archive, name)
    try:
        inner = zipfile.ZipFile(io.BytesIO(content))
    except ZIP_ERRORS as error:
        raise CheckpointError(f"{path}: member {escape(name)} is truncated or damaged; copy it again") from error
    root = archive_root(path, inner)
    value = unpickle(path, io.BytesIO(read_member(path, inner, f"{root}data.pkl", MAX_PICKLE)), {})
    big_endian = is_big_endian(path, inner, root)

    def fetch(storage: Storage, start: int, size: int) -> tuple[Array, bool]:
        data = read_member(path, inner, f"{root}data/{storage.key}", storage.nbytes)
        return np.frombuffer(data, np.uint8)[start : start + size], big_endian

    return [replace(tensor, scope="") for tensor in named_tensors(path, value, fetch)]
