"""Publishes written files under their names, all or none."""

from __future__ import annotations

import os
import re
import secrets
import shutil
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from ..errors import CheckpointError
from .codecs.limits import escape
from .formats import Format

if sys.platform != "win32":
    import fcntl


def refuse_existing(path: Path, force: bool, chosen: Format | None = None) -> None:
    """Refuses a destination that exists, or whose folder does not.

    Even with `force` nothing but a regular file is replaced by a file, nothing but an old checkpoint of the same kind
    by a folder.
    """
    _refuse_long(path)
    folder = chosen is not None and chosen.folder
    there = os.path.lexists(path)
    if path.is_dir() and not folder:
        raise CheckpointError(f"{path} is a folder, but should be a file to write")
    if there and not force:
        raise CheckpointError(f"{path} exists already and was left as it is; choose another name, or add --force")
    if there and folder and not (path.is_dir() and not path.is_symlink() and chosen and chosen.sniff(path)):
        raise CheckpointError(f"{path} exists already and is no {chosen and chosen.name} folder; choose another name")
    if there and not folder and not path.is_file():
        raise CheckpointError(
            f"{path} exists already and is no regular file, but a device, a pipe or a link to nothing; it was left as "
            "it is, choose another name"
        )
    if not path.parent.is_dir():
        raise CheckpointError(f"{path} cannot be written: the folder {path.parent} does not exist; make it first")
    if not os.access(path.parent, os.W_OK):
        raise CheckpointError(f"{path} cannot be written: the folder {path.parent} is read-only; choose another")


def _refuse_long(path: Path) -> None:
    """Refuse a name that is too long, or whose temporary one is."""
    try:
        path.with_name(f".00000000-{path.name}.old").lstat()
    except OSError as error:
        if not isinstance(error, FileNotFoundError):
            raise CheckpointError(f"{path} cannot be written: {escape(error.strerror)}; choose another name") from error


@contextmanager
def port_folder(target: Path, chosen: Format, certificate: Path) -> Iterator[None]:
    """Marks the folder of a port, and removes what killed ones left.

    The mark is a lock, which the system takes away when a process ends, however it ends. Old files that had stepped
    aside are the only ones until the new ones are there, so that they go last.
    """
    if sys.platform == "win32" or not target.parent.is_dir():
        yield
        return
    parts = "|".join(re.escape(part.name) for part in chosen.parts(target))
    left = re.compile(rf"\.[0-9a-f]{{8}}-({parts}).*|\.{re.escape(certificate.name)}\.[0-9a-f]{{8}}", re.DOTALL)
    folder = os.open(target.parent, os.O_RDONLY)
    try:
        _remove_left(folder, target.parent, left, old=False)
        yield
        _remove_left(folder, target.parent, left, old=True)
    finally:
        os.close(folder)


def _remove_left(lock: int, folder: Path, left: re.Pattern[str], *, old: bool) -> None:
    """Removes leftovers where no other port is at work."""
    if sys.platform != "win32":
        with suppress(OSError):  # another port is at work, or this file system has no locks
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            for path in folder.iterdir():
                if left.fullmatch(path.name) and (old or path.suffix != ".old"):
                    _remove(path)
        with suppress(OSError):
            fcntl.flock(lock, fcntl.LOCK_SH)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    elif os.path.lexists(path):  # a file system that is read-only refuses to remove even what is not there
        path.unlink()


@contextmanager
def temporary_path(target: Path, chosen: Format) -> Iterator[Path]:
    """A temporary name beside the destination, removed in any case."""
    path = target.with_name(f".{secrets.token_hex(4)}-{target.name}")
    try:
        yield path
    except OSError as error:
        raise CheckpointError(f"{target} cannot be written: {escape(error.strerror or error)}") from error
    finally:
        for part in chosen.parts(path):
            _remove(part)


def final_path(inner: Path, temporary: Path, target: Path) -> Path:
    """The final path of a file below a temporary one."""
    return target if inner == temporary else target / inner.relative_to(temporary)


def sync(files: Iterable[Path]) -> None:
    """Make what was written outlive a power failure."""
    for path in files:
        with path.open("rb+") as file:
            os.fsync(file.fileno())


def publish(temporaries: Sequence[Path], targets: Sequence[Path], force: bool) -> None:
    """Names every file, the one that users open last.

    Killed in between, there is no model rather than a mixed one.

    Old files step aside first where there are several, and come back when the new ones cannot follow.
    """
    aside: list[tuple[Path, Path]] = []
    kept: list[Path] = []
    try:
        for temporary, target in zip(reversed(temporaries), reversed(targets), strict=True):
            if len(targets) > 1 and force and target.exists():
                aside.append((target.rename(temporary.with_name(f"{temporary.name}.old")), target))
        for temporary, target in zip(temporaries, targets, strict=True):
            _rename(temporary, target, force)
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


def _rename(temporary: Path, target: Path, force: bool) -> None:
    """Gives a file its name; without `force` only a free one."""
    if temporary.is_dir():
        _rename_folder(temporary, target, force)
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


def _rename_folder(temporary: Path, target: Path, force: bool) -> None:
    """Gives a folder its name; an old one comes back on failure."""
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
    """Makes new names outlive a power failure."""
    if os.name != "posix":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
