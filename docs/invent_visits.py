"""python docs/invent_visits.py FILE: a clinic's database of 50,000 invented visits, for
docs/start/my-database.md.

A SQLite file, as a clinic's own software might have made it: its table `visits` has UUIDs for keys,
glucose in mmol/L, 'M' and 'F', several visits of a person, and no outcome yet for the latest ones.
Nobody in it has ever lived.
"""

import math
import random
import sqlite3
import sys
import uuid
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

VISITS = 50_000
PEOPLE = 20_000
BEGUN = datetime(2021, 1, 1)  # noqa: DTZ001 (a clinic's clock on the wall)
DAYS = 1_600
KNOWN_DAYS = 1_100
"""Later visits have no outcome yet."""

TABLE = """
CREATE TABLE visits (
    visit_id TEXT PRIMARY KEY, patient_no INTEGER NOT NULL, visited_on TEXT, site TEXT, sex TEXT,
        age_years INTEGER,
    bmi REAL, systolic INTEGER, glucose_mmol REAL, hba1c REAL, smoking TEXT, notes TEXT,
        diabetic TEXT, updated_at TEXT
)"""
INSERT = "INSERT INTO visits VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"


def invented() -> Iterator[tuple[object, ...]]:
    """The rows; the same each time."""
    draw = random.Random(1)  # noqa: S311
    people = [_person(draw) for _ in range(PEOPLE)]
    for _ in range(VISITS):
        number = draw.randrange(PEOPLE)
        yield _visit(draw, 100_000 + 7 * number, people[number])


def _person(draw: random.Random) -> dict[str, float]:
    age, bmi = draw.randrange(21, 80), draw.lognormvariate(3.3, 0.2)
    smoking, is_man = draw.choices([0, 1, 2], [5, 3, 2])[0], draw.random() < 0.48
    burden = draw.gauss(0, 1)
    glucose = 5.3 + 0.012 * (age - 45) + 0.05 * (bmi - 27) + 0.7 * burden
    risk = -2.6 + 0.03 * (age - 45) + 0.10 * (bmi - 27) + 1.1 * burden + 0.3 * smoking
    falls_ill = draw.random() < 1 / (1 + math.exp(-risk))
    return {
        "age": age,
        "bmi": bmi,
        "smoking": smoking,
        "man": is_man,
        "glucose": glucose,
        "falls_ill": falls_ill,
    }


def _visit(draw: random.Random, number: int, person: dict[str, float]) -> tuple[object, ...]:
    day = draw.randrange(DAYS)
    visited = BEGUN + timedelta(days=day, minutes=draw.randrange(480, 1_080))
    glucose = max(3.2, person["glucose"] + draw.gauss(0, 0.5))
    outcome = ("yes" if person["falls_ill"] else "no") if day < KNOWN_DAYS else None
    return (
        str(uuid.UUID(int=draw.getrandbits(128), version=4)),
        number,
        f"{visited:%Y-%m-%d}",
        draw.choices(["North", "South", "West"], [5, 3, 2])[0],
        "M" if person["man"] else "F",
        int(person["age"]) + day // 365,
        round(person["bmi"] + draw.gauss(0, 0.6), 1),
        round(draw.gauss(118 + 0.3 * (person["age"] - 45), 13)),
        None if draw.random() < 0.04 else round(glucose, 1),
        None if draw.random() < 0.3 else round(26 + 2.1 * glucose + draw.gauss(0, 3), 1),
        ["never", "former", "current"][int(person["smoking"])],
        f"Seen by nurse {draw.randrange(1, 400)}." if draw.random() < 0.2 else None,
        outcome,
        f"{visited + timedelta(days=draw.randrange(30)):%Y-%m-%d %H:%M:%S}",
    )


def main(path: Path) -> None:
    """Make the file."""
    if path.exists():
        sys.exit(f"{path} is there already: name another file, or move it away")
    with sqlite3.connect(path) as connection:
        connection.execute(TABLE)
        connection.executemany(INSERT, invented())
    connection.close()
    print(f"{path}: {VISITS:,} invented visits in the table visits")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(Path(sys.argv[1]))
