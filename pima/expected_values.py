"""What a setting takes, in words: from its type, so that none of them has to be described a second time."""

from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from msgspec import Meta

_WORDS = {bool: "true or false", int: "a whole number", float: "a number", str: "text"}


def in_words(key_type: Any) -> str:
    """Such as "a whole number, at least 1 and at most 16"."""
    origin, parts = get_origin(key_type), get_args(key_type)
    if origin in (Union, UnionType):
        return " or ".join(in_words(part) for part in parts if part is not NoneType)
    if origin is dict:
        return f"a table: {in_words(parts[0])} = {in_words(parts[1])}, ..."
    if origin is tuple:
        return f"a list, each {in_words(parts[0])}"
    if origin is Literal:
        return " or ".join(map(repr, parts))
    if origin is Annotated:
        return _bounded(_WORDS[parts[0]], parts[1])
    return _WORDS[key_type]


def _bounded(kind: str, meta: Meta) -> str:
    if meta.description:
        return meta.description
    bounds = (("at least", meta.ge), ("above", meta.gt), ("at most", meta.le), ("below", meta.lt))
    said = [f"{word} {bound:,}" for word, bound in bounds if bound is not None]
    return f"{kind}, {' and '.join(said)}"
