"""Certificates speak of every file of a checkpoint: whichever changes, goes or comes, `recheck` says so by name."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lstm_xcheck as lx
from lstm_xcheck.atomic_files import files_in, sha256_of
from lstm_xcheck.checkpoints import read_checkpoint, write_checkpoint
from lstm_xcheck.checkpoints.formats import Format
from lstm_xcheck.errors import XcheckError
from lstm_xcheck.porting.certificate import checksum
from lstm_xcheck.porting.port import SUFFIX
from lstm_xcheck.porting.recheck import recheck

from ..helpers import WRITABLE, usable

WEIGHTS = lx.LSTMWeights.random(lx.LSTMSpec(2, 3, bias="single"), seed=1)
pytestmark = pytest.mark.usefixtures("oracle_alone", "no_detection_power")

PAIRS = list(product(WRITABLE, repeat=2))


def named(folder: Path, format: Format) -> Path:
    folder.mkdir(exist_ok=True)
    return folder / f"m{format.suffixes[0]}"


def ported(folder: Path, name: str) -> Path:
    """The certificate of a port to a format."""
    target = named(folder / "out", usable(name))
    write_checkpoint(folder / "m.npz", {"enc": WEIGHTS})
    lx.port(folder / "m.npz", target, to=name)
    return target.with_name(target.name + SUFFIX)


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """`sources(format)` is a file of it, written once."""
    kept: dict[str, Path] = {}

    def source(name: str) -> Path:
        if name not in kept:
            path = named(tmp_path_factory.mktemp(name), usable(name))
            write_checkpoint(path, {"enc": WEIGHTS}, name)
            kept[name] = path
        return kept[name]

    return source


@pytest.mark.framework
@pytest.mark.parametrize(("first", "second"), PAIRS, ids=[f"{first}-to-{second}" for first, second in PAIRS])
def test_the_certificate_of_every_pair_holds(
    tmp_path: Path, sources: Callable[[str], Path], first: str, second: str
) -> None:
    usable(first)
    target = named(tmp_path, usable(second))
    assert lx.port(sources(first), target, to=second)["verdict"] == "agree"
    assert "both files are unchanged" in recheck(target.with_name(target.name + SUFFIX))


def refuses(certificate: Path, *words: str) -> None:
    with pytest.raises(XcheckError) as caught:
        recheck(certificate)
    assert not [word for word in words if word not in str(caught.value)], str(caught.value)


def change_a_byte(file: Path) -> bytes:
    data = file.read_bytes()
    place = np.random.default_rng(len(data)).integers(len(data))
    file.write_bytes(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])
    return data


def check_every_part(certificate: Path, role: str) -> list[str]:
    """Each part changed, then missing, is named, and back in its place the certificate holds; the parts' names."""
    content = json.loads(certificate.read_text())[role]
    path = certificate.parent / content["path"]
    for name in content["parts"]:
        file = (path if path.is_dir() else path.parent) / name
        if not file.stat().st_size:
            continue
        data = change_a_byte(file)
        refuses(certificate, str(file), f"the {role}", "its sha256 is")
        file.unlink()
        refuses(certificate, str(file), "does not exist")
        file.write_bytes(data)
    recheck(certificate)
    return sorted(content["parts"])


@pytest.mark.framework
@pytest.mark.parametrize("name", WRITABLE)
def test_a_changed_byte_of_any_written_file_is_found(tmp_path: Path, name: str) -> None:
    certificate = ported(tmp_path, name)
    parts = check_every_part(certificate, "destination")
    target = certificate.with_name(certificate.name.removesuffix(SUFFIX))
    companions = set(files_in(target.parent)) - {certificate}
    assert parts == sorted(
        file.relative_to(target if target.is_dir() else target.parent).as_posix() for file in companions
    )
    assert len(parts) > 1 or not (WRITABLE[name].companions or WRITABLE[name].folder)


def sharded(folder: Path) -> Path:
    library = pytest.importorskip("safetensors.numpy")
    arrays = {f"enc.{name}": array for name, array in WEIGHTS.to_layout("torch").items()}
    places = {name: f"m-{number % 2}.safetensors" for number, name in enumerate(arrays)}
    for shard in set(places.values()):
        library.save_file({name: array for name, array in arrays.items() if places[name] == shard}, folder / shard)
    index = folder / "m.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": places}))
    return index


def sharded_folder(folder: Path) -> Path:
    return sharded(folder).parent


def linked_shards(folder: Path) -> Path:
    """As a cache of downloads keeps them: links under the names, the files themselves elsewhere under their hashes."""
    index = sharded(folder)
    (folder / "snapshot").mkdir()
    for number, file in enumerate(sorted(folder.glob("m*"))):
        file.rename(folder / f"blob{number}")
        (folder / "snapshot" / file.name).symlink_to(folder / f"blob{number}")
    return folder / "snapshot" / index.name


def external_onnx(folder: Path) -> Path:
    onnx = pytest.importorskip("onnx")
    write_checkpoint(folder / "one.onnx", {"enc": WEIGHTS})
    model = onnx.load(folder / "one.onnx")
    (folder / "one.onnx").unlink()
    # The second file is that of a tensor which is no part of an LSTM.
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.ones((5, 5), np.float32), "table"))
    onnx.external_data_helper.convert_model_to_external_data(model, location="m.data", size_threshold=0)
    onnx.external_data_helper.set_external_data(model.graph.initializer[-1], location="table.data")
    onnx.save(model, folder / "m.onnx")
    return folder / "m.onnx"


def tensorflow_index(folder: Path) -> Path:
    pytest.importorskip("tensorflow")
    write_checkpoint(folder / "m.index", {"enc": WEIGHTS})
    return folder / "m"


def saved_model(folder: Path) -> Path:
    tensorflow_index(folder)
    (folder / "variables").mkdir()
    for file in list(folder.glob("m.*")):
        file.rename(folder / "variables" / f"variables{file.suffix}")
    (folder / "saved_model.pb").write_bytes(b"the graph, which is not read")
    return folder


def openvino(folder: Path) -> Path:
    write_checkpoint(folder / "m.xml", {"enc": WEIGHTS})
    return folder / "m.xml"


def orbax(folder: Path) -> Path:
    pytest.importorskip("orbax.checkpoint")
    write_checkpoint(folder / "m.orbax", {"enc": WEIGHTS})
    return folder / "m.orbax"


SEVERAL = {
    sharded: 3, sharded_folder: 3, linked_shards: 3, external_onnx: 3, tensorflow_index: 2, saved_model: 3, openvino: 2,
    orbax: 4,
}  # fmt: skip


@pytest.mark.framework
@pytest.mark.parametrize(("make", "least"), SEVERAL.items(), ids=[make.__name__ for make in SEVERAL])
def test_every_part_of_a_source_is_checked_by_its_hash(
    tmp_path: Path, make: Callable[[Path], Path], least: int
) -> None:
    (tmp_path / "in").mkdir()
    source = make(tmp_path / "in")
    lx.port(source, tmp_path / "m.npz", lstm_only=True)
    assert len(check_every_part(tmp_path / "m.npz.xcheck.json", "source")) >= least
    # The files may move together.
    (tmp_path / "new").mkdir()
    for name in ("in", "m.npz", "m.npz.xcheck.json"):
        shutil.move(tmp_path / name, tmp_path / "new" / name)
    if make is not linked_shards:  # these links are absolute
        recheck(tmp_path / "new" / "m.npz.xcheck.json")


@pytest.mark.framework
@pytest.mark.parametrize("make", [sharded_folder, saved_model, orbax], ids=lambda make: make.__name__)
def test_a_port_into_the_folder_of_its_source_holds(tmp_path: Path, make: Callable[[Path], Path]) -> None:
    source = make(tmp_path)
    lx.port(source, source / "own.npz")
    recheck(source / "own.npz.xcheck.json")


@pytest.mark.framework
@pytest.mark.parametrize("make", [saved_model, orbax], ids=lambda make: make.__name__)
def test_a_file_that_came_to_a_folder_is_named(tmp_path: Path, make: Callable[[Path], Path]) -> None:
    (tmp_path / "in").mkdir()
    source = make(tmp_path / "in")
    lx.port(source, tmp_path / "m.npz")
    (source / "more").write_bytes(b"more")
    refuses(tmp_path / "m.npz.xcheck.json", str(source / "more"), "has come to the source")


def test_a_part_that_an_edited_index_names_is_found(tmp_path: Path) -> None:
    """Whoever seals a certificate anew with the hashes of a changed index has not told of the new shard."""
    index = sharded(tmp_path)
    lx.port(index, tmp_path / "m.npz")
    shutil.copy(tmp_path / "m-0.safetensors", tmp_path / "m-2.safetensors")
    index.write_text(index.read_text().replace("m-0.", "m-2."))
    certificate = tmp_path / "m.npz.xcheck.json"
    content: dict[str, Any] = json.loads(certificate.read_text())
    content["source"]["parts"][index.name] = sha256_of(index)
    certificate.write_text(json.dumps({**content, "seal": checksum(content)}))
    refuses(certificate, "m-2.safetensors has come to the source")


def test_what_was_written_lists_its_files(tmp_path: Path) -> None:
    back = write_checkpoint(tmp_path / "m.xml", {"enc": WEIGHTS})
    assert {file.name for file in back.files} == {"m.bin", "m.xml"}
    assert back.files == tuple(sorted(read_checkpoint(tmp_path / "m.xml").files))
