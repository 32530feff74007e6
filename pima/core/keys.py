"""What a row or a person is called in a source, as one canonical text."""

import unicodedata

LONGEST_KEY = 200
"""Bytes in UTF-8: an index of the databases takes them all."""


def canonical_text(value: str) -> str | None:
    """NFC, without spaces at its end, case kept; None where it is empty, too long, or no text that a table can hold."""
    text = value if value.isascii() else unicodedata.normalize("NFC", value)
    text = text.rstrip(" ")
    return text if text and "\0" not in text and _bytes(text) <= LONGEST_KEY else None


def _bytes(text: str) -> int:
    try:
        return len(text.encode())
    except UnicodeEncodeError:  # half of a surrogate pair
        return LONGEST_KEY + 1
