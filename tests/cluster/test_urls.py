"""`score --from --to` with URLs that fsspec knows: here one in memory."""

from pathlib import Path

import fsspec

from tests.support.databases import Database
from tests.support.parquet_rows import drawn_rows, read_parts, scored_files, write_rows


def test_a_store_of_objects_gets_what_a_disk_gets(champion: Database, tmp_path: Path) -> None:
    write_rows(tmp_path / "in" / "day=1" / "a.parquet", drawn_rows(2_000))
    write_rows(tmp_path / "in" / "day=2" / "b.parquet", drawn_rows(10))
    scored_files(champion, str(tmp_path / "in"), str(tmp_path / "out"))
    store = fsspec.filesystem("memory")
    store.put(str(tmp_path / "in"), "/in", recursive=True)
    counted = scored_files(champion, "memory://in", "memory://out/scored")
    assert (counted["rows"], counted["parts"]) == (2_010, 2)
    assert sorted(store.find("/out/scored")) == [
        "/out/scored/manifest.json",
        "/out/scored/predictions/day=1/a-00000.parquet",
        "/out/scored/predictions/day=2/b-00000.parquet",
        "/out/scored/rejections/day=1/a-00000.parquet",
    ]
    assert scored_files(champion, "memory://in", "memory://out/scored")["parts_before"] == 2
    store.get("/out/scored", str(tmp_path / "fetched"), recursive=True)
    assert read_parts(tmp_path / "fetched") == read_parts(tmp_path / "out")
    assert (
        scored_files(champion, "nonsense://in", "memory://out", exit_code=2)["error"]
        == "wrong_usage"
    )
    assert (
        scored_files(champion, "memory://nowhere", "memory://out", exit_code=2)["error"]
        == "dataset_refused"
    )
