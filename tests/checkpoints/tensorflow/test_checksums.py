"""CRC-32C: the values of its RFC, and the same ones with and without the library."""

from __future__ import annotations

import numpy as np
import pytest

from lstm_xcheck.checkpoints.codecs.crc32c import crc32c, numpy_crc32c


@pytest.mark.parametrize("length", [0, 1, 4095, 4096, 4097, 100_003])
def test_the_checksum_is_the_same_for_short_and_long_data(length: int) -> None:
    data = np.random.default_rng(length).integers(0, 256, length, np.uint8).tobytes()
    expected = 0xFFFFFFFF
    for byte in data:
        expected ^= byte
        for _ in range(8):
            expected = (expected >> 1) ^ (0x82F63B78 if expected & 1 else 0)
    assert crc32c(data) == numpy_crc32c(data) == expected ^ 0xFFFFFFFF


#: RFC 3720, appendix B.4.
CHECKSUMS = {
    "zeros": (bytes(32), 0x8A9136AA),
    "ones": (b"\xff" * 32, 0x62A8AB43),
    "incrementing": (bytes(range(32)), 0x46DD794E),
    "decrementing": (bytes(range(31, -1, -1)), 0x113FDB5C),
    "read-command": (
        bytes.fromhex("01c00000" + "00" * 12 + "14000000000004000000001400000018280000000000000002000000" + "00" * 4),
        0xD9963A56,
    ),
}


@pytest.mark.parametrize(("data", "checksum"), CHECKSUMS.values(), ids=CHECKSUMS)
def test_the_checksum_is_that_of_the_rfc(data: bytes, checksum: int) -> None:
    assert crc32c(data) == numpy_crc32c(data) == checksum


def test_the_library_gives_the_same_checksum() -> None:
    library = pytest.importorskip("google_crc32c")
    rng = np.random.default_rng(5)
    for length in (*range(10), *rng.integers(10, 50_000, 40)):
        data = rng.bytes(int(length))
        assert library.value(data) == crc32c(data) == numpy_crc32c(data)
