"""A PostgreSQL table that somebody has made anew beside the old one, which keeps triggers of ours."""

from pima.store.tables import VIEWS
from tests.conftest import Database, call

_ROW = "(pregnancies, glucose, diabetes_pedigree, age) VALUES (1, 100, 0.3, 40)"
_NAMES = """
    SELECT n.indexname, o.indexname FROM pg_indexes o JOIN pg_indexes n
        ON split_part(n.indexdef, ' USING ', 2) = split_part(o.indexdef, ' USING ', 2)
    WHERE o.tablename = 'p_old' AND n.tablename = 'patients'"""


def test_a_table_that_was_rebuilt_beside_the_old_one_gets_its_triggers(postgresql: Database) -> None:
    postgresql.execute(f"INSERT INTO patients {_ROW}")
    postgresql.execute("ALTER TABLE patients RENAME TO p_old")
    postgresql.execute("CREATE TABLE patients (LIKE p_old INCLUDING ALL)")
    postgresql.execute("INSERT INTO patients OVERRIDING SYSTEM VALUE SELECT * FROM p_old")
    told = call(postgresql, "migrate")
    assert (told.exit_code, "patients is not as it was made: it lacks" in told.stderr) == (2, True)
    for new, old in postgresql.execute(_NAMES):
        postgresql.execute(f"ALTER INDEX {old} RENAME TO old_{old}")
        postgresql.execute(f"ALTER INDEX {new} RENAME TO {old}")
    for view in VIEWS:
        reads = postgresql.value(f"SELECT pg_get_viewdef('{view}'::regclass)").replace("p_old", "patients")
        postgresql.execute(f"CREATE OR REPLACE VIEW {view} AS {reads}")
    migrated = call(postgresql, "migrate")
    assert migrated.exit_code == 0, migrated.stderr
    assert call(postgresql, "status").exit_code == 0
    assert postgresql.value("SELECT count(*) FROM pg_trigger WHERE tgrelid = 'p_old'::regclass") == 0
    postgresql.execute(f"INSERT INTO patients {_ROW.replace('(preg', '(id, preg').replace('(1,', '(7, 1,')}")
    assert postgresql.execute("SELECT patient_id FROM scoring_queue ORDER BY 1") == [(1,), (7,)]
