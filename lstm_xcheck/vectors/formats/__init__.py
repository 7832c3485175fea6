"""The forms in which vectors are written, a row for each."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from ..cover import VectorSet
from . import c_header, numpy_files, pytest_file, rust_module


class VectorFormat(NamedTuple):
    """A form of vectors.

    Attributes:
        files: the content of every file, by its path below the folder.
        uniform: whether it has room for one allowed error a case only.
        use: how to use it, in a few words.
    """

    files: Callable[[VectorSet], dict[str, bytes]]
    use: str
    uniform: bool = False


def _onnx(vectors: VectorSet) -> dict[str, bytes]:
    from .onnx_folders import files  # needs onnx

    return files(vectors)


FORMATS = {
    "c": VectorFormat(c_header.files, "include it and call lxv_check for every case"),
    "rust": VectorFormat(rust_module.files, "add it as a module and call wrong for every case"),
    "json": VectorFormat(numpy_files.json_files, "an output is wrong if it differs by more than `allowed`, or is NaN"),
    "npz": VectorFormat(numpy_files.npz_files, "an output is wrong if it differs by more than `allowed`, or is NaN"),
    "onnx": VectorFormat(_onnx, "the layout of ONNX' backend tests: give the folder to their runner", uniform=True),
    "pytest": VectorFormat(pytest_file.files, "set LSTM_UNDER_TEST=module:function and run pytest; needs NumPy alone"),
}
