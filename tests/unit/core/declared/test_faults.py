"""What a declaration must keep to."""

from pathlib import Path

import pytest
from msgspec.structs import replace

from pima.core.declared.faults import first_fault
from pima.core.declared.features import Declaration, Feature, Outcome
from pima.errors import WrongConfiguration
from pima.settings.reading import read_declaration


def _refused(folder: Path, text: str) -> str:
    path = folder / "features.toml"
    path.write_text(text)
    with pytest.raises(WrongConfiguration) as error:
        read_declaration(path)
    return str(error.value)


def _features(count: int, more: str = "") -> str:
    each = [f'[[feature]]\nname = "f{n}"\nlow = 0\nhigh = 1\n' for n in range(count)]
    return '[outcome]\nname = "ill"\n' + "".join(each) + more


def _categories(count: int, codes: int) -> str:
    each = ", ".join(f'{code} = "label of {code}"' for code in range(codes))
    parts = [
        f'[[feature]]\nname = "c{n}"\nkind = "category"\ncodes = {{ {each} }}\n'
        for n in range(count)
    ]
    return '[outcome]\nname = "ill"\n' + "".join(parts)


NUMBER = '[outcome]\nname = "ill"\n[[feature]]\nname = "{name}"\nlow = {low}\nhigh = {high}\n{more}'


def _number(name: str = "x", low: object = 0, high: object = 1, more: str = "") -> str:
    return NUMBER.format(name=name, low=low, high=high, more=more)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (_features(201), "feature stands there 201 times. Expected: 1 to 200 features"),
        (_features(0), "feature"),
        (
            _features(2, '[[feature]]\nname = "f1"\nlow = 0\nhigh = 1\n'),
            "feature 3: name is that of feature 2 as well",
        ),
        (_number("ill"), "feature 1: name is that of the outcome as well"),
        (_number("version"), "feature 1: name is version, which is a column of the service's own"),
        (_number("reason"), "feature 1: name is reason, which is a column of the service's own"),
        (_number("xmin"), "feature 1: name is xmin, which is a column of the service's own"),
        (
            _number("sourcekey"),
            "feature 1: name is sourcekey, in a header the same as source_key, which is a column",
        ),
        (
            _number("row_id"),
            "feature 1: name is row_id, in a header the same as rowid, which is a column",
        ),
        (_number('a\\"b'), "feature 1: name is no plain name"),
        (
            _number("1st"),
            "feature 1: name is no plain name. Expected: a lower-case letter, then lower-case letters, digits and underscores, 63 in all",
        ),
        (_number("x" * 64), "feature 1: name is no plain name"),
        (_number(low=2, high=1), "feature 1 (x): low and high are no range"),
        (_number(low="nan"), "feature 1 (x): low and high are no range"),
        (_number(low=1e-44), "feature 1 (x): low is beyond what the model's numbers carry"),
        (_number(low=-1e31), "feature 1 (x): low is beyond what the model's numbers carry"),
        (_number(low='"0"'), "feature 1 (x).low has a wrong value. Expected: a number"),
        (
            _number(more="power = 2"),
            "feature 1 (x): power is not one that the model has. Expected: 1, 0.5 or -1, or none, to leave it to the fit",
        ),
        (
            _number(low=-1, more="power = 0.5"),
            "feature 1 (x): power is 0.5, but there are values below 0. Expected: low of 0 or above, or another power",
        ),
        (
            _number(low=0, more="power = -1"),
            "feature 1 (x): power is -1, but there may be values of 0. Expected: low above 0, or another power",
        ),
        (
            _number(more="scale = 1e-7"),
            "feature 1 (x): scale is no scale. Expected: a number from 1e-06 to 100",
        ),
        (_number(more="scale = nan"), "feature 1 (x): scale is no scale"),
        (
            _number(more='kind = "ordinal"'),
            "feature 1 (x).kind has a wrong value. Expected: 'number' or",
        ),
        (_number(more='codes = { 0 = "a", 1 = "b" }'), "feature 1 (x): codes belong to a category"),
        (
            _number(more="unti = 3"),
            "feature 1 (x) takes no key unti. Expected: keys of: name, unit",
        ),
        (
            '[outcome]\nname = "ill"\n[[feature]]\nname = "x"\nlow = 0\n',
            "feature 1 (x): high is missing",
        ),
        ('[outcome]\nname = "ill"\n[[feature]]\nlow = 0\n', "feature 1 lacks name"),
        ('[[feature]]\nname = "x"\nlow = 0\nhigh = 1\n', "outcome"),
        (_categories(1, 1), "feature 1 (c0): codes are 1. Expected: two or more"),
        (
            _categories(2, 300),
            "feature gives 600 inputs, a category one for each code. Expected: at most 512",
        ),
        (
            _categories(1, 2).replace("1 =", "16777216 ="),
            "feature 1 (c0): codes are out of range. Expected: whole numbers from 0 to 16777215",
        ),
        (
            _number(more="unknown = 1"),
            'feature 1 (x): unknown is a code, but a number has none. Expected: "missing", or a category',
        ),
        (
            _number().replace("\n[[", "\nleast_followed_up = 0.9\n[[", 1),
            "outcome: least_followed_up stands there without horizon. Expected: horizon, too",
        ),
        (
            _categories(1, 2).replace("label of 1", "Label of 0"),
            "feature 1 (c0): codes have a label twice",
        ),
        (
            _categories(1, 2).replace("1 =", "x ="),
            "feature 1 (c0).codes has a wrong value. Expected: a table",
        ),
        (_categories(1, 2).replace("1 =", '"+1" ='), "feature 1 (c0).codes has a wrong value"),
        (_categories(1, 2) + "low = 1\n", "feature 1 (c0): low belongs to a number"),
        (_number() + '[[retired]]\nname = "y"\n', "the file takes no key retired"),
        ("x = [", "is not TOML"),
    ],
)
def test_a_wrong_declaration_is_refused_with_the_key(tmp_path: Path, text: str, told: str) -> None:
    message = _refused(tmp_path, text)
    assert told in message
    assert "Expected `" not in message


@pytest.mark.parametrize("label", ["1e1", "inf", "-Infinity", "nan", "1_0", ".5", " 10 ", "\u0663"])
def test_a_label_that_a_file_s_reader_takes_for_a_number_is_refused(
    tmp_path: Path, label: str
) -> None:
    told = _refused(tmp_path, _categories(1, 2).replace("label of 1", label))
    assert "feature 1 (c0): codes have a label that reads as another number" in told
    for other in ("1.2.3", "10 mg", "infected", "1"):
        (tmp_path / "features.toml").write_text(_categories(1, 2).replace("label of 1", other))
        assert read_declaration(tmp_path / "features.toml").features[0].codes[1] == other


@pytest.mark.parametrize(
    ("outcome", "told"),
    [
        ('name = ""', "outcome: name is no plain name"),
        ('name = "id"', "outcome: name is id, which is a column of the service's own"),
        (
            'name = "personkey"',
            "outcome: name is personkey, in a header the same as person_key, which is a column",
        ),
        (
            'name = "out_come"',
            "outcome: name is out_come, in a header the same as outcome, which is a column",
        ),
        (
            'name = "ill"\nalso_called = ["Person Key"]',
            "outcome: also_called is that of the service's own column",
        ),
        ('name = "x"', "feature 1: name is that of the outcome as well"),
        ('name = "other_x"', "feature 1: also_called is that of the outcome as well"),
        ('name = "ill"\nalso_called = ["X"]', "feature 1: name is that of the outcome as well"),
        (
            'name = "ill"\nalso_called = ["Other X"]',
            "feature 1: also_called is that of the outcome as well",
        ),
        (
            'name = "ill"\nalso_called = ["ID"]',
            "outcome: also_called is that of the patient's id as well",
        ),
        (
            'name = "ill"\nalso_called = [""]',
            "outcome: also_called may not hold a name that no column can have. Expected: names of printable characters, none of them blank",
        ),
        (
            'name = "ill"\nperhaps_called = ["a\\nb"]',
            "outcome: perhaps_called may not hold a name that no column",
        ),
    ],
)
def test_the_outcome_s_names_are_checked_as_the_features_are(
    tmp_path: Path, outcome: str, told: str
) -> None:
    feature = '[[feature]]\nname = "x"\nlow = 0\nhigh = 1\nalso_called = ["other_x"]\n'
    assert told in _refused(tmp_path, f"[outcome]\n{outcome}\n{feature}")


def test_other_names_of_a_feature_are_names_that_a_column_can_have(tmp_path: Path) -> None:
    for key, spelled in (
        ("source", "SOURCE"),
        ("source_key", "source key"),
        ("person_key", "personkey"),
    ):
        told = _refused(tmp_path, _number(more=f'also_called = ["{spelled}"]'))
        assert f"feature 1: also_called is that of the service's own column {key} as well" in told
    path = tmp_path / "features.toml"
    path.write_text(_number(more='also_called = ["Körpergröße (cm)", "X"]'))
    assert read_declaration(path).spelled["körpergröße(cm)"] == "x"


UNSEEN = ["\0", "\ud800", "\n", "\x1b", "\xa0", "\u200b", "\u202e"]


@pytest.mark.parametrize("wrong", [*(f"a{each}b" for each in UNSEEN), " a", "a "])
def test_no_text_holds_what_nobody_sees_or_a_database_can_not_keep(wrong: str) -> None:
    """It would go to terminals, CSV files and pages as it is."""
    number, ill = Feature("x", unit="µg/dL, größer als – \u05d0", low=0, high=1), Outcome("ill")
    assert first_fault(Declaration(ill, (number,))) is None
    for declaration, key in (
        (Declaration(ill, (replace(number, unit=wrong),)), "feature 1 (x): unit"),
        (Declaration(ill, (replace(number, rationale=wrong),)), "feature 1 (x): rationale"),
        (
            Declaration(ill, (Feature("c", kind="category", codes={0: "b", 1: wrong}),)),
            "feature 1 (c): codes",
        ),
        (Declaration(replace(ill, meaning=wrong), (number,)), "outcome: meaning"),
    ):
        fault = first_fault(declaration)
        assert fault is not None
        assert (fault.key, fault.what) == (key, "holds invisible characters or outer spaces")
        assert fault.expected == (
            "printable characters on one line, with plain spaces between words and none around them"
        )
