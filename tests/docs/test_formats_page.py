"""The page of formats says what the registry, the tests and the writers say."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from lstm_xcheck import CheckpointError, LSTMSpec, LSTMWeights
from lstm_xcheck.checkpoints import FORMATS, write_checkpoint
from lstm_xcheck.checkpoints.expressible import formats_that_say

from ..helpers import ROOT, WRITABLE, load_file, usable

#: How refusals name an option where they do not spell it as a spec does.
SPELT = {
    "no bias": "no bias",
    "bidirectional": "two directions",
    "relu": "activation",
    "0.2 v + 0.5": "activation",
    "v / 6 + 0.5": "activation",
    "peepholes": "peephole",
}

#: What a test that judges outputs uses: the verdict of `judge`.
JUDGES = {"judge", "agrees", "verdict", "assert_computes"}


formats = load_file(ROOT / "docs" / "formats.py", "docs_formats")
PROOFS = sorted(
    {
        (proof.test, proof.by)
        for facts in formats.FACTS.values()
        for proof in (facts.read, facts.loaded, facts.whole)
        if proof
    }
    | {(proof.test, proof.by) for *_, proof in formats.ODD_FILES}
)


def test_the_page_is_current() -> None:
    assert formats.PAGE.read_text(encoding="utf-8") == formats.page(), "the page is stale; run: python docs/formats.py"


def test_every_format_has_its_row_and_every_writer_its_proof() -> None:
    assert set(formats.FACTS) == {format.id for format in FORMATS}
    assert {id for id, facts in formats.FACTS.items() if facts.loaded} == set(WRITABLE)


def test_every_writer_of_models_has_a_proof_of_it() -> None:
    carrying = {format.id for format in FORMATS if format.family}
    assert {id for id, facts in formats.FACTS.items() if facts.whole} == carrying


@pytest.mark.parametrize(("test", "by"), PROOFS, ids=[test.partition("::")[2] for test, _ in PROOFS])
def test_every_proof_is_a_test_that_exists(test: str, by: str) -> None:
    file, _, name = test.partition("::")
    source = (ROOT / "tests" / file).read_text(encoding="utf-8")
    found = [node for node in ast.parse(source).body if isinstance(node, ast.FunctionDef) and node.name == name]
    assert len(found) == 1
    assert name.startswith("test_")
    assert by in ("outputs", "bits", "names")
    if by == "outputs":
        assert names_of(found[0]) & JUDGES, "it should judge outputs"


def names_of(function: ast.FunctionDef) -> set[str]:
    nodes = list(ast.walk(function))
    words = {node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    attributes = {node.attr for node in nodes if isinstance(node, ast.Attribute)}
    return words | attributes | {node.id for node in nodes if isinstance(node, ast.Name)}


@pytest.mark.framework
@pytest.mark.parametrize("option", formats.OPTIONS)
@pytest.mark.parametrize("to", WRITABLE)
def test_an_option_is_kept_or_refused_by_its_name(tmp_path: Path, to: str, option: str) -> None:
    format = usable(to)
    values = formats.OPTIONS[option]
    weights = LSTMWeights.random(formats.spec_with(option), seed=1)
    path = tmp_path / f"m{format.suffixes[0]}"
    if to in formats_that_say([weights.spec]):
        (lstm,) = write_checkpoint(path, {"enc": weights}, to).lstms
        kept = {name: getattr(lstm.weights.spec, name) for name in values}
        # Haiku has a bias in every case; one that cancels the constant it adds is none.
        assert kept == ({"bias": "single"} if (to, option) == ("haiku", "no bias") else values)
        return
    with pytest.raises(CheckpointError, match="proj" if "proj" in option else SPELT.get(option, option)):
        write_checkpoint(path, {"enc": weights}, to)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.framework
@pytest.mark.parametrize("dtype", formats.DTYPES)
@pytest.mark.parametrize("to", WRITABLE)
def test_a_precision_is_kept_or_refused_by_its_name(tmp_path: Path, to: str, dtype: str) -> None:
    format = usable(to)
    facts = formats.FACTS[to]
    weights = LSTMWeights.random(LSTMSpec(3, 4, bias="single"), seed=1, dtype=dtype)
    path = tmp_path / f"m{format.suffixes[0]}"
    if dtype in facts.dtypes:
        (lstm,) = write_checkpoint(path, {"enc": weights}, to).lstms
        assert (lstm.weights.dtype, lstm.source_dtype) == (dtype, dtype)
        return
    with pytest.raises(CheckpointError, match=dtype):
        write_checkpoint(path, {"enc": weights}, to)
