"""By what a file is known again: its bytes, and of CSV its text, which editors and spreadsheets save in many ways."""

import hashlib
import re
from dataclasses import dataclass
from functools import partial
from typing import BinaryIO

_CHUNK_BYTES = 1 << 20
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_ONE_LINE_END = bytes.maketrans(b"\r", b"\n")
_SAYS_NOTHING = b' \t"'


@dataclass(frozen=True, slots=True)
class FileHashes:
    """Each a sha256 in hexadecimal."""

    of_bytes: str
    """As they are."""
    of_text: str
    """Whatever its line ends, blank lines, byte order mark, spaces and quotes; of Parquet the bytes' again."""


def file_hashes(content: BinaryIO, is_text: bool) -> FileHashes:
    """Of all of it, without having it all in memory."""
    of_bytes, of_text = hashlib.sha256(), _TextHash()
    for n, chunk in enumerate(iter(partial(content.read, _CHUNK_BYTES), b"")):
        of_bytes.update(chunk)
        if is_text:
            of_text.update(chunk if n else chunk.removeprefix(_BYTE_ORDER_MARK))
    return FileHashes(of_bytes.hexdigest(), of_text.hexdigest() if is_text else of_bytes.hexdigest())


class _TextHash:
    """Of text that is plain already, each line ending with a line feed, the same as the hash of its bytes."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()
        self._at_line_start = True

    def update(self, chunk: bytes) -> None:
        text = re.sub(rb"\n\n+", b"\n", chunk.translate(_ONE_LINE_END, _SAYS_NOTHING))
        if self._at_line_start:
            text = text.removeprefix(b"\n")
        if text:
            self._at_line_start = text.endswith(b"\n")
        self._hash.update(text)

    def hexdigest(self) -> str:
        if not self._at_line_start:
            self.update(b"\n")
        return self._hash.hexdigest()
