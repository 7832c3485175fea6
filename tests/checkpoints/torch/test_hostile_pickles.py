"""Pickles that would run code, or eat all memory: each is refused in one sentence and provably does nothing."""

from __future__ import annotations

import builtins
import os
import pickle
import struct
import subprocess
import zipfile
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lstm_xcheck.checkpoints import load, read_checkpoint

from ..damage import memory_below, refusal

LEGACY_HEAD = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M\xe9\x03.\x80\x02}."


def torch_zip(
    folder: Path, pickled: bytes, storages: Mapping[str, bytes] | None = None, compression: int = zipfile.ZIP_STORED
) -> Path:
    """A zip archive as torch.save would write it, with any `data.pkl` and storages."""
    path = folder / "crafted.pt"
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr("crafted/data.pkl", pickled)
        archive.writestr("crafted/byteorder", b"little")
        for key, data in (storages or {}).items():
            archive.writestr(f"crafted/data/{key}", data)
    return path


class Call:
    """Pickles as a call of `function(*arguments)`."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> Any:
        return self.call


class State:
    """Pickles as an instance whose state is set."""

    def __init__(self, state: Any) -> None:
        self.state = state


def payloads(marker: Path) -> dict[str, Any]:
    """Objects whose unpickling creates the marker file."""
    shell = f"touch '{marker}'"
    python = f"open({str(marker)!r}, 'w').close()"
    return {
        "os.system": Call(os.system, shell),
        "subprocess": Call(subprocess.check_call, ["touch", str(marker)]),
        "eval": Call(eval, python),
        "exec": Call(builtins.exec, python),
        "open": Call(open, str(marker), "w"),
        "mkdir": Call(os.mkdir, str(marker)),
        "nested-in-a-dict": {"state_dict": OrderedDict(weight=Call(os.system, shell))},
        "nested-in-arguments": Call(OrderedDict, [("a", Call(os.system, shell))]),
        "nested-reduce": Call(Call, Call(os.system, shell)),
        "in-a-set": {Call(os.system, shell)},
        "in-a-state": State([Call(os.system, shell)]),
    }


NAMES = sorted(payloads(Path("x")))


@pytest.mark.parametrize("protocol", [0, 1, 2, 4, 5])
@pytest.mark.parametrize("name", NAMES)
def test_code_in_a_pickle_is_never_run(tmp_path: Path, name: str, protocol: int) -> None:
    marker = tmp_path / "it-ran"
    payload = pickle.dumps(payloads(marker)[name], protocol)
    refusal(torch_zip(tmp_path, payload))
    legacy = tmp_path / "legacy.pt"
    legacy.write_bytes(LEGACY_HEAD + payload)
    refusal(legacy)
    for suffix in ("pt", "pdparams", "pkl"):
        bare = tmp_path / f"bare.{suffix}"
        bare.write_bytes(payload)
        refusal(bare)
    assert not marker.exists()


@pytest.mark.parametrize("name", ["os.system", "nested-in-a-dict", "nested-in-arguments"])
def test_these_payloads_do_run_under_plain_pickle(tmp_path: Path, name: str) -> None:
    """The proof above is worth something only if the marker would have been made."""
    marker = tmp_path / "it-ran"
    pickle.loads(pickle.dumps(payloads(marker)[name]))  # noqa: S301
    assert marker.exists()


def test_the_refusal_names_what_was_asked_for(tmp_path: Path) -> None:
    sentence = refusal(torch_zip(tmp_path, pickle.dumps(Call(os.system, "true"), 2)))
    assert f"asks for {os.system.__module__}.system" in sentence
    assert "nothing was run" in sentence


@pytest.mark.parametrize(
    "symbol",
    [
        "torch.serialization\nload", "torch\nload", "torch._utils\n__builtins__", "torch\nhub.load",
        "torch\nFloatStorage.__init__", "collections\nOrderedDict.__init__", "collections\nabc", "builtins\ngetattr",
        "__builtin__\napply", "numpy\nload",
        "torch._utils\n_rebuild_wrapper_subclass", "torch.jit\nload", "importlib\nimport_module", "",
    ],
)  # fmt: skip
def test_globals_near_the_permitted_ones_are_refused(tmp_path: Path, symbol: str) -> None:
    refusal(torch_zip(tmp_path, b"\x80\x02c" + symbol.encode() + b"\n" * (2 - symbol.count("\n")) + b")R."))


BOMBS = {
    "text-of-exabytes": b"\x80\x04\x8d" + struct.pack("<Q", 1 << 60) + b"a.",
    "bytes-of-gigabytes": b"\x80\x03B" + struct.pack("<I", 0xFFFFFFFF) + b"a.",
    "long-of-gigabytes": b"\x80\x02\x8b" + struct.pack("<I", 0x7FFFFFFF) + b"a.",
    "frame-of-exabytes": b"\x80\x04\x95" + struct.pack("<Q", 1 << 60) + b"N",
    "tuple-hash": b"\x80\x02}" + b")" + b"2\x86" * 200 + b"Ns.",
    "no-stop": b"\x80\x02" + b"N" * 100,
    "empty": b"",
    "stop-of-nothing": b"\x80\x02.",
    "mark-without-end": b"\x80\x02t.",
    "unknown-opcode": b"\x80\x02\xf7.",
    "extension-registry": b"\x80\x02\x82\x01.",
    "unpaired-items": b"\x80\x02}(Nu.",
    "persistent-id-that-is-text": b"\x80\x02X\x01\x00\x00\x00aQ.",
    "call-without-a-global": b"\x80\x02N)R.",
    "forgotten-memo": b"\x80\x02h\x05.",
}


@pytest.mark.parametrize("name", sorted(BOMBS))
def test_bombs_take_neither_memory_nor_time(tmp_path: Path, name: str) -> None:
    path = torch_zip(tmp_path, BOMBS[name])
    with memory_below(32 << 20):
        refusal(path)


@pytest.mark.parametrize("name", sorted(set(BOMBS) - {"empty"}))
def test_bombs_among_pickles_of_arrays(name: str, tmp_path: Path) -> None:
    path = tmp_path / "m.pdparams"
    path.write_bytes(BOMBS[name])
    with memory_below(32 << 20):
        refusal(path)


def test_memo_index_of_gigabytes_takes_no_memory(tmp_path: Path) -> None:
    path = torch_zip(tmp_path, b"\x80\x02Nr\xff\xff\xff\xff.")
    with memory_below(1 << 20):
        assert not read_checkpoint(path).lstms


def storage(key: str = "0", elements: int = 16, kind: bytes = b"torch\nFloatStorage") -> bytes:
    """Opcodes that put a storage on the stack."""
    text = b"X" + struct.pack("<I", len(key)) + key.encode()
    return (
        b"(X\x07\x00\x00\x00storagec" + kind + b"\n" + text + b"X\x03\x00\x00\x00cpu"
        + b"\x8a\x08" + struct.pack("<q", elements) + b"tQ"
    )  # fmt: skip


def tensor(shape: tuple[int, ...], strides: tuple[int, ...], offset: int = 0, **kind: Any) -> bytes:
    """Opcodes that put a tensor on the stack."""

    def numbers(values: tuple[int, ...]) -> bytes:
        return b"(" + b"".join(b"\x8a\x08" + struct.pack("<q", value) for value in values) + b"t"

    start = b"\x8a\x08" + struct.pack("<q", offset)
    return (
        b"ctorch._utils\n_rebuild_tensor_v2\n(" + storage(**kind) + start + numbers(shape) + numbers(strides)
        + b"\x89ccollections\nOrderedDict\n)RtR"
    )  # fmt: skip


def state(**tensors: bytes) -> bytes:
    items = b"".join(b"X" + struct.pack("<I", len(name)) + name.encode() + code for name, code in tensors.items())
    return b"\x80\x02}(" + items + b"u."


def lstm(recurrent: bytes) -> bytes:
    """A state dict with one unit: weight_ih (4, 1) of storage 0, and the given weight_hh."""
    return state(weight_ih_l0=tensor((4, 1), (1, 1)), weight_hh_l0=recurrent)


def test_the_crafted_state_dict_is_good_when_it_does_not_lie(tmp_path: Path) -> None:
    data = np.arange(16, dtype="<f4").tobytes()
    weights = load(torch_zip(tmp_path, lstm(tensor((4, 1), (2, 1), offset=1)), {"0": data}))["lstm"]
    assert weights.layers[0][0].U.reshape(-1).tolist() == [1.0, 3.0, 5.0, 7.0]


@pytest.mark.parametrize(
    ("recurrent", "says"),
    [
        (tensor((4, 1), (1, 1), offset=13), "reaches 68 bytes into a storage of 64"),
        (tensor((4, 1), (5, 1), offset=1), "reaches 68 bytes"),
        (tensor((4, 1), (-1, 1), offset=8), "impossible shape, stride or offset"),
        (tensor((4, 1), (1, 1), offset=-1), "impossible shape, stride or offset"),
        (tensor((4, 1), (1,)), "impossible shape, stride or offset"),
        (tensor((1 << 50, 1), (1, 1)), "reaches"),
        (tensor((4, 1), (1, 1), elements=1 << 40), "described in two ways"),
        (tensor((4, 1), (1, 1), key="1"), "no member crafted/data/1"),
        (tensor((4, 1), (1, 1), key="../../data.pkl"), "no member"),
        (tensor((4, 1), (1, 1), key="1", elements=-1), "in an unknown way"),
        (tensor((4, 1), (1, 1), key="1", kind=b"torch\nSize"), "in an unknown way"),
    ],
    ids=[
        "offset-beyond", "stride-beyond", "negative-stride", "negative-offset", "ranks-differ", "shape-beyond",
        "two-sizes", "no-member", "path-as-key", "negative-length", "no-storage-class",
    ],
)  # fmt: skip
def test_tensors_that_lie_about_their_storage(tmp_path: Path, recurrent: bytes, says: str) -> None:
    assert says in refusal(torch_zip(tmp_path, lstm(recurrent), {"0": bytes(64)}))


def test_member_shorter_than_its_storage(tmp_path: Path) -> None:
    assert "does not have 64 bytes" in refusal(torch_zip(tmp_path, lstm(tensor((4, 1), (1, 1))), {"0": bytes(60)}))
    assert "should be at most 64" in refusal(torch_zip(tmp_path, lstm(tensor((4, 1), (1, 1))), {"0": bytes(68)}))


def test_one_number_is_not_repeated_into_gigabytes(tmp_path: Path) -> None:
    units = 1 << 24
    recurrent = tensor((4 * units, units), (0, 0))
    pickled = state(weight_ih_l0=tensor((4 * units, 1), (0, 0)), weight_hh_l0=recurrent)
    assert "repeats a storage of 64 bytes" in refusal(torch_zip(tmp_path, pickled, {"0": bytes(64)}))


def test_zip_bomb_is_not_unpacked(tmp_path: Path) -> None:
    elements = 1 << 24
    recurrent = tensor((4, 1), (1, 1), key="1", elements=elements)
    path = torch_zip(tmp_path, lstm(recurrent), {"0": bytes(64), "1": bytes(4 * elements)}, zipfile.ZIP_DEFLATED)
    assert path.stat().st_size < 1 << 20
    with memory_below(8 << 20):
        assert "was not unpacked" in refusal(path)


def test_containers_that_multiply_end_at_once(tmp_path: Path) -> None:
    """[[x, x], [x, x]] and so on: 30 lists name a billion tensors."""
    doubled = tensor((4, 1), (1, 1)) + b"q\x00" + b"".join(
        b"(h" + bytes([k]) + b"h" + bytes([k]) + b"lq" + bytes([k + 1]) for k in range(30)
    )  # fmt: skip
    path = torch_zip(tmp_path, b"\x80\x02" + doubled + b".", {"0": bytes(64)})
    assert "describes more than 100000 tensors" in refusal(path)


def test_containers_without_end(tmp_path: Path) -> None:
    itself = b"\x80\x02]q\x00(" + tensor((4, 1), (1, 1)) + b"h\x00e."
    assert "nests containers" in refusal(torch_zip(tmp_path, itself, {"0": bytes(64)}))
    deep = b"\x80\x02" + b"]" * 5000 + tensor((4, 1), (1, 1)) + b"a" * 5000 + b"."
    assert "nests containers" in refusal(torch_zip(tmp_path, deep, {"0": bytes(64)}))


@pytest.mark.parametrize("change", ["two-pickles", "twice-the-same", "odd-byteorder", "encrypted"])
def test_archives_that_are_ambiguous(tmp_path: Path, change: str) -> None:
    path = torch_zip(tmp_path, lstm(tensor((4, 1), (1, 1))), {"0": bytes(64)})
    if change == "encrypted":
        data = bytearray(path.read_bytes())
        central = data.index(b"PK\x01\x02")
        data[central + 8] |= 1
        path.write_bytes(data)
    else:
        extra = {"two-pickles": "b/data.pkl", "twice-the-same": "crafted/data.pkl"}.get(change, "crafted/x")
        with zipfile.ZipFile(path, "a") as archive:
            if change == "twice-the-same":
                with pytest.warns(UserWarning, match="Duplicate name"):
                    archive.writestr(extra, b"N.")
            else:
                archive.writestr(extra, b"N.")
        if change == "odd-byteorder":
            path.write_bytes(path.read_bytes().replace(b"little", b"middle"))
    refusal(path)
