"""CRC-32C (Castagnoli), by which TensorFlow's checkpoints notice damage, fast enough for weights of many megabytes.

Long data is cut into lanes of equal length that NumPy advances together; the lanes' results are then joined, for which
a CRC over zeros, a linear map of 32 bits, is all that is needed. Source: RFC 3720, appendix B.4.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

_POLYNOMIAL = 0x82F63B78
_ALL = 0xFFFFFFFF
#: Data below this length is read byte by byte.
_SHORT = 1 << 12


def crc32c(data: bytes | memoryview) -> int:
    """The checksum of some bytes.

    >>> hex(crc32c(b"123456789"))
    '0xe3069283'
    """
    lanes = int(len(data) ** 0.5) if len(data) >= _SHORT else 1
    length = len(data) // lanes
    whole = np.frombuffer(data, np.uint8, lanes * length).reshape(lanes, length)
    if lanes == 1:
        return _bytewise(_ALL, bytes(data)) ^ _ALL
    state = _ALL
    zeros = _zeros(length)
    for slot in _advanced(whole):
        state = _through(zeros, state) ^ int(slot)
    return _bytewise(state, bytes(data[lanes * length :])) ^ _ALL


def masked(checksum: int) -> int:
    """The checksum as it is stored, so that data that holds checksums has a good one too."""
    return (((checksum >> 15) | (checksum << 17)) + 0xA282EAD8) & _ALL


@functools.cache
def _table() -> tuple[int, ...]:
    table = []
    for value in range(256):
        for _ in range(8):
            value = (value >> 1) ^ (_POLYNOMIAL if value & 1 else 0)  # noqa: PLW2901
        table.append(value)
    return tuple(table)


def _bytewise(state: int, data: bytes) -> int:
    table = _table()
    for byte in data:
        state = table[(state ^ byte) & 255] ^ (state >> 8)
    return state


def _advanced(lanes: np.ndarray[Any, np.dtype[np.uint8]]) -> list[int]:
    """The state of every lane after its bytes, begun at zero."""
    table = np.array(_table(), np.uint32)
    state = np.zeros(len(lanes), np.uint32)
    for column in np.ascontiguousarray(lanes.T):
        state = table[(state ^ column) & np.uint32(255)] ^ (state >> np.uint32(8))
    return [int(value) for value in state]


@functools.lru_cache(maxsize=256)
def _zeros(length: int) -> tuple[int, ...]:
    """Where each bit of the state goes over `length` bytes of zeros: a matrix, squared again and again."""
    result = tuple(1 << bit for bit in range(32))
    power = tuple(_bytewise(1 << bit, b"\0") for bit in range(32))
    while length:
        if length & 1:
            result = tuple(_through(power, column) for column in result)
        power = tuple(_through(power, column) for column in power)
        length >>= 1
    return result


def _through(matrix: tuple[int, ...], state: int) -> int:
    result = 0
    for bit in range(32):
        if state >> bit & 1:
            result ^= matrix[bit]
    return result
