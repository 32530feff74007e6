"""Where a file's bytes are, whatever it is on disk, and what it is where it is nothing that can be read."""

import os
import re
import select
import stat
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from io import FileIO
from pathlib import Path

from pima.errors import FileRefused

_STDIN = Path("/dev/stdin")


@dataclass(frozen=True, slots=True)
class Source:
    """A file that can be opened as often as it takes."""

    name: str
    """As it was given, and is shown."""
    path: Path
    """Of the file itself, or of a copy."""


def refused(name: str, report: str) -> FileRefused:
    """The error for a whole file."""
    return FileRefused(file=name, report=report)


def plain_source(path: Path) -> Source:
    """A file on disk. Its name may be any bytes there, in a database and on a terminal not."""
    return Source(os.fsencode(path).decode("utf-8", errors="replace"), path)


@contextmanager
def readable_again(path: Path) -> Iterator[Source]:
    """The file itself, or a copy of what can be read only once, such as a pipe; `-` is stdin. Raises FileRefused."""
    source = plain_source(_STDIN if str(path) == "-" else path)
    if not _is_read_once(source.path):
        yield source
        return
    with _copied(source) as copy:
        yield Source(source.name, copy)


def _is_read_once(path: Path) -> bool:
    try:
        mode = path.stat().st_mode
    except OSError:
        return False  # what is wrong with it is told when it is opened
    is_readable_again = stat.S_ISREG(mode) and os.access(path, os.R_OK)
    return not is_readable_again and not stat.S_ISDIR(mode)


def _opened(path: Path) -> FileIO:
    # To open stdin again takes a right on it, which a process that was handed it open, as by sudo, may lack.
    return open(0, "rb", buffering=0, closefd=False) if path == _STDIN else path.open("rb", buffering=0)


_SECONDS_DEAF = 0.5
_CHUNK_BYTES = 1 << 16


def _read(content: FileIO) -> bytes:
    """What comes next; nothing at the end. It never sleeps long: a signal that came just before a read that blocks
    would not be heard until that read ends, which of a pipe may be never."""
    while not select.select([content], [], [], _SECONDS_DEAF)[0]:
        pass
    return content.read(_CHUNK_BYTES) or b""


@contextmanager
def _copied(source: Source) -> Iterator[Path]:
    try:
        content = _opened(source.path)
    except OSError as error:
        raise refused(source.name, f"It can't be read: {error.strerror}.") from None
    with content:
        mode = os.fstat(content.fileno()).st_mode
        is_device = stat.S_ISBLK(mode) or (stat.S_ISCHR(mode) and not content.isatty())
        if is_device and content.read(1):
            raise refused(source.name, "It is a device, which may never end. Expected a file or a pipe.")
        with ExitStack() as to_the_end:
            try:
                # Without a name, so that it ends with the process, however that ends.
                copy = to_the_end.enter_context(tempfile.TemporaryFile())
                while chunk := _read(content):
                    copy.write(chunk)
                copy.flush()
            except OSError as error:
                report = f"It is read by way of a temporary copy, and that failed: {error.strerror}."
                raise refused(source.name, f"{report} Make room, or name another folder in TMPDIR.") from None
            yield Path(f"/dev/fd/{copy.fileno()}")


LOAD = "| python -m jobs.load /dev/stdin"
_SAVE = "Save the sheet as CSV (UTF-8) and load that."


def _compressed(by: str, command: str) -> tuple[str, str]:
    return f"compressed with {by} (compressed_file)", f"Unpack it first, for example: {command} FILE {LOAD}"


def made_utf8(name: str) -> str:
    """The command that makes it so from the encoding that iconv knows by this name."""
    return f"Make it UTF-8, for example: iconv -f {name} -t UTF-8 FILE {LOAD}"


def _encoded(encoding: str, name: str) -> tuple[str, str]:
    return f"text in {encoding} (not_utf8)", made_utf8(name)


# What files begin with, as regular expressions; what such a file is, and what to do.
_OTHER_KINDS = (
    (rb"\x1f\x8b", _compressed("gzip", "gunzip -c")),
    (rb"BZh[1-9]1AY&SY", _compressed("bzip2", "bunzip2 -c")),
    (rb"\xfd7zXZ\x00", _compressed("xz", "xz -dc")),
    (rb"\x28\xb5\x2f\xfd", _compressed("zstd", "zstd -dc")),
    # A zip archive too, whose first file is one of these.
    (
        rb"PK\x03\x04.{26}(?:\[Content_Types\]\.xml|_rels/|docProps/|xl/|mimetype)",
        ("a workbook, such as of Excel or LibreOffice (workbook)", _SAVE),
    ),
    (rb"%PDF", ("a PDF", "Have the table written as CSV by whatever made it.")),
    (rb"SQLite format 3\x00", ("a SQLite database", f"For example: sqlite3 -csv -header FILE 'SELECT ...' {LOAD}")),
    (rb"ARROW1", ("Feather or Arrow", "Write the table as Parquet, such as with pandas.read_feather and to_parquet.")),
    (
        rb'(?:\xef\xbb\xbf)?\s*[\[{]\s*["\[{]',
        ("JSON", "Write the table as CSV, such as with pandas.read_json and to_csv."),
    ),
    (rb"PK\x03\x04|PK\x05\x06", _compressed("zip", "unzip -p")),
    (rb"\xd0\xcf\x11\xe0", ("an Excel workbook in the old format (workbook)", _SAVE)),
    (rb"\xff\xfe\x00\x00|\x00\x00\xfe\xff", _encoded("UTF-32", "UTF-32")),
    (rb"\xff\xfe|\xfe\xff", _encoded("UTF-16", "UTF-16")),
    # Without a mark, where most letters have a NUL byte beside them.
    (rb"(?:[^\x00]\x00){2}", _encoded("UTF-16", "UTF-16LE")),
    (rb"(?:\x00[^\x00]){2}", _encoded("UTF-16", "UTF-16BE")),
)
LONGEST_BEGINNING = 64


def other_kind(beginning: bytes) -> str | None:
    """What a file that begins so is and what to do with it; None where it may be CSV or Parquet."""
    for begins, (kind, advice) in _OTHER_KINDS:
        if re.match(begins, beginning, re.DOTALL):
            return f"It is {kind}. Expected CSV in UTF-8, or Parquet. {advice}"
    return None
