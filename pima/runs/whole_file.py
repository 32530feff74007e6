"""A file that is whole or not there: written beside its place, then put into it."""

import os
import re
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from pima.errors import WrongUsage

ASIDE = ".part"
"""How the name of a file ends that is not whole yet; it begins with a point."""


def name_aside(name: str) -> str:
    """Name a file until it is whole; another name each time."""
    return f".{name}.{uuid.uuid4().hex[:8]}{ASIDE}"


def name_meant(name: str) -> str | None:
    """The name that a file with a name aside is going to have; None where it has none."""
    found = re.fullmatch(rf"\.(.+)\.[0-9a-f]{{8}}{re.escape(ASIDE)}", name, re.DOTALL)
    return found and found[1]


@contextmanager
def written_aside(path: Path, mode: int = 0o600) -> Iterator[BinaryIO]:
    """Write a file that is put in its place once the block ends well, over what was there; where a link points, not in
    the link's place. Raises OSError."""
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
    """A new one, for its owner's eyes alone. Raises WrongUsage, which names the option, where anything is there
    already, or where it can't be written."""
    try:
        if path.exists():
            raise WrongUsage(what=f"{option} {path}: it is there already; name another file, or move it away")
        with written_aside(path) as file:
            yield file
    except OSError as error:
        raise WrongUsage(what=f"{option} {path}: it can't be written ({error.strerror}). Name another file") from None
