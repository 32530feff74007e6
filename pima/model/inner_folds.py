"""How strong the L2 should be, asked of the training rows themselves: each strength is fitted on all but one of some
folds and answers for that one. Few and noisy numbers want a strong one, many clear ones a weak one."""

from dataclasses import replace

import numpy as np

from pima.core.arrays import Float32Array, Float64Array, Int8Array
from pima.core.fit_choices import stratified_folds
from pima.model.boundary import Boundary, never
from pima.model.recipes import FiveSeeds
from pima.model.side_by_side import train


def choose_l2(
    recipe: FiveSeeds, inputs: Float32Array, outcomes: Int8Array, seed: int, boundary: Boundary = never
) -> float:
    """The recipe's own strength, times rows, or that of its choices whose log loss out of fold is lowest.

    A prior that is right beside some rows is right beside more: beyond the recipe's limit a draw of them is asked.
    """
    if not recipe.l2_choices:
        return recipe.l2_times_rows
    if len(outcomes) > recipe.most_rows_to_choose:
        asked = np.random.default_rng(seed).choice(len(outcomes), recipe.most_rows_to_choose, replace=False)
        inputs, outcomes = inputs[asked], outcomes[asked]
    strengths = (recipe.l2_times_rows, *recipe.l2_choices)
    losses = _log_losses(recipe, strengths, inputs, outcomes, seed, boundary)
    return strengths[int(np.nan_to_num(losses, nan=np.inf).argmin())]


def _log_losses(
    recipe: FiveSeeds,
    strengths: tuple[float, ...],
    inputs: Float32Array,
    outcomes: Int8Array,
    seed: int,
    boundary: Boundary,
) -> Float64Array:
    """Out of fold, (strengths,): the networks of all folds under all strengths side by side, in one fit."""
    folds = stratified_folds(outcomes, recipe.inner_folds, seed)
    left_out = np.repeat(np.arange(recipe.inner_folds), recipe.inner_members)  # by member
    learned = (folds[:, None] != left_out).astype(np.float32)  # (n, members)
    rows = learned.sum(axis=0)
    targets = np.concatenate([outcomes[:, None], learned * len(outcomes) / rows], axis=1, dtype=np.float32)
    networks = replace(recipe, members=len(left_out))
    l2 = [strength / float(rows.mean()) for strength in strengths]
    members = train(networks, l2, inputs, targets, seed, boundary).logits(inputs)
    by_fold = members.reshape(len(inputs), len(strengths), recipe.inner_folds, recipe.inner_members)
    logits = by_fold.mean(axis=-1, dtype=np.float64)[np.arange(len(inputs)), :, folds]  # (n, strengths)
    losses: Float64Array = (np.logaddexp(0, logits) - outcomes[:, None] * logits).mean(axis=0)
    return losses
