"""A clinic's own database, under its own names, keys and units: what `jobs.pull` reads in the
tests."""

import json
import random
import sys
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, create_engine, event, text

from tests.support.databases import Database, Ended, call
from tests.support.shipped import ROOT, SALT

MMOL = 18.016
URL = "PIMA_SOURCE__CLINIC__URL"

TABLE = """
CREATE TABLE visits (
    visit_id {uuid} PRIMARY KEY,
    patient_no INTEGER,
    pregnancies INTEGER,
    glucose_mmol {real},
    diastolic INTEGER,
    skin INTEGER,
    insulin {real},
    bmi {number},
    pedigree {real},
    age INTEGER,
    sex {letter},
    diabetic TEXT
)"""
KINDS = {
    "postgresql": {
        "uuid": "uuid",
        "real": "double precision",
        "number": "numeric(5,2)",
        "letter": "char(2)",
    },
    "sqlite": {"uuid": "TEXT", "real": "REAL", "number": "REAL", "letter": "TEXT"},
}
SETTINGS = {
    "name": "clinic",
    "table": "visits",
    "key": "visit_id",
    "key_type": "uuid",
    "person": "patient_no",
    "person_type": "integer",
    "outcome": "diabetic",
    "outcome_words": {"yes": 1, "no": 0},
}
COLUMNS: dict[str, Any] = {
    "pregnancies": "pregnancies",
    "glucose": {"column": "glucose_mmol", "factor": MMOL},
    "blood_pressure": "diastolic",
    "skin_thickness": "skin",
    "insulin": "insulin",
    "bmi": "bmi",
    "diabetes_pedigree": "pedigree",
    "age": "age",
}


@dataclass
class Clinic:
    """A database with a table `visits`, and the settings by which it is a source."""

    kind: str
    url: str
    engine: Engine
    folder: Path
    settings: dict[str, Any] = field(default_factory=lambda: dict(SETTINGS))
    columns: dict[str, Any] = field(default_factory=lambda: dict(COLUMNS))
    extra: str = ""
    """More of the settings' file."""

    def execute(self, statement: str, parameters: Any = None) -> Any:
        with self.engine.begin() as connection:
            result = connection.execute(text(statement), parameters or {})
            return [tuple(row) for row in result] if result.returns_rows else result.rowcount

    def insert(self, rows: int, seed: int = 1, **changed: Any) -> list[str]:
        """Insert sound visits, with some columns changed; their keys."""
        draw = random.Random(seed)  # noqa: S311
        made = [visit(draw) | changed for _ in range(rows)]
        names = ", ".join(made[0])
        marks = ", ".join(f":{name}" for name in made[0])
        self.execute(f"INSERT INTO visits ({names}) VALUES ({marks})", made)
        return [row["visit_id"] for row in made]

    @property
    def config(self) -> str:
        """The settings' file as it stands now; the value of --config."""
        path = self.folder / "clinic.toml"
        said = "".join(f"{key} = {toml(value)}\n" for key, value in self.settings.items())
        columns = "".join(f"{key} = {toml(value)}\n" for key, value in self.columns.items())
        salt = f'[holdout]\nsalt = "{SALT}"\n'
        path.write_text(f"{salt}{self.extra}\n[[source]]\n{said}[source.columns]\n{columns}")
        return str(path)

    def pull(self, database: Database, *arguments: str, **environ: str) -> Ended:
        """Run the job in this process."""
        url = f"PIMA_SOURCE__{self.settings['name'].upper()}__URL"
        return call(
            database, "pull", "--config", self.config, *arguments, **({url: self.url} | environ)
        )

    def pulled(self, database: Database, *arguments: str) -> dict[str, Any]:
        """Run it, and see it succeed; what became of the source."""
        ended = self.pull(database, "--json", *arguments)
        assert ended.exit_code == 0, ended.stderr
        (found,) = json.loads(ended.stdout)["sources"]
        assert isinstance(found, dict)
        return found


def installed(clinic: Clinic, folder: Path) -> Path:
    """A folder as pima is installed in, whose settings have the clinic as their source."""
    (folder / "config").mkdir(parents=True)
    (folder / "config" / "pima.toml").write_text(Path(clinic.config).read_text())
    (folder / ".venv").symlink_to(sys.prefix)
    for name in ("jobs", "pima"):
        (folder / name).symlink_to(ROOT / name)
    return folder


def visit(draw: random.Random) -> dict[str, Any]:
    """A sound row of the table."""
    return {
        "visit_id": str(uuid.UUID(int=draw.getrandbits(128))),
        "patient_no": draw.randrange(1_000_000),
        "pregnancies": draw.randrange(10),
        "glucose_mmol": round(draw.uniform(4, 11), 1),
        "diastolic": draw.randrange(50, 100),
        "skin": draw.randrange(10, 60),
        "insulin": draw.choice([None, 0, 100.5]),
        "bmi": round(draw.uniform(20, 45), 1),
        "pedigree": round(draw.uniform(0.1, 2), 3),
        "age": draw.randrange(21, 80),
        "sex": draw.choice("MF"),
        "diabetic": None,
    }


def toml(value: Any) -> str:
    """A value as TOML writes it."""
    if isinstance(value, dict):
        return (
            "{"
            + ", ".join(f"{json.dumps(key)} = {toml(each)}" for key, each in value.items())
            + "}"
        )
    return json.dumps(value, ensure_ascii=False)


def engine_of(url: str) -> Engine:
    """As a clinic's own software connects."""
    engine = create_engine(url)
    if engine.dialect.name == "sqlite":

        @event.listens_for(engine, "connect")
        def patient(connection: Any, _record: object) -> None:
            connection.execute("PRAGMA busy_timeout = 60000")

    return engine


def clinic_at(kind: str, url: str, folder: Path) -> Iterator[Clinic]:
    found = Clinic(kind, url, engine_of(url), folder)
    found.execute(TABLE.format(**KINDS[kind]))
    yield found
    found.engine.dispose()
