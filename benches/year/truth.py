"""What is true of a clinic, beside what pima shows of it."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from benches.year.hospital import FIRST_DAY
from benches.year.population import (
    FEATURES,
    HORIZON_DAYS,
    NEVER,
    Clinic,
    Visits,
    draw_measurements,
    probability_after,
    probability_before,
)
from pima.core.arrays import BoolArray, Float64Array, Int8Array, Int64Array
from pima.core.rows.validation import as_features, by_feature
from pima.core.statistics.samples import log_losses
from pima.scorer import load_scorer
from tests.support.databases import Database
from tests.support.ledger import document

_FRESH_VISITS = 20_000
_DAYS_ON_TIME = 3
"""A tenth of the horizon."""


@dataclass(frozen=True)
class Figures:
    """Of predictions and their outcomes."""

    outcomes: int
    positive: int
    observed_expected: float | None
    auroc: float | None


@dataclass(frozen=True)
class Week:
    """What stands on top of `status` on a week's last morning, and what is true of it."""

    night: int
    shown: Figures
    true: Figures
    """Of the same predictions, once all of their outcomes are known."""


@dataclass(frozen=True)
class Move:
    """A verdict, and what the challenger is truly worth."""

    night: int
    challenger: int | None
    verdict: str
    auroc: float | None
    """By the verdict's test set."""
    auroc_as_recorded: float | None
    """Of the same rows, by what the clinic had written down when they were predicted."""
    auroc_as_corrected: float | None
    """Of the same rows, by what stands there once all outcomes are known."""
    rows: int
    positive: int
    true_auroc: float | None
    gain: float | None
    """By how much the true mean log loss is lower than the champion's."""
    corrected: dict[str, int]
    """The rows of its history that were corrected after their prediction, as the run counts
    them."""
    explanation: str


@dataclass(frozen=True)
class Mean:
    """A champion's mean probability over fresh visits, beside the true one; and how many it calls,
    beside how many truly lie above its threshold."""

    version: int
    predicted: float
    true: float
    called: float
    truly_above: float


def figures_of(probability: Float64Array, outcome: Int8Array) -> Figures:
    """Observed over expected, and the area under the curve; None of too few."""
    positive = int(outcome.sum())
    rows = len(outcome)
    expected = float(probability.sum())
    ratio = positive / expected if rows else None
    auroc = None
    if 0 < positive < rows:
        order = np.argsort(np.argsort(probability)) + 1
        auroc = (order[outcome == 1].sum() - positive * (positive + 1) / 2) / (
            positive * (rows - positive)
        )
    return Figures(rows, positive, ratio, None if auroc is None else float(auroc))


class Truth:
    """Somebody who knows everything about the clinic."""

    def __init__(
        self, clinic: Clinic, visits: Visits, database: Database, has_horizon: bool
    ) -> None:
        self._clinic = clinic
        self._visits = visits
        self._database = database
        self._has_horizon = has_horizon
        self._fresh = draw_measurements(np.random.default_rng(99), _FRESH_VISITS)
        self._scored: dict[int, Float64Array] = {}

    def week(self, night: int, status: dict[str, Any]) -> Week:
        found = status["standing"]
        if found is None:
            nothing = Figures(0, 0, None, None)
            return Week(night, nothing, nothing)
        shown = Figures(
            found["outcomes"],
            found["positive"],
            found["figures"]["observed_expected"]["value"],
            found["figures"]["auroc"]["value"],
        )
        weeks = np.array([found["since"], found["until"]], dtype="M8[D]")
        counts = np.ones(len(self._visits.day), dtype=bool)
        if self._clinic.if_acted == "unknown":
            counts = self._visits.is_left_alone
        return Week(night, shown, self._true((weeks - FIRST_DAY).astype(int), counts))

    def left_alone(self) -> Figures:
        """Of all predictions but of visits on which somebody acts."""
        always = np.array([0, NEVER])
        return self._true(always, self._visits.is_left_alone)

    def _true(self, days: Int64Array, counts: BoolArray) -> Figures:
        """Of all predictions of visits that count, (n,), and whose horizon ends from one of two
        days on and before the other."""
        rows = self._database.execute("""
            SELECT p.source_key, d.probability, d.scored_at FROM predictions d
            JOIN patients p ON p.id = d.patient_id""")
        of = np.array([int(row[0]) - 1 for row in rows], dtype=int)
        probability = np.array([row[1] for row in rows])
        scored = np.array([np.datetime64(row[2][:10]) for row in rows], dtype="M8[D]")
        day = self._visits.day[of]
        is_told = (scored - FIRST_DAY).astype(int) <= day + _DAYS_ON_TIME
        is_told &= counts[of]
        if self._has_horizon:
            over = day + HORIZON_DAYS
            is_told &= (over >= days[0]) & (over < days[1])
        return figures_of(probability[is_told], self._visits.outcome[of[is_told]])

    def move(self, night: int, result: dict[str, Any]) -> Move:
        """A retraining's verdict."""
        challenger, champion = result["challenger"], result["champion_before"]
        loss, auroc = self._loss_and_auroc(challenger, night)
        gain = None if champion is None else self._loss_and_auroc(champion, night)[0] - loss
        shown = (result["challenger_scores"] or {}).get("auc")
        judged = self._judged(challenger)
        recorded = self._visits.recorded[judged]
        corrected = recorded.copy()
        corrected[:, FEATURES.index("creatinine")] = self._visits.creatinine_then[judged]
        as_recorded = self._figures(challenger, judged, recorded)
        return Move(
            night=night,
            challenger=challenger,
            verdict=result["verdict"],
            auroc=shown,
            auroc_as_recorded=as_recorded.auroc,
            auroc_as_corrected=self._figures(challenger, judged, corrected).auroc,
            rows=as_recorded.outcomes,
            positive=as_recorded.positive,
            true_auroc=auroc,
            gain=gain,
            corrected=result["corrected"],
            explanation=result["explanation"],
        )

    def _judged(self, version: int) -> Int64Array:
        """The visits of a version's verdict."""
        judged = document(
            self._database,
            "SELECT t.patient_ids FROM promotions p JOIN test_sets t "
            "ON t.fingerprint = p.test_set_fingerprint "
            f"WHERE p.challenger = {version} ORDER BY p.id DESC LIMIT 1",
        )
        keys = dict(self._database.execute("SELECT id, source_key FROM patients"))
        return np.array([int(keys[row]) - 1 for row in judged])

    def _figures(self, version: int, visits: Int64Array, values: Float64Array) -> Figures:
        """Of a version on these visits, by these values of theirs."""
        scorer = load_scorer(self._database.engine, version)
        features = as_features(by_feature(values), scorer.features)
        probability = scorer.model.probabilities(features).astype(np.float64)
        return figures_of(probability, self._visits.outcome[visits])

    def _loss_and_auroc(self, version: int, night: int) -> tuple[float, float]:
        """On fresh visits of that day, by their true probabilities."""
        probability = self._probabilities(version)
        truly = self._truly(night)
        loss = truly * log_losses(probability, np.ones_like(truly, dtype=np.int8)) + (
            1 - truly
        ) * log_losses(probability, np.zeros_like(truly, dtype=np.int8))
        order = np.argsort(probability)
        below = np.cumsum(1 - truly[order]) - (1 - truly[order])
        auroc = (truly[order] * below).sum() / (truly.sum() * (1 - truly).sum())
        return float(loss.mean()), float(auroc)

    def _truly(self, night: int) -> Float64Array:
        """How likely the outcome of each fresh visit is on a day."""
        relation = probability_before(self._clinic)
        if night > self._clinic.change_on:
            relation = probability_after(self._clinic, night)
        return relation(self._fresh)

    def mean(self, night: int) -> Mean | None:
        """None without a champion."""
        version = self._database.value("SELECT model_version FROM champion")
        if version is None:
            return None
        predicted = self._probabilities(int(version))
        truly = self._truly(night)
        threshold = load_scorer(self._database.engine, int(version)).threshold
        return Mean(
            int(version),
            float(predicted.mean()),
            float(truly.mean()),
            float((predicted >= threshold).mean()),
            float((truly >= threshold).mean()),
        )

    def _probabilities(self, version: int) -> Float64Array:
        if version not in self._scored:
            scorer = load_scorer(self._database.engine, version)
            features = as_features(by_feature(self._fresh), scorer.features)
            self._scored[version] = scorer.model.probabilities(features).astype(np.float64)
        return self._scored[version]
