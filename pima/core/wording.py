"""Words for people: counts in sentences, what a setting takes, the figures of a model."""

from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from msgspec import Meta


def counted(count: int, noun: str) -> str:
    """A count with its noun, such as "1 row" and "1,000 rows"."""
    return f"{count:,} {noun}" + ("" if count == 1 else "s")


_WORDS = {bool: "true or false", int: "a whole number", float: "a number", str: "text"}


def in_words(key_type: Any) -> str:
    """The values that a setting of this type takes, such as "a whole number, at least 1 and at most 16"."""
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
        meta: Meta = parts[1]
        bounds = (("at least", meta.ge), ("above", meta.gt), ("at most", meta.le), ("below", meta.lt))
        said = [f"{word} {bound:,}" for word, bound in bounds if bound is not None]
        return meta.description or f"{_WORDS[parts[0]]}, {' and '.join(said)}"
    return _WORDS[key_type]


FIGURES = {
    "auroc": "area under ROC",
    "log_loss": "log loss",
    "brier": "Brier score",
    "calibration_intercept": "calibration intercept",
    "calibration_slope": "calibration slope",
    "sensitivity": "sensitivity",
    "specificity": "specificity",
    "positive_predictive_value": "positive predictive value",
    "negative_predictive_value": "negative predictive value",
}
"""By their keys in the document."""
TABLED_THRESHOLDS = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
"""Thresholds of net benefit that stand in a table."""
