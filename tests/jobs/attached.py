"""A clinic's table that is attached, and what its pulls come to."""

from tests.conftest import Database
from tests.jobs.clinic import Clinic
from tests.jobs.pulls import counts


def pulled(database: Database, clinic: Clinic, *arguments: str) -> tuple[str, dict[str, int]]:
    """How much was compared, and what came of it."""
    found = clinic.pulled(database, *arguments)
    return found["compared"], counts(found)


def assert_nothing_is_missing(database: Database, clinic: Clinic) -> None:
    """Each row of the table is ours as it is, and we have no other."""
    rows = clinic.execute("SELECT count(*) FROM visits")[0][0]
    assert pulled(database, clinic, "--full", "--dry-run") == ("all", {"unchanged": rows} if rows else {})


def attached_and_pulled(database: Database, clinic: Clinic, rows: int = 50) -> Clinic:
    """With so many visits, of which none waits to be scored."""
    clinic.insert(rows)
    clinic.settings |= {"vanished": "delete", "most_vanished": 1, "most_missing": 1}
    ended = clinic.attach(database, "clinic")
    assert ended.exit_code == 0, ended.stderr
    assert pulled(database, clinic) == ("all", {"inserted": rows})
    assert pulled(database, clinic) == ("touched", {})
    database.execute("DELETE FROM scoring_queue")
    return clinic
