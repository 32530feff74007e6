"""python -m benches.year.living NAME --folder FOLDER: a half year of one clinic, by the
commands.

The process runs under Debian's faketime and sets its own clock: libfaketime reads FAKETIME at each
call, so the next command finds itself at the next night, and SQLite with it. Nothing that pima has
written is touched.
"""

import argparse
import json
import os
import time
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from benches.endings import end_in_order, end_with_parent
from benches.year.acting import Acting
from benches.year.hospital import FIRST_DAY, write_acts, write_hospital, write_settings
from benches.year.population import (
    CLINICS,
    CORRECTED_HISTORY,
    HORIZON_DAYS,
    Clinic,
    visits_of,
)
from benches.year.truth import Figures, Mean, Move, Truth, Week
from pima.settings.sections import DatabaseSettings
from pima.store.urls import make_engine
from tests.support.alert_receiver import AlertReceiver, alert_receiver
from tests.support.databases import Database, call, the_json

_BEGAN = time.time() - time.monotonic()
_ALLOWED = {"alert": (0, 75), "health": (0, 1), "score": (0, 3), "retrain": (0, 3)}
"""Exit codes beside 0: alerts to send again, what health finds, and what is refused while there is
no champion."""


@dataclass
class Told:
    """A message that a receiver got."""

    night: int
    title: str
    settled: int
    """How many visits' horizons were over then; after a change only those of visits after it."""


@dataclass
class HalfYear:
    """What was shown and told in a clinic, and what was true."""

    clinic: str
    changes_on: int | None
    """The day of its change; None if it has none."""
    has_hindsight: bool
    nights: int
    weeks: list[Week] = field(default_factory=list)
    told: list[Told] = field(default_factory=list)
    moves: list[Move] = field(default_factory=list)
    last: Mean | None = None
    """Of the champion at the end."""
    acted: int = 0
    """On how many visits somebody acted since they were predicted 1."""
    prevented: int = 0
    """How many outcomes 1 did not come because of it."""
    left_alone: Figures | None = None
    """Of the predictions as they were served, but for those on which somebody acted."""
    complaints: dict[str, int] = field(default_factory=dict)
    """How many nights health named a reason."""
    seconds: dict[str, float] = field(default_factory=dict)
    """By command."""


def set_clock(moment: datetime) -> None:
    """From here on it is this moment."""
    really = _BEGAN + time.monotonic()
    os.environ["FAKETIME"] = f"{moment.timestamp() - really:+.0f}"


class Hospital:
    """The clinic with its pima, night by night."""

    def __init__(
        self, clinic: Clinic, nights: int, seed: int, folder: Path, has_horizon: bool
    ) -> None:
        visits = visits_of(clinic, nights, seed)
        self._clinic = clinic
        url = f"sqlite:///{folder / 'pima.db'}"
        self._database = Database("sqlite", url, make_engine(url, DatabaseSettings()))
        self._database.environ["PIMA_SOURCE__HOSPITAL__URL"] = write_hospital(
            folder, clinic, visits
        )
        self._config = str(write_settings(folder, clinic, has_horizon))
        self._folder = folder
        self._acting = Acting(clinic, visits, seed)
        self._visits = visits
        self._has_changed_on = clinic.change_on if clinic.has_a_change else None
        self._truth = Truth(clinic, visits, self._database, has_horizon)
        self.lived = HalfYear(clinic.name, self._has_changed_on, clinic.has_hindsight, nights)

    def live(self) -> None:
        """All nights, with somebody who is told of alarms."""
        with alert_receiver() as receiver:
            self._database.environ["PIMA_ALERTS__URLS"] = receiver.url
            for night in range(self.lived.nights + 1):
                self._live_a_night(night, receiver)
        self.lived.last = self._truth.mean(self.lived.nights)
        self.lived.prevented = self._acting.prevented
        self.lived.left_alone = self._truth.left_alone()

    def live_for_the_last_verdict(self) -> None:
        """Every second night, and a retraining on the first and the last one: so each visit is
        predicted in time, at a quarter of the cost."""
        for night in range(0, self.lived.nights + 1, 2):
            self._pull_and_score(night)
        self._retrain(self.lived.nights)
        if self._clinic.history_is_corrected:
            self._learn_from_predicted()
            self._retrain(self.lived.nights)

    def _learn_from_predicted(self) -> None:
        config = Path(self._config)
        declared = config.read_text()
        config.write_text(declared.replace("[outcome]\n", '[outcome]\nlearn_from = "predicted"\n'))
        self._run("migrate", "--features", "--reason", "the history was loaded corrected")

    def _pull_and_score(self, night: int) -> None:
        set_clock(moment_of(night, 2, 15))
        if night == 0:
            self._run("migrate")
        self._run("pull")
        if night == 0:
            self._retrain(night)
        self._run("score")

    def _live_a_night(self, night: int, receiver: AlertReceiver) -> None:
        is_weeks_end = night % 7 == 0
        self._pull_and_score(night)
        set_clock(moment_of(night, 3, 0))
        if is_weeks_end and night > 0:
            self._retrain(night)
        set_clock(moment_of(night, 7, 0))
        self._act(night + 1)
        self._send_alerts()
        told = [Told(night, title, self._settled(night)) for title in receiver.titles]
        self.lived.told += told
        receiver.got.clear()
        for reason in self._unhealthy():
            self.lived.complaints[reason] = self.lived.complaints.get(reason, 0) + 1
        if is_weeks_end:
            status = the_json(self._run("status", "--json"))
            self.lived.weeks.append(self._truth.week(night, status))

    def _act(self, today: int) -> None:
        acted = self._acting.act(self._database, today)
        self.lived.acted += len(acted)
        write_acts(self._folder, self._visits, acted)

    def _send_alerts(self) -> None:
        """On a busy machine the sender may miss its deadline, and says to run it again."""
        for _ in range(5):
            if self._run("alert").exit_code == 0:
                return
        raise AssertionError("the receiver never got the alerts")

    def _retrain(self, night: int) -> None:
        ended = self._run("retrain", "--json")
        if ended.exit_code != 0:
            return
        result = the_json(ended)
        if "champion_before" in result:  # else nothing has come since the last verdict
            self.lived.moves.append(self._truth.move(night, result))

    def _unhealthy(self) -> set[str]:
        ended = self._run("health", "--json")
        if ended.exit_code == 0:
            return set()
        reasons = the_json(ended)["message"].removeprefix("Not healthy: ").split("; ")
        return {each.partition(":")[0] for each in reasons} - {"scheduler_silent"}

    def _settled(self, night: int) -> int:
        is_settled = self._visits.day <= night - HORIZON_DAYS
        if self._has_changed_on is not None and night > self._has_changed_on:
            is_settled &= self._visits.day >= self._has_changed_on
        return int(is_settled.sum())

    def _run(self, job: str, *arguments: str) -> Any:
        began = time.process_time()
        ended = call(self._database, job, "--config", self._config, *arguments)
        end_in_order()  # the command has heard signals itself
        took = time.process_time() - began
        self.lived.seconds[job] = self.lived.seconds.get(job, 0.0) + took
        assert ended.exit_code in _ALLOWED.get(job, (0,)), (job, ended)
        return ended


def moment_of(night: int, hour: int, minute: int) -> datetime:
    """The morning after a day."""
    day = datetime.fromisoformat(str(FIRST_DAY)).replace(tzinfo=UTC)
    return day + timedelta(days=night + 1, hours=hour, minutes=minute)


def main() -> None:
    options = argparse.ArgumentParser()
    options.add_argument("name")
    options.add_argument("--folder", type=Path, required=True)
    options.add_argument("--nights", type=int)
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--without-horizon", action="store_true")
    options.add_argument("--last-verdict", action="store_true")
    given = options.parse_args()
    end_in_order()
    end_with_parent()
    every = (*CLINICS, CORRECTED_HISTORY)
    clinic = next(each for each in every if each.name == given.name)
    nights = min(given.nights or clinic.nights, clinic.nights)
    hospital = Hospital(clinic, nights, given.seed, given.folder, not given.without_horizon)
    if given.last_verdict:
        hospital.live_for_the_last_verdict()
    else:
        hospital.live()
    (given.folder / "lived.json").write_text(json.dumps(asdict(hospital.lived)))


if __name__ == "__main__":
    main()
