"""The npz codec on arbitrary arrays: what it writes, NumPy reads, and what NumPy writes, it reads."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from lstm_xcheck.arrays import Array, native_values, round_to, same_bits, stored_values
from lstm_xcheck.checkpoints.codecs import npy, npz
from lstm_xcheck.checkpoints.codecs.limits import open_archive

from .damage import refusal

FLOATS = ("float64", "float32", "float16")
TYPES = (*FLOATS, "int64", "int32", "int16", "int8", "uint64", "uint32", "uint16", "uint8", "bool")

shapes = hnp.array_shapes(min_dims=0, max_dims=5, min_side=0, max_side=5)


@st.composite
def arrays(draw: st.DrawFn, types: tuple[str, ...] = TYPES) -> Array:
    """Any numbers of any shape, in C or in Fortran order."""
    array: Array = draw(hnp.arrays(draw(st.sampled_from(types)), draw(shapes)))
    return np.asarray(array, order=draw(st.sampled_from("CF")))


def written(content: Mapping[str, Array]) -> bytes:
    buffer = io.BytesIO()
    npz.write(buffer, ((f"{name}.npy", npy.encode(array)) for name, array in content.items()))
    return buffer.getvalue()


def read(data: bytes) -> dict[str, Array]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "m.npz"
        path.write_bytes(data)
        with open_archive(path) as archive:
            return {name[:-4]: npz.describe(path, archive, name).load() for name in archive.namelist()}


def assert_same(found: Mapping[str, Array], expected: Mapping[str, Array]) -> None:
    assert list(found) == list(expected)
    for name, array in expected.items():
        assert (found[name].shape, found[name].dtype) == (array.shape, array.dtype)
        assert found[name].tobytes() == array.tobytes()


@settings(deadline=None)
@given(content=st.dictionaries(st.text("abc/.", min_size=1, max_size=5), arrays(), max_size=3))
def test_what_is_written_is_read(content: dict[str, Array]) -> None:
    data = written(content)
    assert_same(read(data), content)
    with np.load(io.BytesIO(data), allow_pickle=False) as saved:
        assert_same({name: saved[name] for name in saved.files}, content)
    assert written({name: np.asarray(array, order="F") for name, array in content.items()}) == data


@settings(deadline=None)
@given(array=arrays(), save=st.sampled_from([np.savez, np.savez_compressed]))
def test_what_numpy_writes_is_read(array: Array, save: Callable[..., None]) -> None:
    buffer = io.BytesIO()
    save(buffer, a=array, b=array.astype(array.dtype.newbyteorder(">")))
    assert_same(read(buffer.getvalue()), {"a": array, "b": array})


@settings(deadline=None)
@given(array=arrays(FLOATS), big_endian=st.booleans())
def test_stored_numbers_are_read_in_every_precision(array: Array, big_endian: bool) -> None:
    for dtype in (*FLOATS, "bfloat16"):
        rounded = round_to(array, dtype)
        data = stored_values(rounded, dtype, big_endian=big_endian).tobytes()
        back = native_values(data, dtype, big_endian=big_endian).reshape(rounded.shape)
        assert np.array_equal(back, rounded, equal_nan=True)
        assert dtype == "bfloat16" or same_bits(back, rounded)
        assert len(data) == rounded.size * (2 if dtype == "bfloat16" else rounded.itemsize)


def test_bfloat16_is_a_void_of_two_bytes() -> None:
    data = npy.encode(np.array([1.0, -2.0], np.float32), "bfloat16")
    assert np.load(io.BytesIO(data)).tobytes() == b"\x80\x3f\x00\xc0"
    header = npy.parse_header(data)
    assert header is not None
    assert header.kind == "bfloat16"
    assert header.values(data[header.start :]).tolist() == [1.0, -2.0]


@pytest.mark.parametrize(("count", "reason"), [(65, "are left"), (3000, "is no plain array")])
def test_too_many_sizes_are_refused(tmp_path: Path, count: int, reason: str) -> None:
    text = b"{'descr': '<f4', 'fortran_order': False, 'shape': (" + b"999999999999999999, " * count + b"), }\n"
    (tmp_path / "m.eqx").write_bytes(b"\x93NUMPY\1\0" + len(text).to_bytes(2, "little") + text)
    assert reason in refusal(tmp_path / "m.eqx")
