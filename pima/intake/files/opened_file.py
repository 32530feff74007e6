"""Opening a file whatever it is (plain, a pipe, compressed), and the hash by which it is
recognised."""

import gzip
import hashlib
import os
import re
import shutil
import stat
import tempfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from io import BufferedIOBase, FileIO, RawIOBase
from pathlib import Path
from typing import IO, BinaryIO

from pima.errors import FileNotWritten, FileRefused

_STDIN = Path("/dev/stdin")


@dataclass(frozen=True, slots=True)
class OpenedFile:
    """A file that can be opened repeatedly."""

    name: str
    """The name as it was given, and as it is shown."""
    path: Path
    """The path of the file itself, or of a copy."""


def refused(name: str, report: str) -> FileRefused:
    """Make the error that refuses a whole file."""
    return FileRefused(file=name, report=report)


def plain_file(path: Path) -> OpenedFile:
    """A file on disk. There its name may be any bytes; in a database and on a terminal it may
    not."""
    return OpenedFile(os.fsencode(path).decode("utf-8", errors="replace"), path)


FirstLook = Callable[[OpenedFile], object]
"""A look at the beginning of a file; raises FileRefused if that is no table."""


@contextmanager
def readable_again(path: Path, look: FirstLook) -> Iterator[OpenedFile]:
    """Yield the file itself, or a copy if it can be read only once, such as a pipe, or is
    compressed; `-` is stdin. Before all of a compressed text is unpacked, `look` is given its
    beginning. Raises FileRefused."""
    if str(path) == "-":
        path = _STDIN
    file = plain_file(path)
    with ExitStack() as copies:
        if _is_read_once(file.path):
            file = copies.enter_context(_copied(file, _opened))
        if _is_packed(file.path):
            file = copies.enter_context(_copied(file, gzip.open, look))
        yield file


def _is_packed(path: Path) -> bool:
    try:
        with path.open("rb") as content:
            return content.read(2) == _GZIP
    except OSError:
        return False  # opening it again will report what is wrong


_GZIP = b"\x1f\x8b"


def _is_read_once(path: Path) -> bool:
    try:
        mode = path.stat().st_mode
    except OSError:
        return False  # opening it will report what is wrong
    is_readable_again = stat.S_ISREG(mode) and os.access(path, os.R_OK)
    return not is_readable_again and not stat.S_ISDIR(mode)


def _opened(path: Path) -> FileIO:
    # Opening stdin again needs a right that a process may lack if stdin was opened for it, as by
    # sudo.
    if path != _STDIN:
        return path.open("rb", 0)
    # A parent may have left it otherwise, and a pause would be taken for the end.
    os.set_blocking(0, True)
    return open(0, "rb", 0, closefd=False)


@contextmanager
def _copied(
    file: OpenedFile,
    opened: Callable[[Path], RawIOBase | BufferedIOBase],
    look: FirstLook | None = None,
) -> Iterator[OpenedFile]:
    try:
        content = opened(file.path)
    except OSError as error:
        raise refused(file.name, f"It can't be read: {error.strerror}.") from None
    # The copy has no name, so it goes when the process ends, however that happens.
    with content, _temporary_file() as copy:
        copied = OpenedFile(file.name, Path(f"/dev/fd/{copy.fileno()}"))
        try:
            if look is not None:
                # No first line of a table is longer, and an archive of 1.5 GB is not unpacked to
                # find that it is none.
                beginning = content.read(4_000_000)
                copy.write(beginning)
                copy.flush()
                # Parquet names its columns at its end.
                if not beginning.startswith(_PARQUET):
                    look(copied)
            shutil.copyfileobj(content, copy)
            copy.flush()
        except (gzip.BadGzipFile, EOFError, zlib.error):
            raise refused(
                file.name, "It is compressed with gzip and not whole (compressed_file)."
            ) from None
        except OSError as error:
            raise FileNotWritten(path="a temporary file", why=error.strerror) from None
        yield copied


def _temporary_file() -> IO[bytes]:
    try:
        return tempfile.TemporaryFile()
    except OSError as error:  # none of the folders for them has room
        raise FileNotWritten(path="a temporary file", why=error.strerror) from None


# Beginnings of files, as regular expressions, and the kinds of such files. UTF-16 may lack a byte
# order mark.
_OTHER_KINDS = (
    (
        rb"BZh[1-9]1AY&SY|\xfd7zXZ\x00|\x28\xb5\x2f\xfd",
        "compressed, and not with gzip (compressed_file)",
    ),
    (
        rb"PK\x03\x04|PK\x05\x06|\xd0\xcf\x11\xe0",
        "a workbook, such as of Excel, or a zip archive (workbook)",
    ),
    (rb"\xff\xfe|\xfe\xff|(?:[^\x00]\x00){2}|(?:\x00[^\x00]){2}", "text in UTF-16 (not_utf8)"),
    (rb"\x00\x00\xfe\xff", "text in UTF-32 (not_utf8)"),
    (rb"(?!PAR1)[^\r\n]*\x00", "no text, such as an archive or a database (nul_byte)"),
)
_LONGEST_BEGINNING = 64
_PARQUET = b"PAR1"


def is_parquet(file: OpenedFile, expected: str) -> bool:
    """Whether a file is Parquet, else CSV. Raises FileRefused if it is neither."""
    try:
        with file.path.open("rb") as content:
            beginning = content.read(_LONGEST_BEGINNING)
    except OSError as error:
        raise refused(file.name, f"It can't be read: {error.strerror}.") from None
    if not beginning:
        raise refused(file.name, f"The file is empty (empty_file). Expected {expected}.")
    if kind := next((kind for begins, kind in _OTHER_KINDS if re.match(begins, beginning)), None):
        advice = "Expected CSV in UTF-8, or Parquet: save it as one of these, or unpack it first."
        raise refused(file.name, f"It is {kind}. {advice}")
    return beginning.startswith(_PARQUET)


_HASHED_BYTES = 1 << 20
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_ONE_LINE_END = bytes.maketrans(b"\r", b"\n")
_SAYS_NOTHING = b' \t"'


def file_hash(content: BinaryIO, is_text: bool) -> str:
    """The sha256 of a file, in hexadecimal, without reading it all into memory. For a text, line
    ends, blank lines, a byte order mark, spaces and quotes do not matter."""
    digest = hashlib.sha256()
    at_line_start = True
    for n, chunk in enumerate(iter(partial(content.read, _HASHED_BYTES), b"")):
        if not is_text:
            digest.update(chunk)
            continue
        text = chunk if n else chunk.removeprefix(_BYTE_ORDER_MARK)
        text = re.sub(rb"\n\n+", b"\n", text.translate(_ONE_LINE_END, _SAYS_NOTHING))
        if at_line_start:
            text = text.removeprefix(b"\n")
        if text:
            at_line_start = text.endswith(b"\n")
        digest.update(text)
    if not at_line_start:
        digest.update(b"\n")
    return digest.hexdigest()
