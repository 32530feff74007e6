"""A clinic that acts on those predicted 1, as it is served, and so changes what becomes of them."""

import numpy as np

from benches.year.hospital import FIRST_DAY
from benches.year.population import HORIZON_DAYS, Clinic, Visits
from pima.core.arrays import BoolArray, Int64Array
from tests.support.databases import Database

PREVENTED = 0.6
"""Of the outcomes 1 that are still to come where somebody acts."""
ACTS_WITHIN = 3
"""Mornings from the prediction on, on any of which it acts alike."""
_SERVED = """
    SELECT p.source_key FROM predictions d JOIN patients p ON p.id = d.patient_id
    WHERE d.predicted_class = 1 AND d.scored_at >= :today"""


class Acting:
    """Who acts. The same visits are reached under each way to count them."""

    def __init__(self, clinic: Clinic, visits: Visits, seed: int) -> None:
        draw = np.random.default_rng([seed, 9])
        rows = len(visits.day)
        self._visits = visits
        self._is_reached = draw.random(rows) < clinic.reached
        self._helps = draw.random(rows) < PREVENTED
        self._waits = draw.integers(0, ACTS_WITHIN, rows)
        self.prevented = 0

    def act(self, database: Database, today: int) -> Int64Array:
        """Decide on what was served since midnight; the visits on which somebody will act, (n,)."""
        moment = {"today": str(FIRST_DAY + today)}
        keys = [int(key) - 1 for (key,) in database.execute(_SERVED, moment)]
        # A visit is served once, on the morning after it.
        served = np.array(keys, dtype=int)
        acted = served[self._is_reached[served] & (self._visits.day[served] == today - 1)]
        self._visits.acted_day[acted] = today + self._waits[acted]
        self._prevent(acted[self._is_prevented(acted)])
        return acted

    def _is_prevented(self, acted: Int64Array) -> BoolArray:
        """Whether the outcome is still to come, and does not; it acts all the same."""
        is_to_come = ~self._visits.is_left_alone[acted] & (self._visits.outcome[acted] == 1)
        return np.asarray(is_to_come & self._helps[acted])

    def _prevent(self, these: Int64Array) -> None:
        self._visits.outcome[these] = 0
        self._visits.known_day[these] = self._visits.day[these] + HORIZON_DAYS
        self.prevented += len(these)
