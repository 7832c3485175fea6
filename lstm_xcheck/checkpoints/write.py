"""Writes checkpoints whole or not at all, and compares every bit."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from os import PathLike
from pathlib import Path

from ..atomic_files import files_in, sha256_of
from ..errors import CheckpointError
from ..model import LSTMWeights
from .expressible import formats_that_say
from .formats import format_for_writing
from .layout_arrays import chain_of
from .model import Checkpoint
from .options import ReadOptions
from .other_layers.copied import refuse_changed_copies
from .other_layers.model import OtherLayers
from .other_layers.store import refuse_changed_layers
from .publish import final_path, publish, refuse_existing, sync, temporary_path
from .read_back import compare_lstms, read_back
from .read_template import read_template


def write_checkpoint(
    path: str | PathLike[str],
    lstms: Mapping[str, LSTMWeights],
    format: str | None = None,
    force: bool = False,
    like: str | PathLike[str] | None = None,
    other_layers: OtherLayers | None = None,
) -> Checkpoint:
    """Writes LSTMs to a file that the format's framework loads.

    Afterwards there is the old file or the whole new one.

    Args:
        path: where to; its suffix decides the format unless `format` does.
        lstms: by name, in canonical form. Every bit is kept; two biases become one rounded sum where the format has
            one. A stack becomes a chain of layers, `name_0`, `name_1`, ... where the format has no stacks.
        format: as `Format.id` spells it, such as `torch` or `keras-weights`.
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
    for part in (target, *chosen.parts(target)):
        refuse_existing(part, force, chosen)
    with _naming_other_formats(chosen.id, lstms):
        written = dict(lstms) if chosen.stacks else chain_of(lstms)
    others = other_layers if other_layers and chosen.family else OtherLayers()
    template = None if like is None else read_template(Path(like), chosen, written, others)
    options = ReadOptions(load_other_tensors=bool(others.layers or others.chain or others.copied))
    with (
        _naming_other_formats(chosen.id, lstms),
        temporary_path(target, chosen) as temporary,
        ThreadPoolExecutor() as pool,
    ):
        if template is None:
            writer.write(temporary, lstms, others)
        else:
            writer.fill(temporary, template)
        pairs = zip(chosen.parts(temporary), chosen.parts(target), strict=True)
        places = {final_path(inner, part, final): inner for part, final in pairs for inner in files_in(part)}
        synced = pool.submit(sync, places.values())
        hashing = {place: pool.submit(sha256_of, inner) for place, inner in places.items()}
        back = read_back(chosen, temporary, target, options)
        same = compare_lstms(target, back, written, exact=template is None)
        refuse_changed_layers(target, back, others.layers, chosen.family)
        refuse_changed_copies(target, back, others)
        synced.result()
        hashes = {place: digest.result() for place, digest in hashing.items()}
        publish(chosen.parts(temporary), chosen.parts(target), force)
    if len(same) < len(back.lstms):
        back = chosen.read(target, options)
    kept = tuple(replace(found, weights=same.get(found.name, found.weights)) for found in back.lstms)
    return replace(back, path=target, lstms=kept, parts=tuple(hashes), hashes=hashes)


@contextmanager
def _naming_other_formats(id: str, lstms: Mapping[str, LSTMWeights]) -> Iterator[None]:
    """Adds the formats that can say what this one cannot."""
    try:
        yield
    except CheckpointError as error:
        able = formats_that_say(weights.spec for weights in lstms.values())
        if id in able:
            raise
        raise CheckpointError(f"{error}; formats that can say it: {', '.join(able) or 'none'}") from error
