"""`score --from --to`: which files are found, and what can't be looked at or is somebody else's is
told."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.databases import Database, call
from tests.support.parquet_rows import drawn_rows, read_parts, scored_files, write_rows
from tests.support.shipped import ROOT
from tests.support.trained import install_models

NOBODY = 65534


@pytest.fixture
def here(sqlite: Database, trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with a model file and one file of rows, which anybody may read."""
    install_models(sqlite, trained, champion=2)
    assert (
        call(sqlite, "models", "export", "2", "--out", str(tmp_path / "version-2.pima")).exit_code
        == 0
    )
    (tmp_path / "version-2.pima").chmod(0o644)
    write_rows(tmp_path / "in" / "day=1" / "a.parquet", drawn_rows(5))
    tmp_path.chmod(0o777)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def _score(source: str = "in", into: str = "out", exit_code: int = 0) -> dict[str, object]:
    config = str(ROOT / "config" / "pima.toml")
    return scored_files(
        None, source, into, "--model", "version-2.pima", "--config", config, exit_code=exit_code
    )


def _refused(source: str = "in", into: str = "out", exit_code: int = 2) -> str:
    """The message, for people."""
    before = _names(Path(into))
    told = str(_score(source, into, exit_code)["message"])
    assert _names(Path(into)) == before
    return told


def _names(folder: Path) -> list[str]:
    return sorted(str(path) for path in folder.rglob("*"))


def test_capitals_end_a_name_too_and_what_begins_with_a_point_or_an_underscore_is_not_looked_at(
    here: Path,
) -> None:
    write_rows(here / "in" / "b.PARQUET", drawn_rows(3, first_id=6))
    (here / "in" / "notes.txt").touch()
    (here / "in" / "_gone.parquet").symlink_to(here / "nowhere")
    (here / "in" / ".gone").symlink_to(here / "nowhere")
    write_rows(here / "in" / "_temporary" / "b.parquet", drawn_rows(9))
    write_rows(here / "in" / "day=1" / ".b.parquet", drawn_rows(9))
    assert _score()["rows"] == 8


@contextmanager
def _as_somebody_without_rights() -> Iterator[None]:
    """Root may read everything."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


def test_links_to_folders_and_to_files_are_followed(here: Path) -> None:
    write_rows(here / "disk" / "b.parquet", drawn_rows(3, first_id=6))
    write_rows(here / "disk" / "_c.parquet", drawn_rows(9))
    (here / "in" / "day=2").symlink_to(here / "disk")
    (here / "in" / "day=1" / "c.parquet").symlink_to(here / "disk" / "b.parquet")
    assert _score()["rows"] == 11
    assert {path.name for path in (here / "out" / "predictions").iterdir()} == {"day=1", "day=2"}
    assert read_parts(here / "out").num_rows == 11
    assert _score()["parts_before"] == 3


def test_an_output_that_links_to_another_disk_is_completed(here: Path) -> None:
    (here / "disk").mkdir()
    (here / "out").mkdir()
    (here / "out" / "predictions").symlink_to(here / "disk")
    assert _score()["parts_before"] == 0
    assert _score()["parts_before"] == 1


def test_a_link_that_leads_nowhere_or_in_a_circle_is_told(here: Path) -> None:
    link = here / "in" / "day=1" / "b.parquet"
    link.symlink_to(here / "not mounted")
    assert (
        "in/day=1/b.parquet: can't be scored, it can't be read (No such file or directory)"
        in _refused()
    )
    link.unlink()
    (here / "in" / "day=2").symlink_to(here / "not mounted")
    assert "in/day=2: can't be scored, it can't be read (No such file or directory)" in _refused()
    (here / "in" / "day=2").unlink()
    link.symlink_to(link)
    assert "in/day=1/b.parquet: can't be scored, it can't be read (Too many levels" in _refused()
    link.unlink()
    (here / "in" / "day=1" / "up").symlink_to("..")
    assert "it can't be read (Too many levels of symbolic links)" in _refused()


def test_what_the_user_may_not_read_is_told(here: Path) -> None:
    _score(into="before")  # imports what nobody could
    other = write_rows(here / "in" / "day=2" / "b.parquet", drawn_rows(3))
    for path, mode, told in (
        (other.parent, 0o000, "in/day=2"),
        (other.parent, 0o444, "in/day=2/b.parquet"),
        (other, 0o000, "in/day=2/b.parquet"),
    ):
        path.chmod(mode)
        with _as_somebody_without_rights():
            message = _refused()
        assert (
            f"{told}: can't be scored, it can't be read (Permission denied). Correct its rights"
            in message
        )
        path.chmod(0o755)


@pytest.mark.parametrize("folder", ["out", "out/predictions", "out/predictions/day=1"])
def test_an_output_that_can_not_be_listed_is_told(here: Path, folder: str) -> None:
    _score()
    (here / folder).chmod(0o000)
    with _as_somebody_without_rights():
        message = str(_score(exit_code=2)["message"])
    assert f"--to {folder}: it can't be listed (Permission denied). Correct that" in message
    (here / folder).chmod(0o755)


def test_an_output_that_is_a_file_is_told(here: Path) -> None:
    assert "--to version-2.pima: it can't be listed (Not a directory)" in _refused(
        into="version-2.pima"
    )


def test_somebody_elses_manifest_is_not_overwritten(here: Path) -> None:
    manifest = here / "out" / "manifest.json"
    for is_complete in (False, True):
        if is_complete:
            _score()
        manifest.parent.mkdir(exist_ok=True)
        for content in ('{"format": "pima scored files 0"}', "[]", "\xff"):
            manifest.write_text(content, encoding="latin-1")
            assert "manifest.json was not written by this release" in _refused(exit_code=3)
            assert manifest.read_text(encoding="latin-1") == content
        manifest.unlink()


def test_somebody_elses_hidden_file_is_not_removed(here: Path) -> None:
    for name in (
        ".film.mkv.0123abcd.part",
        "predictions/day=1/.a-00000.parquet.0123ABCD.part",
        ".DS_Store",
    ):
        mine = here / "out" / name
        mine.parent.mkdir(parents=True, exist_ok=True)
        mine.write_text("mine")
        assert f"{name} is no part of this dataset" in _refused(exit_code=3)
        assert mine.read_text() == "mine"
        mine.unlink()


def test_what_a_kill_has_left_half_written_is_removed(here: Path) -> None:
    for name in (
        ".manifest.json.0123abcd.part",
        ".cluster.0123abcd.part",
        "predictions/day=1/.a-00000.parquet.0123abcd.part",
        "rejections/day=1/.a-00000.parquet.0123abcd.part",
    ):
        (here / "out" / name).parent.mkdir(parents=True, exist_ok=True)
        (here / "out" / name).write_text("half")
    _score()
    left = [path.name for path in (here / "out").rglob("*") if path.is_file()]
    assert sorted(left) == ["a-00000.parquet", "manifest.json"]


def test_rejections_that_are_gone_are_written_again(here: Path) -> None:
    write_rows(here / "in" / "day=2" / "b.parquet", drawn_rows(5_000))
    assert _score()["rejected"]
    rejections = here / "out" / "rejections" / "day=2" / "b-00000.parquet"
    written = rejections.read_bytes()
    for is_manifest_there in (True, False):
        rejections.unlink()
        if not is_manifest_there:
            (here / "out" / "manifest.json").unlink()
        assert _score()["parts_before"] == 1
        assert rejections.read_bytes() == written
    assert _score()["parts_before"] == 2


@pytest.mark.parametrize(
    ("source", "into", "is_within"),
    [
        ("in", "in", True),
        ("in/../in", "in//out", True),
        ("in", "link/out", True),
        ("link", "in/out", True),
        ("in/day=1/a.parquet", "link/day=1/a.parquet", True),
        ("in/day=[1]", "in/day=[1]/out", True),
        ("in", "in-2", False),
        ("in/day=1/a.parquet", "in/out", False),
        ("in/day=[1]", "in/day=2/out", False),
    ],
)
def test_an_output_within_the_dataset_is_seen_however_it_is_spelled(
    here: Path, source: str, into: str, is_within: bool
) -> None:
    (here / "link").symlink_to("in")
    write_rows(here / "in" / "day=[1]" / "a.parquet", drawn_rows(3))
    for dataset, folder in ((source, into), (str(here / source), into), (source, str(here / into))):
        if is_within:
            assert "--to lies within --from" in _refused(dataset, folder)
        else:
            _score(dataset, folder)


def test_a_url_of_this_machine_s_disks_is_a_path(here: Path) -> None:
    (here / "in" / "gone.parquet").symlink_to("nowhere")
    assert "gone.parquet" in _refused(f"file://{here / 'in'}", "out")
    (here / "in" / "gone.parquet").unlink()
    assert "--to lies within --from" in _refused("in", f"file://{here / 'in' / 'out'}")
    assert _score(f"file://{here / 'in'}", "out")["rows"] == _score("in", "out-2")["rows"]
