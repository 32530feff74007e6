"""What scores files: the champion, another version of the database, or a model file; with the rules that rows are
judged by, which are the database's where there is one."""

import json
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Engine

from pima.core.digest import sha256_of
from pima.core.features import Declaration, Features
from pima.errors import ModelFileRefused, NoChampionForFiles
from pima.files.model_file import read_model_file
from pima.scorer import Scorer
from pima.store import registry
from pima.store.engine import reading
from pima.store.registry import as_stored


@dataclass(frozen=True, slots=True)
class ScoringModel:
    """A version, ready to score."""

    version: int
    compiled_sha256: str
    scorer: Scorer
    declared: Declaration
    """The outcome, and as its features those that the model takes, with the rules by which rows are judged."""
    sha256: str
    """Over all that decides a prediction: the compiled form, the threshold, the features and the rules."""

    @property
    def rules(self) -> Features:
        """What rows are judged by, in the model's order."""
        return self.declared.features


def champion_or(engine: Engine, number: int | None) -> int:
    """This version, or where none is named the champion. Raises NoChampionForFiles."""
    if number is not None:
        return number
    with reading(engine) as connection:
        champion = registry.read_champion(connection).model_version
    if champion is None:
        raise NoChampionForFiles()
    return champion


def model_of_content(path: Path, content: bytes) -> ScoringModel:
    """Of a model file's bytes. Raises ModelFileRefused, which names the path."""
    from pima.model.compiled import CompiledModel

    filed = read_model_file(path, content)
    try:
        scorer = Scorer(filed.threshold, filed.features, CompiledModel(filed.compiled))
    except (ValueError, RuntimeError):
        raise ModelFileRefused(file=path, what="its compiled form is none") from None
    declared = Declaration(filed.declaration.outcome, filed.declaration.rules_for(scorer.features))
    decides = [filed.version, filed.compiled_sha256, scorer.threshold]
    decides += [as_stored(scorer.features), as_stored(declared.features)]
    sha256 = sha256_of(json.dumps(decides).encode())
    return ScoringModel(filed.version, filed.compiled_sha256, scorer, declared, sha256)
