"""What a draft takes a column for: by its type, its values, its name; and what it never shows."""

import random
import tomllib
import tracemalloc
import uuid
from collections.abc import Mapping, Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

import numpy as np
import pytest

from pima.core.arrays import Float64Array
from pima.core.features import Declaration, first_fault
from pima.core.source import Source
from pima.extras.suggest import tables
from pima.extras.suggest.column_names import plain_names
from pima.extras.suggest.draft import Draft, draft_of, range_of, zero_is_apart
from pima.extras.suggest.draft_text import as_toml
from pima.extras.suggest.tables import Table, fault_of, is_a_value, table_of

SOURCE = Source(name="clinic", key="", columns={}, table="visits")
ROWS = 400
DRAW = random.Random(3)  # noqa: S311
OUTCOME = [DRAW.choice(["yes", "no", "no"]) for _ in range(ROWS)]
AGES = [DRAW.randrange(20, 80) for _ in range(ROWS)]


def table(columns: Mapping[str, Sequence[Any]], source: Source | None = SOURCE, block: int = 64) -> Table:
    """A table with these columns, read block by block."""
    rows = len(next(iter(columns.values())))
    blocks = (([values[n : n + block] for values in columns.values()], 0) for n in range(0, rows, block))
    return table_of("visits", source, list(columns), blocks)


def draft(columns: Mapping[str, Sequence[Any]], source: Source | None = SOURCE) -> Draft:
    """The draft of a table with an age and these columns."""
    found = draft_of(table({"age": AGES, **columns}, source))
    assert isinstance(found, Draft), found
    tomllib.loads(as_toml(found))
    return found


def taken_for(values: Sequence[Any], name: str = "given", **others: Sequence[Any]) -> str:
    """The kind of feature that a column is, or the reason why it is none."""
    found = draft({name: values, **others})
    kinds = {each.column.name: each.kind for each in found.features}
    return kinds.get(name) or next(each.reason for each in found.refused if each.column == name)


def key_of(found: Draft) -> tuple[tuple[str, ...], tuple[str | None, ...]]:
    """Names and types of the columns of the key."""
    return tuple(column.name for column in found.key), tuple(column.key_type for column in found.key)


def drawn(*values: Any) -> list[Any]:
    return [DRAW.choice(values) for _ in range(ROWS)]


UUIDS = [uuid.UUID(int=DRAW.getrandbits(128)) for _ in range(ROWS)]
MEASURED = [round(DRAW.gauss(6, 1), 1) for _ in range(ROWS)]
NOTES = [f"Seen on day {n}, came back {DRAW.random()}" for n in range(ROWS)]


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (MEASURED, "number"),
        ([Decimal(str(value)) for value in MEASURED], "number"),
        ([str(value) for value in MEASURED], "number"),
        ([None, *MEASURED[1:]], "number"),
        ([" ", *map(str, MEASURED[1:])], "number"),
        (["n/a" if n % 9 == 0 else value for n, value in enumerate(MEASURED)], "number"),
        (AGES[::-1], "whole number"),
        (list(map(float, AGES)), "whole number"),
        (drawn(0, 1, 2, 3), "whole number"),
        (drawn(0, 1), "yes or no"),
        (drawn(True, False), "yes or no"),
        (drawn("ja", "Nein"), "yes or no"),
        (drawn("0", "1"), "yes or no"),
        (drawn("M", "F"), "category"),
        (drawn("M ", "f", "F", None), "category"),
        (drawn(1, 2), "category"),
        (drawn("never", "former", "current"), "category"),
    ],
)
def test_each_type_is_told(values: Sequence[Any], kind: str) -> None:
    assert taken_for(values, diabetic=OUTCOME) == kind


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ([None] * ROWS, "empty"),
        (["", " "] * (ROWS // 2), "empty"),
        ([*MEASURED[:19], *[None] * (ROWS - 19)], "fewer than 20 rows have it"),
        ([7.5] * ROWS, "the same value"),
        ([1] * 19 + [0] * (ROWS - 19), "the same value in all rows, or in all but fewer than 20 rows"),
        (["rare word", *["usual"] * (ROWS - 1)], "the same value"),
        (NOTES, "free text, or a list of more than 50"),
        (NOTES[: ROWS // 2] * 2, "free text, or a list of more than 50"),
        (drawn(*(f"word {chr(97 + n)}" for n in range(26))), "free text: too many of its words"),
        ([date(2020, 1, 1) + timedelta(n) for n in range(ROWS)], "dates or times"),
        ([datetime(2020, 1, 1, 7) + timedelta(n) for n in range(ROWS)], "dates or times"),  # noqa: DTZ001
        ([f"2020-01-{n % 28 + 1:02}T12:00:00" for n in range(ROWS)], "dates or times"),
        ([f"{n % 28 + 1}.{n % 12 + 1}.1961" for n in range(ROWS)], "dates or times"),
        ([19_610_101 + n % 28 for n in range(ROWS)], "dates, written as numbers"),
        ([time(7)] * ROWS, "neither number nor text"),
        ([b"\1\2"] * ROWS, "neither number"),
        ([[1]] * ROWS, "neither number"),
        ([str(uuid.UUID(int=n % 90)) for n in range(ROWS)], "an identifier (UUIDs)"),
        ([f"{value}".replace(".", ",") for value in MEASURED], "decimals with a comma"),
        ([1e300 * value for value in MEASURED], "numbers beyond what a model carries"),
        ([1e-200 * value for value in MEASURED], "numbers beyond what a model carries"),
        ([float("nan")] * ROWS, "fewer than 20 rows hold a number that is finite"),
        ([1e120 if n % 2 else 1e-320 for n in range(ROWS)], "numbers beyond"),
        ([float("inf"), 1e-320, 5e-324] * 20 + [None] * (ROWS - 60), "numbers beyond"),
        ([{"yes": 2, "no": 3}[value] for value in OUTCOME], "says the outcome"),
        (["E11" if value == "yes" else DRAW.choice(["I10", "J45"]) for value in OUTCOME], "says the outcome"),
    ],
)
def test_what_is_no_feature_is_refused_with_the_reason(values: Sequence[Any], reason: str) -> None:
    assert taken_for(values, visit_id=UUIDS, diabetic=OUTCOME).startswith(reason)


def test_numbers_of_a_list_are_no_measurement_though_whole_numbers_are() -> None:
    assert taken_for(list(range(5, ROWS + 5)), "position") == "the key"
    assert "identifier" in taken_for(list(range(5, ROWS + 5)), "position", visit_id=[str(n) for n in range(ROWS)])
    amounts = DRAW.sample(range(150_000, 400_000), ROWS)
    assert taken_for(amounts, "platelets", visit_id=[str(n) for n in range(ROWS)]) == "whole number"
    assert "identifier, by its name" in taken_for([n // 900 for n in amounts], "phone_no", visit_id=range(ROWS))


@pytest.mark.parametrize("name", ["zip", "ZIP_code", "zipcode", "zip5", "home_postal", "PLZ"])
def test_digits_of_an_address_measure_nothing(name: str) -> None:
    codes = [str(10_115 + n % 30) for n in range(ROWS)]
    assert "measure nothing" in taken_for(codes, name, visit_id=range(ROWS))
    assert taken_for(drawn(0, 1), f"has_{name}", visit_id=range(ROWS), diabetic=OUTCOME) == "yes or no"


@pytest.mark.parametrize("name", ["name", "patient_name", "lastName", "Email", "street", "phone"])
def test_what_people_are_called_is_no_key(name: str) -> None:
    each = [f"Ann{n}" for n in range(ROWS)]
    found = draft({name: each, "visit_no": range(ROWS), "diabetic": OUTCOME})
    assert key_of(found) == (("visit_no",), ("integer",))
    found = draft({name: each, "diabetic": OUTCOME})
    assert (found.key, found.person) == ((), None)
    assert name in [refused.column for refused in found.refused]


def test_a_word_is_shown_where_20_rows_have_it_in_its_usual_spelling() -> None:
    words = ["never"] * 200 + ["Current"] * 150 + ["CURRENT"] * 10 + ["former"] * 20 + ["sometimes"] * 19 + ["1"]
    found = draft({"smoking": words, "diabetic": OUTCOME})
    (smoking,) = [each for each in found.features if each.column.name == "smoking"]
    assert smoking.codes == {0: "Current", 1: "former", 2: "never"}
    assert smoking.remarks == ["20 rows hold something else, and are rejected"]
    assert "sometimes" not in as_toml(found)
    assert 'smoking = {column = "smoking", words = {Current = 0, former = 1, never = 2}}' in as_toml(found)


def test_equal_values_of_different_types_are_told_apart_in_any_block() -> None:
    """1, 1.0 and True are equal to Python, and NULL and NaN to pandas."""
    for block in (ROWS, 64, 7):
        for one, other in ((1, 1.0), (1.0, 1), (True, 1), (1, True)):
            read = table({"mixed_no": [one, other] * (ROWS // 2)}, block=block).columns[0]
            assert read.key_type is None, (one, other, block)
        (read,) = table({"mixed": [None, float("nan"), "nan", 2] * (ROWS // 4)}, block=block).columns
        assert read.kinds == {"missing": 100, "not finite": 200, "number": 100}


def test_a_text_of_a_file_is_what_it_says_and_nothing_that_pandas_would_make_of_it() -> None:
    words = ["NA", "null", "None", "N/A"] * (ROWS // 4)
    (read,) = table({"word": words}).columns
    assert (read.missing, read.words) == (0, {"na": 100, "null": 100, "none": 100, "n/a": 100})
    assert taken_for(words, diabetic=OUTCOME) == "category"
    (read,) = table({"amount": ["1_000", "1,5", "٣", "1e3"] * (ROWS // 4)}).columns
    assert read.kinds == {"word": 200, "comma": 100, "number": 100}
    zeros = draft({"case_no": [f"{n:03}" for n in range(200)] + [str(n) for n in range(200)], "diabetic": OUTCOME})
    large = draft({"case_no": [str(2**53 + n) for n in range(ROWS)], "diabetic": OUTCOME})
    integers = draft({"case_no": [2**53 + n for n in range(ROWS)], "diabetic": OUTCOME})
    assert (key_of(zeros), key_of(large), key_of(integers)) == (
        ((), ()),  # from 100 on both spell the same
        (("case_no",), ("text",)),
        (("case_no",), ("integer",)),
    )
    zeros = draft({"case_no": [f"0{n}" for n in range(200)] + [str(n) for n in range(200)], "diabetic": OUTCOME})
    assert key_of(zeros) == (("case_no",), ("text",))


def test_a_block_without_a_row_changes_nothing() -> None:
    rows, none = [AGES, [f"C{n}" for n in range(ROWS)]], ([(), ()], 3)
    read = table_of("visits", SOURCE, ["age", "case_no"], [none, (rows, 0), none])
    assert (read.rows, read.unreadable) == (ROWS, 6)
    found = draft_of(read)
    assert isinstance(found, Draft)
    alone = as_toml(draft({"case_no": rows[1]})).splitlines()
    assert [line for line in as_toml(found).splitlines() if "could not be read" not in line] == alone


# ---- ranges ---------------------------------------------------------------------------------------------------------


def numbers(values: Sequence[float]) -> Float64Array:
    return np.array(sorted(values), dtype=np.float64)


@pytest.mark.parametrize("rows", [20, 21, 39, 40, 41, 100, 199, 200, 2_000, 5_000])
def test_a_bound_is_not_moved_by_the_19_most_extreme_rows(rows: int) -> None:
    values = [DRAW.gauss(100, 10) for _ in range(rows)]
    found = range_of(numbers(values))
    assert found is not None
    assert found.low < min(values) < max(values) < found.high
    assert (found.below, found.above) == (0, 0)
    if rows < 200:
        return  # from all rows, by their mean and spread
    ordered = sorted(values)
    wild = [-1e9] * 19 + ordered[19:-19] + [1e9] * 19
    moved = range_of(numbers(wild))
    assert moved is not None
    assert (moved.low, moved.high, moved.below, moved.above) == (found.low, found.high, 19, 19)


def test_fewer_than_20_rows_have_no_range() -> None:
    assert range_of(numbers(list(range(1, 20)))) is None
    assert not zero_is_apart(numbers([0] * 5 + list(range(101, 120))))


def test_bounds_are_rounded_outward_to_two_digits_and_whole_where_the_numbers_are() -> None:
    found = range_of(numbers([DRAW.uniform(0.1234, 0.4321) for _ in range(500)]))
    assert found is not None
    assert [len(f"{bound:g}".strip("-0.").replace(".", "")) <= 2 for bound in found[:2]] == [True, True]
    whole = range_of(numbers([DRAW.randrange(1, 5) for _ in range(500)]))
    assert whole is not None
    assert (whole.low, whole.low == int(whole.low), whole.high == int(whole.high)) == (0, True, True)


def test_a_range_of_what_is_never_negative_begins_at_0_or_above() -> None:
    counts = range_of(numbers([DRAW.choice([0, 0, 1, 2, 5]) for _ in range(500)]))
    assert counts is not None
    assert counts.low == 0
    degrees = range_of(numbers([DRAW.gauss(0, 5) for _ in range(500)]))
    assert degrees is not None
    assert degrees.low < -20


def test_a_zero_far_from_all_others_means_not_measured() -> None:
    assert zero_is_apart(numbers([0] * 5 + [DRAW.randrange(60, 200) for _ in range(200)]))
    assert not zero_is_apart(numbers([DRAW.randrange(12) for _ in range(200)]))
    assert not zero_is_apart(numbers([0] * 150 + [DRAW.randrange(60, 200) for _ in range(100)]))
    assert not zero_is_apart(numbers([0] * 5 + [3] + [DRAW.randrange(60, 200) for _ in range(200)]))
    assert not zero_is_apart(numbers([-70] + [0] * 5 + [DRAW.randrange(60, 200) for _ in range(200)]))


# ---- outcome, key, person, times -------------------------------------------------------------------------------------


def test_the_outcome_is_what_is_named_so_or_has_words_for_it_or_comes_last() -> None:
    def outcome(**columns: Sequence[Any]) -> tuple[str, tuple[str, ...]] | None:
        found = draft(columns).outcome
        return found and (found.column.name, found.others)

    flag, flagged, other = drawn(0, 1), drawn(0, 1), drawn("M", "F")
    assert outcome(sex=other) is None
    assert outcome(smoker=flag, sex=other, asthma=flagged) == ("asthma", ("smoker",))
    assert outcome(smoker=flag, readmitted=flagged, asthma=OUTCOME) == ("readmitted", ("asthma", "smoker"))
    assert outcome(known=[None, *flag[1:]], asthma=flagged) == ("known", ("asthma",))
    assert outcome(status_at_death=drawn("alive", "gone")) == ("status_at_death", ())
    assert outcome(score=drawn(3, 7), sex=other) is None


def test_the_words_of_an_outcome_are_mapped_and_said_to_be_a_guess_where_they_are_one() -> None:
    assert "outcome_words = {yes = 1, no = 0}\n" in as_toml(draft({"key_no": range(ROWS), "diabetic": OUTCOME}))
    ends = ["gone"] * 50 + ["alive"] * (ROWS - 50)
    text = as_toml(draft({"key_no": range(ROWS), "outcome_then": ends}))
    assert "outcome_words = {gone = 1, alive = 0} # which of the two is 1? the rarer was taken\n" in text
    rare = ["gone"] * 19 + ["alive"] * (ROWS - 19)
    text = as_toml(draft({"key_no": range(ROWS), "outcome_then": rare}))
    assert "\n# outcome_words = { ... = 1, ... = 0 }  # one of them stands in fewer than 20 rows" in text
    assert "gone" not in text
    assert "alive" not in text


@pytest.mark.parametrize(
    ("ones", "measure"), [(99, "log_loss"), (100, "accuracy"), (300, "accuracy"), (301, "log_loss")]
)
def test_the_measure_of_the_gate_goes_by_the_rarer_outcome(ones: int, measure: str) -> None:
    flag = [1] * ones + [0] * (ROWS - ones)
    text = as_toml(draft({"key_no": range(ROWS), "readmitted": flag}))
    assert tomllib.loads(text)["gate"] == {"measure": measure}


SITES, NUMBERS = [n % 4 for n in range(ROWS)], [n // 4 for n in range(ROWS)]
KEYS = [
    ({"visit_id": UUIDS}, ("visit_id",), ("uuid",)),
    ({"visit_id": list(map(str, UUIDS))}, ("visit_id",), ("uuid",)),
    ({"visit": [f"V{n}" for n in range(ROWS)]}, ("visit",), ("text",)),
    ({"nr": [Decimal(n) for n in range(ROWS)]}, ("nr",), ("integer",)),
    ({"name": NOTES, "visit_id": range(ROWS)}, ("visit_id",), ("integer",)),
    ({"patient_id": range(ROWS), "visit_id": range(ROWS)}, ("visit_id",), ("integer",)),
    ({"site_id": SITES, "visit_no": NUMBERS}, ("site_id", "visit_no"), ("integer", "integer")),
    (
        {
            "site": ["ABCD"[n] for n in SITES],
            "ward_no": [n % 2 for n in NUMBERS],
            "visit_no": [n // 2 for n in NUMBERS],
        },
        ("site", "ward_no", "visit_no"),
        ("text", "integer", "integer"),
    ),
]
NO_KEYS: list[dict[str, Sequence[Any]]] = [
    {"visit_id": [None, *UUIDS[1:]]},
    {"visit_id": [UUIDS[1], *UUIDS[1:]]},
    {"visit_id": ["x", *["x "], *map(str, range(2, ROWS))]},
    {"visit_id": list(map(float, range(ROWS)))},
    {"visit_id": ["x" * 201, *map(str, range(1, ROWS))]},
    {"visit_id": [7, *map(str, range(1, ROWS))]},
    {"visited": [date(2020, 1, 1) + timedelta(n) for n in range(ROWS)]},
    {"site_id": SITES, "visit_no": [n // 8 for n in range(ROWS)]},
]


@pytest.mark.parametrize(("columns", "names", "types"), KEYS)
def test_what_tells_the_rows_apart_is_the_key(
    columns: Mapping[str, Sequence[Any]], names: tuple[str, ...], types: tuple[str, ...]
) -> None:
    found = draft(columns)
    assert key_of(found) == (names, types)
    source = tomllib.loads(as_toml(found))["source"][0]
    one = len(names) == 1
    assert (source["key"], source["key_type"]) == ((names[0], types[0]) if one else (list(names), list(types)))


@pytest.mark.parametrize("columns", NO_KEYS)
def test_where_no_column_does_the_source_is_left_to_a_person(columns: Mapping[str, Sequence[Any]]) -> None:
    found = draft(columns)
    assert found.key == ()
    assert "source" not in tomllib.loads(as_toml(found))
    assert "# No column is different in each row" in as_toml(found)


def test_a_person_is_named_so_and_has_several_rows() -> None:
    keys = {"visit_id": UUIDS}
    text = as_toml(draft({**keys, "patientNo": [n // 3 for n in range(ROWS)]}))
    assert '\nperson = "patientNo" # 134 different ones in 400 rows' in text
    assert '\nperson_type = "integer"\n' in text
    for other in (
        {"case_no": [f"C{n // 3}" for n in range(ROWS)]},
        {"patient_no": range(ROWS)},
        {"patient_no": SITES},
        {"patient_age": NUMBERS},
        {"patient_no": [n / 3 for n in range(ROWS)]},
    ):
        assert "person = " not in as_toml(draft({**keys, **other})), other


@pytest.mark.parametrize("others", [[f"P{n}" for n in range(ROWS // 2)], [float(n) for n in range(ROWS // 2)]])
def test_a_person_of_several_types_is_not_offered_and_the_draft_says_so(others: Sequence[Any]) -> None:
    text = as_toml(draft({"visit_id": UUIDS, "patient_no": [*NUMBERS[: ROWS // 2], *others]}))
    assert '\n# "patient_no": named like a person\'s, but its values are of several types' in text
    assert "person = " not in text


def test_times_of_changes_and_of_outcomes_are_offered() -> None:
    times = [datetime(2024, 1, 1) + timedelta(hours=n) for n in range(ROWS)]  # noqa: DTZ001
    found = {"visit_id": UUIDS, "diabetic": OUTCOME, "visited": times, "lastUpdate": times, "diagnosed_on": times}
    text = as_toml(draft(found))
    assert '\n# changed_since = "lastUpdate" # if each change' in text
    assert '\n# outcome_at = "diagnosed_on" # if that is' in text


# ---- names ----------------------------------------------------------------------------------------------------------

HOSTILE = [
    'a "quote"',
    "it's; DROP TABLE visits; --",
    "line\nbreak",
    "tab\tand \x7f\x1b[31m",
    "= [[source]] #",
    "'''\"\"\"\\",
    "größe (cm)",
    "id",
    "AGE",
    "Age",
    "a" * 300,
    "日本",
    "\u202eturned",
    "%s %(x)s {0}",
    "2 hours",
    " spaces ",
    "_",
]


def test_any_name_of_a_column_becomes_a_declaration_that_holds() -> None:
    columns = {name: [DRAW.gauss(5 + n, 1) for _ in range(ROWS)] for n, name in enumerate(HOSTILE)}
    text = as_toml(draft({"visit_id": UUIDS, **columns, "diabetic": OUTCOME}))
    read = tomllib.loads(text)
    (source,) = read["source"]
    assert set(source["columns"].values()) == {"age", *HOSTILE}
    assert [feature["name"] for feature in read["feature"]] == list(source["columns"])
    assert all(line.isprintable() for line in text.split("\n"))
    import msgspec

    declaration = msgspec.convert({name: read[name] for name in ("outcome", "feature")}, Declaration, str_keys=True)
    assert first_fault(declaration) is None


def test_two_columns_of_one_name_are_refused() -> None:
    block = [MEASURED, MEASURED, AGES]
    found = draft_of(table_of("visits", SOURCE, ["same", "same", "age"], [(block, 0)]))
    assert isinstance(found, Draft)
    assert [(each.column, each.reason) for each in found.refused] == [("same", "a name that several columns have")]


def test_of_a_file_names_that_load_would_not_tell_apart_are_refused() -> None:
    found = draft({"B M I": MEASURED, "bmi": MEASURED, "Line\nbreak": MEASURED, "source": NOTES}, source=None)
    assert {each.column: each.is_left_out for each in found.refused} == {
        "B M I": True,
        "bmi": True,
        "Line\nbreak": True,
        "source": False,
    }


def test_plain_names_are_each_another_one() -> None:
    found = plain_names(["Age", "age", "a g e", "age_2", "Ä", "a", "7", "id", ""])
    assert list(found.values()) == ["age", "age_3", "a_g_e_4", "age_2", "a_2", "a", "column_7", "id_2", "column"]


@pytest.mark.parametrize("name", ["6", "33.6", "1e5", "nan", "2024-01-05", "5.1.2024", "07:30", str(UUIDS[0]), "-"[:0]])
def test_a_name_that_is_a_value_is_known(name: str) -> None:
    assert is_a_value(name) == bool(name)


def test_names_that_may_be_a_patients_row_are_not_shown() -> None:
    sexes = drawn("M", "F")
    for name, values in (
        ("148", MEASURED),
        ("m", sexes),
        (" F ", sexes),
        ("1961-05-07", NOTES),
        (str(UUIDS[0]), NOTES),
    ):
        fault = fault_of(table({"age": AGES, name: values}))
        assert fault is not None
        assert fault.startswith("Column 2 has the name of a value")
        assert name.strip() not in fault.split()
    assert fault_of(table({"age": AGES, "sex": sexes})) is None


def test_a_text_is_the_same_after_it_was_read_as_toml() -> None:
    for text in (*HOSTILE, "\0", "\U0001f600", "\ue000", "\U000e0001"):
        columns = {"visit_id": UUIDS, text: MEASURED, f"{text}!": NOTES, "diabetic": drawn(text, "other")}
        written = as_toml(draft(columns))
        read = tomllib.loads(written)
        assert text in read["source"][0]["columns"].values()
        assert set(read["source"][0]["outcome_words"]) == {text.strip(), "other"}
        assert written.replace("\n", "").isprintable()


# ---- what is shown, and how much is read ----------------------------------------------------------------------------


@pytest.mark.parametrize("rows", [0, 1, 19])
def test_of_fewer_than_20_rows_nothing_is_said(rows: int) -> None:
    fault = fault_of(table({"age": AGES[:rows]}) if rows else table_of("visits", SOURCE, ["age"], []))
    assert fault is not None
    assert fault.startswith(["It has no rows.", "It has 1 row.", "It has 19 rows."][min(rows, 2)])
    assert fault_of(table({"age": AGES[:20]})) is None


def test_no_column_that_is_left_is_told_without_names() -> None:
    found = draft_of(table({"a\x1b": [1] * ROWS, "b": NOTES}))
    assert isinstance(found, str)
    assert found.startswith("None of its 2 columns can be a feature (1 column: the same value")


def test_more_rows_than_are_read_are_said_on_the_first_line(monkeypatch: pytest.MonkeyPatch) -> None:
    assert as_toml(draft({})).startswith('# A draft by python -m jobs.suggest, from all 400 rows of "visits".\n')
    for most, said in ((400, 'all 400 rows of "visits".'), (399, 'the first 399 rows of "visits": there are more')):
        monkeypatch.setattr(tables, "MOST_ROWS", most)
        assert f"{said}" in as_toml(draft({})).split("\n")[0]


def test_a_column_takes_few_bytes_a_row_while_it_is_read_and_when_all_rows_are() -> None:
    rows, block = 150_000, 1_000
    tracemalloc.start()
    columns = ([[n + row for row in range(block)]] for n in range(0, rows, block))
    read = table_of("visits", SOURCE, ["visit_no"], ((values, 0) for values in columns))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert read.columns[0].is_unique
    print(peak / rows)
    assert peak < 40 * rows


def test_more_features_than_a_declaration_may_have_are_refused() -> None:
    found = draft({f"m{n}": drawn(1.5, 2.5, 3.5) for n in range(250)})
    assert len(found.features) == 200
    assert found.refused[0].reason == "beyond 200 features or 512 inputs"
    words = [f"w{chr(97 + n % 15)}" for n in range(ROWS)]
    assert len(draft({f"c{n}": words for n in range(60)}).features) == 1 + 34
