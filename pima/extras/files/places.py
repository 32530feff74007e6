"""Places of files: this machine's disks, and URLs that fsspec knows.

What is written is whole or not there: it is written beside its place and then put into it.
"""

import os
import stat
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

from pima.errors import FileNotWritten, WrongUsage, install_line
from pima.runs.whole_file import name_aside, written_aside

_CHANGES_WITH_CONTENT = ("size", "ETag", "etag", "LastModified", "last_modified", "updated", "mtime", "created")
"""What storages say of a file, each in words of its own. Some also say when it was read last, which a hash over all
that they say would have in it (fsspec's `ukey`)."""


class Disks:
    """This machine's own files. Links are followed, and what can't be looked at is an error, never left out."""

    def found(self, dataset: str) -> dict[str, str]:
        """The files of a dataset: what each is called within it, with slashes -> its path. Raises OSError."""
        if Path(dataset).is_file():
            return {Path(dataset).name: dataset}
        paths = _files_below(dataset, _is_some_programs)
        return {Path(path).relative_to(dataset).as_posix(): path for path in paths if _is_data(Path(path).name)}

    def open(self, path: str) -> BinaryIO:
        """Open a file for reading. Raises OSError."""
        return Path(path).open("rb")

    def version(self, path: str) -> str:
        """Another text once the file is another one, or was written to. Raises OSError."""
        found = Path(path).stat()
        return f"{found.st_size} {found.st_mtime_ns}"

    def files_below(self, folder: str) -> set[str]:
        """List the files below a folder, by their names within it; none where there is no folder. Raises OSError."""
        try:
            Path(folder).stat()
        except FileNotFoundError:
            return set()
        return {Path(path).relative_to(folder).as_posix() for path in _files_below(folder)}

    def remove(self, path: str) -> None:
        """Remove a file, if it is there. Raises OSError."""
        Path(path).unlink(missing_ok=True)

    def written_aside(self, path: str) -> AbstractContextManager[BinaryIO]:
        """A file that is in its place once the block ends well, and nowhere else; its folders are made. Raises
        OSError."""
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        return written_aside(Path(path))


class Storage:
    """A storage that fsspec knows. A store of objects has no folders, and shows an object when it is whole."""

    def __init__(self, storage: Any) -> None:
        self._storage = storage

    def found(self, dataset: str) -> dict[str, str]:
        if self._storage.isfile(dataset):
            return {PurePosixPath(dataset).name: dataset}
        return {name: f"{dataset.rstrip('/')}/{name}" for name in self.files_below(dataset) if _is_data(name)}

    def open(self, path: str) -> BinaryIO:
        opened: BinaryIO = self._storage.open(path, "rb")
        return opened

    def version(self, path: str) -> str:
        self._storage.invalidate_cache()
        found = self._storage.info(path)
        return " ".join(str(found.get(name)) for name in _CHANGES_WITH_CONTENT)

    def files_below(self, folder: str) -> set[str]:
        self._storage.invalidate_cache()
        if not self._storage.isdir(folder):
            return set()
        return {PurePosixPath(path).relative_to(folder).as_posix() for path in self._storage.find(folder)}

    def remove(self, path: str) -> None:
        with suppress(FileNotFoundError):
            self._storage.rm_file(path)

    @contextmanager
    def written_aside(self, path: str) -> Iterator[BinaryIO]:
        folder, _, name = path.rpartition("/")
        aside = f"{folder}/{name_aside(name)}"
        self._storage.makedirs(folder, exist_ok=True)
        try:
            with self._storage.open(aside, "wb") as file:
                yield file
            self._storage.mv(aside, path)
        except BaseException:
            with suppress(OSError):
                self.remove(aside)
            raise


Place = Disks | Storage
"""Some storage; a path in it is a text."""


def place_of(dataset: str) -> tuple[Place, str]:
    """The storage that a dataset is in, and its path there. Raises WrongUsage if a URL needs what is missing."""
    if "://" not in dataset:
        return Disks(), dataset
    try:
        import fsspec
    except ImportError:
        missing = f"URLs need fsspec, which is not installed here; run: {install_line('files')}"
        raise WrongUsage(what=f"{missing}; or use the Dockerfile's target dask") from None
    try:
        storage, path = fsspec.core.url_to_fs(dataset)
    except (ImportError, ValueError) as error:
        what = f"the URL's kind of storage can't be used ({type(error).__name__}: {error})"
        raise WrongUsage(what=what) from None
    return Storage(storage), path


def on_disks(dataset: str) -> str:
    """Turn a URL of this machine's disks into a path; anything else stays."""
    return dataset.removeprefix("file://")


def seen_from_everywhere(dataset: str) -> str:
    """Name a dataset as other machines know it: on disks by its whole path."""
    dataset = on_disks(dataset)
    return dataset.rstrip("/") if "://" in dataset else str(Path(dataset).absolute())


def words_of(error: OSError) -> str:
    """The system's words for an error; what fsspec raises may have none."""
    return error.strerror or type(error).__name__


def lies_within(into: str, dataset: str) -> bool:
    """Whether what is written into a folder would be a dataset's."""
    if "://" in into or "://" in dataset:
        return f"{into.rstrip('/')}/".startswith(f"{dataset.rstrip('/')}/")
    return Path(os.path.realpath(into)).is_relative_to(os.path.realpath(dataset))


def remove(place: Place, path: str) -> None:
    """Remove a file, if it is there. Raises FileNotWritten."""
    try:
        place.remove(path)
    except OSError as error:
        raise FileNotWritten(path=path, why=words_of(error)) from None


@contextmanager
def whole(place: Place, path: str) -> Iterator[BinaryIO]:
    """A file that is in its place once the block ends well, and nowhere else. Raises FileNotWritten."""
    try:
        with place.written_aside(path) as file:
            yield file
    except OSError as error:
        raise FileNotWritten(path=path, why=words_of(error)) from None


def _is_data(name: str) -> bool:
    return name.lower().endswith(".parquet") and not any(map(_is_some_programs, PurePosixPath(name).parts))


def _is_some_programs(part: str) -> bool:
    """Whether a program keeps it beside the data."""
    return part.startswith((".", "_"))


def _files_below(folder: str, is_left_out: Callable[[str], bool] = lambda _: False) -> Iterator[str]:
    """The paths of all files below a folder. What has a name that is left out is not looked at.

    Raises OSError, with the path, where a folder can't be listed, a link leads nowhere, which may be to a folder, or
    links lead in a circle.
    """
    with os.scandir(folder) as entries:
        looked_at = [entry for entry in entries if not is_left_out(entry.name)]
    for entry in looked_at:
        # Asked itself, a link that leads nowhere says no; what is no link may be gone by now, as half-written files.
        if stat.S_ISDIR(Path(entry.path).stat().st_mode) if entry.is_symlink() else entry.is_dir():
            yield from _files_below(entry.path, is_left_out)
        else:
            yield entry.path
