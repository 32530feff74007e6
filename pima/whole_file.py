"""A new file that is whole or not there: written beside its place, then put into it."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from pima.errors import WrongUsage


@contextmanager
def whole_file(path: Path, option: str) -> Iterator[BinaryIO]:
    """For its owner's eyes alone. Raises WrongUsage, which names the option, where anything is there already, or where
    it can't be written."""
    try:
        _refuse_existing(path, option)
        # It is put where a link points, not in the link's place.
        place = Path(os.path.realpath(path))
        aside = place.with_name(f".{place.name}.{os.getpid()}.part")
        try:
            with os.fdopen(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            # Somebody else may have made one meanwhile.
            _refuse_existing(path, option)
            aside.replace(place)
        except BaseException:
            with suppress(FileNotFoundError):
                aside.unlink()
            raise
    except OSError as error:
        raise WrongUsage(what=f"{option} {path}: it can't be written ({error.strerror}). Name another file") from None


def _refuse_existing(path: Path, option: str) -> None:
    if path.exists():
        raise WrongUsage(what=f"{option} {path}: it is there already; name another file, or move it away")
