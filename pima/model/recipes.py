"""The numbers of each network's fit, by its name in the settings. No Keras here: the gate uses the
numbers to look up a verdict before anything heavy is imported."""

import hashlib
import importlib.metadata
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import msgspec
import numpy as np

from pima.core.arrays import Float32Array, Float64Array, Int8Array, Int64Array
from pima.core.declared.features import Feature, Features
from pima.core.statistics.logistic_regression import STRENGTHS
from pima.settings.sections import Settings

CancelCheck = Callable[[], None]
"""Called between two steps of a fit; raises to end the fit. An exception raised inside TensorFlow's
native code may become another error there, or end the process."""


MOST_ROWS_OF_LINE = 65_536
"""The most rows that a straight line beside a network is fitted on."""


def never() -> None:
    """Do nothing: a boundary that never ends the fit."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """How a network is fitted. Another one is a class like those below with its place in
    `RECIPES`, a fit registered beside theirs in `pima.model.network`, which is too heavy to import
    here, and its name in `retrain.network`."""

    def for_inputs(self, _features: Features) -> "Recipe":
        """The recipe with what is declared for its inputs."""
        return self

    def numbers(self) -> dict[str, object]:
        """All its numbers, as a version's settings keep them."""
        return asdict(self)

    def for_line(self) -> "FiveSeeds | None":
        """How a straight line beside the network takes its inputs; None: plainly."""
        return None

    def fingerprint(self, _feature: Feature) -> dict[str, object]:
        """What the fit takes from a declared feature besides its name, kind and codes."""
        return {}


@dataclass(frozen=True, slots=True)
class FiveSeeds(Recipe):
    """Several small networks trained side by side and folded into one."""

    members: int = 5
    hidden_units: int = 16
    steps: int = 200
    learning_rate: float = 0.01
    l2_times_rows: float = 3.0
    """L2 on both layers is this over the number of training rows: with a mean loss, a prior of
    constant strength."""
    exponents: tuple[float | None, ...] = ()
    """Power of each number in the order of the features, each 1, 0.5 or -1: it shrinks the outliers
    of a skewed number, which would dominate the fit. None is chosen by the fit. Empty: all 1."""
    scales: tuple[float, ...] = ()
    """Standard deviation to which each power is scaled: under the same L2, the wider an input, the
    more the network may rely on it. Empty: all 1."""
    l2_choices: tuple[float, ...] = ()
    """Other strengths of the L2; the fit chooses among these and its own by inner folds. Empty:
    there is no choice."""
    most_rows_to_choose: int = 4_096
    """The most rows that the choice is made on; of more, a random sample of so many."""
    inner_folds: int = 5
    inner_members: int = 2
    """Members of each fold's network, each with its own seed."""
    rows_a_piece: int = 0
    """A number whose power is left to the fit gets pieces as inputs, too: one for so many training
    rows. 0: none."""
    least_pieces: int = 4
    most_pieces: int = 16
    pieces_in_all: int = 256
    """The most pieces of all such numbers together."""
    piece_scale: float = 0.25
    """Standard deviation of a piece: under the same L2, the network relies on a number itself
    before its pieces."""
    batch_rows: int = 16_384
    """The most rows that a step sees; of more rows, each step sees a random batch of this size."""
    line_share: float = 0.0
    """The share of a straight line on the same inputs in the log odds. 0: there is no line."""
    line_strengths: tuple[float, ...] = ()
    """The L2 strengths of the line, of which inner folds choose one."""
    most_rows_of_line: int = 0
    """The most rows that the line is fitted on; of more, a random sample of so many. 0: all."""
    least_scale: float = 0.0
    """The least scale of a feature by its own evidence. 0: there are no such scales."""

    def for_inputs(self, features: Features) -> Recipe:
        """The recipe with the powers and scales that are declared for its inputs."""
        numbers = [feature for feature in features if feature.kind == "number"]
        exponents = tuple(number.power for number in numbers)
        scales = tuple(1 if number.scale is None else number.scale for number in numbers)
        recipe = replace(self, exponents=exponents, scales=scales)
        # If few of many numbers are informative, only a strong L2 makes the network useful: with 36
        # laboratory values and 3,672 rows, 3 gives a log loss of 0.76, 48 one of 0.474, and the
        # best constant one of 0.537. If all powers are declared, a person has decided how the
        # inputs are taken, and the recipe is used as it is.
        if all(feature.kind == "number" and feature.power is not None for feature in features):
            return recipe
        return replace(
            recipe,
            l2_choices=(1.5, 12.0, 48.0),
            rows_a_piece=160,
            line_share=1 / 3,
            line_strengths=STRENGTHS,
            most_rows_of_line=MOST_ROWS_OF_LINE,
            least_scale=0.03**0.5,
        )

    def numbers(self) -> dict[str, object]:
        """All its numbers but those of a later release that do nothing: an earlier one's fits keep
        their fingerprint."""
        found = asdict(self)
        return {name: number for name, number in found.items() if number or name not in _LATER}

    def for_line(self) -> "FiveSeeds":
        """The same powers and scales; no pieces."""
        return replace(self, rows_a_piece=0)

    def fingerprint(self, feature: Feature) -> dict[str, object]:
        """The powers that a declared range leaves the fit to choose from."""
        if feature.kind != "number" or feature.power is not None:
            return {}
        return {"powers": powers_to_choose_from(feature.low)}


_LATER = ("line_share", "line_strengths", "most_rows_of_line", "least_scale")
"""Numbers that versions of 0.2.0 and before lack. None of them does anything at 0 or empty."""


@dataclass(frozen=True, slots=True)
class Article(Recipe):
    """The tutorial's network and fit."""

    hidden_units: tuple[int, ...] = (10, 8, 8)
    epochs: int = 20
    batch_rows: int = 10


@dataclass(frozen=True, slots=True)
class OwnNetwork(Recipe):
    """A network that a file of one's own builds, and its fit."""

    sha256: str
    """Of the file."""
    epochs: int
    """At most: each member stops early by the rows that it does not learn from."""
    batch_rows: int
    learning_rate: float
    members: int
    parameters: dict[str, Any]
    folds: int
    """Each member leaves out one of so many parts of the training rows, in turn."""
    patience_epochs: int
    """A member stops if the log loss of what it leaves out has not fallen for so many epochs."""
    text: str = ""
    """The file's text, as it was read beside the settings: no text out of a database is ever
    run."""

    def numbers(self) -> dict[str, object]:
        """All but the text, which its sha256 stands for."""
        found = asdict(self)
        del found["text"]
        return found


RECIPES: dict[str, Recipe] = {"five_seeds": FiveSeeds(), "article": Article()}
"""By the name in the settings. `pima.model.network_file` makes that of a file."""


def is_file(network: str) -> bool:
    """Whether a network's name is that of a file."""
    return network.endswith(".py")


def recipe_for(network: str, features: Features) -> Recipe:
    """A network's recipe, with what is declared for its inputs."""
    return RECIPES[network].for_inputs(features)


def recipe_of(settings: dict[str, Any]) -> Recipe:
    """The recipe in a version's stored settings, whatever today's numbers are.

    Raises msgspec.ValidationError if it lacks a number.
    """
    if is_file(settings["network"]):
        return replace(msgspec.convert(settings["recipe"], OwnNetwork), text="")
    today = RECIPES[settings["network"]]
    if missing := sorted(today.numbers().keys() - settings["recipe"].keys()):
        raise msgspec.ValidationError(f"the stored recipe lacks {', '.join(missing)}")
    return msgspec.convert(settings["recipe"], type(today))


def settings_of_fit(settings: Settings, recipe: Recipe) -> dict[str, object]:
    """List all that makes one fit differ from another, other than the data and the features'
    names."""
    found: dict[str, object] = {
        "network": settings.retrain.network,
        "recipe": recipe.numbers(),
        "threshold": settings.retrain.threshold,
        "holdout_share": settings.holdout.share,
    }
    if isinstance(recipe, OwnNetwork):
        found["network_text"] = recipe.text
    return found


def fit_fingerprint(
    settings: Settings, recipe: Recipe, features: Features, **others: object
) -> str:
    """Return the sha256 over the settings of a fit, and over any `others`."""
    inputs = [
        {"name": each.name, "kind": each.kind, "codes": sorted(each.codes)}
        | recipe.fingerprint(each)
        for each in features
    ]
    fit = settings_of_fit(settings, recipe) | {"features": inputs} | others
    return hashlib.sha256(json.dumps(fit, sort_keys=True).encode()).hexdigest()


def library_versions() -> dict[str, str]:
    """The versions of the libraries that a model version is made with."""
    return {
        name: importlib.metadata.version(name)
        for name in ("tensorflow", "keras", "numpy", "ai-edge-litert")
    }


# ---- Choices of a fit by its training rows: powers of skewed numbers, and folds.

LEAST_GAINS = {0.5: 0.3, -1.0: 1.0}
"""A power must make the skewness smaller by this than the best one before it; the reciprocal by
more, since it reverses the order and spreads values near 0."""


def powers_to_choose_from(low: float | None) -> tuple[float, ...]:
    """The powers other than 1: the root if the declared range is not below 0, the reciprocal if it
    is above 0."""
    if low is None or low < 0:
        return ()
    if low == 0:
        return (0.5,)
    return (0.5, -1.0)


def choose_exponents(
    declared: Sequence[float | None], lows: Sequence[float | None], values: Float32Array
) -> Float32Array:
    """The declared exponent of each column (n, numbers), else 1, 1/2 or -1 by the skewness of the
    known values."""
    chosen = [
        _less_skewed(column[np.isfinite(column)].astype(np.float64), low)
        if exponent is None
        else exponent
        for exponent, low, column in zip(declared, lows, values.T, strict=True)
    ]
    return np.array(chosen, dtype=np.float32)


def _less_skewed(values: Float64Array, low: float | None) -> float:
    best = 1.0
    least = abs(_skewness(values))
    for exponent in powers_to_choose_from(low):
        skewness = abs(_skewness(values**exponent))
        if skewness < least - LEAST_GAINS[exponent]:
            best = exponent
            least = skewness
    return best


def _skewness(values: Float64Array) -> float:
    if len(values) < 2 or values.std() == 0:
        return 0.0
    return float((((values - values.mean()) / values.std()) ** 3).mean())


def drawn(rows: int, most: int, seed: int) -> Int64Array:
    """The numbers of `most` rows, drawn by the seed; all of them if there are no more."""
    if rows <= most:
        return np.arange(rows)
    return np.random.default_rng(seed).choice(rows, most, replace=False)


def stratified_folds(outcomes: Int8Array, folds: int, seed: int) -> Int64Array:
    """Deal rows out to folds, (n,) numbers from 0: each outcome evenly, in an order drawn by the
    seed."""
    draw = np.random.default_rng(seed)
    numbers = np.empty(len(outcomes), dtype=np.int64)
    for outcome in (0, 1):
        rows = np.flatnonzero(outcomes == outcome)
        numbers[draw.permutation(rows)] = np.arange(len(rows)) % folds
    return numbers
