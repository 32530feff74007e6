"""The text of a file has one hash, however it is written and read."""

import hashlib
import io

import pytest

from pima.intake.opened_file import file_hash


@pytest.mark.parametrize("place", range(-3, 4))
@pytest.mark.parametrize("line_end", [b"\r\n", b"\n\n", b" \r\n \r\n", b'"\n'])
def test_a_file_s_text_has_one_hash_wherever_it_is_cut_for_reading(line_end: bytes, place: int) -> None:
    line = b"1" * ((1 << 20) - 8 + place)
    other = b"\xef\xbb\xbf" + b"\n" + line + line_end + b"6,148" + line_end + b"1,2"
    plain = line + b"\n6,148\n1,2\n"
    assert file_hash(io.BytesIO(other), is_text=True) == hashlib.sha256(plain).hexdigest()
