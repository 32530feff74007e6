"""The clinic's own database, which pima pulls from: it holds the whole half year, and its view
`visits` shows what is known at the moment at which it is asked."""

import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np
import pandas as pd

from benches.year.population import FEATURES, HORIZON_DAYS, Clinic, Visits
from pima.core.arrays import Int64Array
from tests.support.shipped import SALT

FIRST_DAY = np.datetime64("2026-01-04")
"""Day 0, a Sunday."""

# A day's events are known once it is over. Of the history only what has an outcome was ever written
# down, unless the clinic has a backlog.
_VIEW = """
CREATE VIEW visits AS
SELECT visit, age, stays, haemoglobin, discharged_on,
    CASE WHEN corrected_on < date('now') THEN creatinine_then ELSE creatinine END AS creatinine,
    CASE WHEN acted_at < datetime('now') THEN acted_at END AS acted_at,
    CASE WHEN known_on < date('now') THEN outcome END AS outcome,
    CASE WHEN known_on < date('now') THEN known_on END AS known_on
FROM everything
WHERE discharged_on < date('now') AND (is_written_at_once OR known_on < date('now'))"""

_ACTED = """
UPDATE everything SET acted_at = ? || ' 09:00:00', outcome = ?, known_on = ? WHERE visit = ?"""
_FILE = "hospital.db"

_SETTINGS = """
[holdout]
salt = "{salt}"

[gate]
measure = "log_loss"

[retrain]
threshold = {threshold}

[outcome]
name = "readmitted"
meaning = "back in hospital within 30 days of discharge"
{horizon}{if_acted}
[[feature]]
name = "age"
unit = "years"
low = 18
high = 120
power = 1

[[feature]]
name = "creatinine"
unit = "mg/dL"
low = 0.1
high = 20
power = 0.5

[[feature]]
name = "stays"
unit = "count"
low = 0
high = 40
power = 1

[[feature]]
name = "haemoglobin"
unit = "g/dL"
low = 3
high = 22
power = 1

[[source]]
name = "hospital"
table = "visits"
key = "visit"
key_type = "integer"
outcome = "outcome"
{outcome_at}{index_at}{acted_at}
[source.columns]
age = "age"
creatinine = "creatinine"
stays = "stays"
haemoglobin = "haemoglobin"
"""


def write_hospital(folder: Path, clinic: Clinic, visits: Visits) -> str:
    """Make the database; its URL."""
    rows = pd.DataFrame(visits.recorded, columns=list(FEATURES))
    rows.insert(0, "visit", np.arange(1, len(rows) + 1))
    rows["discharged_on"] = (FIRST_DAY + visits.day).astype(str)
    rows["known_on"] = (FIRST_DAY + visits.known_day).astype(str)
    rows["corrected_on"] = (FIRST_DAY + visits.corrected_day).astype(str)
    rows["outcome"] = visits.outcome
    rows["acted_at"] = pd.Series(dtype=str)
    rows["creatinine_then"] = visits.creatinine_then
    rows["is_written_at_once"] = (clinic.has_backlog | (visits.day >= 0)).astype(int)
    path = folder / _FILE
    with closing(sqlite3.connect(path)) as connection:
        rows.to_sql("everything", connection, index=False)
        connection.execute(_VIEW)
        connection.commit()
    return f"sqlite:///{path}"


def write_acts(folder: Path, visits: Visits, acted: Int64Array) -> None:
    """Write down when somebody acted on these visits, (n,), and what becomes of them now."""
    acted_on = (FIRST_DAY + visits.acted_day[acted]).astype(str)
    known_on = (FIRST_DAY + visits.known_day[acted]).astype(str)
    outcomes = visits.outcome[acted].tolist()
    rows = zip(acted_on, outcomes, known_on, (acted + 1).tolist(), strict=True)
    with closing(sqlite3.connect(folder / _FILE)) as connection:
        connection.executemany(_ACTED, rows)
        connection.commit()


def write_settings(folder: Path, clinic: Clinic, has_horizon: bool) -> Path:
    """Make the settings' file; its path."""
    path = folder / "clinic.toml"
    path.write_text(
        _SETTINGS.format(
            salt=SALT,
            threshold=0.15 if clinic.prevalence < 0.2 else 0.4,
            horizon=f'horizon = "{HORIZON_DAYS} days"\n' if has_horizon else "",
            outcome_at='outcome_at = "known_on"\n' if clinic.has_outcome_at else "",
            index_at='index_at = "discharged_on"\n' if has_horizon else "",
            if_acted=f'if_acted = "{clinic.if_acted}"\n' if clinic.if_acted else "",
            acted_at='acted_at = "acted_at"\n' if clinic.if_acted else "",
        )
    )
    return path
