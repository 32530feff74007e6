"""What is compared: a name, its settings in words, and a fit that gives a function from rows to
probabilities."""

from collections.abc import Callable
from dataclasses import asdict, dataclass

import numpy as np

from benches.accuracy.shipped import Rows
from pima.core.arrays import Float64Array
from pima.logs import quiet_native_code
from pima.model.recipes import RECIPES, Article, recipe_for
from pima.settings.reading import SHIPPED, read_settings

Predict = Callable[[Rows], Float64Array]


@dataclass(frozen=True, slots=True)
class Candidate:
    """One row of the tables."""

    name: str
    settings: str
    """For the notes below the tables."""
    fit: Callable[[Rows, int], Predict]
    """(training rows, seed) -> probabilities of outcome 1, (n,), for rows."""
    is_seeded: bool = True
    """Whether another seed gives another fit."""
    most_shuffles: int | None = None
    """Where a fit takes seconds: on how many shuffles it is cross-validated, the first."""


_ACTING = (
    *("members", "hidden_units", "steps", "learning_rate", "l2_times_rows"),
    *("exponents", "scales", "batch_rows"),
)
"""The recipe's numbers that act where each power is declared, as here."""


def ours() -> Candidate:
    """The network and recipe that `jobs.retrain` uses by default."""
    with quiet_native_code():
        from pima.model.network import TrainingData, fit

    name = read_settings(None, {}).retrain.network
    recipe = recipe_for(name, SHIPPED.features)

    def fit_ours(rows: Rows, seed: int) -> Predict:
        model = fit(recipe, SHIPPED.features, TrainingData(rows.features, rows.outcomes), seed)
        return lambda others: np.asarray(model(others.features), dtype=np.float64)[:, 0]

    numbers = ", ".join(f"{key} {asdict(recipe)[key]}" for key in _ACTING)
    return Candidate("pima", f"`{name}` of `pima/model/recipes.py`: {numbers}", fit_ours)


HONEST, AS_WRITTEN = "article, honest", "article, as written"


def article() -> Candidate:
    """The tutorial's network and fit, on measurements as they stand: nothing scaled, zeros as
    zeros."""
    recipe = RECIPES["article"]
    assert isinstance(recipe, Article)
    layers = "-".join(map(str, recipe.hidden_units))
    settings = (
        f"Dense {layers} relu, then a sigmoid unit, Adam, binary cross-entropy, {recipe.epochs} "
        f"epochs, batch {recipe.batch_rows}, inputs neither scaled nor cleaned"
    )
    return Candidate(
        HONEST, settings, lambda rows, seed: _fit_article(recipe, rows, seed), most_shuffles=3
    )


def _fit_article(recipe: Article, rows: Rows, seed: int) -> Predict:
    import keras

    keras.utils.set_random_seed(seed)
    hidden = [keras.layers.Dense(units, activation="relu") for units in recipe.hidden_units]
    model = keras.Sequential(
        [keras.Input((8,)), *hidden, keras.layers.Dense(1, activation="sigmoid")]
    )
    model.compile(optimizer="adam", loss="binary_crossentropy", metrics=["accuracy"])
    model.fit(
        rows.raw, rows.outcomes, epochs=recipe.epochs, batch_size=recipe.batch_rows, verbose=0
    )
    return lambda others: np.asarray(model(others.raw), dtype=np.float64)[:, 0]


def forget_models() -> None:
    """Free what Keras keeps of earlier fits; hundreds of them would slow the later ones."""
    import keras

    keras.backend.clear_session()
