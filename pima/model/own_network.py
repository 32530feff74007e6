"""A network of one's own between the preprocessing and the stored forms: its members are built,
checked and fitted.

The members differ by their seeds, and by the part of the training rows that each leaves out to stop
early by. The model's probability is the mean of theirs:

    (n, features) -> pima/model/preprocessing.py -> (n, inputs) -> each member (n, 1) -> mean (n, 1)
"""

from copy import deepcopy
from typing import Any

import keras

from pima.core.arrays import Float32Array, Int8Array
from pima.errors import OwnNetworkRefused
from pima.model.network_file import build_of, refused
from pima.model.recipes import OwnNetwork, stratified_folds

_PROBABILITIES = 'probabilities, as of a last layer Dense(1, activation="sigmoid")'


def build_members(recipe: OwnNetwork, inputs: int, seed: int) -> list[keras.Model]:
    """Build the members, each from its own seed, and check their shapes. Raises
    OwnNetworkRefused."""
    build = build_of(recipe.text)
    told = ", ".join(recipe.parameters) or "none"
    expected = f"a model for {inputs} inputs, by these parameters of [retrain.custom]: {told}"
    members = []
    for number in range(recipe.members):
        keras.utils.set_random_seed(seed + number)
        with refused("build", expected):
            # A copy: a build may take out what it has used.
            member = build(inputs, deepcopy(recipe.parameters))
        _require_shapes(member, inputs)
        _require_no_logits(member)
        member.name = f"member_{number + 1}"  # in one model no two may have the same name
        members.append(member)
    return members


def _require_shapes(member: Any, inputs: int) -> None:
    asked = f"{(None, inputs)} -> {(None, 1)}"
    kind = type(member).__name__
    taken = getattr(member, "input_shape", None)
    given = getattr(member, "output_shape", None)
    if not isinstance(member, keras.Model) or f"{taken} -> {given}" != asked:
        raise OwnNetworkRefused(
            what=f"build returned a {kind} of {taken} -> {given}",
            expected=(
                f"a keras.Model of {asked}, rows by inputs to rows by one probability, which "
                "begins with keras.Input((inputs,)); a class of your own can't be stored"
            ),
        )


def _require_no_logits(member: keras.Model) -> None:
    """Raises OwnNetworkRefused if a member's last layer gives logits. Called before the fit, which
    may take long: after it, logits may happen to lie between 0 and 1."""
    last = member.outputs[0]._keras_history.operation
    kind = type(last).__name__
    named = getattr(getattr(last, "activation", None), "__name__", kind.lower())
    if named in ("linear", "softmax"):
        raise OwnNetworkRefused(
            what=f"its last layer, a {kind}, has the activation {named}", expected=_PROBABILITIES
        )


def fit_members(
    recipe: OwnNetwork,
    members: list[keras.Model],
    inputs: Float32Array,
    outcomes: Int8Array,
    seed: int,
    between_steps: keras.callbacks.Callback,
) -> None:
    """Fit each member on all rows but its part, by which it stops early, with the weights of its
    best epoch."""
    folds = stratified_folds(outcomes, recipe.folds, seed)
    targets = outcomes[:, None]
    for number, member in enumerate(members):
        left_out = folds == number % recipe.folds
        keras.utils.set_random_seed(seed + number)
        # Its own optimizer stays out of what is stored.
        fitted = keras.Model(member.inputs[0], member.outputs[0])
        adam = keras.optimizers.Adam(recipe.learning_rate)
        # A loss of what is left out has the penalties of the network's own regularizers, too.
        log_loss = "binary_crossentropy"
        fitted.compile(optimizer=adam, loss=log_loss, metrics=[log_loss])
        early = keras.callbacks.EarlyStopping(
            monitor=f"val_{log_loss}",
            mode="min",
            patience=recipe.patience_epochs,
            restore_best_weights=True,
        )
        fitted.fit(
            inputs[~left_out],
            targets[~left_out],
            validation_data=(inputs[left_out], targets[left_out]),
            epochs=recipe.epochs,
            batch_size=recipe.batch_rows,
            verbose=0,
            callbacks=[early, between_steps],
        )


def require_probabilities(said: Float32Array) -> None:
    """Raises OwnNetworkRefused if the fitted model gives an answer, (n, 1), below 0 or above 1. A
    NaN is left to the gate."""
    outside = int(((said < 0) | (said > 1)).sum())
    if outside:
        raise OwnNetworkRefused(
            what=f"for {outside} of {len(said)} rows it says something below 0 or above 1",
            expected=_PROBABILITIES,
        )
