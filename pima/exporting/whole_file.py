"""A file that is whole or not there: written beside its place, then put into it."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from pima.errors import WrongUsage


@contextmanager
def whole_file(path: Path, option: str) -> Iterator[BinaryIO]:
    """For its owner's eyes alone. What stands there is replaced when all is written, and stays if anything goes wrong.
    Raises WrongUsage, which names the option, where it can't be written."""
    try:
        if path.exists() and not path.is_file():
            raise WrongUsage(what=f"{option} {path}: that is no file. Name another one")
        # What a link points to is replaced, not the link.
        place = path.resolve()
        aside = place.with_name(f".{place.name}.{os.getpid()}.part")
        try:
            with os.fdopen(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            aside.replace(place)
        except BaseException:
            with suppress(FileNotFoundError):
                aside.unlink()
            raise
    except OSError as error:
        raise WrongUsage(what=f"{option} {path}: it can't be written ({error.strerror}). Name another file") from None
