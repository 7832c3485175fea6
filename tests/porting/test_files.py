"""Files that are hashed on the way: by what they hold, whatever stops them."""

from __future__ import annotations

import hashlib
import threading
from pathlib import Path

import pytest

from lstm_xcheck.files import HashedFile, sha256_of


@pytest.mark.parametrize("pieces", [[], [b""], [b"one", memoryview(b"two")], [b"%d" % k for k in range(500)]])
def test_the_hash_is_that_of_the_file(tmp_path: Path, pieces: list[bytes | memoryview]) -> None:
    with HashedFile(tmp_path / "x") as file:
        for piece in pieces:
            file.write(piece)
    assert (tmp_path / "x").read_bytes() == b"".join(pieces)
    assert file.sha256 == sha256_of(tmp_path / "x") == hashlib.sha256(b"".join(pieces)).hexdigest()


def test_a_byte_that_never_came_to_the_file_shows(tmp_path: Path) -> None:
    with HashedFile(tmp_path / "x") as file:
        file.write(b"whole")
    (tmp_path / "x").write_bytes(b"whol")
    assert file.sha256 != sha256_of(tmp_path / "x")


def test_what_stops_the_writer_is_raised_and_leaves_no_thread(tmp_path: Path) -> None:
    before = threading.active_count()
    with pytest.raises(TypeError), HashedFile(tmp_path / "x") as file:
        file.write("no bytes")  # type: ignore[arg-type]
    assert threading.active_count() == before
    with pytest.raises(FileExistsError):
        HashedFile(tmp_path / "x")
