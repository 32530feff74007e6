"""What is scored is declared: the declarations, and the features of each model version.

The tables are as the revisions before have made them, for the eight features that were written into the code, so these
are the first declaration, and those of every version that is there.

Frozen: this file imports nothing of the code.
"""

import json
from typing import Any

from alembic import op
from sqlalchemy import text

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

SQLITE = {"id": "INTEGER", "json": "TEXT", "time": "TEXT", "end": "STRICT"}
SQLITE["now"] = "(strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))"
POSTGRESQL = {"id": "BIGINT", "json": "JSONB", "time": "TIMESTAMP WITH TIME ZONE", "end": ""}
POSTGRESQL["now"] = "clock_timestamp()"

UPGRADE = (
    """CREATE TABLE declarations (
        number {id} NOT NULL CONSTRAINT pk_declarations PRIMARY KEY,
        declaration {json} NOT NULL,
        since {time} NOT NULL DEFAULT {now},
        decided_by TEXT NOT NULL,
        reason TEXT NOT NULL,
        CONSTRAINT ck_declarations_number CHECK (number > 0)
    ) {end}""",
    "ALTER TABLE model_versions ADD COLUMN features {json}",
)
DOWNGRADE = (
    "ALTER TABLE model_versions DROP COLUMN features",
    "DROP TABLE declarations",
)

# name, unit, low, high, whether it may be missing and 0 means so, power, scale, rationale, accepted and hinted names
FEATURES = (
    (
        "pregnancies",
        "count",
        0.0,
        25.0,
        False,
        1.0,
        0.5,
        "seen 0 to 17; above 25 is taken for a typing error",
        [],
        ["preg", "npreg", "pregnant"],
    ),
    (
        "glucose",
        "mg/dL",
        20.0,
        600.0,
        True,
        1.0,
        1.5,
        "seen 44 to 199; point-of-care meters read 20 to 600",
        [],
        ["plas", "glu"],
    ),
    (
        "blood_pressure",
        "mmHg, diastolic",
        10.0,
        200.0,
        True,
        1.0,
        0.1,
        "seen 24 to 122; cuffs read up to 200",
        [],
        ["pres", "bp", "pressure"],
    ),
    (
        "skin_thickness",
        "mm, triceps fold",
        1.0,
        120.0,
        True,
        1.0,
        0.1,
        "seen 7 to 99; calipers open to 80, folds add",
        [],
        ["skin", "triceps"],
    ),
    (
        "insulin",
        "mu U/mL, 2 hours",
        1.0,
        2000.0,
        True,
        0.5,
        1.5,
        "seen 14 to 846; assays are diluted above 1000",
        [],
        ["test"],
    ),
    (
        "bmi",
        "kg/m2",
        8.0,
        150.0,
        True,
        -1.0,
        1.0,
        "seen 18.2 to 67.1; survivable extremes lie within 8 and 150",
        [],
        ["mass", "bodymassindex"],
    ),
    (
        "diabetes_pedigree",
        "score",
        0.0,
        5.0,
        False,
        0.5,
        1.0,
        "seen 0.078 to 2.42; never negative by its formula",
        ["DiabetesPedigreeFunction"],
        ["pedi", "ped", "pedigree", "dpf"],
    ),
    ("age", "years", 18.0, 120.0, False, 1.0, 1.5, "seen 21 to 81; the study took adults only", [], []),
)
OUTCOME = {
    "name": "outcome",
    "meaning": "diabetes within five years, by the criteria of the World Health Organization",
    "also_called": ["class"],
    "perhaps_called": ["diabetes", "type"],
}


def upgrade() -> None:
    words = SQLITE if _is_sqlite() else POSTGRESQL
    for statement in UPGRADE:
        _run(statement.format(**words))
    features = [_feature(*each) for each in FEATURES]
    as_json = ":document" if _is_sqlite() else "CAST(:document AS JSONB)"
    _execute(
        f"INSERT INTO declarations (number, declaration, decided_by, reason) VALUES (1, {as_json}, 'migrate', :reason)",
        document=json.dumps({"outcome": OUTCOME, "feature": features, "retired": []}, sort_keys=True),
        reason="the features that were written into the code",
    )
    _execute(f"UPDATE model_versions SET features = {as_json}", document=json.dumps(features, sort_keys=True))


def downgrade() -> None:
    for statement in DOWNGRADE:
        _run(statement)


def _feature(
    name: str,
    unit: str,
    low: float,
    high: float,
    may_be_missing: bool,
    power: float,
    scale: float,
    rationale: str,
    also_called: list[str],
    perhaps_called: list[str],
) -> dict[str, Any]:
    return {
        "name": name,
        "unit": unit,
        "low": low,
        "high": high,
        "zero_is_missing": may_be_missing,
        "may_be_missing": may_be_missing,
        "kind": "number",
        "codes": {},
        "rationale": rationale,
        "power": power,
        "scale": scale,
        "also_called": also_called,
        "perhaps_called": perhaps_called,
    }


def _is_sqlite() -> bool:
    return bool(op.get_bind().dialect.name == "sqlite")


def _execute(statement: str, **parameters: object) -> Any:
    return op.get_bind().execute(text(statement), parameters)


def _run(statement: str) -> None:
    # Straight to the driver: the texts hold colons and percent signs that are no parameters.
    op.get_bind().exec_driver_sql(statement if _is_sqlite() else statement.replace("%", "%%"))
