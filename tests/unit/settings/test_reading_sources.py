"""[[source]] in the settings, and the variables that hold the URLs; everything else is an error
that names the key."""

import re
from pathlib import Path

import pytest

from pima.core.declared.source import MappedColumn
from pima.errors import WrongConfiguration
from pima.settings.reading import read_settings, require_urls_of_sources, source_url
from tests.support.every_command import SECRET

WHOLE = """
[[source]]
name = "clinic"
table = "visits.measurements"
key = ["site", "visit"]
key_type = ["text", "integer"]
person = "patient_no"
person_type = "integer"
outcome = "diabetic"
outcome_words = { yes = 1, no = 0 }
outcome_at = "known_at"
time_zone = "Europe/Zurich"
changed_since = "updated_at"
vanished = "delete"
minimum_rows = 100
most_vanished = 0.1
most_missing = 1
most_rejected = 0.9
most_cleared = 0

[source.columns]
glucose = { column = "glucose_mmol", factor = 18.016 }
sex = { column = "sex", words = { M = 1, F = 0 } }
age = "age"
"""
LEAST = '[[source]]\nname = "clinic"\ntable = "t"\nkey = "k"\ncolumns = { age = "a" }\n'
URL = "PIMA_SOURCE__CLINIC__URL"


def _file(folder: Path, content: str) -> Path:
    path = folder / "pima.toml"
    path.write_text(content)
    return path


def test_a_source_is_read_whole(tmp_path: Path) -> None:
    (source,) = read_settings(_file(tmp_path, WHOLE), {}).sources
    assert (source.name, source.table_parts, source.keys) == (
        "clinic",
        ("visits", "measurements"),
        ("site", "visit"),
    )
    assert (source.key_types, source.persons, source.person_types) == (
        ("text", "integer"),
        ("patient_no",),
        ("integer",),
    )
    assert (source.outcome, source.outcome_words, source.vanished) == (
        "diabetic",
        {"yes": 1, "no": 0},
        "delete",
    )
    assert (source.outcome_at, source.time_zone, source.changed_since) == (
        "known_at",
        "Europe/Zurich",
        "updated_at",
    )
    assert (source.minimum_rows, source.most_vanished, source.most_missing) == (100, 0.1, 1)
    assert (source.most_rejected, source.most_cleared) == (0.9, 0)
    assert source.mapped_columns == {
        "glucose": MappedColumn("glucose_mmol", factor=18.016),
        "sex": MappedColumn("sex", words={"M": 1, "F": 0}),
        "age": MappedColumn("age"),
    }


@pytest.mark.parametrize(
    ("said", "parts"),
    [
        ('table = "visits"', ("visits",)),
        ('table = "clinic.visits"', ("clinic", "visits")),
        ('table = "clinic.visits.2020"', ("clinic", "visits.2020")),
        ('table = "visits.2020"\nschema = "a.b"', ("a.b", "visits.2020")),
        ('table = "visits.2020"\nschema = ""', ("visits.2020",)),
        ("""table = 'my "odd" table'""", ('my "odd" table',)),
    ],
)
def test_a_table_may_be_called_anything(tmp_path: Path, said: str, parts: tuple[str, ...]) -> None:
    (source,) = read_settings(_file(tmp_path, LEAST.replace('table = "t"', said)), {}).sources
    assert source.table_parts == parts


@pytest.mark.parametrize(
    ("before", "after", "named"),
    [
        ('name = "clinic"', 'name = "Clinic 1"', "name is no plain name"),
        ('name = "clinic"', f'name = "{SECRET}"', "name is no plain name"),
        ('name = "clinic"\n', "", "lacks name"),
        ('key = "k"\n', "", "source 1 (clinic) lacks key"),
        ('key = "k"', "key = 7", "source 1 (clinic).key has a wrong value"),
        ('key = "k"', "key = []", "source 1 (clinic): key names no column"),
        (
            'key = "k"',
            'key = "k"\nkey_type = "float"',
            "source 1 (clinic).key_type has a wrong value",
        ),
        ('key = "k"', 'key = ["k", "l"]', "key_type has 1 for 2 columns"),
        ('key = "k"', 'key = "k"\nperson = ["p", "q"]', "person_type has 1 for 2 columns"),
        ('table = "t"', "", "table and query are both there, or neither"),
        (
            'table = "t"',
            'table = "t"\nquery = "SELECT 1"',
            "table and query are both there, or neither",
        ),
        ('table = "t"', 'query = "SELECT 1; DROP TABLE t"', "query is more than one statement"),
        ('table = "t"', 'query = "SELECT 1"\nschema = "s"', "schema belongs to a table"),
        ('table = "t"', 'tabel = "t"', "source 1 (clinic) takes no key tabel"),
        (
            'key = "k"',
            'key = "k"\noutcome_words = {yes = 1}',
            "outcome_words stands there without outcome",
        ),
        ('key = "k"', 'key = "k"\noutcome_at = "t"', "outcome_at stands there without outcome"),
        (
            'key = "k"',
            'key = "k"\ntime_zone = "Europe/Nowhere"',
            "source 1 (clinic): time_zone is unknown",
        ),
        (
            'key = "k"',
            'key = "k"\ntime_zone = "../../etc/passwd"',
            "source 1 (clinic): time_zone is unknown",
        ),
        (
            'key = "k"',
            'key = "k"\noutcome = "o"\noutcome_words = {yes = 2}',
            "outcome_words has a wrong value",
        ),
        (
            'key = "k"',
            'key = "k"\noutcome = "o"\noutcome_words = {yes = 1, YES = 0}',
            "outcome_words has a word twice",
        ),
        ('key = "k"', 'key = "k"\nminimum_rows = 0', "minimum_rows has a wrong value"),
        ('key = "k"', 'key = "k"\nmost_vanished = 20', "most_vanished has a wrong value"),
        ('key = "k"', 'key = "k"\nvanished = "archive"', "vanished has a wrong value"),
        ('{ age = "a" }', "{}", "columns is empty"),
        ('{ age = "a" }', '"age"', "columns has a wrong value"),
        ('{ age = "a" }', '{ age = {column = "a", faktor = 2} }', "columns takes no key faktor"),
        ('{ age = "a" }', "{ age = {factor = 2} }", "columns lacks column"),
        (
            '{ age = "a" }',
            '{ age = {column = ""} }',
            "columns.age names no column. Expected: a column's name",
        ),
        ('{ age = "a" }', '{ age = {column = "a", factor = 0} }', "columns.age.factor"),
        ('{ age = "a" }', '{ age = {column = "a", factor = nan} }', "columns.age.factor"),
        ('{ age = "a" }', '{ age = {column = "a", offset = inf} }', "columns.age.factor"),
        (
            '{ age = "a" }',
            '{ age = {column = "a", words = {M = "x"}} }',
            "columns has a wrong value",
        ),
        (
            '{ age = "a" }',
            '{ age = {column = "a", words = {M = 1, "m " = 0}} }',
            "columns.age.words has a word twice",
        ),
    ],
)
def test_what_is_wrong_is_told_with_its_key_and_not_with_what_stood_there(
    tmp_path: Path, before: str, after: str, named: str
) -> None:
    assert before in LEAST
    with pytest.raises(WrongConfiguration) as caught:
        read_settings(_file(tmp_path, LEAST.replace(before, after)), {})
    assert named in str(caught.value)
    assert "Expected" in str(caught.value)
    assert SECRET not in str(caught.value)


def test_two_sources_have_two_names(tmp_path: Path) -> None:
    with pytest.raises(
        WrongConfiguration, match=r"source 2 \(clinic\): name is that of another source"
    ):
        read_settings(_file(tmp_path, LEAST + LEAST), {})


@pytest.mark.parametrize("content", ['source = "x"\n', "source = [1]\n", '[source]\nname = "x"\n'])
def test_what_is_no_list_of_sources_is_refused(tmp_path: Path, content: str) -> None:
    with pytest.raises(WrongConfiguration, match="source"):
        read_settings(_file(tmp_path, content), {})


def test_a_url_comes_from_its_variable_or_a_file(tmp_path: Path) -> None:
    path = _file(tmp_path, LEAST)
    (tmp_path / "url").write_text("sqlite:///b.db\n")
    by_file = {f"{URL}_FILE": str(tmp_path / "url")}
    assert read_settings(path, {URL: "x"} | by_file).sources == read_settings(path, {}).sources
    assert source_url({URL: "sqlite:///a.db"}, "clinic") == "sqlite:///a.db"
    assert source_url(by_file, "clinic") == "sqlite:///b.db"


def test_a_url_that_is_not_given_is_told_by_its_variable() -> None:
    with pytest.raises(WrongConfiguration, match=f"{URL}, or {URL}_FILE"):
        source_url({}, "clinic")


def test_the_variables_of_declared_sources_and_of_other_things_are_let_pass(tmp_path: Path) -> None:
    sources = read_settings(_file(tmp_path, LEAST), {}).sources
    require_urls_of_sources({URL: "x", "PIMA_SCORE__BATCH_ROWS": "1", "HOME": "/"}, sources)
    require_urls_of_sources({f"{URL}_FILE": "x"}, sources)
    require_urls_of_sources({}, ())


@pytest.mark.parametrize(
    ("variable", "settings", "expected"),
    [
        ("PIMA_SOURCE__OTHER__URL", LEAST, URL),
        ("PIMA_SOURCE__OTHER__URL_FILE", "", "none, since the settings have no [[source]]"),
        ("PIMA_SOURCE__CLINIC__KEY", LEAST, URL),
    ],
)
def test_a_variable_that_is_the_url_of_no_source_is_refused_by_what_pulls(
    tmp_path: Path, variable: str, settings: str, expected: str
) -> None:
    sources = read_settings(_file(tmp_path, settings), {variable: "x"}).sources
    with pytest.raises(
        WrongConfiguration, match=f"{variable}.*Expected: .*: {re.escape(expected)}"
    ):
        require_urls_of_sources({variable: "x"}, sources)
