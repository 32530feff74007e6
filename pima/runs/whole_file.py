"""Whole files: written under a temporary name in the same folder, then renamed, so a file is
complete or absent."""

import errno
import os
import re
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from pima.errors import FileNotWritten, WrongUsage

ASIDE = ".part"
"""The suffix of a temporary name, which begins with a dot."""


def name_aside(name: str) -> str:
    """Make a temporary name for a file until it is whole; a different name each time."""
    return f".{name}.{uuid.uuid4().hex[:8]}{ASIDE}"


def name_meant(name: str) -> str | None:
    """The final name of a file with a temporary name; None for any other file."""
    found = re.fullmatch(rf"\.(.+)\.[0-9a-f]{{8}}{re.escape(ASIDE)}", name, re.DOTALL)
    return found and found[1]


def remove_halves(path: Path) -> None:
    """Remove what commands that were killed had written of a file: it may hold patients' rows."""
    place = Path(os.path.realpath(path))
    with suppress(OSError):  # another user's, or a folder that may not be listed
        for half in place.parent.iterdir():
            if name_meant(half.name) == place.name:
                half.unlink()


@contextmanager
def written_aside(path: Path, mode: int = 0o600) -> Iterator[BinaryIO]:
    """Write a file that replaces `path` once the block ends without an error. A link is followed,
    not replaced. Raises OSError."""
    place = Path(os.path.realpath(path))
    aside = place.with_name(name_aside(place.name))
    try:
        with os.fdopen(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        aside.replace(place)
    except BaseException:
        with suppress(OSError):
            aside.unlink()
        raise


@contextmanager
def whole_file(path: Path, option: str) -> Iterator[BinaryIO]:
    """Write a new file that only its owner can read. Raises WrongUsage, which names the option, if
    something is there already or it can't be written, and FileNotWritten if there is no room."""
    try:
        if path.exists():
            raise WrongUsage(
                what=f"{option} {path}: it is there already; name another file, or move it away"
            )
        remove_halves(path)
        with written_aside(path) as file:
            yield file
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise FileNotWritten(path=path, why=error.strerror) from None
        raise WrongUsage(
            what=f"{option} {path}: it can't be written ({error.strerror}). Name another file"
        ) from None
