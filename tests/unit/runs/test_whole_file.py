"""Files that are whole or not there."""

import os
from pathlib import Path

import pytest

from pima.errors import WrongUsage
from pima.runs.whole_file import whole_file


def test_what_is_there_is_not_replaced_and_a_link_that_leads_nowhere_gets_its_file(
    tmp_path: Path,
) -> None:
    path, link, pipe = tmp_path / "out.csv", tmp_path / "link.csv", tmp_path / "pipe"
    path.write_text("before")
    link.symlink_to(path)
    os.mkfifo(pipe)
    for each in (path, link, pipe):
        with (
            pytest.raises(WrongUsage, match=f"--out {each}: it is there already"),
            whole_file(each, "--out") as file,
        ):
            file.write(b"ours")
    assert (path.read_text(), link.is_symlink(), pipe.is_fifo()) == ("before", True, True)
    path.unlink()
    with whole_file(link, "--out") as file:
        file.write(b"ours")
    assert (link.is_symlink(), path.read_text()) == (True, "ours")


def test_a_new_file_is_its_owner_s_alone_and_the_only_one(tmp_path: Path) -> None:
    with whole_file(tmp_path / "rows.parquet", "--to") as file:
        file.write(b"ours")
    (path,) = tmp_path.iterdir()
    assert (path.name, path.read_bytes(), path.stat().st_mode & 0o777) == (
        "rows.parquet",
        b"ours",
        0o600,
    )
    with pytest.raises(WrongUsage, match="it is there already"), whole_file(path, "--to"):
        pytest.fail("it began")
