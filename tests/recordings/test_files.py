"""A recording is one file: deterministic, readable by NumPy, refused when damaged."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lstm_xcheck.engine import Recipe
from lstm_xcheck.model import Result
from lstm_xcheck.oracle import forward
from lstm_xcheck.recordings import Answer, Question, Recording, RecordingError, encode, npz, read
from lstm_xcheck.recordings.schema import content_run, one_line
from lstm_xcheck.runs.replay import recipe_of

FIXTURE = Path(__file__).parent / "data" / "schema-1.npz"


def write(recording: Recording, path: Path) -> Path:
    path.write_bytes(encode(recording))
    return path


def edited(recording: Recording, path: Path, change: Callable[[dict[str, Any]], object]) -> Path:
    """The recording's file with its manifest changed."""
    write(recording, path)
    arrays = npz.decode(path)
    manifest = json.loads(arrays["manifest"].tobytes())
    change(manifest)
    arrays["manifest"] = np.frombuffer(json.dumps(manifest).encode(), np.uint8)
    path.write_bytes(npz.encode(arrays))
    return path


def same_answers(a: Answer, b: Answer) -> bool:
    if a.result is None or b.result is None:
        return a == b or (a.kind, a.reason, a.result) == (b.kind, b.reason, b.result)
    return all(
        np.array_equal(getattr(a.result, name), getattr(b.result, name))
        and getattr(a.result, name).dtype == getattr(b.result, name).dtype
        for name in ("y", "h_n", "c_n")
    ) and len(a.result.layer_outputs) == len(b.result.layer_outputs)


def test_merged_halves_and_a_feature_are_kept(honest: Recording, tmp_path: Path) -> None:
    recipe = Recipe(directions=2, feature="merge-sum")
    case = recipe.case()
    (answer, *_) = honest.answers
    asked = Question(recipe.id, recipe.fields(), case.fingerprint)
    told = replace(answer, question=asked.id, result=replace(forward(case), note="", environment={}))
    recording = replace(honest, questions=(asked,), answers=(told,))
    again = read(write(recording, tmp_path / "here.npz"))
    assert again.answers[0].result is not None
    np.testing.assert_array_equal(again.answers[0].result.merged, forward(case).merged)  # type: ignore[arg-type]
    assert recipe_of(again.questions[0]) == recipe


def test_round_trip(honest: Recording, tmp_path: Path) -> None:
    path = write(honest, tmp_path / "here.npz")
    again = read(path)
    assert again.source == str(path)
    assert replace(again, answers=(), source="").__dict__ == replace(honest, answers=()).__dict__
    assert len(again.answers) == 5
    assert all(same_answers(a, b) for a, b in zip(again.answers, honest.answers, strict=True))
    assert encode(again) == encode(honest)
    first, original = again.answers[0].result, honest.answers[0].result
    assert first is not None and original is not None
    assert (first.parameter_count, first.environment) == (original.parameter_count, original.environment)


def test_gradients_are_recorded(honest: Recording, tmp_path: Path) -> None:
    answer = honest.answers[0]
    assert answer.result is not None
    gradients = {"0.0.W": np.ones((4, 2, 3), np.float32), "x": np.full((3, 4, 3), 2.0)}
    with_gradients = replace(answer, result=replace(answer.result, gradients=gradients))
    path = write(replace(honest, answers=(with_gradients,)), tmp_path / "g.npz")
    result = read(path).answers[0].result
    assert result is not None
    assert {name: array.tolist() for name, array in result.gradients.items()} == {
        name: array.tolist() for name, array in gradients.items()
    }


def test_numpy_alone_reads_it(honest: Recording, tmp_path: Path) -> None:
    with np.load(write(honest, tmp_path / "a.npz"), allow_pickle=False) as file:
        manifest = json.loads(file["manifest"].tobytes())
        names = set(file.files)
        y = file[f"Honest/{honest.questions[0].id}/y"]
    assert manifest["schema"] == 1
    assert [question["recipe"]["hidden"] for question in manifest["questions"]] == [2, 2, 1, 1, 2]
    assert honest.answers[0].result is not None
    assert np.array_equal(y, honest.answers[0].result.y)  # type: ignore[arg-type]
    assert f"Honest/{honest.questions[1].id}/layer0.y" in names


def test_a_file_that_numpy_wrote_again_is_read(honest: Recording, tmp_path: Path) -> None:
    arrays = npz.decode(write(honest, tmp_path / "a.npz"))
    np.savez(tmp_path / "b.npz", **arrays)
    assert encode(read(tmp_path / "b.npz")) == encode(honest)


def test_equal_content_has_equal_bytes(maker: Callable[..., Recording]) -> None:
    first, second = maker("Honest"), maker("Honest")
    assert encode(first) == encode(second)
    assert first.run == second.run == content_run(first)
    assert first.run.startswith("content-")


@pytest.mark.parametrize("change", [{"environment": "elsewhere"}, {"made_by": {}}, {"answers": ()}], ids=str)
def test_other_content_has_another_run(honest: Recording, change: dict[str, Any]) -> None:
    assert content_run(replace(honest, **change)) != content_run(honest)


def test_the_bytes_do_not_depend_on_memory_layout() -> None:
    array = np.arange(12, dtype=np.float32).reshape(3, 4)
    assert npz.encode({"a": np.asfortranarray(array)}) == npz.encode({"a": array})
    assert npz.encode({"a": array.astype(">f4")}) == npz.encode({"a": array})
    assert npz.encode({"a": array.T}) != npz.encode({"a": array})
    loaded = np.load(io.BytesIO(npz.encode({"a": array.T, "b": np.array(3, np.float32)})))
    assert np.array_equal(loaded["a"], array.T)
    assert loaded["b"].shape == ()


@pytest.mark.parametrize(
    "array", [np.array(["a"]), np.array([{}]), np.zeros(1, complex)], ids=["text", "object", "complex"]
)
def test_only_numbers_are_written(array: Any) -> None:
    with pytest.raises(RecordingError, match="but a recording holds"):
        npz.encode({"a": array})


def test_schema_1_is_read() -> None:
    recording = read(FIXTURE)
    assert recording.environment == "old"
    assert recording.made_by["lstm_xcheck"] == "0.1.0"
    assert [answer.kind for answer in recording.answers] == [*["answered"] * 4, "unsupported"]
    assert recording.answers[1].result is not None
    assert len(recording.answers[1].result.layer_outputs) == 1


def test_the_format_changes_only_with_the_schema() -> None:
    """This version writes the first version's file bit for bit; a change raises SCHEMA."""
    assert encode(replace(read(FIXTURE), source="")) == FIXTURE.read_bytes()


SCHEMAS = {
    "newer": (99, "schema 99, written by a newer lstm-xcheck, but this one reads up to 1; update lstm-xcheck"),
    "zero": (0, "has the schema 0, but it should be a number from 1 to 1"),
    "word": ("one", "has the schema one, but"),
    "none": (None, "has the schema None, but"),
    "true": (True, "has the schema True, but"),
}


@pytest.mark.parametrize(("schema", "message"), SCHEMAS.values(), ids=SCHEMAS)
def test_an_unknown_schema_is_one_sentence(honest: Recording, tmp_path: Path, schema: Any, message: str) -> None:
    path = edited(honest, tmp_path / "a.npz", lambda manifest: manifest.update(schema=schema))
    with pytest.raises(RecordingError) as error:
        read(path)
    assert message in str(error.value)


HOSTILE: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "no-answers": (lambda m: m.pop("answers"), "KeyError: 'answers'"),
    "answers-number": (lambda m: m.update(answers=5), "TypeError"),
    "missing-array": (lambda m: m["answers"][0]["arrays"].append("last"), "last"),
    "no-outputs": (lambda m: m["answers"][0].update(arrays=[]), "the result holds none of y"),
    "bytes-as-output": (lambda m: m["answers"][0].update(arrays=["y"], question="../.."), "should be a name"),
    "kind": (lambda m: m["answers"][0].update(kind="great"), "an answer is 'great'"),
    "count": (lambda m: m["answers"][0].update(parameter_count="12"), "a parameter count is '12'"),
    "escape-codes": (lambda m: m["answers"][0].update(note="\x1b[2J"), "should be one line of text"),
    "markup": (lambda m: m.update(environment="[/]"), "should be a name"),
    "unhashable": (lambda m: m.update(environment=[]), "should be a name"),
    "twice": (lambda m: m["answers"].append(m["answers"][0]), "answers a question twice"),
    "asked-twice": (lambda m: m["questions"].append(m["questions"][0]), "asks a question twice"),
    "nothing": (lambda m: m["adapters"].clear(), "refers to nothing in the file"),
}


@pytest.mark.parametrize(("change", "message"), HOSTILE.values(), ids=HOSTILE)
def test_a_wrong_manifest_is_one_sentence(
    honest: Recording, tmp_path: Path, change: Callable[[dict[str, Any]], object], message: str
) -> None:
    path = edited(honest, tmp_path / "a.npz", change)
    with pytest.raises(RecordingError) as error:
        read(path)
    assert message in str(error.value)
    assert str(path) in str(error.value)
    assert str(error.value).isprintable()


def archive(*members: tuple[str, bytes], method: int = zipfile.ZIP_STORED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as file:
        for name, data in members:
            file.writestr(name, data)
    return buffer.getvalue()


def array_bytes(header: str, data: bytes = b"") -> bytes:
    text = header.encode() + b"\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text + data


GIANT = "{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999, 99999), }"
OBJECT = "{'descr': '|O8', 'fortran_order': False, 'shape': (1,), }"
CODE = "{'descr': '<f4', 'fortran_order': False, 'shape': (__import__('os').getpid(),), }"
MANY_AXES = f"{{'descr': '<f4', 'fortran_order': False, 'shape': ({'1, ' * 60}), }}"

DAMAGED = {
    "empty": (b"", "truncated or damaged"),
    "text": (b"hello", "truncated or damaged"),
    "no-manifest": (archive(("a.npy", array_bytes(GIANT.replace("99999999999, 99999", "0,")))), "it has no manifest"),
    "giant": (archive(("manifest.npy", array_bytes(GIANT))), "bytes, but has 0"),
    "object": (archive(("manifest.npy", array_bytes(OBJECT, b"8" * 8))), "is no array of"),
    "code": (archive(("manifest.npy", array_bytes(CODE))), "is no array of"),
    "axes": (archive(("manifest.npy", array_bytes(MANY_AXES, b"1234"))), "needs 4 bytes"),
    "short-array": (archive(("manifest.npy", b"\x93NU")), "is no array of"),
    "compressed": (archive(("manifest.npy", b"0" * 10**6), method=zipfile.ZIP_DEFLATED), "is neither compressed"),
    "other-member": (archive(("setup.py", b"")), "its members should be .npy files"),
    "not-json": (npz.encode({"manifest": np.frombuffer(b"{" * 9, np.uint8)}), "it has no manifest"),
    "deep-json": (npz.encode({"manifest": np.frombuffer(b"[" * 10**6, np.uint8)}), "it has no manifest"),
    "list": (npz.encode({"manifest": np.frombuffer(b"[]", np.uint8)}), "it has no manifest"),
}


@pytest.mark.parametrize(("data", "message"), DAMAGED.values(), ids=DAMAGED)
def test_what_is_no_recording_is_one_sentence(tmp_path: Path, data: bytes, message: str) -> None:
    path = tmp_path / "a.npz"
    path.write_bytes(data)
    with pytest.raises(RecordingError) as error:
        read(path)
    assert message in str(error.value)
    assert len(str(error.value)) < 500 + len(str(path))


def test_every_truncation_is_noticed(tmp_path: Path) -> None:
    data, path = FIXTURE.read_bytes(), tmp_path / "a.npz"
    for end in range(0, len(data), 997):
        path.write_bytes(data[:end])
        with pytest.raises(RecordingError):
            read(path)


def test_a_flipped_bit_in_the_data_is_noticed(tmp_path: Path) -> None:
    data, path = bytearray(FIXTURE.read_bytes()), tmp_path / "a.npz"
    data[len(data) // 2] ^= 4
    path.write_bytes(bytes(data))
    with pytest.raises(RecordingError, match="damaged"):
        read(path)


def test_a_missing_file_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match=r"cannot be read: No such file"):
        read(tmp_path / "none.npz")


def test_a_result_without_a_name_is_refused() -> None:
    answer = Answer("a", "torch", "answered", Result(y=np.zeros((1, 1, 1))))
    with pytest.raises(RecordingError, match="refers to nothing"):
        Recording("", "r", {}, {"torch": "torch"}, (), (answer,))


def test_reasons_become_one_line() -> None:
    assert one_line("a\tb\n c\x1b[0m") == "a b c [0m"
