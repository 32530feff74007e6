"""What stands in an output already: parts that are finished, and what no run with this model and these files writes."""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pima.errors import OtherOutputThere, WrongUsage
from pima.files.inputs import InputFile
from pima.files.parts import PREDICTIONS, REJECTIONS, Facts, Part, read_facts, summed
from pima.files.places import Place, whole, words_of
from pima.files.scoring_model import ScoringModel
from pima.process.whole_file import name_meant

MANIFEST = "manifest.json"
FORMAT = "pima scored files 1"
MARK = "cluster"
"""By which workers of a cluster know the folder; it is never more than half-written."""


def there(place: Place, folder: str) -> set[str]:
    """What the files of an output are called. Raises WrongUsage where it can't be listed."""
    try:
        return place.files_below(folder)
    except OSError as error:
        path, why = error.filename or folder, words_of(error)
        what = f"--to {path}: it can't be listed ({why}). Mend that, or name another folder"
        raise WrongUsage(what=what) from None


def finished_parts(place: Place, folder: str, parts: Sequence[Part], model: ScoringModel) -> dict[str, Facts]:
    """By name. Raises OtherOutputThere where another model's, another input's or somebody else's files are there,
    WrongUsage where they can't be listed."""
    planned = {f"{kind}/{part.name}": part for part in parts for kind in (PREDICTIONS, REJECTIONS)}
    half_written = {MANIFEST, MARK, *planned}
    found: dict[str, Facts] = {}
    for name in sorted(there(place, folder)):
        if name == MANIFEST:
            _require_our_manifest(place, folder)
        elif name in planned:
            found[name] = _facts(place, folder, name, planned[name], model)
        elif _meant(name) not in half_written:
            raise OtherOutputThere(folder=folder, what=f"{name} is no part of this dataset")
    return {part.name: found[f"{PREDICTIONS}/{part.name}"] for part in parts if _is_finished(part, found)}


def _is_finished(part: Part, found: Mapping[str, Facts]) -> bool:
    """With all that belongs to it: somebody may have removed its rejections since."""
    facts = found.get(f"{PREDICTIONS}/{part.name}")
    return facts is not None and (not facts.rejected_by_reason or found.get(f"{REJECTIONS}/{part.name}") == facts)


def _meant(name: str) -> str | None:
    """What a file that is not whole yet is going to be called; None of any other."""
    above, slash, last = name.rpartition("/")
    meant = name_meant(last)
    return meant and f"{above}{slash}{meant}"


def _require_our_manifest(place: Place, folder: str) -> None:
    try:
        with place.open(f"{folder}/{MANIFEST}") as file:
            found = json.load(file)
    except (OSError, ValueError):
        found = None
    if not isinstance(found, dict) or found.get("format") != FORMAT:
        raise OtherOutputThere(folder=folder, what=f"{MANIFEST} was not written by this release, or is damaged")


def require_none_of_others(place: Place, folder: str, part: Part, model: ScoringModel) -> None:
    """Somebody else may score into the same output meanwhile. Raises OtherOutputThere."""
    name = f"{PREDICTIONS}/{part.name}"
    if read_facts(place, f"{folder}/{name}") is not None:
        _facts(place, folder, name, part, model)


def _facts(place: Place, folder: str, name: str, part: Part, model: ScoringModel) -> Facts:
    facts = read_facts(place, f"{folder}/{name}")
    if facts is None:
        raise OtherOutputThere(folder=folder, what=f"{name} was not written by this release of pima, or is damaged")
    if facts.scored_by != model.sha256:
        raise OtherOutputThere(folder=folder, what=f"{name} was scored by another model, or by other rules")
    # pandas and DuckDB write a corrected value without changing size and footer, so the file's time counts as well.
    if (facts.footer_sha256, facts.input_version) != (part.input.footer_sha256, part.input.version):
        raise OtherOutputThere(folder=folder, what=f"{name} was made of {part.input.name} as it was before")
    if facts.keys != part.input.columns.keys or facts.rows != part.rows:
        raise OtherOutputThere(folder=folder, what=f"{name} was written with other keys")
    return facts


def manifest_of(model: ScoringModel, files: Iterable[InputFile], finished: Mapping[str, Facts]) -> dict[str, Any]:
    """What the output holds, and what of; the same for the same files and model."""
    return {
        "format": FORMAT,
        "model_version": model.version,
        "compiled_sha256": model.compiled_sha256,
        "threshold": model.scorer.threshold,
        "scored_by": model.sha256,
        "inputs": [_told(file) for file in files],
        "parts": [{"name": name, **_counts(facts)} for name, facts in sorted(finished.items())],
        **summed(finished.values()),
    }


def _told(file: InputFile) -> dict[str, Any]:
    return {
        "name": file.name,
        "bytes": file.bytes,
        "footer_sha256": file.footer_sha256,
        "rows": sum(file.groups),
        "keys": file.columns.keys,
    }


def _counts(facts: Facts) -> dict[str, Any]:
    return summed([facts])


def write_manifest(place: Place, folder: str, manifest: Mapping[str, Any]) -> None:
    """The last file; what others have left half-written goes before it."""
    for name in there(place, folder):
        if _meant(name) is not None:
            place.remove(f"{folder}/{name}")
    with whole(place, f"{folder}/{MANIFEST}") as file:
        file.write(json.dumps(manifest, indent=1).encode() + b"\n")
