"""Files that are whole or not there."""

from pathlib import Path

import pytest

from pima.errors import WrongUsage
from pima.runs.whole_file import whole_file


def test_a_new_file_is_its_owner_s_alone_and_the_only_one(tmp_path: Path) -> None:
    with whole_file(tmp_path / "rows.parquet", "--to") as file:
        file.write(b"ours")
    (path,) = tmp_path.iterdir()
    assert (path.name, path.read_bytes(), path.stat().st_mode & 0o777) == ("rows.parquet", b"ours", 0o600)
    with pytest.raises(WrongUsage, match="it is there already"), whole_file(path, "--to"):
        pytest.fail("it began")
