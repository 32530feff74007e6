"""The paths that messages name."""

from pima.errors import places
from pima.errors.places import with_places
from tests.support.shipped import ROOT


def test_an_installed_pima_names_its_files_by_their_path_and_nobody_elses() -> None:
    said = "see docs/do/upgrade.md, deploy/mine.toml, /a/docs/do/upgrade.md or (deploy/roles.sql)."
    assert with_places(said, is_installed=True) == (
        f"see {ROOT}/docs/do/upgrade.md, deploy/mine.toml, /a/docs/do/upgrade.md or "
        f"({ROOT}/deploy/roles.sql)."
    )


def test_in_a_checkout_messages_stay_short() -> None:
    assert with_places("docs/do/upgrade.md") == "docs/do/upgrade.md"


def test_every_path_in_a_message_is_there() -> None:
    """And so in a wheel, which holds these folders; `make wheel` sees it do so."""
    rooms = ((ROOT / room).rglob("*.py") for room in ("pima", "jobs"))
    named = {each for room in rooms for path in room for each in named_in(path.read_text())}
    assert {"docs/do/symptoms.md", "deploy/roles.sql", "locks/train.txt"} <= named
    assert [each for each in sorted(named) if not (ROOT / each).exists()] == []


def named_in(text: str) -> list[str]:
    return places._NAMED.findall(text)
