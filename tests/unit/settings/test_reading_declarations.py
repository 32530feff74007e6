"""A declaration is the shipped one, stands in the settings, or in a file that they name."""

from pathlib import Path

import pytest

from pima.errors import WrongConfiguration
from pima.settings.reading import SHIPPED, declared, read_declaration, read_settings
from pima.settings.sections import Settings
from tests.support.declared import DECLARED, configuration, declaration


def test_settings_without_a_declaration_mean_the_shipped_one() -> None:
    assert declared(None, Settings()) == SHIPPED
    assert len(SHIPPED.features) == 8


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
