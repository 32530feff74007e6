"""Places of files: this machine's disks, and URLs that fsspec supports.

A written file is complete or absent: it is written under a temporary name, then renamed.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

from pima.errors import FileNotWritten, WrongUsage, install_line
from pima.runs.whole_file import name_aside, written_aside

_CHANGES_WITH_CONTENT = (
    "size",
    "ETag",
    "etag",
    "LastModified",
    "last_modified",
    "updated",
    "mtime",
    "created",
)
"""Keys under which storages report what changes with a file's content. fsspec's own `ukey` hashes
all keys, which for some storages include the time of the last access."""


class Disks:
    """This machine's own files. Links are followed, and an unreadable folder is an error, never
    left out."""

    def found(self, dataset: str) -> dict[str, str]:
        """The files of a dataset: name within it, with slashes -> path. Raises OSError."""
        if Path(dataset).is_file():
            return {Path(dataset).name: dataset}
        paths = _files_below(dataset, _is_some_programs)
        return {
            Path(path).relative_to(dataset).as_posix(): path
            for path in paths
            if _is_data(Path(path).name)
        }

    def open(self, path: str) -> BinaryIO:
        """Open a file for reading. Raises OSError."""
        return Path(path).open("rb")

    def version(self, path: str) -> str:
        """A text that changes when the file is replaced or written to. Raises OSError."""
        found = Path(path).stat()
        return f"{found.st_size} {found.st_mtime_ns}"

    def files_below(self, folder: str) -> set[str]:
        """List the files below a folder, by their names within it; none if the folder is missing.
        Raises OSError."""
        try:
            Path(folder).stat()
        except FileNotFoundError:
            return set()
        return {Path(path).relative_to(folder).as_posix() for path in _files_below(folder)}

    def remove(self, path: str) -> None:
        """Remove a file, if it is there. Raises OSError."""
        Path(path).unlink(missing_ok=True)

    def written_aside(self, path: str) -> AbstractContextManager[BinaryIO]:
        """Write a file that appears once the block ends without an error; its folders are made.
        Raises OSError."""
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        return written_aside(Path(path))


class Storage:
    """A storage that fsspec supports. An object store has no folders, and shows an object once it
    is complete."""

    def __init__(self, storage: Any) -> None:
        self._storage = storage

    def found(self, dataset: str) -> dict[str, str]:
        if self._storage.isfile(dataset):
            return {PurePosixPath(dataset).name: dataset}
        return {
            name: f"{dataset.rstrip('/')}/{name}"
            for name in self.files_below(dataset)
            if _is_data(name)
        }

    def open(self, path: str) -> BinaryIO:
        return self._storage.open(path, "rb")

    def version(self, path: str) -> str:
        self._storage.invalidate_cache()
        found = self._storage.info(path)
        return " ".join(str(found.get(name)) for name in _CHANGES_WITH_CONTENT)

    def files_below(self, folder: str) -> set[str]:
        self._storage.invalidate_cache()
        if not self._storage.isdir(folder):
            return set()
        return {
            PurePosixPath(path).relative_to(folder).as_posix()
            for path in self._storage.find(folder)
        }

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
"""A storage, in which a path is a text."""


def place_of(dataset: str) -> tuple[Place, str]:
    """A dataset's storage, and its path there. Raises WrongUsage if a URL needs a package that is
    not installed."""
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
    """Turn a file:// URL into a path; other text stays unchanged."""
    return dataset.removeprefix("file://")


def seen_from_everywhere(dataset: str) -> str:
    """Name a dataset as other machines name it: on disks by its absolute path."""
    dataset = on_disks(dataset)
    if "://" in dataset:
        return dataset.rstrip("/")
    return str(Path(dataset).absolute())


def words_of(error: OSError) -> str:
    """The system's words for an error, or its class's name, since fsspec's errors may have none."""
    return error.strerror or type(error).__name__


def lies_within(into: str, dataset: str) -> bool:
    """Whether files written to a folder would become part of a dataset."""
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
    """Write a file that appears once the block ends without an error. Raises FileNotWritten."""
    try:
        with place.written_aside(path) as file:
            yield file
    except OSError as error:
        raise FileNotWritten(path=path, why=words_of(error)) from None


def _is_data(name: str) -> bool:
    return name.lower().endswith(".parquet") and not any(
        map(_is_some_programs, PurePosixPath(name).parts)
    )


def _is_some_programs(part: str) -> bool:
    """Whether a name is that of a file or folder that programs keep with the data."""
    return part.startswith((".", "_"))


def _files_below(
    folder: str, is_left_out: Callable[[str], bool] = lambda _: False
) -> Iterator[str]:
    """The paths of all files below a folder, without looking at names that are left out.

    Raises OSError, with the path, if a folder can't be listed, a link is broken (it may be one to a
    folder), or links form a loop.
    """
    with os.scandir(folder) as entries:
        looked_at = [entry for entry in entries if not is_left_out(entry.name)]
    for entry in looked_at:
        # A name that is no link may be gone by now, like half-written files.
        if entry.is_symlink():
            entry.stat()  # raises if the link is broken, where is_dir() would be False
        if entry.is_dir():
            yield from _files_below(entry.path, is_left_out)
        else:
            yield entry.path
