"""A straight line on a network's inputs: the rival that each verdict tells of, and a part of the
networks that choose how their inputs are taken."""

from pima.core.arrays import Float32Array, Float64Array, Int8Array
from pima.core.statistics.logistic_regression import STRENGTHS, choose_strength, fit_penalised
from pima.model.recipes import CancelCheck, FiveSeeds, drawn, never, stratified_folds


def learn_line(
    recipe: FiveSeeds,
    inputs: Float32Array,
    outcomes: Int8Array,
    seed: int,
    boundary: CancelCheck = never,
    strength: float | None = None,
) -> Float64Array:
    """Fit a line on rows (n, inputs): the intercept, then the weights, (1 + inputs,). None: its
    strength is chosen on the rows and folds on which that of the recipe's networks is. `boundary`
    is called between steps and may raise."""
    boundary()
    if strength is None:
        asked = drawn(len(outcomes), recipe.most_rows_to_choose, seed)
        folds = stratified_folds(outcomes[asked], recipe.inner_folds, seed)
        strengths = recipe.line_strengths or STRENGTHS
        few = [inputs[asked]] * recipe.inner_folds
        strength, _ = choose_strength(few, outcomes[asked], folds, strengths)
    boundary()
    learned = drawn(len(outcomes), recipe.most_rows_of_line or len(outcomes), seed)
    return fit_penalised(inputs[learned], outcomes[learned], strength)
