"""Which code this is: workers that run other code would score by other rules."""

import hashlib
from functools import cache
from pathlib import Path

import pima


@cache
def release() -> str:
    """A hash over all of pima's Python files, 16 hexadecimal digits."""
    found = hashlib.sha256()
    root = Path(pima.__file__).parent
    for path in sorted(root.rglob("*.py")):
        found.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return found.hexdigest()[:16]
