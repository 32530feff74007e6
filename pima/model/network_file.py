"""The file of one's own network: read beside the settings, and run to build the network.

The file is run with the rights of whoever retrains. So it is taken only from beside the settings,
and only if nobody but its owner may write it. What a database keeps of it is never run.
"""

import hashlib
import os
import stat
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import replace
from pathlib import Path
from typing import Any

from msgspec import structs

from pima.core.declared.features import Features
from pima.errors import OwnNetworkRefused, PimaError
from pima.model.recipes import OwnNetwork, Recipe, is_file, recipe_for
from pima.settings.sections import OWN_CODE, RetrainSettings

FOLDS_OF_OWN = 5
PATIENCE_EPOCHS = 10


def recipe_asked_for(settings: RetrainSettings, folder: Path, features: Features) -> Recipe:
    """The recipe that `retrain.network` names for these inputs; if it names a file, that is read in
    the settings' folder. Raises OwnNetworkRefused."""
    if not is_file(settings.network):
        return recipe_for(settings.network, features)
    text = _read(folder / settings.network)
    return OwnNetwork(
        **structs.asdict(settings.custom),
        sha256=_sha256(text),
        folds=FOLDS_OF_OWN,
        patience_epochs=PATIENCE_EPOCHS,
        text=text,
    )


def with_kept_file(kept: OwnNetwork, path: Path) -> OwnNetwork:
    """The recipe of a version with the file's text, if the file is still the one that the version
    was fitted with. Raises OwnNetworkRefused."""
    text = _read(path)
    if _sha256(text) != kept.sha256:
        raise OwnNetworkRefused(
            what=f"the sha256 of {path} is {_sha256(text)}, and the version's is {kept.sha256}",
            expected="the file as it was then; `python -m jobs.models show N --json` has its text",
        )
    return replace(kept, text=text)


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            text = file.read().decode()
    except (OSError, UnicodeDecodeError) as error:
        raise OwnNetworkRefused(
            what=f"{path} can't be read ({error})",
            expected="a Python file in UTF-8, beside the settings file",
        ) from None
    if mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise OwnNetworkRefused(
            what=f"others than its owner may write {path}, whose mode is {mode:o}",
            expected=f"what `chmod go-w {path}` makes of it",
        )
    return text


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def build_of(text: str) -> Callable[[int, dict[str, Any]], Any]:
    """Run a file's text, and return its `build`. Raises OwnNetworkRefused."""
    found: dict[str, Any] = {"__name__": "own_network"}
    expected = "one file that imports only what is installed, and has build(inputs, parameters)"
    with refused("its file", expected):
        exec(compile(text, OWN_CODE, "exec"), found)  # noqa: S102 (its owner's own code)
        if not callable(found.get("build")):
            raise TypeError("it has no function `build`")
    return found["build"]


@contextmanager
def refused(what: str, expected: str) -> Iterator[None]:
    """Surround what one's own network may make fail; raises OwnNetworkRefused in its place. What it
    prints goes to stderr: `model.summary()` would stand before a command's JSON."""
    try:
        with redirect_stdout(sys.stderr):
            yield
    except PimaError:
        raise
    except (Exception, SystemExit) as error:  # noqa: BLE001 (whatever their code raises)
        raise OwnNetworkRefused(
            what=f"{what} ended with {_told(error)}", expected=expected
        ) from None


def _told(error: BaseException) -> str:
    """An error's class, the beginning of its text, and where in the file it came up. None of this
    code has seen a patient."""
    lines = [
        frame.lineno
        for frame in traceback.extract_tb(error.__traceback__)
        if frame.filename == OWN_CODE
    ]
    place = f" in line {lines[-1]}" if lines else ""
    # Keras puts the cause last, behind the whole model's configuration.
    cause = str(error).rpartition("Exception encountered: ")[2]
    return f"{type(error).__name__}{place}: {' '.join(cause.split())[:400].rstrip('.')}"
