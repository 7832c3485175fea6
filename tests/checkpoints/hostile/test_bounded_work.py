"""Small files that would become large are refused, in little memory and work."""

from __future__ import annotations

import io
import json
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from lstm_xcheck.arrays import Array
from lstm_xcheck.checkpoints import read_checkpoint
from lstm_xcheck.checkpoints.codecs import limits, msgpack
from lstm_xcheck.checkpoints.codecs.lazy_bytes import ByteRange
from lstm_xcheck.checkpoints.codecs.limits import Budget
from lstm_xcheck.errors import CheckpointError

from ...helpers import run_python
from ..damage import memory_below, refusal
from ..torch.test_hostile_pickles import storage, tensor, torch_zip

#: What a file of at most 20 MB may cost, and the address space in which that is seen at once.
MEMORY, SPACE = 1 << 30, 4 << 30
START = b"\x80\x02"

CHILD = f"""
import json, resource, sys
from pathlib import Path
sys.path.insert(0, {str(Path(__file__).parent)!r})
from fuzz_child import peak_memory
from lstm_xcheck.checkpoints import load
from lstm_xcheck.errors import CheckpointError
resource.setrlimit(resource.RLIMIT_AS, ({SPACE}, {SPACE}))
told = {{}}
for path in map(Path, sys.argv[1:]):
    try:
        told[path.name] = f"read {{len(load(path))}}"
    except CheckpointError as error:
        told[path.name] = str(error)
print(json.dumps([told, peak_memory() << 20]))
"""


def text(value: str) -> bytes:
    return b"X" + struct.pack("<I", len(value)) + value.encode()


def repeated(value: bytes, symbol: bytes, call: bytes, times: int) -> bytes:
    """A pickle that makes a value once, and calls a global with it many times."""
    return START + value + b"q\x000c" + symbol + b"\nq\x010" + call * times + b"N."


KEEP, DROP = b"h\x01h\x00\x85R", b"h\x01h\x00\x85R0"
ENTRIES = b"}(" + b"".join(text(f"{k:04x}") + b"N" for k in range(60_000)) + b"u"
LIST, TUPLE = b"](" + b"N" * 1_000_000 + b"e", b"(" + b"N" * 1_000_000 + b"t"
LATIN = text("a" * 1_000_000)
ENCODE = b"h\x01h\x00X\x06\x00\x00\x00latin1\x86R"


def state_of(names: list[str], shape: tuple[int, ...] = (4, 1), elements: int = 16) -> bytes:
    """The items of a state dict, all views of one storage."""
    strides = (shape[1], 1)
    return b"}(" + b"".join(text(name) + tensor(shape, strides, elements=elements) for name in names) + b"u"


def weights(count: int) -> list[str]:
    return [f"{k}.weight_{kind}" for k in range(count) for kind in ("ih", "hh")]


def header(entries: dict[str, list[int]]) -> bytes:
    """A safetensors file of float16 tensors by name and shape."""
    place, described = 0, {}
    for name, shape in entries.items():
        end = place + 2 * int(np.prod(shape))
        described[name] = {"dtype": "F16", "shape": shape, "data_offsets": [place, end]}
        place = end
    head = json.dumps(described).encode()
    return struct.pack("<Q", len(head)) + head + bytes(place)


def npy(array: Array) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def zipped(members: dict[str, bytes]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return file.getvalue()


pytest.importorskip("resource")

ONE = msgpack.Extension(1, msgpack.encode([[1], "float32", bytes(4)]))
MANY = 2_400_000


def collisions() -> bytes:
    """Numbers of one hash as keys."""
    numbers = ((k * ((1 << 61) - 1)).to_bytes(32, "little") for k in range(1, 100_000))
    return START + b"}(" + b"".join(b"\x8a\x20" + number + b"N" for number in numbers) + b"u."


def long_number() -> bytes:
    """A number of a million digits as a key, again and again."""
    return START + b"\x8b" + struct.pack("<I", 1 << 20) + b"\1" * (1 << 20) + b"q\x000}" + b"h\x00Ns" * 99_999 + b"."


COPIES, NAMES = "the copies that its pickle makes", "the joined names of its tensors"
#: Each file, as its bytes or its pickle, and what its refusal says.
FILES: dict[str, tuple[Callable[[], bytes], str]] = {
    "mappings.pt": (lambda: repeated(ENTRIES, b"collections\nOrderedDict", KEEP, 20_000), COPIES),
    "dropped.pt": (lambda: repeated(ENTRIES, b"collections\nOrderedDict", DROP, 100_000), COPIES),
    "sizes.pt": (lambda: repeated(TUPLE, b"torch\nSize", DROP, 100_000), COPIES),
    "sets.pt": (lambda: repeated(LIST, b"__builtin__\nset", KEEP, 100_000), COPIES),
    "tuples.pdparams": (lambda: repeated(LIST, b"__builtin__\ntuple", KEEP, 100_000), COPIES),
    "texts.pdparams": (lambda: repeated(LATIN, b"_codecs\nencode", ENCODE, 100_000), COPIES),
    "collisions.pt": (collisions, "number of 65 bits as a key"),
    "long-number.pt": (long_number, "bits as a key"),
    "long-name.pt": (
        lambda: START + b"}(" + text("k" * 300_000) + state_of([f"t{k}" for k in range(9000)]) + b"u.", NAMES,
    ),
    "long-key.msgpack": (lambda: msgpack.encode({"k" * 1_000_000: {f"t{k}": ONE for k in range(9000)}}), NAMES),
    "shared.pt": (lambda: START + state_of(weights(1500), (1200, 300), MANY) + b".", "the weights of its LSTMs"),
    "tiny.pt": (lambda: START + state_of(weights(3000)) + b".", "more than 2000 LSTMs"),
    "empty.safetensors": (lambda: header({f"t{k}": [0] for k in range(300_000)}), "more than 100000 tensors"),
    "tiny.safetensors": (lambda: header({name: [4, 1] for name in weights(30_000)}), "more than 2000 LSTMs"),
    "matrices.safetensors": (lambda: header({f"p.{k}": [4, 1] for k in range(20_000)}), "holds no LSTM"),
    "unpacked.npz": (
        lambda: zipped({f"lstm_{k}/linear/w.npy": npy(np.zeros((512, 1024), np.float16)) for k in range(100)}),
        "its unpacked members",
    ),
    "members.npz": (lambda: zipped({f"{k:x}": b"" for k in range(60_001)}), "more than 60000 zip members"),
    "lists.msgpack": (lambda: msgpack.encode({"a": [[]] * 2_000_000}), "more than 1000000 msgpack values"),
}  # fmt: skip


def make(path: Path, content: bytes) -> Path:
    """A file of these bytes, or the archive of this pickle."""
    if path.suffix != ".pt":
        path.write_bytes(content)
        return path
    elements = MANY if path.stem == "shared" else 16
    return torch_zip(path.parent, content, {"0": bytes(4 * elements)}).rename(path)


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, str], int]:
    """What reading each file ends with, and the peak memory of the process that read all."""
    folder = tmp_path_factory.mktemp("large")
    for name, (content, _) in FILES.items():
        assert make(folder / name, content()).stat().st_size <= 20_000_000
    told, peak = json.loads(run_python(CHILD, *(folder / name for name in FILES)))
    return told, peak


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_would_become_large_is_refused(answers: tuple[dict[str, str], int], name: str) -> None:
    assert FILES[name][1] in answers[0][name]
    assert "\n" not in answers[0][name]


def test_none_takes_a_gibibyte(answers: tuple[dict[str, str], int]) -> None:
    assert 0 < answers[1] < MEMORY


def test_other_tensors_that_share_a_storage_are_not_all_loaded(tmp_path: Path) -> None:
    """4,000 matrices of one storage would take 64 GB where the whole model is asked for."""
    pickle = START + state_of([f"{k}.w" for k in range(4000)], (1000, 1000), 1_000_000) + b"."
    path = torch_zip(tmp_path, pickle, {"0": bytes(4_000_000)})
    assert len(read_checkpoint(path).other) == 4000
    with memory_below(256 << 20), pytest.raises(CheckpointError, match="its other tensors would take more than"):
        read_checkpoint(path, load_other_tensors=True)


def test_dropped_copies_are_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The number of copies that are made, not the time: a copy of 60,000 entries is 6 MB of 64 MiB and 8 files."""
    counted: list[int] = []
    spend = Budget.spend

    def counting(budget: Budget, size: int, what: str) -> None:
        counted.append(size)
        spend(budget, size, what)

    monkeypatch.setattr(Budget, "spend", counting)
    refusal(make(tmp_path / "dropped.pt", FILES["dropped.pt"][0]()))
    assert len(counted) < 20


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("copies.pt", START + LIST + b"q\x000c__builtin__\nset\nq\x010(" + KEEP * 8 + b"t."),
        ("names.pt", START + b"}(" + text("k" * 200_000) + state_of([f"t{k}" for k in range(200)]) + b"u."),
    ],
)
def test_without_the_budget_they_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, content: bytes
) -> None:
    """A mutant without the budget shows that it is the budget which refuses them."""
    make(tmp_path / name, content)
    monkeypatch.setattr(limits, "_GROWTH", 0)
    assert "0 times the file and 64 MiB" in refusal(tmp_path / name)
    monkeypatch.setattr(limits, "_FREE", 1 << 40)
    read_checkpoint(tmp_path / name)


def test_numbers_as_keys_keep_their_names(tmp_path: Path) -> None:
    items = b"".join(number + tensor((4, 1), (1, 1)) for number in (b"K\x01", b"G?\xe0\0\0\0\0\0\0"))
    path = torch_zip(tmp_path, START + b"}(" + items + b"u.", {"0": bytes(64)})
    assert [tensor.name for tensor in read_checkpoint(path).other] == ["1", "0.5"]
    twice = START + b"}(" + text("1") + storage() + b"K\x01" + storage() + b"u."
    assert "two entries named 1" in refusal(torch_zip(tmp_path, twice, {"0": bytes(64)}))


def test_parts_of_one_storage_are_read_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Weights that lie in one flat storage, as cuDNN keeps them: the bytes read are those asked for."""
    count, read = 200, []
    fill = ByteRange._fill

    def counting(byte_range: ByteRange, view: memoryview, start: int, checksum: int = 0) -> int:
        read.append(len(view))
        return fill(byte_range, view, start, checksum)

    monkeypatch.setattr(ByteRange, "_fill", counting)
    path = torch_zip(tmp_path, START + state_of(weights(count), elements=1 << 16) + b".", {"0": bytes(4 << 16)})
    for lstm in read_checkpoint(path).lstms:
        list(lstm.weights.cells())
    assert sum(read) == (4 << 16) + 2 * count * 16  # all of it once, for its checksum
    read.clear()
    path = torch_zip(tmp_path, START + state_of(weights(1)) + b".", {"0": bytes(64)})
    assert read_checkpoint(path).lstms[0].weights.layers
    assert sum(read) == 64 + 2 * 16
