"""A clinic whose source is restored to where it stood three days back: too little is gone for any
limit, and it is told. The same clinic without that, of whose rows a few go all the time, is not."""

import json
import random
import re
import uuid
from datetime import timedelta
from typing import Any

import numpy as np
import pytest

from tests.support.clinic import URL, Clinic, visit
from tests.support.databases import Database, call
from tests.support.settled import NOW

PULLED = (0, 3, 6, 9, 12, 15, 16, 17, 18, 19, 20)
"""Days with a pull: every third night until it counts."""
RESTORED_ON = 18
A_DAY = 20
KINDS = [("sqlite", "keep"), ("postgresql", "delete")]
CASES = [
    *((*kind, 1) for kind in KINDS),
    *(
        pytest.param(*kind, seed, marks=pytest.mark.at_length)
        for seed in range(2, 6)
        for kind in KINDS
    ),
]
"""The kind of both databases, what the settings say of vanished rows, and a seed."""


class Restored:
    """Twenty visits a day, whose outcomes come within days. Of all rows and outcomes, one a day
    goes. A key is the next number, which a restored database gives again."""

    def __init__(self, database: Database, clinic: Clinic, seed: int, vanished: str) -> None:
        self.database = database
        self.clinic = clinic
        self._draw = np.random.default_rng(seed)
        self._visits = random.Random(seed)  # noqa: S311
        self._rows: dict[int, dict[str, Any]] = {}
        self._copies: dict[int, dict[int, dict[str, Any]]] = {}
        self._ended: dict[int, int] = {}
        clinic.settings["vanished"] = vanished

    def live(self, day: int) -> None:
        for _ in range(A_DAY if day else 10 * A_DAY):
            number = max(self._rows, default=0) + 1
            key = str(uuid.UUID(int=number))
            self._rows[number] = visit(self._visits) | {"visit_id": key}
        waiting = [number for number, row in self._rows.items() if row["diabetic"] is None]
        for number in waiting[: len(waiting) * 3 // 4]:
            outcome = str(self._draw.choice(["yes", "no"]))
            self._rows[number] = self._rows[number] | {"diabetic": outcome}
        for _ in range(self._draw.poisson(1)):
            self._rows.pop(self._one())
        for _ in range(self._draw.poisson(1)):
            number = self._one()
            self._rows[number] = self._rows[number] | {"diabetic": None}
        self._copies[day] = dict(self._rows)

    def _one(self) -> int:
        return int(self._draw.choice(list(self._rows)))

    def restore(self, day: int) -> None:
        self._rows = dict(self._copies[day])

    def gone(self, since: int) -> tuple[int, int]:
        """How many rows, and outcomes of others, are gone since the night of a day. Of rows that are
        kept, those that have come back are taken off."""
        before = self._copies[since]
        rows = len(before.keys() - self._rows.keys())
        if self.clinic.settings["vanished"] == "keep":
            rows -= len(self._rows.keys() - before.keys())
        there = before.keys() & self._rows.keys()
        known = [number for number in there if before[number]["diabetic"] is not None]
        return rows, sum(self._rows[number]["diabetic"] is None for number in known)

    def pull(self, day: int) -> None:
        self.clinic.execute("DELETE FROM visits")
        rows = list(self._rows.values())
        names = ", ".join(rows[0])
        marks = ", ".join(f":{name}" for name in rows[0])
        self.clinic.execute(f"INSERT INTO visits ({names}) VALUES ({marks})", rows)
        self.clinic.pulled(self.database)
        self._ended[int(self.database.value("SELECT max(id) FROM runs"))] = day
        for run, of_day in self._ended.items():
            began = self.database.stored(NOW - timedelta(days=day - of_day))
            self.database.execute(
                "UPDATE runs SET started_at = :at WHERE id = :run", {"at": began, "run": run}
            )

    def told(self) -> list[str]:
        """What alerts say of it."""
        ended = call(
            self.database,
            *("alert", "--dry-run", "--json", "--config", self.clinic.config),
            **{URL: self.clinic.url},
        )
        told = json.loads(ended.stdout)["conditions"]
        return [each["what"] for each in told if each["name"] == "source_lost_rows:clinic"]

    def nights(self, days: range) -> list[str]:
        """Live through days; what was told after the pulls, once it is known what is usual."""
        told = []
        for day in days:
            self.live(day)
            if day in PULLED:
                self.pull(day)
                if day > 14:
                    told += self.told()
        return told


@pytest.mark.parametrize(("database", "vanished", "seed"), CASES, indirect=["database"])
def test_a_source_three_days_back_is_told_and_the_same_source_before_is_not(
    database: Database, own_clinic: Clinic, vanished: str, seed: int
) -> None:
    restored = Restored(database, own_clinic, seed, vanished)
    assert restored.nights(range(RESTORED_ON)) == []
    restored.restore(RESTORED_ON - 3)
    rows, outcomes = restored.gone(RESTORED_ON - 1)
    restored.pull(RESTORED_ON)
    (what,) = restored.told()
    lost = f"the source clinic than is usual: {rows} rows and {outcomes} outcomes of other rows"
    assert what.endswith(lost)
    # The keys that it gave are those of new visits now.
    (*_, last) = restored.nights(range(RESTORED_ON + 1, PULLED[-1] + 1))
    came = re.search(r" (\d+) rows came as another person's", last)
    assert came is not None
    again = (PULLED[-1] - RESTORED_ON) * A_DAY
    assert again - 5 <= int(came[1]) <= again  # a few are gone before the night
    status = call(database, "status", "--config", own_clinic.config, **{URL: own_clinic.url})
    assert "source_lost_rows:clinic" in " ".join(status.stdout.split())


@pytest.mark.parametrize(("database", "vanished", "seed"), CASES, indirect=["database"])
def test_nothing_is_told_of_a_source_of_which_a_few_rows_go(
    database: Database, own_clinic: Clinic, vanished: str, seed: int
) -> None:
    assert Restored(database, own_clinic, seed, vanished).nights(range(PULLED[-1] + 1)) == []
