"""What a draft takes a column for: by its type, its values, its name; and what it never shows."""

import random
import re
import tomllib
import uuid
from collections.abc import Mapping, Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

import msgspec
import numpy as np
import pytest

from pima.core.declared.faults import first_fault
from pima.core.declared.features import Declaration
from pima.core.declared.group import Group
from pima.core.declared.source import Source
from pima.extras.suggest import tables
from pima.extras.suggest.column_names import plain_names
from pima.extras.suggest.draft import Draft, draft_of, range_of, zero_is_apart
from pima.extras.suggest.draft_text import as_toml, quoted
from pima.extras.suggest.tables import Table, fault_of, is_a_value, table_of

SOURCE = Source(name="clinic", key="", columns={}, table="visits")
ROWS = 400
DRAW = random.Random(3)  # noqa: S311
OUTCOME = [DRAW.choice(["yes", "no", "no"]) for _ in range(ROWS)]
AGES = [DRAW.randrange(20, 80) for _ in range(ROWS)]


def table(
    columns: Mapping[str, Sequence[Any]], source: Source | None = SOURCE, block: int = 64
) -> Table:
    """A table with these columns, read block by block."""
    rows = len(next(iter(columns.values())))
    blocks = (
        ([values[n : n + block] for values in columns.values()], 0) for n in range(0, rows, block)
    )
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
        ([" ", None, *map(str, MEASURED[2:])], "number"),
        (["n/a" if n % 9 == 0 else value for n, value in enumerate(MEASURED)], "number"),
        (list(map(float, AGES)), "whole number"),
        (drawn(0, 1, 2, 3), "whole number"),
        (drawn(0, 1), "yes or no"),
        (drawn(True, False), "yes or no"),
        (drawn("ja", "Nein"), "yes or no"),
        (drawn("M ", "f", "F", None), "category"),
        (drawn("NA", "null", "None", "N/A"), "category"),
        ([None] * ROWS, "empty"),
        ([*MEASURED[:99], *[None] * (ROWS - 99)], "fewer than 100 rows have it"),
        (
            [*MEASURED[:99], *["n/a"] * 99, *[None] * (ROWS - 198)],
            "fewer than 100 rows hold a number",
        ),
        (
            [1] * 19 + [0] * (ROWS - 19),
            "the same value in all rows, or in all but fewer than 20 rows",
        ),
        (NOTES, "free text, or a list of more than 50"),
        (drawn(*(f"word {chr(97 + n)}" for n in range(26))), "free text: too many of its words"),
        ([datetime(2020, 1, 1, 7) + timedelta(n) for n in range(ROWS)], ("dates or times")),  # noqa: DTZ001
        ([f"{n % 28 + 1}.{n % 12 + 1}.1961" for n in range(ROWS)], "dates or times"),
        ([time(7)] * ROWS, "neither number nor text"),
        ([[1]] * ROWS, "neither number"),
        ([float("nan")] * ROWS, "neither number"),
        ([str(uuid.UUID(int=n % 90)) for n in range(ROWS)], "an identifier (UUIDs)"),
        (list(range(5, ROWS + 5)), "an identifier or free text: different in each row"),
        ([f"{value}".replace(".", ",") for value in MEASURED], "decimals with a comma"),
        ([1e300 * value for value in MEASURED], "numbers beyond what a model carries"),
        ([1e29 * value for value in MEASURED], "numbers beyond what a model carries"),
        ([1e-200 * value for value in MEASURED], "numbers beyond what a model carries"),
    ],
)
def test_each_type_is_told_or_refused_with_the_reason(values: Sequence[Any], kind: str) -> None:
    assert taken_for(values, visit_id=UUIDS, diabetic=OUTCOME).startswith(kind)


def test_a_word_is_shown_where_20_rows_have_it() -> None:
    words = (
        ["never"] * 200
        + ["Current"] * 150
        + ["CURRENT"] * 10
        + ["former"] * 20
        + ["sometimes"] * 19
        + ["1"]
    )
    text = as_toml(draft({"smoking": words, "diabetic": OUTCOME}))
    assert "# 20 rows hold something else, and are rejected" in text
    assert "sometimes" not in text
    assert 'smoking = {column = "smoking", words = {current = 0, former = 1, never = 2}}' in text


def test_equal_values_of_different_types_are_told_apart() -> None:
    """1, 1.0 and True are equal to Python, and NULL and NaN to pandas."""
    for one, other in ((1, 1.0), (1.0, 1), (True, 1), (1, True)):
        read = table({"mixed_no": [one, other] * (ROWS // 2)}).columns[0]
        assert read.key_type is None, (one, other)
    (read,) = table(
        {"mixed": [None, float("nan"), "nan", 2, "1_000", "1,5", "٣", "1e3"] * 50}
    ).columns
    assert read.kinds == {"missing": 50, "other": 50, "word": 150, "number": 100, "comma": 50}


# ---- ranges


@pytest.mark.parametrize("rows", [200, 768, 2_000, 5_000])
def test_a_bound_is_not_moved_by_the_19_most_extreme_rows(rows: int) -> None:
    values = sorted(DRAW.gauss(100, 10) for _ in range(rows))
    found = range_of(np.array(values))
    assert found is not None
    assert found[0] < values[0] < values[-1] < found[1]
    assert all(len(f"{bound:g}".strip("-0.").replace(".", "")) <= 2 for bound in found)
    moved = range_of(np.array([-1e9] * 19 + values[19:-19] + [1e9] * 19))
    assert moved is not None
    assert moved[1] == found[1]


def test_a_range_is_whole_where_the_numbers_are_and_begins_at_0_where_none_is_negative() -> None:
    counts = range_of(np.sort(np.array([DRAW.choice([0, 0, 1, 2, 5]) for _ in range(500)], float)))
    assert counts == (0, 13)
    degrees = range_of(np.sort(np.array([DRAW.gauss(0, 5) for _ in range(500)])))
    assert degrees is not None
    assert degrees[0] < -20


@pytest.mark.parametrize(
    ("zeros", "lowest", "is_apart"),
    [(5, 60, True), (0, 60, False), (250, 60, False), (5, 1, False), (5, -70, False)],
)
def test_a_zero_far_from_all_others_means_not_measured(
    zeros: int, lowest: int, is_apart: bool
) -> None:
    others = [lowest] * 20 + [DRAW.randrange(60, 200) for _ in range(200)]
    assert zero_is_apart(np.sort(np.array([0] * zeros + others, float))) is is_apart


def test_the_zero_of_a_count_is_one_of_its_numbers() -> None:
    for most in (1, 4, 6):
        counted = [0] * 90 + [DRAW.randrange(1, most + 1) for _ in range(310)]
        assert not zero_is_apart(np.sort(np.array(counted, float)))
    assert zero_is_apart(np.sort(np.array([0] * 90 + [DRAW.uniform(1, 4) for _ in range(310)])))


@pytest.mark.parametrize("source", [SOURCE, None], ids=["table", "file"])
@pytest.mark.parametrize("name", ["Ward Points", "riskScore", "newsscore", "sturz_punkte"])
def test_a_column_that_is_called_a_score_is_offered_as_the_score_in_use(
    name: str, source: Source | None
) -> None:
    text = as_toml(draft({name: [DRAW.randrange(12) for _ in range(ROWS)]}, source))
    offered = "Then write [[present_score]] in place of [[feature]], and keep only its name"
    assert offered in text


def test_other_names_and_words_are_offered_as_no_score() -> None:
    for name in ("endpoint", "scored_by", "glucose"):
        assert "present_score" not in as_toml(draft({name: [*range(1, 101)] * 4}))
    assert "present_score" not in as_toml(draft({"score": drawn("low", "high", "mid")}))


@pytest.mark.parametrize("source", [SOURCE, None], ids=["table", "file"])
@pytest.mark.parametrize(
    "name",
    ["sex", "Gender", "ethnicity", "race", "first_language", "insurance", "Ward", "siteCode"],
)
def test_of_a_column_that_says_who_people_are_is_asked_whether_a_model_may_know_it(
    name: str, source: Source | None
) -> None:
    asked = "# may a model know it? If not, write [[group]] in place of [[feature]]"
    assert asked in as_toml(draft({name: drawn(1, 2, 3)}, source))
    found = as_toml(draft({name: drawn("a", "b", "c")}, source))
    (section,) = (each for each in found.split("\n[[feature]]\n") if asked in each)
    # What it says to keep is a group.
    kept = [line for line in section.splitlines() if line.startswith(("name", "codes", "also"))]
    group = msgspec.convert(tomllib.loads("\n".join(kept)), Group, str_keys=True)
    assert (group.codes, list(group.faults())) == ({0: "a", 1: "b", 2: "c"}, [])


def test_other_names_are_no_group() -> None:
    for name in ("sexually_active", "reward", "website", "traces", "stationary", "bmi"):
        assert "[[group]]" not in as_toml(draft({name: drawn("a", "b")}))


# ---- outcome, key, person


def test_the_outcome_is_what_is_named_so_or_has_words_for_it_or_comes_last() -> None:
    def outcome(**columns: Sequence[Any]) -> str | None:
        found = draft(columns).outcome
        return found and found.column.name

    flag, flagged, other = drawn(0, 1), drawn(0, 1), drawn("M", "F")
    assert outcome(sex=other) is None
    assert outcome(smoker=flag, sex=other, asthma=flagged) == "asthma"
    assert outcome(smoker=flag, readmitted=flagged, asthma=OUTCOME) == "readmitted"
    assert outcome(known=[None, *flag[1:]], asthma=flagged) == "known"
    assert outcome(status_at_death=drawn("alive", "gone")) == "status_at_death"
    assert outcome(diabetes=flag, heart_disease=flagged, no_show=OUTCOME) == "no_show"
    assert outcome(stroke=flag, heart_disease=flagged) == "stroke"
    assert outcome(diagnosis=drawn("M", "B"), sex=other) == "diagnosis"


def test_what_a_person_names_is_taken() -> None:
    ends = drawn("gone", "alive")
    columns = {"kunde": [n // 4 for n in range(ROWS)], "late": AGES, "died": OUTCOME, "ended": ends}
    found = draft_of(table({"age": AGES, **columns}), "ended", "kunde", "late")
    assert isinstance(found, Draft)
    assert (found.outcome and found.outcome.column.name, found.person and found.person.name) == (
        "ended",
        "kunde",
    )
    assert [each.column.name for each in found.features] == ["age", "died"]
    assert '# "late": left out, as you said' in as_toml(found)


@pytest.mark.parametrize("keys", [[n / 4 for n in range(ROWS)], [date(2026, 1, 1)] * ROWS])
def test_a_person_without_keys_is_said(keys: list[Any]) -> None:
    found = draft_of(table({"age": AGES, "kunde": keys}), None, "kunde")
    assert isinstance(found, str)
    assert found.startswith("The person's column holds no keys.")


def test_what_is_doubted_is_said_with_its_name() -> None:
    outcome = [n % 2 for n in range(ROWS)]
    near = [each + DRAW.gauss(0, 0.4) for each in outcome]
    text = as_toml(draft({"near": near, "readmitted": outcome}))
    assert "# Doubt: near: alone it has an area under ROC above 0.95." in text
    visits = [DRAW.choice([0, 0, 1, 2, 3, 4]) for _ in range(ROWS)]
    dose = [DRAW.choice([0, 0, 1, 1]) * DRAW.uniform(40, 600) for _ in range(ROWS)]
    text = as_toml(draft({"visits": visits, "dose": dose, "readmitted": OUTCOME}))
    assert re.search(r"# Doubt: dose: \d+ rows hold 0; if that is not measured", text)
    assert re.search(r"# \d+ rows hold 0; if that is not measured", text)


def test_a_score_that_falls_as_the_risk_rises_is_offered_so() -> None:
    points = [DRAW.randrange(12) + 2 * (each == "no") for each in OUTCOME]
    falling = 'keep only its name, with direction = "falling"'
    for values, is_falling in ((points, True), ([20 - each for each in points], False)):
        text = as_toml(draft({"points": values, "diabetic": OUTCOME}))
        assert ("keep only its name" in text, falling in text) == (True, is_falling)


def test_the_words_of_an_outcome_are_mapped_and_said_to_be_a_guess_where_they_are_one() -> None:
    assert "outcome_words = {yes = 1, no = 0}\n" in as_toml(
        draft({"key_no": range(ROWS), "diabetic": OUTCOME})
    )
    ends = ["gone"] * 50 + ["alive"] * (ROWS - 50)
    text = as_toml(draft({"key_no": range(ROWS), "outcome_then": ends}))
    assert (
        "outcome_words = {gone = 1, alive = 0} # which of the two is 1? the rarer was taken\n"
        in text
    )
    rare = ["gone"] * 19 + ["alive"] * (ROWS - 19)
    text = as_toml(draft({"key_no": range(ROWS), "outcome_then": rare}))
    assert ("gone" in text, "alive" in text) == (False, False)


@pytest.mark.parametrize(
    ("ones", "measure"), [(99, "log_loss"), (100, "accuracy"), (300, "accuracy"), (301, "log_loss")]
)
def test_the_measure_of_the_gate_goes_by_the_rarer_outcome(ones: int, measure: str) -> None:
    flag = [1] * ones + [0] * (ROWS - ones)
    text = as_toml(draft({"key_no": range(ROWS), "readmitted": flag}))
    assert tomllib.loads(text)["gate"] == {"measure": measure}


@pytest.mark.parametrize(
    ("columns", "name", "key_type"),
    [
        ({"visit_id": UUIDS}, "visit_id", "uuid"),
        ({"visit_id": list(map(str, UUIDS))}, "visit_id", "uuid"),
        ({"visit": [f"V{n}" for n in range(ROWS)]}, "visit", "text"),
        ({"nr": [Decimal(n) for n in range(ROWS)]}, "nr", "integer"),
        (
            {"patient_name": [f"Ann{n}" for n in range(ROWS)], "visit": range(ROWS)},
            "visit",
            "integer",
        ),
        ({"patient_id": range(ROWS), "visit_id": range(ROWS)}, "visit_id", "integer"),
        ({"patnr": range(ROWS), "lfd": range(ROWS), "fallnr": range(ROWS)}, "fallnr", "integer"),
        ({"case_no": [f"{n:03}" if n < 200 else str(n) for n in range(ROWS)]}, "case_no", "text"),
        ({"case_no": [2**53 + n for n in range(ROWS)]}, "case_no", "integer"),
    ],
)
def test_what_tells_the_rows_apart_is_the_key(
    columns: dict[str, Sequence[Any]], name: str, key_type: str
) -> None:
    (source,) = tomllib.loads(as_toml(draft(columns)))["source"]
    assert (source["key"], source["key_type"]) == (name, key_type)


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("visit_id", [None, *UUIDS[1:]]),
        ("visit_id", [UUIDS[1], *UUIDS[1:]]),
        ("visit_id", ["x", *["x "], *map(str, range(2, ROWS))]),
        ("visit_id", list(map(float, range(ROWS)))),
        ("crp", [f"{n}.5" for n in range(ROWS)]),
        ("visit_id", ["x" * 201, *map(str, range(1, ROWS))]),
        ("visit_id", [7, *map(str, range(1, ROWS))]),
        ("visited", [date(2020, 1, 1) + timedelta(n) for n in range(ROWS)]),
        ("Email", [f"Ann{n}" for n in range(ROWS)]),
    ],
)
def test_where_no_column_does_the_source_is_left_to_a_person(
    name: str, values: Sequence[Any]
) -> None:
    text = as_toml(draft({name: values}))
    assert "source" not in tomllib.loads(text)
    assert "# No column is different in each row" in text


def test_a_person_is_named_so_and_has_several_rows() -> None:
    numbers, keys = [n // 4 for n in range(ROWS)], {"visit_id": UUIDS}
    text = as_toml(draft({**keys, "patientNo": [n // 3 for n in range(ROWS)]}))
    assert '\nperson = "patientNo" # 134 different ones in 400 rows' in text
    assert '\nperson_type = "integer"\n' in text
    for name in (
        "pat_nr",
        "patnr",
        "patient_nbr",
        "paciente_id",
        "PatId",
        "nhs_number",
        "NHSNumber",
        "kvnr",
        "Versicherten-Nr.",
    ):
        assert f"\nperson = {quoted(name)}" in as_toml(draft({**keys, name: numbers})), name
    for name, values in (
        ("case_no", numbers),
        ("patient_no", range(ROWS)),
        ("patient_no", [n % 4 for n in range(ROWS)]),
        ("patient_age", numbers),
        ("patient_no", [n / 3 for n in range(ROWS)]),
        ("patient_no", [*numbers[:200], *map(str, numbers[:200])]),
    ):
        assert "person = " not in as_toml(draft({**keys, name: values})), name


def test_times_are_offered_by_their_names_as_comments() -> None:
    days = [date(2020, 1, 1) + timedelta(n) for n in range(ROWS)]
    times = {
        "known_on": days,
        "changed_at": days,
        "lastUpdate": days,
        "seen": days,
        "discharged": days,
        "called_on": days,
        "modified_rankin": drawn(1, 2, 3),
    }
    text = as_toml(
        draft(
            {
                "visit_id": UUIDS,
                "fallnr": [n // 2 for n in range(ROWS)],
                **times,
                "diabetic": OUTCOME,
            }
        )
    )
    offered = re.findall(r"^# (\w+) = (\S+) # if", text, re.MULTILINE)
    assert offered == [
        ("outcome_at", '"known_on"'),
        ("index_at", '"discharged"'),
        ("acted_at", '"called_on"'),
        ("changed_since", '"changed_at"'),
        ("changed_since", '"lastUpdate"'),
    ]
    assert '\n# horizon = "30 days" # does it come within some time?' in text
    assert '\n# "fallnr": an identifier, by its name' in text


# ---- columns that are known only with the outcome

FOLLOWED = [word if n % 3 else None for n, word in enumerate(OUTCOME)]
"""An outcome that a third of the rows lack."""
FELL_ILL = [word == "yes" for word in OUTCOME]
LATE = [DRAW.randrange(60, 300) if ill else DRAW.randrange(150) for ill in FELL_ILL]


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        (
            [None if word is None else DRAW.choice("MF") for word in FOLLOWED],
            "empty in just the rows where the outcome is",
        ),
        (
            [DRAW.choice(["home", "ward"]) if ill else None for ill in FELL_ILL],
            "empty in nearly all rows with one",
        ),
        (
            [None if ill else value for ill, value in zip(FELL_ILL, MEASURED, strict=True)],
            "empty in nearly all rows",
        ),
        (
            [value + 9 * ill for ill, value in zip(FELL_ILL, MEASURED, strict=True)],
            "it tells the outcome by itself",
        ),
        (
            [value - 9 * ill for ill, value in zip(FELL_ILL, MEASURED, strict=True)],
            "it tells the outcome by itself",
        ),
        ([2 if ill else DRAW.choice([1, 3]) for ill in FELL_ILL], "it tells the outcome by itself"),
        (
            [None if n % 2 else int(ill) for n, ill in enumerate(FELL_ILL)],
            "it tells the outcome by itself",
        ),
        (
            ["died" if ill else DRAW.choice(["home", "ward", None]) for ill in FELL_ILL],
            "it tells the outcome by itself",
        ),
    ],
)
def test_what_tells_the_outcome_is_no_feature_and_the_draft_says_why(
    values: Sequence[Any], reason: str
) -> None:
    found = draft({"given": values, "diabetic": FOLLOWED})
    assert [each.column.name for each in found.features] == ["age"]
    assert f'\n# "given": {reason}' in as_toml(found)


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (LATE, "whole number"),  # AUROC .94
        (
            [None if word is None or n == 7 else 6.5 + n % 7 for n, word in enumerate(FOLLOWED)],
            "number",
        ),
        (
            [
                None if ill and n % 10 else value
                for n, (ill, value) in enumerate(zip(FELL_ILL, AGES, strict=True))
            ],
            "whole number",
        ),
        (["yes" if ill else "no" for ill in FELL_ILL[:8]] + drawn("yes", "no")[8:], "yes or no"),
    ],
)
def test_what_only_says_much_of_the_outcome_is_a_feature(values: Sequence[Any], kind: str) -> None:
    assert taken_for(values, diabetic=FOLLOWED) == kind


def test_a_blank_row_makes_no_column_one_that_tells_the_outcome() -> None:
    assert taken_for([*MEASURED[:-1], None], diabetic=[*OUTCOME[:-1], None]) == "number"


def test_a_few_rows_of_one_class_tell_no_outcome_by_luck() -> None:
    few = [n for n, ill in enumerate(FELL_ILL) if ill and n % 3][:10]
    values = [
        40 if n in few else n % 30 if n % 2 and not ill else None for n, ill in enumerate(FELL_ILL)
    ]
    assert taken_for(values, diabetic=FOLLOWED) == "whole number"


# ---- names

HOSTILE = [
    'a "quote"',
    "it's; DROP TABLE visits; --",
    "= [[source]] #",
    "'''\"\"\"\\",
    "größe (cm)",
    "id",
    "AGE",
    "Age",
    "a" * 300,
    "日本",
    "%s %(x)s {0}",
    "2 hours",
    " spaces ",
    "_",
    "\U0001f600",
]
UNPRINTABLE = ["line\nbreak", "tab\tand \x7f\x1b[31m", "\u202eturned", "\0", "\ue000", "\udc80"]


def test_any_name_of_a_column_becomes_a_declaration_that_holds() -> None:
    columns = {
        name: [DRAW.gauss(5 + n, 1) for _ in range(ROWS)]
        for n, name in enumerate(HOSTILE + UNPRINTABLE)
    }
    text = as_toml(
        draft({"visit_id": UUIDS, **columns, "died": drawn("it's a 'word' \\", "other")})
    )
    read = tomllib.loads(text)
    (source,) = read["source"]
    assert set(source["columns"].values()) == {"age", *HOSTILE}
    assert set(source["outcome_words"]) == {"it's a 'word' \\", "other"}
    assert [feature["name"] for feature in read["feature"]] == list(source["columns"])
    assert all(line.isprintable() for line in text.split("\n"))
    assert text.count("a name that can't be printed") == len(UNPRINTABLE)
    declaration = msgspec.convert(
        {name: read[name] for name in ("outcome", "feature")}, Declaration, str_keys=True
    )
    assert first_fault(declaration) is None


def test_names_that_several_columns_have_are_refused_and_of_a_file_those_that_load_would_not_tell_apart() -> (
    None
):
    block = [MEASURED, MEASURED, AGES]
    found = draft_of(table_of("visits", SOURCE, ["same", "same", "age"], [(block, 0)]))
    assert isinstance(found, Draft)
    assert [each.column for each in found.refused] == ["same"]
    found = draft(
        {"B M I": MEASURED, "bmi": MEASURED, "source": NOTES, "Outcome": AGES}, source=None
    )
    left_out = {each.column: each.is_left_out for each in found.refused}
    assert left_out == {"B M I": True, "bmi": True, "source": False, "Outcome": True}


def test_plain_names_are_each_another_one() -> None:
    found = plain_names(["Age", "age", "a g e", "age_2", "Ä", "a", "7", "id", ""])
    assert list(found.values()) == [
        "age",
        "age_3",
        "a_g_e_4",
        "age_2",
        "a_2",
        "a",
        "column_7",
        "id_2",
        "column",
    ]


@pytest.mark.parametrize(
    "name", ["6", "33.6", "1e5", "nan", "2024-01-05", "5.1.2024", "07:30", str(UUIDS[0]), ""]
)
def test_a_name_that_is_a_value_is_known(name: str) -> None:
    assert is_a_value(name) == bool(name)


@pytest.mark.parametrize("name", ["148", "m", " F ", str(UUIDS[0])])
def test_names_that_may_be_a_patients_row_are_not_shown(name: str) -> None:
    fault = fault_of(table({"age": AGES, name: drawn("M", "F")}))
    assert fault is not None
    assert fault.startswith("Column 2 has the name of a value")
    assert name.strip() not in fault.split()


# ---- how much is read


@pytest.mark.parametrize(
    ("rows", "said"), [(0, "It has no rows."), (1, "It has 1 row."), (99, "It has 99 rows.")]
)
def test_of_fewer_than_100_rows_nothing_is_said(rows: int, said: str) -> None:
    fault = fault_of(
        table({"age": AGES[:rows]}) if rows else table_of("visits", SOURCE, ["age"], [])
    )
    assert fault is not None
    assert fault.startswith(said)
    assert fault_of(table({"age": AGES[:100]})) is None


def test_no_column_that_is_left_is_told_without_names() -> None:
    found = draft_of(table({"a": [1] * ROWS, "b\x1b": NOTES}))
    assert isinstance(found, str)
    assert found.startswith(
        "None of its 2 columns can be a feature (1 column: a name that can't be printed"
    )


def test_rows_that_are_not_read_are_said_on_the_first_lines(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert as_toml(draft({})).startswith(
        '# A draft by python -m jobs.suggest, from all 400 rows of "visits".\n'
    )
    found = draft_of(table_of("visits", SOURCE, ["age"], [([()], 3), ([AGES], 0), ([()], 3)]))
    assert isinstance(found, Draft)
    assert "\n# fewer than 20 rows could not be read, and load refuses" in as_toml(found)
    monkeypatch.setattr(tables, "MOST_ROWS", 399)
    assert 'the first 399 rows of "visits": there are more' in as_toml(draft({})).split("\n")[0]


def test_more_features_than_a_declaration_may_have_are_refused() -> None:
    found = draft({f"m{n}": drawn(1.5, 2.5, 3.5) for n in range(250)})
    assert len(found.features) == 200
    assert found.refused[0].reason == "beyond 200 features or 512 inputs"
    words = [f"w{chr(97 + n % 15)}" for n in range(ROWS)]
    assert len(draft({f"c{n}": words for n in range(60)}).features) == 1 + 34
