"""By what a file is known again: its bytes, or of CSV its text, which editors and spreadsheets save in many ways."""

import hashlib
import re
from functools import partial
from typing import BinaryIO

_CHUNK_BYTES = 1 << 20
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_ONE_LINE_END = bytes.maketrans(b"\r", b"\n")
_SAYS_NOTHING = b' \t"'


def file_hash(content: BinaryIO, is_text: bool) -> str:
    """The sha256 of all of it, in hexadecimal, without having it all in memory. A text has the same one whatever its
    line ends, blank lines, byte order mark, spaces and quotes."""
    digest = _TextHash() if is_text else hashlib.sha256()
    for n, chunk in enumerate(iter(partial(content.read, _CHUNK_BYTES), b"")):
        digest.update(chunk if n or not is_text else chunk.removeprefix(_BYTE_ORDER_MARK))
    return digest.hexdigest()


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
