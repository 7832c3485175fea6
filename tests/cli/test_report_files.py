"""Every report file is what its format asks, for each way in which a run ends; and all of them say the same."""

from __future__ import annotations

import json
import re
import shlex
from importlib.resources import files
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

from lstm_xcheck import LSTMSpec, LSTMWeights
from lstm_xcheck.cli import output
from lstm_xcheck.events import Outcome

from ..helpers import Command

pytestmark = pytest.mark.usefixtures("numpy_adapters")

GRID = ("--grid", "hidden=2 input=2 steps=3 batch=1 seeds=2")
SUFFIXES = ("json", "sarif", "xml", "md", "html")

Files = dict[str, str]


def reports(command: Command, folder: Path, *arguments: str) -> tuple[int, Files]:
    """The exit code of `verify`, and each report file by its suffix."""
    options = [text for suffix in SUFFIXES for text in ("--report", str(folder / f"report.{suffix}"))]
    code = command("verify", *arguments, *options).code
    return code, {suffix: (folder / f"report.{suffix}").read_text(encoding="utf-8") for suffix in SUFFIXES}


def checked(written: Files) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The JSON report and the results of the SARIF log, both valid."""
    schema = json.loads((files("lstm_xcheck.report") / "report.schema.json").read_text(encoding="utf-8"))
    report = json.loads(written["json"])
    assert list(pytest.importorskip("jsonschema").Draft202012Validator(schema).iter_errors(report)) == []
    log = json.loads(written["sarif"])
    # Generated from the schema of SARIF 2.1.0; refuses unknown keys, too.
    model = pytest.importorskip("pydantic_sarif.model")
    model.StaticAnalysisResultsFormatSarifVersion210JsonSchema.model_validate(log)
    (run,) = log["runs"]
    (invocation,) = run["invocations"]
    assert invocation["executionSuccessful"] == (report["verdict"] != "error")
    for result in run["results"]:  # what GitHub asks beyond the schema
        rule = run["tool"]["driver"]["rules"][result["ruleIndex"]]
        assert result["ruleId"] == rule["id"]
        (location,) = result["locations"]
        assert location["physicalLocation"]["artifactLocation"]["uri"]
        assert location["physicalLocation"]["region"] == {"startLine": 1}
    fingerprints = [tuple(result["partialFingerprints"].values()) for result in run["results"]]
    assert len(set(fingerprints)) == len(fingerprints)
    return report, run["results"]


def junit_faults(written: Files) -> int:
    (suite,) = ElementTree.fromstring(written["xml"])
    return int(suite.get("failures", "")) + int(suite.get("errors", ""))


def uri(result: dict[str, Any]) -> str:
    return str(result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"])


def test_an_agreement_has_no_result(command: Command, tmp_path: Path) -> None:
    code, written = reports(command, tmp_path, *GRID, "--adapters", "honest")
    report, results = checked(written)
    assert (code, report["verdict"], results, junit_faults(written)) == (0, "agree", [], 0)
    assert "## lstm-xcheck: AGREE" in written["md"]


def test_a_disagreement_is_one_result_with_the_mistake_and_the_fix(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("pyproject.toml").touch()
    code, written = reports(command, tmp_path, *GRID, "--adapters", "honest,lossy")
    report, results = checked(written)
    (result,) = results
    (diagnosis, *_) = report["diagnoses"]
    assert (code, report["verdict"]) == (1, "disagree")
    assert result["ruleId"] == "+".join(diagnosis["mistakes"])
    assert (result["level"], uri(result)) == ("error", "pyproject.toml")
    for words in ("lossy: ", diagnosis["cause"], diagnosis["fix"], "in 2 cases", "--case "):
        assert words in result["message"]["text"]
    (rule,) = json.loads(written["sarif"])["runs"][0]["tool"]["driver"]["rules"]
    assert rule["shortDescription"]["text"] == diagnosis["cause"]
    assert rule["help"]["text"].startswith(diagnosis["fix"])
    assert junit_faults(written) == 2
    for suffix in ("md", "xml", "html"):
        assert diagnosis["cause"] in written[suffix]


def test_a_crash_is_an_error_in_every_file(command: Command, tmp_path: Path) -> None:
    code, written = reports(command, tmp_path, *GRID, "--adapters", "honest,unloadable")
    report, (result,) = checked(written)
    assert (code, report["verdict"], result["ruleId"], result["level"]) == (2, "error", "crashed", "error")
    assert junit_faults(written) == 2
    assert "unloadable" in written["md"].partition("What is wrong")[2]


def test_an_unread_lstm_is_a_result_at_its_file(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, oracle_alone: None
) -> None:
    monkeypatch.chdir(tmp_path)
    arrays = LSTMWeights.random(LSTMSpec(3, 4)).to_layout("torch", prefix="enc.")
    unread = LSTMWeights.random(LSTMSpec(4, 4)).to_layout("torch", prefix="dec.")
    arrays |= {name: np.round(100 * array).astype("i4") for name, array in unread.items()}
    pytest.importorskip("safetensors.numpy").save_file(arrays, "a model.safetensors")
    code, written = reports(command, tmp_path, "a model.safetensors", "--adapters", "honest,lossy")
    report, results = checked(written)
    assert (code, report["verdict"]) == (1, "disagree")
    assert report["environment"]["subject"]["unread"][0]["name"] == "dec"
    assert {uri(result) for result in results} == {"a%20model.safetensors"}
    (of_unread,) = (result for result in results if result["ruleId"] == "unread")
    assert of_unread["message"]["text"].startswith("dec was not read")


def test_each_result_is_at_the_file_whose_lstm_is_wrong(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("models").mkdir()
    for name in ("models/a.npz", "a.npz"):  # the ids of one begin as those of the other
        np.savez(name, **LSTMWeights.random(LSTMSpec(3, 4)).to_layout("torch"))
    given = (str(tmp_path / "models" / "a.npz"), "a.npz")
    code, written = reports(command, tmp_path, *given, "--adapters", "lossy")
    report, results = checked(written)
    labels = {lstm["file"]: lstm["label"] for lstm in report["environment"]["subject"]["lstms"]}
    assert labels[given[1]].startswith(labels[given[0]])
    told = {uri(result): result["message"]["text"] for result in results}
    assert code == 1
    assert {label: re.findall(r"Worst case (\S+)-\w+-s0", text)[0] for label, text in told.items()} == {
        "models/a.npz": labels[given[0]], "a.npz": labels[given[1]],
    }  # fmt: skip
    limit = "not diagnosed, in 4 cases. Only the first 3 wrong cases of an adapter are; one run alone is, too. Worst"
    assert {label: limit in text for label, text in told.items()} == {"models/a.npz": False, "a.npz": True}
    alone = shlex.split(told["a.npz"].partition(" Run: ")[2])[1:]
    assert report["diagnoses"][0]["cause"] in command(*alone).out


def test_a_log_that_is_no_sarif_is_refused(command: Command, tmp_path: Path) -> None:
    _, written = reports(command, tmp_path, *GRID, "--adapters", "unloadable")
    log = json.loads(written["sarif"])
    log["runs"][0]["results"][0]["adapter"] = "unloadable"
    with pytest.raises(ValueError, match="Extra inputs are not permitted"):
        checked({**written, "sarif": json.dumps(log)})


def test_an_interrupted_run_is_no_agreement(command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    watch = output.watch

    def interrupted(events: output.Events, **options: Any) -> Any:
        def some() -> output.Events:
            for event in events:
                yield event
                if isinstance(event, Outcome):
                    raise KeyboardInterrupt

        return watch(some(), **options)

    monkeypatch.setattr(output, "watch", interrupted)
    code, written = reports(command, tmp_path, *GRID, "--adapters", "honest")
    report, (result,) = checked(written)
    assert (code, report["verdict"], report["environment"]["interrupted"]) == (130, "error", True)
    assert (result["ruleId"], result["message"]["text"]) == ("unfinished", "1 of 2 planned cases never ended.")
    assert junit_faults(written) == 1
    assert "INTERRUPTED" in written["md"]
