"""The hash that stands beside stored bytes and is checked before they are parsed."""

import hashlib


def sha256_of(content: bytes) -> str:
    """SHA-256, 64 hexadecimal digits."""
    return hashlib.sha256(content).hexdigest()
