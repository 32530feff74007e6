"""Settings: the file, the variables over it, the secrets; everything else is an error that names
the key."""

import json
import tomllib
from pathlib import Path

import pytest

from pima.errors import WrongConfiguration
from pima.settings.reading import (
    DEFAULT_CONFIG,
    DEFAULT_DATABASE_URL,
    database_url,
    declared,
    read_declaration,
    read_settings,
    secret,
)
from pima.settings.sections import SECTIONS, Settings
from tests.support.declared import DECLARED, configuration, declaration
from tests.support.shipped import ROOT

SHIPPED_FILE = ROOT / DEFAULT_CONFIG


def _file(folder: Path, content: str) -> Path:
    path = folder / "pima.toml"
    path.write_text(content)
    return path


def test_the_shipped_file_shows_every_setting_with_its_default() -> None:
    assert read_settings(SHIPPED_FILE, {}) == Settings()
    shown = tomllib.loads(SHIPPED_FILE.read_text())
    assert {section: set(keys) for section, keys in shown.items()} == SECTIONS


def test_without_a_path_the_shipped_file_of_the_working_directory_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(WrongConfiguration, match=r"config/pima\.toml"):
        read_settings(None, {})
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "pima.toml").write_text("[score]\nbatch_rows = 7\n")
    assert read_settings(None, {}).score.batch_rows == 7


def test_a_variable_wins_over_the_file(tmp_path: Path) -> None:
    path = _file(tmp_path, '[score]\nbatch_rows = 7\n[logs]\nformat = "json"\n')
    found = read_settings(path, {"PIMA_SCORE__BATCH_ROWS": "9", "PIMA_HOLDOUT__SHARE": "0.5"})
    assert (found.score.batch_rows, found.logs.format, found.holdout.share) == (9, "json", 0.5)


@pytest.mark.parametrize(
    ("section", "key"),
    [
        (section, key)
        for section, keys in SECTIONS.items()
        for key in sorted(keys - {"custom"})  # a section within one, which has no variables
    ],
)
def test_every_setting_can_be_given_by_a_variable(section: str, key: str) -> None:
    default = getattr(getattr(Settings(), section), key)
    address = "https://example.org/uuid"
    words = {
        "network": "article",
        "format": "json",
        "window": "all",
        "snapshots": 5,
        "model_bytes": 52,
    }
    words |= {"subgroup_margin": 0.05, "log_loss_veto": False}
    words |= {
        "catch_up": "none",
        "port": 9100,
        "measure": "log_loss",
        "score_url": address,
        "retrain_url": address,
        "pull_url": address,
    }
    other = words.get(key, "x")
    if isinstance(default, bool):
        other = not default
    elif isinstance(default, int | float) and key not in words:
        other = (default * 2 if isinstance(default, int) else default / 2) if default else 0.25
    found = read_settings(SHIPPED_FILE, {f"PIMA_{section}__{key}".upper(): str(other)})
    assert getattr(getattr(found, section), key) == other
    assert found != Settings()


@pytest.mark.parametrize("threshold", [0.3, "sensitivity >= 0.85", "specificity >= 0.9"])
def test_a_threshold_is_a_number_or_what_it_has_to_reach_in_the_file_and_in_the_variable(
    tmp_path: Path, threshold: float | str
) -> None:
    path = _file(tmp_path, f"[retrain]\nthreshold = {json.dumps(threshold)}\n")
    assert read_settings(path, {}).retrain.threshold == threshold
    by_variable = read_settings(
        SHIPPED_FILE, {"PIMA_RETRAIN__THRESHOLD": str(threshold)}
    ).retrain.threshold
    assert (by_variable, type(by_variable)) == (threshold, type(threshold))


@pytest.mark.parametrize(
    "text",
    [
        *(
            "sensitivity > 0.8",
            "sensitivity >= 1.2",
            "sensitivity >= 1",
            "sensitivity >= 0",
            "sensitivity >= 0.0",
        ),
        *(
            "recall >= .8",
            "sensitivity >= .8",
            "sensitivity>=0.8",
            "Sensitivity >= 0.8",
            "sensitivity >= 0.8\n",
        ),
        *("sensitivity >= 80 %", "accuracy >= 0.8", "1.2", "0", "1", "nan", "", "CANARY"),
    ],
)
def test_no_other_threshold_is_taken_from_either(tmp_path: Path, text: str) -> None:
    path = _file(tmp_path, f"[retrain]\nthreshold = {json.dumps(text)}\n")
    expected = (
        r'Expected: a number, above 0 and below 1 or a text like "sensitivity >= 0\.85" or '
        r'"specificity >= 0\.85"'
    )
    for file, environ, named in (
        (path, {}, r"retrain\.threshold"),
        (SHIPPED_FILE, {"PIMA_RETRAIN__THRESHOLD": text}, "PIMA_RETRAIN__THRESHOLD"),
    ):
        with pytest.raises(WrongConfiguration, match=named + ".*" + expected) as caught:
            read_settings(file, environ)
        assert "CANARY" not in str(caught.value)


def test_a_text_that_looks_like_a_number_stays_a_text() -> None:
    assert read_settings(SHIPPED_FILE, {"PIMA_HOLDOUT__SALT": "007"}).holdout.salt == "007"


def test_variables_of_others_are_none_of_ours() -> None:
    environ = {
        "PATH": "/bin",
        "PIMAX": "1",
        "XPIMA_SCORE": "1",
        "pima_score__x": "1",
        "DATABASE_URL": "nonsense",
    }
    assert read_settings(SHIPPED_FILE, environ) == Settings()


@pytest.mark.parametrize("service", ["PIMA", "PIMA_SCORE", "PIMA_METRICS", "PIMA_2_PORT"])
def test_variables_that_kubernetes_makes_of_a_service_are_none_of_ours(service: str) -> None:
    made = {
        "_SERVICE_HOST": "10.0.0.11",
        "_SERVICE_PORT": "8000",
        "_SERVICE_PORT_HTTP_METRICS": "8000",
        "_PORT": "tcp://10.0.0.11:8000",
        "_PORT_8000_TCP": "tcp://[fd00::11]:8000",
        "_PORT_8000_TCP_PROTO": "tcp",
        "_PORT_8000_TCP_PORT": "8000",
        "_PORT_8000_TCP_ADDR": "10.0.0.11",
        "_PORT_53_UDP": "udp://10.0.0.11:53",
        "_PORT_53_SCTP_ADDR": "10.0.0.11",
    }
    environ = {f"{service}{ending}": value for ending, value in made.items()}
    assert read_settings(SHIPPED_FILE, environ) == Settings()
    environ["PIMA_METRICS__PORT"] = "9108"
    assert read_settings(SHIPPED_FILE, environ).metrics.port == 9108


@pytest.mark.parametrize(
    "variable",
    [
        "PIMA_",
        "PIMA_SCORE",
        "PIMA_SCORE__",
        "PIMA___BATCH_ROWS",
        "PIMA_SCORE_BATCH_ROWS",
        "PIMA_SCORE__BATCH_ROWS__X",
        "PIMA_SCORE__DATABASE_URL_FILES",
        "PIMA_DATABASE_URL",
        "PIMA_LOAD__DATABASE_URL",
        # Nearly what Kubernetes makes of a Service.
        "PIMA_METRICS_PORT",
        "PIMA_METRICS__SERVICE_PORT",
        "PIMA_PORT_8000",
        "PIMA_PORT_8000_TCP_NAME",
        "PIMA_SERVICE",
    ],
)
def test_a_variable_that_names_no_setting_is_refused_by_its_name(variable: str) -> None:
    with pytest.raises(
        WrongConfiguration, match=rf"{variable} names no setting.*Expected: PIMA_SECTION__KEY"
    ):
        read_settings(SHIPPED_FILE, {variable: "5"})


@pytest.mark.parametrize(
    ("content", "named"),
    [
        ('[database]\nurl = "sqlite:///x.db"\n', "url"),
        ("[score]\nbatch_rows = 1.5\n", r"score\.batch_rows"),
        ('[score]\nbatch_rows = "1"\n', r"score\.batch_rows"),
        ("[score]\nbatch_rows = -1\n", r"score\.batch_rows"),
        ("[database]\nlock_timeout_seconds = 0\n", r"database\.lock_timeout_seconds"),
        ("[holdout]\nshare = 0\n", r"holdout\.share"),
        ("[retrain]\nlease_seconds = 9\n", r"retrain\.lease_seconds"),
        ("[[score]]\nbatch_rows = 5\n", "score"),
        *(
            (f"[retrain]\nthreshold = {no}\n", r"retrain\.threshold")
            for no in ("1.2", "0", "1", "-0.5", "nan", "true")
        ),
    ],
)
def test_a_wrong_file_is_refused_by_the_keys_name(tmp_path: Path, content: str, named: str) -> None:
    with pytest.raises(WrongConfiguration, match=named):
        read_settings(_file(tmp_path, content), {})


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            "[score]\nbatch_row = 1\n",
            (
                "score takes no key batch_row. Expected: keys of: batch_rows, workers, most_workers, "
                "dask."
            ),
        ),
        (
            "[scores]\n",
            "the file takes no key scores. Expected: keys of: declaration, database, score, ",
        ),
        (
            "score = 5\n",
            "score has a wrong value. Expected: a table with keys of: batch_rows, workers, ",
        ),
        (
            '[score]\nworkers = "CANARY"\n',
            "score.workers has a wrong value. Expected: a whole number, at least 1 and at most 16.",
        ),
        (
            '[logs]\nformat = "CANARY"\n',
            "logs.format has a wrong value. Expected: 'auto' or 'text' or 'json'.",
        ),
        (
            '[ping]\nscore_url = "CANARY"\n',
            (
                "ping.score_url has a wrong value. Expected: an address that begins with http:// or "
                "https://"
            ),
        ),
        ("[holdout]\nsalt = 7\n", "holdout.salt has a wrong value. Expected: text."),
        *(
            (
                f"[retrain.custom.parameters]\nrate = {no}\n",
                (
                    "retrain.custom.parameters has a wrong value. Expected: a table: text = a number "
                    "of at most 15 digits, a text, true, false, or a list of such, ..."
                ),
            )
            for no in ("nan", "1e16", '"a\\u0000"', "[1, [2]]", "2026-11-30", "{ CANARY = 1 }")
        ),
        (
            "[retrain.custom]\nepoch = 5\n",
            (
                "retrain.custom takes no key epoch. Expected: keys of: epochs, batch_rows, "
                "learning_rate, members, parameters."
            ),
        ),
        *(
            (
                f'[retrain]\nnetwork = "{no}"\n',
                (
                    'retrain.network has a wrong value. Expected: "five_seeds", "article", or a file '
                    'beside the settings, as "clinic_net.py".'
                ),
            )
            for no in ("CANARY", "../clinic_net.py", "nets/clinic_net.py", ".py")
        ),
        ("[gate]\napprove = 1\n", "gate.approve has a wrong value. Expected: true or false."),
    ],
)
def test_what_a_file_s_key_takes_is_told_in_words(
    tmp_path: Path, content: str, message: str
) -> None:
    with pytest.raises(WrongConfiguration) as caught:
        read_settings(_file(tmp_path, content), {})
    assert message in str(caught.value)
    assert "CANARY" not in str(caught.value)


def test_a_section_that_is_none_is_refused_though_a_variable_fills_it(tmp_path: Path) -> None:
    with pytest.raises(WrongConfiguration, match="score has a wrong value"):
        read_settings(_file(tmp_path, "score = 5\n"), {"PIMA_SCORE__BATCH_ROWS": "5"})


# ---- the URL


@pytest.mark.parametrize(
    ("environ", "job", "expected"),
    [
        ({}, None, DEFAULT_DATABASE_URL),
        ({}, "score", DEFAULT_DATABASE_URL),
        ({"DATABASE_URL": "a"}, "score", "a"),
        ({"DATABASE_URL": "a", "PIMA_SCORE__DATABASE_URL": "b"}, "score", "b"),
        ({"DATABASE_URL": "a", "PIMA_SCORE__DATABASE_URL": "b"}, "retrain", "a"),
        ({"DATABASE_URL": "a", "PIMA_SCORE__DATABASE_URL": "b"}, None, "a"),
        ({"DATABASE_URL": "a", "PIMA_RETRAIN__DATABASE_URL": "b"}, "retrain", "b"),
        ({"PIMA_RETRAIN__DATABASE_URL": "b"}, "score", DEFAULT_DATABASE_URL),
        ({"DATABASE_URL": "a", "PIMA_PULL__DATABASE_URL": "b"}, "pull", "b"),
    ],
)
def test_a_jobs_own_url_comes_first_then_the_general_one_then_the_default(
    environ: dict[str, str], job: str | None, expected: str
) -> None:
    assert database_url(environ, job) == expected


@pytest.mark.parametrize("end", ["", "\n", "\r\n", "\n\n"])
def test_a_secret_may_stand_in_a_file(tmp_path: Path, end: str) -> None:
    path = tmp_path / "url"
    path.write_bytes(f"postgresql://a:b c@d/e{end}".encode())
    assert secret({"X_FILE": str(path)}, "X") == "postgresql://a:b c@d/e"
    assert database_url(
        {"DATABASE_URL": "a", "PIMA_SCORE__DATABASE_URL_FILE": str(path)}, "score"
    ).startswith("postgres")


def test_both_are_an_error_even_if_one_is_empty(tmp_path: Path) -> None:
    with pytest.raises(WrongConfiguration, match="both X and X_FILE are set"):
        secret({"X": "", "X_FILE": str(tmp_path / "url")}, "X")


@pytest.mark.parametrize("name", ["absent", ".", ""])
def test_a_file_that_can_not_be_read_is_an_error(tmp_path: Path, name: str) -> None:
    with pytest.raises(WrongConfiguration, match=r"X_FILE names can't be read"):
        secret({"X_FILE": str(tmp_path / name) if name else ""}, "X")


def test_a_declaration_stands_in_the_settings_or_in_a_file_that_they_name(tmp_path: Path) -> None:
    config = Path(configuration(tmp_path))
    found = declared(config, read_settings(config, {}))
    assert found.names == ("order", "creatinine", "temperature", "smoking")
    config.write_text("[score]\nbatch_rows = 7\n" + DECLARED)
    settings = read_settings(config, {})
    assert settings.score.batch_rows == 7
    assert declared(config, settings) == found
    config.write_text('[declaration]\nfile = "features.toml"\n' + DECLARED)
    with pytest.raises(WrongConfiguration, match="in one of the two"):
        declared(config, read_settings(config, {}))
    config.write_text('[declaration]\nfile = "elsewhere.toml"\n')
    with pytest.raises(WrongConfiguration, match=r"elsewhere\.toml can't be read"):
        declared(config, read_settings(config, {}))


def test_a_file_may_be_as_an_editor_on_another_system_writes_it(tmp_path: Path) -> None:
    path = tmp_path / "features.toml"
    path.write_text(DECLARED, encoding="utf-8-sig", newline="\r\n")
    assert read_declaration(path) == declaration(tmp_path)
