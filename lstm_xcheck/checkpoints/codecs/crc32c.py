"""CRC-32C (Castagnoli), the checksum of TensorFlow's checkpoints. Source: RFC 3720, appendix B.4.

`google-crc32c` computes it where it is installed; else NumPy does, at a hundredth of the speed.
"""

from __future__ import annotations

import functools

import numpy as np

from ...arrays import Array

try:
    from google_crc32c import implementation, value
except ImportError:
    implementation = ""

_POLYNOMIAL = 0x82F63B78
_ALL = 0xFFFFFFFF
#: Data below this length is read byte by byte.
_SHORT = 1 << 12


def crc32c(data: bytes) -> int:
    """The checksum of some bytes.

    >>> hex(crc32c(b"123456789"))
    '0xe3069283'
    """
    # Its implementation in Python is slower than the one here.
    return int(value(data)) if implementation == "c" else numpy_crc32c(data)


def masked(checksum: int) -> int:
    """The checksum as TensorFlow stores it, fit for data that contains checksums."""
    return (((checksum >> 15) | (checksum << 17)) + 0xA282EAD8) & _ALL


def numpy_crc32c(data: bytes) -> int:
    """The checksum without a library.

    Long data is cut into rows of equal length, which NumPy advances together. The rows' states are joined by the
    linear map of 32 bits that a row of zeros is.
    """
    if len(data) < _SHORT:
        return _bytewise(_ALL, data) ^ _ALL
    rows = int(len(data) ** 0.5)
    length = len(data) // rows
    over_zeros = _over_zeros(length)
    state = _ALL
    for row_state in _row_states(np.frombuffer(data, np.uint8, rows * length).reshape(rows, length)):
        state = _apply(over_zeros, state) ^ row_state
    return _bytewise(state, data[rows * length :]) ^ _ALL


@functools.cache
def _table() -> tuple[int, ...]:
    table = []
    for entry in range(256):
        state = entry
        for _ in range(8):
            state = (state >> 1) ^ (_POLYNOMIAL if state & 1 else 0)
        table.append(state)
    return tuple(table)


def _bytewise(state: int, data: bytes) -> int:
    table = _table()
    for byte in data:
        state = table[(state ^ byte) & 255] ^ (state >> 8)
    return state


def _row_states(rows: Array) -> list[int]:
    """The state after each row, started at zero."""
    table = np.array(_table(), np.uint32)
    states = np.zeros(len(rows), np.uint32)
    for column in np.ascontiguousarray(rows.T):
        states = table[(states ^ column) & np.uint32(255)] ^ (states >> np.uint32(8))
    return states.tolist()


@functools.lru_cache(maxsize=256)
def _over_zeros(length: int) -> tuple[int, ...]:
    """The linear map of the state over `length` zeros, by repeated squaring."""
    result = tuple(1 << bit for bit in range(32))
    power = tuple(_bytewise(1 << bit, b"\0") for bit in range(32))
    while length:
        if length & 1:
            result = tuple(_apply(power, column) for column in result)
        power = tuple(_apply(power, column) for column in power)
        length >>= 1
    return result


def _apply(matrix: tuple[int, ...], state: int) -> int:
    result = 0
    for bit in range(32):
        if state >> bit & 1:
            result ^= matrix[bit]
    return result
