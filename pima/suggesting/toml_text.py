"""Texts, keys and tables as TOML writes them, whatever stands in them."""

import json
import re
from collections.abc import Mapping


def quoted(text: str) -> str:
    """A text in double quotes; what can't be printed is escaped, so that it may stand in a comment too."""
    # JSON's escapes are TOML's, but for what it leaves as it is.
    return "".join(each if each.isprintable() else _escaped(each) for each in json.dumps(text, ensure_ascii=False))


def _escaped(character: str) -> str:
    code = ord(character)
    return f"\\u{code:04X}" if code < 0x10000 else f"\\U{code:08X}"


def key(text: str) -> str:
    """A key, in quotes where it needs them."""
    return text if re.fullmatch(r"[A-Za-z0-9_-]+", text, re.ASCII) else quoted(text)


def value(given: object) -> str:
    """A text, a number, a truth value, a list or a table of those."""
    if isinstance(given, bool):
        return "true" if given else "false"
    if isinstance(given, int | float):
        return f"{given:.15g}"
    if isinstance(given, Mapping):
        return "{ " + ", ".join(f"{key(str(name))} = {value(each)}" for name, each in given.items()) + " }"
    if isinstance(given, tuple | list):
        return "[" + ", ".join(map(value, given)) + "]"
    return quoted(str(given))


def line(name: str, given: object, comment: str = "") -> str:
    """A key with its value, and what is said beside it."""
    said = f"{key(name)} = {value(given)}"
    return f"{said}  # {comment}" if comment else said
