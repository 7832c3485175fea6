"""Files written whole or not at all, read back, and compared bit for bit before they get their name."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import Any

from ..atomic_files import files_in, sha256_of
from ..errors import CheckpointError, SpecError
from ..layouts import from_layout, stored_cell, to_layout
from ..model import CellWeights, LSTMSpec, LSTMWeights
from ..model.weights import owned_cell, same_cell
from .codecs.limits import escape, shortlist
from .detect.training_state import reading_whole
from .formats import FORMATS, Format, format_for_writing, read_checkpoint
from .model import Checkpoint, FoundLSTM
from .other_layers.model import OtherLayers
from .other_layers.store import FAMILIES, refuse_changed

#: What `FoundLSTM.layout` says of files that keep the canonical form itself.
CANONICAL = "canonical"


def write_checkpoint(
    path: str | PathLike[str],
    lstms: Mapping[str, LSTMWeights],
    format: str | None = None,
    force: bool = False,
    like: str | PathLike[str] | None = None,
    other_layers: OtherLayers | None = None,
) -> Checkpoint:
    """Write LSTMs to a file that the format's own framework loads; the old file or the whole new one is there after.

    Args:
        path: where to; its suffix decides the format unless `format` does.
        lstms: by name, in canonical form. Every bit is kept; two biases become one rounded sum where the format has
            one. A stack becomes a chain of layers, `name_0`, `name_1`, ... where the format has no stacks.
        format: as `Format.to` spells it, such as `torch` or `keras-weights`.
        force: whether an existing file may be replaced.
        like: a file of the same format whose keys, other tensors and structure are kept.
        other_layers: other layers to write with them, for a format that has places for them.

    Returns:
        What was read back from the file.

    Raises:
        CheckpointError: when the file exists, cannot be written, or would not say what the LSTMs are.
    """
    target = Path(path)
    chosen = format_for_writing(target, format)
    writer = chosen.load_writer(target)
    if not lstms:
        raise CheckpointError(f"{target}: there is no LSTM to write")
    refuse_existing(target, force, chosen)
    for part in chosen.parts(target):
        refuse_existing(part, force, chosen)
    written = dict(lstms) if chosen.stacks else chain_of(lstms)
    given = None if like is None else check_like(Path(like), chosen, written)
    whole = other_layers is not None and chosen.to in FAMILIES and (other_layers.layers or other_layers.chain)
    more: dict[str, Any] = {"beside": other_layers} if whole else {}
    with _temporary(target, chosen) as temporary, ThreadPoolExecutor() as pool:
        writer.write(temporary, lstms, given, **more)
        pairs = zip(chosen.parts(temporary), chosen.parts(target), strict=True)
        places = {_placed(inner, part, final): inner for part, final in pairs for inner in files_in(part)}
        synced = pool.submit(_sync, places.values())
        hashing = {place: pool.submit(sha256_of, inner) for place, inner in places.items()}
        with reading_whole() if more else nullcontext():
            back = _read_back(chosen, temporary, target)
        kept = _compare(target, back, written, exact=like is None)
        if other_layers and other_layers.layers:
            refuse_changed(target, back, other_layers.layers, FAMILIES[chosen.to])
        synced.result()
        hashes = {place: digest.result() for place, digest in hashing.items()}
        _keep_all(chosen.parts(temporary), chosen.parts(target), force)
    if len(kept) < len(back.lstms):
        with reading_whole() if more else nullcontext():
            back = chosen.read(target)
    held = tuple(replace(found, weights=kept.get(found.name, found.weights)) for found in back.lstms)
    return replace(back, path=target, lstms=held, parts=tuple(hashes), hashes=hashes)


def _or_without(differing: list[str]) -> str:
    """The other way out, where all that a format cannot say are clips."""
    names = [text.partition(" ")[0] for text in differing]
    clips = all(name.endswith("_clip") for name in names)
    return ", or leave it out with " + " ".join(f"--without {name}" for name in names) if clips else ""


def chain_of(lstms: Mapping[str, LSTMWeights]) -> dict[str, LSTMWeights]:
    """Every layer as an LSTM of its own, in order: `name` stays, a stack becomes `name_0`, `name_1`, ...

    Raises:
        CheckpointError: for a backward stack, whose chain is another function in Keras, and for two layers of one name.
    """
    chain: dict[str, LSTMWeights] = {}
    for name, weights in lstms.items():
        layers = weights.spec.num_layers
        if layers > 1 and weights.spec.reverse:
            raise CheckpointError(
                f"{escape(name)} is a stack of {layers} layers that read backward, which a chain of layers cannot say; "
                "choose another format with --to"
            )
        for index in range(layers):
            label = name if layers == 1 else f"{name}_{index}"
            if label in chain:
                raise CheckpointError(f"two layers would be named {escape(label)}; rename one with --rename")
            chain[label] = weights if layers == 1 else weights.layer(index)
    return chain


def refuse_existing(path: Path, force: bool, chosen: Format | None = None) -> None:
    """Refuse a destination that is there already, or whose folder is not.

    Raises:
        CheckpointError: with what to do.
    """
    folder = chosen is not None and chosen.folder
    if path.is_dir() and not folder:
        raise CheckpointError(f"{path} is a folder, but should be a file to write")
    # Nothing but an old checkpoint of the same kind is ever replaced by a folder.
    if folder and force and path.exists() and not (path.is_dir() and chosen and chosen.sniff(path)):
        raise CheckpointError(f"{path} exists already and is no {chosen and chosen.name} folder; choose another name")
    if os.path.lexists(path) and not force:
        raise CheckpointError(f"{path} exists already and was left as it is; choose another name, or add --force")
    if not path.parent.is_dir():
        raise CheckpointError(f"{path} cannot be written: the folder {path.parent} does not exist; make it first")


def check_like(like: Path, chosen: Format, lstms: Mapping[str, LSTMWeights]) -> Path:
    """The file that is meant, unless its LSTMs cannot take these weights.

    Raises:
        CheckpointError: for another format, a missing name, another size or type.
    """
    found = read_checkpoint(like)
    like = found.path
    if chosen.folder != like.is_dir() or not chosen.sniff(like):
        raise CheckpointError(f"--like {like} is no {chosen.name} file, but should be of the format that is written")
    held = {lstm.name: lstm for lstm in found.require_lstms()}
    for name, weights in lstms.items():
        if name not in held:
            raise CheckpointError(
                f"--like {like} has no LSTM {escape(name)}, but {shortlist(sorted(held))}; "
                f"add --rename {escape(name)}={next(iter(held))}"
            )
        theirs = held[name].weights
        spec = _stored_spec(weights, held[name].layout)
        for field in ("input_size", "hidden_size", "num_layers", "bidirectional", "proj_size", "bias"):
            if getattr(spec, field) != getattr(theirs.spec, field):
                raise CheckpointError(
                    f"--like {like}: {field} of {escape(name)} is {getattr(theirs.spec, field)!r}, "
                    f"but should be {getattr(spec, field)!r} as in the source"
                )
        if weights.dtype != theirs.dtype:
            raise CheckpointError(f"--like {like}: {escape(name)} is {theirs.dtype}, but the source is {weights.dtype}")
    return like


def as_stored(weights: LSTMWeights, layout: str) -> LSTMWeights:
    """The weights after one trip through a layout, which may sum two biases or add a vector of zeros, and no more.

    Raises:
        SpecError: when the layout has no place for a parameter.
    """
    if layout == CANONICAL:
        return weights
    back = from_layout(to_layout(weights, layout), layout, dtype=weights.dtype)
    return LSTMWeights(replace(weights.spec, bias=back.spec.bias), back.layers, weights.dtype)


def _stored_cell(cell: CellWeights, layout: str, dtype: str) -> CellWeights:
    return cell if layout == CANONICAL else stored_cell(cell, layout, dtype)


def _stored_spec(weights: LSTMWeights, layout: str) -> LSTMSpec:
    """The spec after one trip through a layout, which may add a bias or sum two."""
    cell = _stored_cell(weights.cell(0, 0), layout, weights.dtype)
    return replace(weights.spec, bias="none" if cell.b is None else "single" if cell.b_r is None else "split")


@contextmanager
def _temporary(target: Path, chosen: Format) -> Iterator[Path]:
    """A name in the destination's folder with its suffix; whatever goes wrong, nothing is left behind."""
    path = target.with_name(f".{secrets.token_hex(4)}-{target.name}")
    try:
        yield path
    except OSError as error:
        raise CheckpointError(f"{target} cannot be written: {escape(error.strerror or error)}") from error
    finally:
        for part in chosen.parts(path):
            _remove(part)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _placed(inner: Path, temporary: Path, target: Path) -> Path:
    """Where a file of a part will lie once the part has its name."""
    return target if inner == temporary else target / inner.relative_to(temporary)


def _sync(files: Iterable[Path]) -> None:
    """Make what was written outlive a power failure."""
    for path in files:
        with path.open("rb+") as file:
            os.fsync(file.fileno())


def _read_back(chosen: Format, temporary: Path, target: Path) -> Checkpoint:
    try:
        return chosen.read(temporary)
    except CheckpointError as error:
        raise CheckpointError(f"{target} was not written: it could not be read back: {escape(error, 300)}") from error


def _compare(
    target: Path, back: Checkpoint, written: Mapping[str, LSTMWeights], *, exact: bool
) -> dict[str, LSTMWeights]:
    """Refuse to keep a file that does not say, bit for bit, what it should; give what it says by its own names.

    One cell is read at a time, and arrays that are the same as those written are not kept twice.
    """
    result: dict[str, LSTMWeights] = {}
    for name, found in matched(target, back, written, exact=exact).items():
        ours = written[name]
        try:
            spec = _stored_spec(ours, found.layout)
        except SpecError as error:
            raise CheckpointError(f"{target} was not written: {escape(error, 300)}") from error
        differing = [
            f"{field} {getattr(spec, field)!r}"
            for field in spec.to_dict()
            if getattr(spec, field) != getattr(found.weights.spec, field)
        ]
        if differing:
            raise CheckpointError(
                f"{target} was not written: the format cannot say {', '.join(differing)} of {escape(name)}; "
                f"choose another with --to{_or_without(differing)}"
            )
        kept = _same_numbers(ours, spec, found)
        if kept is None:
            raise CheckpointError(
                f"{target} was not written: the numbers of {escape(name)} read back are not those written; report this"
            )
        result[found.name] = kept
    return result


def _same_numbers(ours: LSTMWeights, spec: LSTMSpec, found: FoundLSTM) -> LSTMWeights | None:
    """What the file holds, in the arrays that were written, where every bit is what it should be."""
    if found.weights.dtype != ours.dtype:
        return None
    rows = []
    for layer in range(spec.num_layers):
        row = []
        for direction in range(spec.num_directions):
            cell = _stored_cell(ours.cell(layer, direction), found.layout, ours.dtype)
            expected = owned_cell(cell, ours.dtype)
            if not same_cell(expected, found.weights.cell(layer, direction)):
                return None  # what was read is checked, and so is what has the same bits
            row.append(expected)
        rows.append(tuple(row))
    return LSTMWeights.of_checked(spec, tuple(rows), ours.dtype)


def matched(
    target: Path, back: Checkpoint, written: Mapping[str, LSTMWeights], *, exact: bool = True
) -> dict[str, FoundLSTM]:
    """What was read back for each LSTM: by name, or by order where the format spells names its own way."""
    held = {lstm.name: lstm for lstm in back.lstms}
    if set(written) <= set(held) and (not exact or len(held) == len(written)):
        return {name: held[name] for name in written}
    if len(held) != len(written) or not exact:
        raise CheckpointError(
            f"{target} was not written: {len(written)} LSTMs were written, but {shortlist(sorted(held)) or 'none'} read"
        )
    return dict(zip(written, back.lstms, strict=True))


def _keep_all(temporaries: Sequence[Path], targets: Sequence[Path], force: bool) -> None:
    """Name every file, the one that users open last: killed in between, there is no model rather than a mixed one.

    Old files step aside first where there are several, and come back when the new ones cannot follow.
    """
    aside: list[tuple[Path, Path]] = []
    kept: list[Path] = []
    try:
        for temporary, target in zip(reversed(temporaries), reversed(targets), strict=True):
            if len(targets) > 1 and force and target.exists():
                aside.append((target.rename(temporary.with_name(f"{temporary.name}.old")), target))
        for temporary, target in zip(temporaries, targets, strict=True):
            _keep(temporary, target, force)
            kept.append(target)
    except BaseException:
        # What is there without its fellows means nothing and is ours.
        for target in kept:
            target.unlink()
        for old, target in reversed(aside):
            old.rename(target)
        raise
    for old, _ in aside:
        old.unlink()


def _keep(temporary: Path, target: Path, force: bool) -> None:
    """Give the file its name: at once, and without `force` only where nothing has that name."""
    if temporary.is_dir():
        _keep_folder(temporary, target, force)
        return
    if force:
        temporary.replace(target)
        _sync_folder(target.parent)
        return
    try:
        os.link(temporary, target)
    except FileExistsError as error:
        raise CheckpointError(f"{target} appeared meanwhile and was left as it is; choose another name") from error
    except OSError:  # a file system without hard links
        refuse_existing(target, force)
        temporary.replace(target)
    _sync_folder(target.parent)


def _keep_folder(temporary: Path, target: Path, force: bool) -> None:
    """Give a folder its name; an old one steps aside first and is put back when the new one cannot follow."""
    if target.exists() and not force:
        raise CheckpointError(f"{target} appeared meanwhile and was left as it is; choose another name")
    aside = target.with_name(f"{temporary.name}.old")
    replaces = target.is_dir()
    if replaces:
        target.rename(aside)
    try:
        temporary.rename(target)
    except OSError:
        if replaces:
            aside.rename(target)
        raise
    if replaces:
        shutil.rmtree(aside)
    _sync_folder(target.parent)


def _sync_folder(folder: Path) -> None:
    """Make the new name outlive a power failure, where folders can be opened."""
    if os.name != "posix":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def writable() -> tuple[str, ...]:
    """What `--to` takes."""
    return tuple(format.to for format in FORMATS if format.writes)
