"""The list of who was forgotten: by it a restored database forgets them again, and nobody else."""

from pathlib import Path
from typing import Any

import pytest

from tests.support.databases import Database, call, insert_patients, the_json
from tests.support.patient_files import HEADER, write
from tests.support.shipped import FEATURE_NAMES, SALT

PERSON, KEY, REJECTED = "Canary-Person", "Canary-Key", "Canary-Rejected"
SOUND = "6,120,72,35,0,33.6,0.627,50,"
FIRST = 1_001
"""The first of the ids."""


@pytest.fixture
def config(tmp_path: Path) -> str:
    path = tmp_path / "forget.toml"
    columns = "".join(f'{name} = "{name}"\n' for name in FEATURE_NAMES)
    source = (
        '[[source]]\nname = "clinic"\ntable = "visits"\nkey = "visit"\nperson = '
        '"no"\n[source.columns]\n'
    )
    path.write_text(f'{source}{columns}[holdout]\nsalt = "{SALT}"\n')
    return str(path)


def _as_backed_up(database: Database, person_of_key: str) -> None:
    """Rows with a prediction each: two of a person, one with a key, one with neither, and
    another's; and one that its source could never give."""
    ids = range(FIRST, FIRST + 5)
    insert_patients(database, 5, first_id=FIRST)
    for n, (source_key, person) in enumerate(
        [("'v1'", PERSON), ("'v2'", PERSON), (f"'{KEY}'", person_of_key)]
    ):
        called = f"source = 'clinic', source_key = {source_key}, person_key = '{person}'"
        database.execute(f"UPDATE patients SET {called} WHERE id = {ids[n]}")
    database.execute(f"UPDATE patients SET person_key = 'before' WHERE id = {ids[4]}")
    rejected = (
        "INSERT INTO source_rejections (source, source_key, reason, field) VALUES ('clinic', "
        ":key, 'x', 'y')"
    )
    database.execute(rejected, {"key": REJECTED})
    assert call(database, "score").exit_code == 0
    database.execute("UPDATE patients SET age = age + 1")


def _everything(database: Database) -> list[Any]:
    names = (
        "patients",
        "row_keys",
        "scoring_queue",
        "row_history",
        "predictions",
        "source_rejections",
        "forgotten",
        "installation",
    )
    return [database.execute(f"SELECT * FROM {name} t ORDER BY 1, 2") for name in names]


def test_a_restored_database_forgets_them_again_and_nobody_else(
    scored_database: Database, config: str, tmp_path: Path
) -> None:
    database, path = scored_database, tmp_path / "list"
    asked = ("--config", config, "--reason", "asked by letter")
    _as_backed_up(database, "p")
    ids = database.execute("SELECT id FROM patients ORDER BY id")
    for who in (
        ("--person", PERSON),
        (str(FIRST + 2),),
        (str(FIRST + 3),),
        ("clinic", REJECTED, "--without-rows"),
    ):
        assert call(database, "forget", *who, *asked).exit_code == 0
    assert call(database, "forget", "--export", str(path)).stdout == f"{path}\n"
    # Two persons and four keys: what stands by an id alone is left out.
    assert (len(path.read_text().splitlines()), path.stat().st_mode & 0o777) == (6 + 1, 0o600)
    assert "Canary" not in path.read_text()

    # As the backup has it: the row with the key was then another person's, who was not forgotten.
    for table in ("forgotten", "patients", "predictions", "row_keys"):
        database.execute(f"DELETE FROM {table}")
    _as_backed_up(database, "before")
    assert database.execute("SELECT id FROM patients ORDER BY id") == ids
    imported = ("forget", "--import", str(path), *asked, "--json")
    would = the_json(call(database, *imported, "--dry-run"))
    assert database.value("SELECT count(*) FROM patients") == 5
    found = the_json(call(database, *imported))
    assert found == would | {"dry_run": False}
    assert [found[name] for name in ("rows", "predictions", "row_keys")] == [3, 3, 3]
    assert database.execute("SELECT id FROM patients ORDER BY id") == ids[3:]
    after = _everything(database)
    assert "Canary" not in str(after)
    again = the_json(call(database, *imported))
    assert ((again["rows"], again["predictions"]), _everything(database)) == ((0, 0), after)

    files = {
        f"person_key,{HEADER}": (f"{PERSON},{SOUND}", f"before,{SOUND}", f"p,{SOUND}"),
        f"source,source_key,{HEADER}": (
            f"clinic,{KEY},{SOUND}",
            f"clinic,{REJECTED},{SOUND}",
            f"clinic,v9,{SOUND}",
        ),
        # The ids that the backup had are theirs. Whoever had nothing but an id is not in the list.
        f"id,{HEADER}": (f"{FIRST},{SOUND}", f"{FIRST + 2},{SOUND}", f"{FIRST + 3},{SOUND}"),
    }
    for (header, lines), kept_out in zip(files.items(), (2, 2, 2), strict=True):
        loaded = the_json(call(database, "load", "--json", write(tmp_path, header, *lines)))
        assert loaded["refused_by_reason"] == {"forgotten": kept_out}, header


def test_a_list_that_is_not_whole_or_not_ours_is_refused(sqlite: Database, tmp_path: Path) -> None:
    insert_patients(sqlite, 2, person_key="p")
    insert_patients(sqlite, 1, person_key="q")
    path = tmp_path / "list"
    assert call(sqlite, "forget", "--person", "q", "--reason", "a test").exit_code == 0
    assert call(sqlite, "forget", "--export", str(path)).exit_code == 0
    assert call(sqlite, "forget", "--export", str(path)).exit_code == 2  # never over another one
    whole, before = path.read_text(), _everything(sqlite)
    for text in (whole[:-20], "", "\xff\x00", whole.upper()):
        path.write_text(text, encoding="latin-1")
        ended = call(sqlite, "forget", "--import", str(path), "--reason", "a test", "--json")
        assert (ended.exit_code, the_json(ended)["error"]) == (2, "forgotten_list_refused")
    path.write_text(whole)
    sqlite.execute("UPDATE installation SET forgetting_salt = 'of another'")
    refused = call(sqlite, "forget", "--import", str(path), "--reason", "a test")
    assert (refused.exit_code, "it is another installation's" in refused.stderr) == (2, True)
    absent = call(sqlite, "forget", "--import", str(tmp_path / "absent"), "--reason", "a test")
    assert "No such file" in absent.stderr
    assert _everything(sqlite)[:-1] == before[:-1]
