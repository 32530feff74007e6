"""Equal fits, and pictures of equal figures, made once for all worker processes of a test run: for
tests about what becomes of a fit. To draw a report's pictures takes most of what is left of a
retraining where fits are shared."""

import hashlib
import os
import pickle
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import fasteners
import msgspec
from markupsafe import Markup

from pima.core.declared.features import Features
from pima.core.rows.history import Split, features_of
from pima.model.compiled import CompiledModel
from pima.model.recipes import CancelCheck, Recipe, settings_of_fit
from pima.report.contents import Exhibit
from pima.scorer import Scorer
from pima.settings.sections import Settings
from pima.train.fit import Challenger, seed_of

Fit = Callable[[Split, Settings, Recipe, Features, CancelCheck], Challenger]


def made_once(fit: Fit, folder: Path, own_repeated: bool = True) -> Fit:
    """The same fit, which takes from the folder what another test has had fitted on the same rows
    under the same settings. What one test has fitted twice was fitted twice, if `own_repeated`:
    that both are equal may be what it is about."""
    before: Counter[str] = Counter()

    def fit_challenger(
        history: Split,
        settings: Settings,
        recipe: Recipe,
        features: Features,
        boundary: CancelCheck,
    ) -> Challenger:
        key = fingerprint(history, settings, recipe, features)
        before[key] += own_repeated
        path = folder / f"{key}-{before[key] or 1}"
        with fasteners.InterProcessLock(f"{path}.lock"):
            if path.exists():
                return _read(path, features)
            made = fit(history, settings, recipe, features, boundary)
            _write(path, made)
            return made

    return fit_challenger


def fingerprint(history: Split, settings: Settings, recipe: Recipe, features: Features) -> str:
    """sha256 over all that a challenger is made from, to the bit and in order."""
    training, holdout = features_of(history.training), features_of(history.holdout)
    rows = (training, history.training["outcome"].to_numpy(), holdout)
    digest = hashlib.sha256()
    for part in rows:
        digest.update(f"{part.dtype} {part.shape} ".encode() + part.tobytes())
    others = [features, settings_of_fit(settings, recipe), seed_of(history, settings.retrain)]
    # PostgreSQL gives back a category's codes in another order than SQLite.
    digest.update(
        msgspec.json.encode(msgspec.to_builtins(others, str_keys=True), order="deterministic")
    )
    return digest.hexdigest()


def _write(path: Path, made: Challenger) -> None:
    being_written = path.with_suffix(".being-written")
    # The scorer stays: it is loaded from the compiled bytes, as in a fit.
    without: Any = replace(made, scorer=None)  # type: ignore[arg-type]
    being_written.write_bytes(pickle.dumps((without, made.scorer.threshold)))
    being_written.rename(path)


def _read(path: Path, features: Features) -> Challenger:
    made, threshold = pickle.loads(path.read_bytes())  # noqa: S301 (this run wrote it)
    return replace(made, scorer=Scorer(threshold, features, CompiledModel(made.artifacts.compiled)))


Draw = Callable[..., Markup]
_SOME_TIME = datetime(2026, 1, 1, tzinfo=UTC)
"""Whatever the verdict's is: no picture of its evidence has it."""


def drawn_once(draw: Draw, folder: Path) -> Draw:
    """The same picture, taken from the folder where another test has had it drawn of the very same
    figures."""

    def picture(*asked: Any) -> Markup:
        figures = [
            replace(each, decided_at=_SOME_TIME) if isinstance(each, Exhibit) else each
            for each in asked
        ]
        # PostgreSQL gives the keys of a document back in an order of its own.
        of_figures = msgspec.json.encode([draw.__name__, *figures], order="deterministic")
        path = folder / hashlib.sha256(of_figures).hexdigest()
        if not path.exists():
            being_written = path.with_suffix(f".{os.getpid()}")
            being_written.write_text(draw(*asked))
            being_written.rename(path)
        return Markup(path.read_text())  # noqa: S704 (it was Markup when it was drawn)

    return picture
