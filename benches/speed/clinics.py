"""A clinic's table of visits in a database of its own on the benchmark's server."""

import sys
from pathlib import Path

from benches.speed.measure import Ran, run_process, run_timed
from tests.support.clinic import KINDS, TABLE, URL, Clinic, engine_of

COLUMNS = (
    "visit_id, patient_no, pregnancies, glucose_mmol, diastolic, skin, insulin, bmi, pedigree, "
    "age, sex"
)
VISIT = """gen_random_uuid(), n / 2, n % 15, 4 + n % 70 * 0.1, 50 + n % 50, 20 + n % 30,
    CASE WHEN n % 3 = 0 THEN NULL ELSE 50 + n % 90
        END, 20 + n % 200 * 0.1, 0.1 + n % 100 * 0.01, 21 + n % 60, 'F'"""


def clinic_at(url: str, folder: Path) -> Clinic:
    """A table of visits in a database that is there."""
    folder.mkdir()
    clinic = Clinic("postgresql", url, engine_of(url), folder)
    clinic.execute(TABLE.format(**KINDS["postgresql"]))
    return clinic


def insert_visits(clinic: Clinic, rows: int) -> None:
    """So many, none of which has an outcome."""
    clinic.execute(
        f"INSERT INTO visits ({COLUMNS}) SELECT {VISIT} FROM generate_series(1, {rows}) n"
    )


def run_pull(clinic: Clinic, url: str) -> Ran:
    """`python -m jobs.pull` with the clinic as a source, the whole process; the URL is of pima's
    database."""
    return run_process([*_variables(clinic), "-m", "jobs.pull", "--config", clinic.config], url)


def peak_of_pull(clinic: Clinic, url: str) -> float:
    """MB: the largest resident set of a pull."""
    command = [
        *_variables(clinic),
        "benches/speed/peak.py",
        "jobs.pull",
        "--config",
        clinic.config,
    ]
    return run_timed(command, url).peak_mb


def _variables(clinic: Clinic) -> list[str]:
    return ["env", f"{URL}={clinic.url}", sys.executable]
