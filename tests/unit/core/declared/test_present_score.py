"""The declaration of a score in use: what can't be used is told by its key."""

import re
from pathlib import Path

import pytest
from msgspec.structs import replace

from pima.core.declared.features import first_difference
from pima.core.rows.redeclared import changes, of_another_kind
from pima.errors import WrongConfiguration
from pima.settings.reading import SHIPPED, SHIPPED_FILE, read_declaration
from pima.store.models.registry import as_declaration, as_stored
from tests.support.ward import WARD, WITH_WARD, ward_configuration


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ('name = "age"', "name is that of feature 8"),
        ('name = "Ward"', "name is no plain name"),
        ('name = "outcome"', "a column of the service's own"),
        ('name = "a"\nthreshold = inf', "threshold is none that the score can reach"),
        (
            'name = "a"\nkind = "probability"\nthreshold = 20',
            "threshold is none that the score can reach",
        ),
        ('name = "a"\nkind = "probability"\ndirection = "falling"', "direction is falling"),
        ('name = "a"\nlabel = "a\\u0007"', "label holds invisible characters"),
        ('name = "a"\nkind = "percent"', "kind has a wrong value"),
        ('name = "a"\nbands = [0]', "takes no key bands"),
        ('name = "a"\nlow = 20\nhigh = 0', "low and high are no range"),
        ('name = "a"\nhigh = inf', "low and high are no range"),
        ('name = "a"\nhigh = 20\nthreshold = 21', "threshold is none that the score can reach"),
        ('name = "a"\nkind = "probability"\nlow = 2', "low and high are no range"),
        (
            'name = "a"\nlabel = "NEWS2"\n[[present_score]]\nname = "b"\nlabel = "NEWS2"',
            "present_score: label is that of two scores",
        ),
    ],
)
def test_a_score_that_can_t_be_used_is_told(tmp_path: Path, said: str, told: str) -> None:
    path = tmp_path / "features.toml"
    path.write_text(f"{SHIPPED_FILE.read_text()}\n[[present_score]]\n{said}\n")
    with pytest.raises(WrongConfiguration, match=re.escape(told)):
        read_declaration(path)


def test_a_score_s_threshold_may_be_its_highest_value() -> None:
    assert not list(replace(WARD, low=0, high=3, threshold=3).faults())


def test_a_score_is_read_stored_and_compared(tmp_path: Path) -> None:
    ward_configuration(tmp_path)
    found = read_declaration(tmp_path / "features.toml")
    assert found == WITH_WARD
    assert as_declaration(as_stored(found)) == found
    # Earlier releases read what declares none.
    assert {"present_score", "retired_scores"}.isdisjoint(as_stored(SHIPPED))
    assert first_difference(SHIPPED, found) == (
        "nothing stands in the settings where this database has the score ward"
    )
    after, told = changes(found, SHIPPED)
    assert (after.retired_scores, told.retired, told.any) == ((WARD,), ("ward",), True)
    again, told = changes(after, found)
    assert (again, told.revived, told.added) == (found, ("ward",), ())
    assert of_another_kind(after, found) is None
