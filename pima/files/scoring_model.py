"""What scores files: the champion, another version of the database, or a model file; with the rules that rows are
judged by, which are the database's where there is one."""

import json
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Engine

from pima.core.digest import sha256_of
from pima.core.features import Declaration, Features
from pima.errors import ModelFileRefused, NoChampionForFiles, NoSuchVersion, WrongUsage
from pima.files.model_file import content_of, read_model_file
from pima.scorer import Scorer, load_scorer
from pima.store import registry
from pima.store.declarations import as_stored, newest_declaration
from pima.store.engine import reading


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

    def require_same(self, scored_by: str) -> None:
        """As who shares the work has it, by `sha256`. Raises WrongUsage."""
        if self.sha256 != scored_by:
            raise WrongUsage(what="the model or its rules changed while files were scored; run this again")


def model_of_database(engine: Engine, number: int | None) -> ScoringModel:
    """The champion, or the version of that number. Raises NoChampionForFiles, NoSuchVersion, ArtifactDamaged."""
    version = champion_or(engine, number)
    with reading(engine) as connection:
        artifact = registry.compiled_artifact(connection, version)
        declaration = newest_declaration(connection)
    if artifact is None:
        raise NoSuchVersion(number=version)
    return _model(version, artifact.sha256, load_scorer(engine, version), declaration)


def champion_or(engine: Engine, number: int | None) -> int:
    """This version, or where none is named the champion. Raises NoChampionForFiles."""
    if number is not None:
        return number
    with reading(engine) as connection:
        champion = registry.read_champion(connection).model_version
    if champion is None:
        raise NoChampionForFiles()
    return champion


def model_of_file(path: Path) -> ScoringModel:
    """Raises ModelFileRefused."""
    return model_of_content(path, content_of(path))


def model_of_content(path: Path, content: bytes) -> ScoringModel:
    """Of a file that has been read. Raises ModelFileRefused, which names the path."""
    from pima.model.compiled import CompiledModel

    filed = read_model_file(path, content)
    try:
        scorer = Scorer(filed.threshold, filed.features, CompiledModel(filed.compiled))
    except (ValueError, RuntimeError):
        raise ModelFileRefused(file=path, what="its compiled form is none") from None
    return _model(filed.version, filed.compiled_sha256, scorer, filed.declaration)


def _model(version: int, compiled_sha256: str, scorer: Scorer, declaration: Declaration) -> ScoringModel:
    declared = Declaration(declaration.outcome, declaration.rules_for(scorer.features))
    decides = [version, compiled_sha256, scorer.threshold, as_stored(scorer.features), as_stored(declared.features)]
    return ScoringModel(version, compiled_sha256, scorer, declared, sha256_of(json.dumps(decides).encode()))
