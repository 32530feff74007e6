"""What lies on this machine's disks: links are followed, and what can't be looked at is an error, never left out."""

import errno
import os
import stat
from collections.abc import Callable, Iterator, Sequence
from fnmatch import fnmatchcase
from pathlib import Path


def matching(
    folder: str | Path, pattern: Sequence[str], is_left_out: Callable[[str], bool] = lambda _: False
) -> Iterator[str]:
    """The paths of all but folders that a pattern's parts name below a folder; `**` stands for any folders, or none.

    What has a name that is left out is not looked at. Raises OSError, with the path, where a folder can't be listed, a
    link leads nowhere, which may be to a folder, or links lead in a circle.
    """
    if not pattern:
        return
    here, *rest = pattern
    if here == "**":
        yield from matching(folder, rest, is_left_out)
        here, rest = "*", list(pattern)
    for path, is_folder in _named(folder, here, is_left_out):
        if is_folder:
            yield from matching(path, rest, is_left_out)
        elif not rest:
            yield path


def require_file(path: str) -> None:
    """Raises OSError, with the path: a pipe would be waited for."""
    if not stat.S_ISREG(Path(path).stat().st_mode):
        raise OSError(errno.EINVAL, "it is neither a file nor a folder", path)


def _named(folder: str | Path, part: str, is_left_out: Callable[[str], bool]) -> Iterator[tuple[str, bool]]:
    """Paths, and whether each is a folder."""
    with os.scandir(folder) as entries:
        for entry in entries:
            if fnmatchcase(entry.name, part) and not is_left_out(entry.name):
                yield entry.path, _is_folder(entry)


def _is_folder(entry: "os.DirEntry[str]") -> bool:
    # Asked itself, a link that leads nowhere says no; what is no link may be gone by now, as half-written files are.
    return stat.S_ISDIR(Path(entry.path).stat().st_mode) if entry.is_symlink() else entry.is_dir()
