"""The page's own network, from its file to predictions, and what is refused on the way."""

import hashlib
import shlex
from pathlib import Path

import numpy as np
import pytest

from jobs import command
from tests.support.databases import (
    PATIENCE_SECONDS,
    Database,
    Ended,
    call,
    insert_patients,
    the_json,
)
from tests.support.pages import PAGES, blocks

pytestmark = pytest.mark.usefixtures("each_fit_once", "without_reports")
TYPED = blocks(PAGES["docs/do/bring-your-own-network.md"].read_text())


def _of(kind: str) -> str:
    (text,) = (block.text for block in TYPED if block.info == kind)
    return text


def test_the_page_s_network_is_fitted_judged_scores_and_is_fitted_again(
    history: Database, tmp_path: Path
) -> None:
    config, file = tmp_path / "pima.toml", tmp_path / "clinic_net.py"
    config.write_text(_of("toml"))

    def typed(line: str) -> Ended:
        _, _, job, *arguments = shlex.split(line)
        return call(
            history, job.removeprefix("jobs."), *arguments, "--json", "--config", str(config)
        )

    for mode in (None, 0o666):
        if mode is not None:
            file.write_text(_of("python"))
            file.chmod(mode)
        refused = typed("python -m jobs.retrain")
        assert (refused.exit_code, the_json(refused)["error"]) == (2, "own_network_refused")
    assert history.execute("SELECT DISTINCT status, error_code FROM runs") == [
        ("failed", "own_network_refused")
    ]
    file.chmod(0o644)
    dry, kept, reproduced = [the_json(typed(line)) for line in _of("bash").splitlines()]
    assert (dry["verdict"], dry["challenger"]) == ("promoted", None)
    assert (kept["verdict"], kept["challenger"]) == ("promoted", 1)
    assert kept["challenger_scores"] == dry["challenger_scores"]
    assert (reproduced["reproduced"], reproduced["largest_difference"]) == (True, 0)
    settings = the_json(typed("python -m jobs.models show 1"))["version"]["settings"]
    text = file.read_bytes()
    assert settings["network_text"].encode() == text
    assert settings["recipe"]["sha256"] == hashlib.sha256(text).hexdigest()
    insert_patients(history, 3)
    assert the_json(typed("python -m jobs.score"))["predicted"] == 3
    assert typed(f"python -m jobs.models export 1 {tmp_path / 'net.keras'}").exit_code == 0
    _check_the_predictions(history, (tmp_path / "net.keras").read_bytes())
    file.write_text(_of("python") + "\n")
    refused = typed("python -m jobs.models reproduce 1")
    assert (refused.exit_code, the_json(refused)["error"]) == (2, "own_network_refused")
    assert history.value("SELECT model_version FROM champion") == 1


def _check_the_predictions(database: Database, stored: bytes) -> None:
    """They are what Keras says by the exported file alone."""
    from pima.core.rows.validation import as_features, by_feature
    from pima.model.network import keras_probabilities
    from tests.support.shipped import FEATURES, SOUND

    row = np.array([list(SOUND.values())], dtype=float)
    expected = keras_probabilities(stored, as_features(by_feature(row), FEATURES))[0]
    found = database.execute("SELECT probability FROM current_predictions")
    assert found == [(pytest.approx(expected, abs=1e-6),)] * 3


ENDLESS = """
import time

def build(inputs, parameters):
    print("it builds", flush=True)
    while True:
        {rest}
"""


def _endless(folder: Path, rest: str) -> str:
    """Settings that name a file whose `build` never ends."""
    config, file = folder / "pima.toml", folder / "clinic_net.py"
    config.write_text(_of("toml"))
    file.write_text(ENDLESS.format(rest=rest))
    file.chmod(0o644)
    return str(config)


@pytest.mark.parametrize(
    ("copied", "rest"),
    [("sqlite", "pass"), ("postgresql", "time.sleep(3600)")],
    indirect=["copied"],
)
def test_a_stop_ends_a_build_that_never_ends(history: Database, tmp_path: Path, rest: str) -> None:
    with history.start("retrain", "--config", _endless(tmp_path, rest)) as process:
        assert process.stderr is not None
        while "it builds" not in process.stderr.readline():
            assert process.poll() is None
        process.terminate()
        assert process.wait(PATIENCE_SECONDS) == 143
    assert history.execute("SELECT status, error_code FROM runs") == [
        ("interrupted", "interrupted")
    ]
    assert history.value("SELECT count(*) FROM leases WHERE expires_at > '2026-01-01'") == 0


def test_a_build_that_never_ends_is_stopped_at_the_time_limit_without_a_scheduler(
    history: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "A_MINUTE", 2)
    limit = {"PIMA_SCHEDULE__TIME_LIMIT_MINUTES": "1"}
    ended = call(history, "retrain", "--json", "--config", _endless(tmp_path, "pass"), **limit)
    assert (ended.exit_code, the_json(ended)["error"]) == (1, "timed_out")
    assert "longer than schedule.time_limit_minutes" in ended.stderr
    assert history.execute("SELECT status, error_code FROM runs") == [("failed", "timed_out")]
    assert history.value("SELECT count(*) FROM leases WHERE expires_at > '2026-01-01'") == 0
