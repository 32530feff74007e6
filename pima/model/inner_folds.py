"""How strong the L2 should be, asked of the training rows themselves: each strength is fitted on all but one of some
folds and answers for that one. Few and noisy numbers want a strong one, many clear ones a weak one."""

from dataclasses import replace

import numpy as np

from pima.core.arrays import Float32Array, Int8Array, Int64Array
from pima.core.folds import stratified_folds
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
    folds = stratified_folds(outcomes, recipe.inner_folds, seed)
    strengths = (recipe.l2_times_rows, *recipe.l2_choices)
    return min(strengths, key=lambda strength: _log_loss(recipe, strength, inputs, outcomes, folds, seed, boundary))


def _log_loss(
    recipe: FiveSeeds,
    strength: float,
    inputs: Float32Array,
    outcomes: Int8Array,
    folds: Int64Array,
    seed: int,
    boundary: Boundary,
) -> float:
    """Out of fold, all folds' networks side by side."""
    left_out = np.repeat(np.arange(recipe.inner_folds), recipe.inner_members)  # by member
    learned = (folds[:, None] != left_out).astype(np.float32)  # (n, members)
    rows = learned.sum(axis=0)
    targets = np.concatenate([outcomes[:, None], learned * len(outcomes) / rows], axis=1, dtype=np.float32)
    networks = replace(recipe, members=len(left_out))
    members = train(networks, strength / float(rows.mean()), inputs, targets, seed, boundary).logits(inputs)
    by_fold = members.reshape(len(inputs), recipe.inner_folds, recipe.inner_members).mean(axis=-1, dtype=np.float64)
    logits = by_fold[np.arange(len(inputs)), folds]
    return float((np.logaddexp(0, logits) - outcomes * logits).mean())
