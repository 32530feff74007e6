"""What the tests take for an equal fit, or an equal picture, is one: of the same rows or figures,
to the bit."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pandas as pd
import pytest
from markupsafe import Markup

from benches.accuracy.shipped import shipped_rows
from pima.core.rows.history import Split, features_of
from pima.model.recipes import never, recipe_for
from pima.report.contents import Exhibit
from pima.settings.sections import Settings
from pima.train.fit import Challenger, fit_challenger
from tests.support.equal_results import drawn_once, fingerprint, made_once
from tests.support.labelled import side_of
from tests.support.shipped import FEATURES

SETTINGS = Settings()
RECIPE = recipe_for(SETTINGS.retrain.network, FEATURES)


def _side(first: int, last: int) -> pd.DataFrame:
    rows, ids = shipped_rows(), np.arange(first, last)
    return side_of(rows.features[ids], rows.outcomes[ids], ids)


HISTORY = Split(training=_side(0, 120), holdout=_side(120, 200), left_out={})


def test_a_test_has_each_fit_made_and_the_next_one_takes_the_very_same(tmp_path: Path) -> None:
    made: list[Challenger] = []

    def fit(*arguments: Any) -> Challenger:
        made.append(fit_challenger(*arguments))
        return made[-1]

    def in_a_test(own_repeated: bool = True) -> list[Challenger]:
        once = made_once(fit, tmp_path, own_repeated)
        return [once(HISTORY, SETTINGS, RECIPE, FEATURES, never) for _ in range(2)]

    fitted, taken = in_a_test(), in_a_test()
    assert fitted == made
    assert len(taken) == len(made) == 2
    for one, other in zip(taken, made, strict=True):
        _assert_the_very_same(one, other)
    # The same rows and settings give the same model, so that it is all the same which test has had
    # it fitted.
    assert (_said(made[0]) == _said(made[1])).all()
    for one in in_a_test(own_repeated=False):
        _assert_the_very_same(one, made[0])
    assert len(made) == 2


def _assert_the_very_same(one: Challenger, other: Challenger) -> None:
    others = {"scorer": None, "straight_line": None}
    assert replace(one, **others) == replace(other, **others)
    assert (one.straight_line == other.straight_line).all()
    assert replace(one.scorer, model=None) == replace(other.scorer, model=None)
    assert (_said(one) == _said(other)).all()


def _said(challenger: Challenger) -> np.ndarray:
    return challenger.scorer.model.probabilities(features_of(HISTORY.holdout))


def _with(side: str, column: str, change: Any) -> Split:
    rows = getattr(HISTORY, side).reset_index()
    rows.loc[3, column] = change(rows.loc[3, column])
    return replace(HISTORY, **{side: rows.set_index("id")})


@pytest.mark.parametrize(
    ("history", "settings", "features"),
    [
        (
            _with("training", "age", lambda age: np.nextafter(age, np.float32(np.inf))),
            SETTINGS,
            FEATURES,
        ),
        (_with("training", "outcome", lambda outcome: 1 - outcome), SETTINGS, FEATURES),
        (_with("training", "id", lambda patient_id: patient_id + 1_000), SETTINGS, FEATURES),
        (
            _with("holdout", "age", lambda age: np.nextafter(age, np.float32(np.inf))),
            SETTINGS,
            FEATURES,
        ),
        (HISTORY, msgspec.convert({"retrain": {"network": "article"}}, Settings), FEATURES),
        (HISTORY, msgspec.convert({"retrain": {"threshold": 0.4}}, Settings), FEATURES),
        (HISTORY, SETTINGS, FEATURES[::-1]),
        (HISTORY, SETTINGS, (msgspec.structs.replace(FEATURES[0], high=99.0), *FEATURES[1:])),
    ],
)
def test_whatever_enters_a_fit_makes_it_another(
    history: Split, settings: Settings, features: Any
) -> None:
    recipe = recipe_for(settings.retrain.network, features)
    other = fingerprint(HISTORY, SETTINGS, RECIPE, FEATURES)
    assert fingerprint(history, settings, recipe, features) != other


DOCUMENT = {"rows": 10, "positive": 0.1}
MODEL = ("challenger", "version 2")


def _exhibit(document: dict[str, Any], day: int = 1, model: tuple[str, str] = MODEL) -> Exhibit:
    return Exhibit(datetime(2026, 1, day, tzinfo=UTC), document, (model,))


def test_a_picture_is_drawn_for_each_other_figure_and_name_alone(tmp_path: Path) -> None:
    drawn: list[tuple[Exhibit, str]] = []

    def picture(found: Exhibit, name: str) -> Markup:
        drawn.append((found, name))
        return Markup(f"<svg>{len(drawn)}</svg>")  # noqa: S704

    once = drawn_once(picture, tmp_path)
    first = once(_exhibit(DOCUMENT), "one")
    assert first == Markup("<svg>1</svg>")
    same = [
        _exhibit(DOCUMENT),
        _exhibit(DOCUMENT, day=2),
        _exhibit(dict(reversed(DOCUMENT.items()))),
    ]
    assert [drawn_once(picture, tmp_path)(each, "one") for each in same] == [first] * 3
    others = [
        _exhibit(DOCUMENT | {"positive": 0.1 + 2**-56}),
        _exhibit(DOCUMENT, model=("champion", "version 2")),
    ]
    assert [once(each, "one") for each in others] == ["<svg>2</svg>", "<svg>3</svg>"]
    assert once(_exhibit(DOCUMENT), "two") == "<svg>4</svg>"
    assert len(drawn) == 4
