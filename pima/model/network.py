"""The networks: their fit, the forms in which one is stored, and the check that both forms agree.

Preprocessing is part of the model: it takes the declared features in their own units, categories as
their codes and missing values as NaN, and returns a probability, so no one who loads the `.keras`
file can forget a step.

A fit of `FiveSeeds` trains its members side by side, each from its own seed, in one Keras model
whose first layer holds them all next to each other. Their logits are averaged. An average of linear
read-outs is again one linear read-out, so the five fold exactly into the plain two-layer model that
is stored:

    (n, features) -> pima/model/preprocessing.py -> (n, inputs) -> Dense(5 * 16, silu) -> Dense(1,
    sigmoid)

Where the fit chooses how inputs are taken, a straight line on them has a share of the log odds, as
two more hidden units. Scales of the inputs, if they have any, are part of the first kernel.
"""

import math
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import singledispatch
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from pima.core.arrays import Float32Array, Float64Array, Int8Array, Int64Array
from pima.core.declared.features import Features
from pima.core.statistics.estimates import lower_p
from pima.core.statistics.logistic_regression import choose_strength
from pima.core.verdicts.newest_weeks import ASKED_P
from pima.errors import FileNotWritten
from pima.model.compiled import CompiledModel
from pima.model.line import learn_line
from pima.model.network_file import refused
from pima.model.own_network import build_members, fit_members, require_probabilities
from pima.model.preprocessing import Preprocessing, learn_preprocessing
from pima.model.recipes import (
    Article,
    CancelCheck,
    FiveSeeds,
    OwnNetwork,
    Recipe,
    drawn,
    never,
    stratified_folds,
)

LOGIT_BOUND = 0.01
"""The largest difference of the two forms' logits that passes, at most 0.0025 of probability.

Float32 rounding alone reaches 0.0014 on ranges with a tail of a thousand times the median, and is
too small to measure on the shipped data. A compiled form with a small fault still passes: on the
shipped model, the largest first-layer weight off by 1 % (0.006). Off by 3 %, it is refused.
"""
PROBABILITY_ROUNDING = 1e-6
"""The largest difference of the two libraries' own sigmoids in float32, in probability; measured:
3e-7."""

_ROWS_AT_ONCE = 16_384

REACH = 1.0
"""How far from the log odds of the prevalence a read-out's bias may begin. A fit's steps bring it
that far; where 7 % have the outcome, one that began at 0 ended with a mean of 1.06 times as
many."""


@dataclass(frozen=True, slots=True)
class TrainingData:
    """The rows that a network is fitted on."""

    features: Float32Array
    """(n, features), in their own units, NaN where missing."""
    outcomes: Int8Array


_Layer = tuple[Float32Array, Float32Array]
"""Kernel (inputs, units) and bias (units,) of a dense layer."""
_Layers = tuple[_Layer, _Layer]
"""The hidden layer and the read-out."""


def fit(
    recipe: Recipe,
    declared: Features,
    data: TrainingData,
    seed: int,
    boundary: CancelCheck = never,
) -> keras.Model:
    """Fit a network; the same data and seed give the same weights on the same machine. `boundary`
    is called between steps and may raise.

    Returns a functional model: float32 (n, features) with NaN for missing -> float32 (n, 1)
    probabilities.
    """
    tf.config.experimental.enable_op_determinism()
    keras.utils.set_random_seed(seed)
    return _fitted(recipe, declared, data, seed, boundary)


@singledispatch
def _fitted(
    recipe: Recipe, _declared: Features, _data: TrainingData, _seed: int, _boundary: CancelCheck
) -> keras.Model:
    raise TypeError(f"no fit is registered for {type(recipe).__name__}")


@_fitted.register
def _five_seeds(
    recipe: FiveSeeds, declared: Features, data: TrainingData, seed: int, boundary: CancelCheck
) -> keras.Model:
    """Fit the members side by side, and fold them into one network."""
    preprocessing = learn_preprocessing(declared, data.features, recipe)
    standardised = preprocessing.apply(data.features)
    outcomes = data.outcomes
    chosen = _choose(recipe, preprocessing, standardised, outcomes, seed, boundary)
    strength, of_line, scales = chosen
    l2 = [strength / len(outcomes)]
    targets = outcomes.astype(np.float32)[:, None]
    members = train(recipe, l2, standardised, targets, seed, boundary, scales[:, None])
    hidden, read_out = members.folded()
    if recipe.line_share:
        line = learn_line(recipe, standardised * scales, outcomes, seed, boundary, of_line)
        line[1:] *= scales
        hidden, read_out = _beside_line(hidden, read_out, line, recipe.line_share)
    return _plain_model(len(declared), preprocessing, [hidden], "silu", read_out)


def _beside_line(hidden: _Layer, read_out: _Layer, line: Float64Array, share: float) -> _Layers:
    """Mix a line, which has this share of the log odds, into a network. It takes two more hidden
    units, since silu(z) - silu(-z) is z."""
    weights = line[1:, None]
    kernel = np.concatenate([hidden[0], weights, -weights], axis=1, dtype=np.float32)
    rest = 1 - share
    out = np.concatenate([rest * read_out[0], [[share], [-share]]], dtype=np.float32)
    bias = (rest * read_out[1] + share * line[0]).astype(np.float32)
    return (kernel, np.pad(hidden[1], (0, 2))), (out, bias)


@_fitted.register
def _article(
    recipe: Article, declared: Features, data: TrainingData, _seed: int, boundary: CancelCheck
) -> keras.Model:
    """Fit the tutorial's network."""
    preprocessing = learn_preprocessing(declared, data.features)
    standardised = preprocessing.apply(data.features)
    hidden = [keras.layers.Dense(units, activation="relu") for units in recipe.hidden_units]
    output = keras.layers.Dense(1, activation="sigmoid")
    model = keras.Sequential([keras.Input((standardised.shape[1],)), *hidden, output])
    model.compile(optimizer="adam", loss="binary_crossentropy")
    sizes = {"epochs": recipe.epochs, "batch_size": recipe.batch_rows}
    between = [BetweenSteps(boundary)]
    model.fit(standardised, data.outcomes, **sizes, verbose=0, callbacks=between)
    fitted = [tuple(layer.get_weights()) for layer in hidden]
    read_out = tuple(output.get_weights())
    return _plain_model(len(declared), preprocessing, fitted, "relu", read_out)


@_fitted.register
def _own_network(
    recipe: OwnNetwork, declared: Features, data: TrainingData, seed: int, boundary: CancelCheck
) -> keras.Model:
    """Fit the members one after the other, and put preprocessing and mean around them."""
    preprocessing = learn_preprocessing(declared, data.features)
    standardised = preprocessing.apply(data.features)
    members = build_members(recipe, standardised.shape[1], seed)
    measurements = keras.Input((len(declared),), name="measurements")
    tensor = preprocessing.build(measurements)
    mean = keras.layers.Average(name="probability")([member(tensor) for member in members])
    model = keras.Model(measurements, mean, name="pima")
    _require_storable(model)
    fit_members(recipe, members, standardised, data.outcomes, seed, BetweenSteps(boundary))
    rows = np.concatenate([data.features, probe_rows(declared)])
    require_probabilities(model.predict(rows, batch_size=_ROWS_AT_ONCE, verbose=0))
    return model


def _require_storable(model: keras.Model) -> None:
    """Raises OwnNetworkRefused if a model can't be stored in both forms and read back without the
    file that builds it. Called before the fit, which may take long."""
    # Classes that the file has registered are known in this process, but in no other.
    keras.saving.get_custom_objects().clear()
    row = np.zeros(model.input_shape[1:], dtype=np.float32)[None]
    with refused(
        "a trial to store it and to read it back",
        "layers and operations of Keras that LiteRT has too; no Lambda layer, and no class or "
        "function of its own",
    ):
        if '"class_name": "Lambda"' in model.to_json():
            raise TypeError("it has a Lambda layer")
        stored = export(model)
        keras_probabilities(stored.keras, row)
        CompiledModel(stored.compiled).probabilities(row)


def _plain_model(
    features: int,
    preprocessing: Preprocessing,
    hidden: list[_Layer],
    activation: str,
    read_out: _Layer,
) -> keras.Model:
    """The stored form: only built-in layers, so that loading it runs no one's code."""
    measurements = keras.Input((features,), name="measurements")
    tensor = preprocessing.build(measurements)
    for kernel, bias in hidden:
        dense = keras.layers.Dense(len(bias), activation=activation)
        tensor = dense(tensor)
        dense.set_weights([kernel, bias])
    output = keras.layers.Dense(1, activation="sigmoid", name="probability")
    model = keras.Model(measurements, output(tensor), name="pima")
    output.set_weights(list(read_out))
    return model


def _choose(
    recipe: FiveSeeds,
    preprocessing: Preprocessing,
    inputs: Float32Array,
    outcomes: Int8Array,
    seed: int,
    boundary: CancelCheck,
) -> tuple[float, float | None, Float32Array]:
    """Choose the strength of the L2, that of the line, and a scale for each input, (inputs,): by
    what the rows say of its feature, where both the line and the networks are clearly better so,
    else 1. None: the strength of the line is not chosen yet.

    A prior that is right for some rows is right for more, so beyond the recipe's limit a random
    sample of the rows is used.
    """
    plain = np.ones((recipe.inner_folds + 1, inputs.shape[1]), dtype=np.float32)
    if not recipe.l2_choices:
        return recipe.l2_times_rows, None, plain[-1]
    asked = drawn(len(outcomes), recipe.most_rows_to_choose, seed)
    few = inputs[asked]
    found = outcomes[asked]
    folds = stratified_folds(found, recipe.inner_folds, seed)
    l2, losses = choose_l2(recipe, few, found, folds, plain, seed, boundary)
    of_line = None
    if recipe.least_scale:
        others = (asked[folds != fold] for fold in range(recipe.inner_folds))
        scales = np.array(
            [
                preprocessing.scales(inputs[which], outcomes[which], recipe.least_scale)
                for which in (*others, slice(None))
            ]
        )
        # The line is asked first, since it takes a hundredth of the time. It can't know what
        # features say only together, so the networks must agree.
        (of_line, plainly), (of_other, scaled) = (
            choose_strength([few * by for by in each], found, folds, recipe.line_strengths)
            for each in (plain, scales)
        )
        if lower_p(scaled - plainly) < ASKED_P:
            other, scaled = choose_l2(recipe, few, found, folds, scales, seed, boundary)
            if lower_p(scaled - losses) < ASKED_P:
                return other, of_other, scales[-1]
    return l2, of_line, plain[-1]


def choose_l2(
    recipe: FiveSeeds,
    inputs: Float32Array,
    outcomes: Int8Array,
    folds: Int64Array,
    scales: Float32Array,
    seed: int,
    boundary: CancelCheck = never,
) -> tuple[float, Float64Array]:
    """Choose the strength of the L2, times rows: the recipe's own, or that of its choices with the
    lowest log loss out of fold, which is returned, too, of each row (n,). Few, noisy data need a
    strong one, plenty of clear data a weak one.

    Each strength is fitted on all folds of the rows but one, and tested on that one, in turn.
    Scales (folds, inputs) multiply the inputs where a fold is left out.
    """
    strengths = (recipe.l2_times_rows, *recipe.l2_choices)
    # The networks of all folds under all strengths are trained side by side, in one fit.
    left_out = np.repeat(np.arange(recipe.inner_folds), recipe.inner_members)  # by member
    learned = (folds[:, None] != left_out).astype(np.float32)  # (n, members)
    rows = learned.sum(axis=0)
    targets = np.concatenate(
        [outcomes[:, None], learned * len(outcomes) / rows], axis=1, dtype=np.float32
    )
    networks = replace(recipe, members=len(left_out))
    l2 = [strength / float(rows.mean()) for strength in strengths]
    by_unit = np.tile(scales[left_out].repeat(recipe.hidden_units, axis=0).T, len(strengths))
    members = train(networks, l2, inputs, targets, seed, boundary, by_unit).logits(inputs)
    by_fold = members.reshape(len(inputs), len(strengths), recipe.inner_folds, recipe.inner_members)
    # Of each row by the members that did not learn from it: (n, strengths).
    logits = by_fold.mean(axis=-1, dtype=np.float64)[np.arange(len(inputs)), :, folds]
    losses: Float64Array = np.logaddexp(0, logits) - outcomes[:, None] * logits
    best = int(np.nan_to_num(losses.mean(axis=0), nan=np.inf).argmin())
    return strengths[best], losses[:, best]


@dataclass(frozen=True, slots=True)
class Members:
    """Networks that were trained side by side."""

    hidden: tuple[Float32Array, Float32Array]
    """kernel (inputs, members * hidden_units) and bias (members * hidden_units,)"""
    kernel: Float32Array
    """(members, hidden_units), the read-out of each"""
    bias: Float32Array
    """(members,)"""

    def folded(self) -> _Layers:
        """Fold them into one network, whose log odds are their mean."""
        kernel = (self.kernel / len(self.kernel)).reshape(-1, 1).astype(np.float32)
        return self.hidden, (kernel, self.bias.mean(keepdims=True))

    def logits(self, inputs: Float32Array) -> Float32Array:
        """Return (n, members) for inputs (n, inputs)."""
        kernel, bias = self.hidden
        before = inputs @ kernel + bias
        # This is silu. Below -80 its exponential would overflow float32.
        after = before / (1 + np.exp(-before.clip(-80)))
        return (after.reshape(len(inputs), *self.kernel.shape) * self.kernel).sum(
            axis=-1
        ) + self.bias


def train(
    recipe: FiveSeeds,
    l2: Sequence[float],
    inputs: Float32Array,
    targets: Float32Array,
    seed: int,
    boundary: CancelCheck = never,
    scales: Float32Array | int = 1,
) -> Members:
    """Fit the recipe's members on inputs (n, inputs), each from its own seed; for each L2, members
    of the same seeds.

    Targets (n, 1) are the outcomes; (n, 1 + members) are the outcomes and then the weight of each
    row for each member. Scales, (inputs, units) or broadcast to that, multiply
    the inputs of each hidden unit.
    """
    layer = keras.Input((inputs.shape[1],))
    # A product with 1 would change the last bits of fits without scales.
    kind = keras.layers.Dense if np.all(np.equal(scales, 1)) else _ScaledDense
    hidden = kind(
        len(l2) * recipe.members * recipe.hidden_units,
        activation="silu",
        kernel_initializer=_again(len(l2), 1, _drawn_alone(recipe, seed)),
        kernel_regularizer=_penalty(np.repeat(l2, recipe.members * recipe.hidden_units)),
    )
    hidden.scales = scales
    read_out = _MemberReadOut(recipe, l2, seed, _first_bias(targets[:, 0]))
    model = keras.Model(layer, read_out(hidden(layer)))  # (n, inputs) -> (n, members) logits
    loss = _summed_cross_entropy if targets.shape[1] == 1 else _weighted_cross_entropy
    model.compile(optimizer=keras.optimizers.Adam(recipe.learning_rate), loss=loss)
    # The optimizer's variables are made now: made in the first step, they would make TensorFlow
    # trace it twice.
    model.optimizer.build(model.trainable_variables)
    # One epoch over a repeated dataset: an epoch of Model.fit costs about 64 ms whatever it does.
    weighted = np.concatenate([targets[:, :1], np.tile(targets[:, 1:], len(l2))], axis=1)
    steps = _steps(recipe, inputs, weighted, seed)
    dropped_between = [BetweenSteps(boundary)]
    model.fit(
        steps,
        epochs=1,
        steps_per_epoch=recipe.steps,
        shuffle=False,
        verbose=0,
        callbacks=dropped_between,
    )
    kernel, bias = hidden.get_weights()
    return Members((kernel * scales, bias), *read_out.get_weights())


class BetweenSteps(keras.callbacks.Callback):  # type: ignore[misc]
    """Makes Keras call a boundary before each step; after a step, Keras would wait for the step's
    figures first."""

    def __init__(self, boundary: CancelCheck) -> None:
        super().__init__()
        self._boundary = boundary

    def on_train_batch_begin(self, _batch: int, logs: Any = None) -> None:  # noqa: ARG002 (Keras names it)
        self._boundary()


class _ScaledDense(keras.layers.Dense):  # type: ignore[misc]
    """A dense layer of which each unit has scales of its own for the inputs, (inputs, units) or 1;
    used only in the fit."""

    def call(self, inputs: Any) -> Any:
        return self.activation(inputs @ (self.kernel * self.scales) + self.bias)


class _MemberReadOut(keras.layers.Layer):  # type: ignore[misc]
    """Hidden units (n, members * hidden_units) -> one logit for each member (n, members); used only
    in the fit."""

    def __init__(
        self, recipe: FiveSeeds, l2: Sequence[float], seed: int, first_bias: float
    ) -> None:
        super().__init__()
        self.by_member = (len(l2) * recipe.members, recipe.hidden_units)
        limit = (
            6 / (recipe.hidden_units + 1)
        ) ** 0.5  # Glorot's, for one member: sqrt(6 / (inputs + outputs))
        draw = keras.initializers.RandomUniform(-limit, limit, seed=seed)
        penalty = _penalty(np.repeat(l2, recipe.members)[:, None])
        self.kernel = self.add_weight(
            shape=self.by_member, initializer=_again(len(l2), 0, draw), regularizer=penalty
        )
        begin = keras.initializers.Constant(first_bias)
        self.bias = self.add_weight(shape=self.by_member[:1], initializer=begin)

    def call(self, hidden: Any) -> Any:
        return (
            ops.sum(ops.reshape(hidden, (-1, *self.by_member)) * self.kernel, axis=-1) + self.bias
        )


def _first_bias(outcomes: Float32Array) -> float:
    """0 where the outcome is neither rare nor nearly everybody's."""
    prevalence = min(max(float(outcomes.mean()), 0.001), 0.999)
    log_odds = math.log(prevalence / (1 - prevalence))
    return log_odds - min(max(log_odds, -REACH), REACH)


def _penalty(l2: Float32Array) -> Any:
    """L2 on a kernel, with a strength for each of its parts."""
    if len(set(l2.flat)) == 1:
        return keras.regularizers.L2(float(l2.flat[0]))
    strengths = l2.astype(np.float32)
    return lambda kernel: ops.sum(strengths * ops.square(kernel))


def _again(times: int, axis: int, draw: Callable[..., Any]) -> Callable[..., Any]:
    """An initialiser that draws one part of a kernel, and repeats it `times` times along an
    axis."""

    def initialise(shape: tuple[int, int], dtype: str | None = None) -> Any:
        part = list(shape)
        part[axis] //= times
        return ops.concatenate([draw(tuple(part), dtype=dtype)] * times, axis=axis)

    return draw if times == 1 else initialise


def _drawn_alone(recipe: FiveSeeds, seed: int) -> Callable[..., Any]:
    """An initialiser that draws each member's (inputs, hidden_units) kernel as if the member were
    alone."""

    def initialise(shape: tuple[int, int], dtype: str | None = None) -> Any:
        draws = [
            keras.initializers.GlorotUniform(seed + member) for member in range(recipe.members)
        ]
        return ops.concatenate(
            [draw((shape[0], recipe.hidden_units), dtype=dtype) for draw in draws], axis=1
        )

    return initialise


def _summed_cross_entropy(outcomes: Any, logits: Any) -> Any:
    """Each member's loss, summed: no member's gradient sees another member. (n, 1), (n, members) ->
    (n,)"""
    return ops.sum(ops.softplus(logits) - ops.cast(outcomes, logits.dtype) * logits, axis=-1)


def _weighted_cross_entropy(targets: Any, logits: Any) -> Any:
    """The summed loss with a weight of each row for each member. (n, 1 + members), (n, members) ->
    (n,)"""
    outcomes = targets[:, :1]
    weights = targets[:, 1:]
    return ops.sum(weights * (ops.softplus(logits) - outcomes * logits), axis=-1)


def _steps(
    recipe: FiveSeeds, inputs: Float32Array, targets: Float32Array, seed: int
) -> tf.data.Dataset:
    columns = (inputs, targets)
    if len(targets) <= recipe.batch_rows:
        return tf.data.Dataset.from_tensors(columns).repeat(recipe.steps)
    draw = np.random.default_rng(seed)

    # Batches are drawn by numpy: tf.data's shuffle would copy a million rows one by one.
    def batches() -> Iterator[tuple[Float32Array, ...]]:
        for _ in range(recipe.steps):
            rows = draw.integers(0, len(targets), recipe.batch_rows)
            yield tuple(column[rows] for column in columns)

    signature = tuple(tf.TensorSpec((None, column.shape[1]), tf.float32) for column in columns)
    return tf.data.Dataset.from_generator(batches, output_signature=signature)


@dataclass(frozen=True, slots=True)
class Artifacts:
    """Both stored forms of one model."""

    keras: bytes
    compiled: bytes


@dataclass(frozen=True, slots=True)
class Parity:
    """The differences between the compiled form and Keras."""

    largest_difference: float
    """Over the holdout and the probe rows, in probability."""
    class_flips: int
    """Rows whose class differs although their probability is further from the threshold than the
    bound."""
    beyond_bound: int = 0
    """Rows whose probability differs by more than the bound, or is not a number."""

    @property
    def passed(self) -> bool:
        """Whether scoring may rely on the compiled form."""
        return self.beyond_bound == 0 and self.class_flips == 0


@contextmanager
def _temporary_folder() -> Iterator[Path]:
    before = tempfile.tempdir
    try:
        with tempfile.TemporaryDirectory(prefix="pima-") as folder:
            # TensorFlow leaves files in the common one until the process ends.
            tempfile.tempdir = folder
            yield Path(folder)
    except (OSError, tf.errors.ResourceExhaustedError, tf.errors.OutOfRangeError) as error:
        raise FileNotWritten(path="a temporary file", why=str(error)) from None
    finally:
        tempfile.tempdir = before


def export(model: keras.Model) -> Artifacts:
    """Convert a model to its `.keras` file and its compiled form, as bytes. Raises
    FileNotWritten."""
    with _temporary_folder() as folder:
        keras_path = folder / "model.keras"
        compiled_path = folder / "model.tflite"
        model.save(keras_path)
        model.export(compiled_path, format="litert", verbose=False)
        return Artifacts(keras_path.read_bytes(), compiled_path.read_bytes())


def keras_probabilities(content: bytes, features: Float32Array) -> Float64Array:
    """Predict with stored `.keras` bytes: (n, features) -> (n,). The caller has checked their
    hash."""
    with _temporary_folder() as folder:
        path = folder / "model.keras"
        path.write_bytes(content)
        model = keras.models.load_model(path, compile=False, safe_mode=True)
    return np.asarray(model(features), dtype=np.float64)[:, 0]


def parity(
    artifacts: Artifacts, rows: Float32Array, features: Features, threshold: float
) -> Parity:
    """Compare both forms, reloaded from their stored bytes, on `rows` (n, features) and on the
    probe rows."""
    rows = np.concatenate([rows, probe_rows(features)])
    by_keras = keras_probabilities(artifacts.keras, rows)
    compiled = CompiledModel(artifacts.compiled).probabilities(rows)
    difference = np.abs(by_keras - compiled)
    # The bound on logits, as probability: at the flat ends of the sigmoid, logits can't be
    # recovered from float32.
    allowed = PROBABILITY_ROUNDING + LOGIT_BOUND * by_keras * (1 - by_keras)
    flipped = (by_keras >= threshold) != (compiled >= threshold)
    near = np.abs(by_keras - threshold) <= allowed
    beyond = ~(difference <= allowed)  # so that NaN is beyond
    return Parity(float(difference.max()), int((flipped & ~near).sum()), int(beyond.sum()))


def probe_rows(features: Features) -> Float32Array:
    """Make rows that real data may lack: each feature at its lowest and highest value, or at each
    of its codes, and missing; and all features so at once."""
    extremes = [
        sorted(map(float, feature.codes)) or [feature.low or 0.0, feature.high or 0.0]
        for feature in features
    ]
    low = np.array([values[0] for values in extremes])
    high = np.array([values[-1] for values in extremes])
    middle = np.array(
        [
            values[len(values) // 2] if feature.kind == "category" else sum(values) / 2
            for values, feature in zip(extremes, features, strict=True)
        ]
    )
    missing = np.where([feature.may_be_missing for feature in features], np.nan, middle)
    rows = [low, high, middle, missing]
    for position, values in enumerate(extremes):
        for value in (*values, missing[position]):
            row = middle.copy()
            row[position] = value
            rows.append(row)
    return np.array(rows, dtype=np.float32)
