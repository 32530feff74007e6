"""Compressed files, other encodings, delimiters and kinds of files: taken, or named."""

import bz2
import gzip
import lzma
import tarfile
import zipfile
from io import BytesIO
from pathlib import Path

import pyarrow as pa

from pima.intake.files.opened_file import readable_again
from tests.support.databases import Database, call
from tests.support.shipped import SHIPPED

CONTENT = SHIPPED.read_bytes()
HEADER = b"Pregnancies,Glucose,BloodPressure,SkinThickness,Insulin,BMI,DiabetesPedigreeFunction,Age,Outcome\n"


def patients(database: Database) -> int:
    found: int = database.value("SELECT count(*) FROM patients")
    return found


def zipped(content: bytes) -> bytes:
    file = BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("patients.csv", content)
    return file.getvalue()


TABBED = CONTENT.replace(b".", b",,").replace(b",", b"\t").replace(b"\t\t", b",")
SEMICOLONS = CONTENT.replace(b",", b";").replace(b".", b",")
QUOTED = b'"' + HEADER.strip().replace(b",", b'";"') + b'"\n'
OTHER_KINDS: list[tuple[bytes, str]] = [
    (bz2.compress(CONTENT), "compressed, and not with gzip"),
    (lzma.compress(CONTENT), "compressed, and not with gzip"),
    (pa.Codec("zstd").compress(CONTENT, asbytes=True), "compressed, and not with gzip"),
    (zipped(CONTENT), "a workbook, such as of Excel, or a zip archive"),
    (bytes.fromhex("d0cf11e0a1b11ae1"), "a workbook, such as of Excel"),
    (CONTENT.decode().encode("utf-16"), "text in UTF-16"),
    (CONTENT.decode().encode("utf-16-le"), "text in UTF-16"),
    (CONTENT.decode().encode("utf-16-be"), "text in UTF-16"),
    (CONTENT.replace(b",", b";"), "separated by semicolons"),
    (SEMICOLONS, "separated by semicolons"),
    (QUOTED + SEMICOLONS, "separated by semicolons"),
    (CONTENT.replace(b",", b"|"), "separated by vertical bars"),
    (TABBED, "separated by tabs"),
    (b"# Canary\n" + CONTENT, "Line 1 is no header"),
    (b"Canary Smith\n" + CONTENT, "Line 1 is no header"),
    (b"<!DOCTYPE html>\n<html><p>Canary, Smith", "Line 1 is no header"),
]


def test_another_format_is_named(sqlite: Database, tmp_path: Path) -> None:
    path = tmp_path / "patients.csv"
    for content, report in OTHER_KINDS:
        path.write_bytes(content)
        ended = call(sqlite, "load", str(path))
        assert (ended.exit_code, report in ended.stderr, "Canary" in ended.stderr) == (
            2,
            True,
            False,
        ), ended.stderr
    assert patients(sqlite) == 0


def test_a_file_compressed_with_gzip_is_the_file_in_it(sqlite: Database, tmp_path: Path) -> None:
    path, plain = tmp_path / "patients.csv.gz", tmp_path / "patients.csv"
    path.write_bytes(gzip.compress(CONTENT))
    plain.write_bytes(CONTENT)
    assert call(sqlite, "load", str(path)).exit_code == 0
    assert patients(sqlite) == 768
    again = call(sqlite, "load", "--json", str(plain))
    assert (again.exit_code, "file_loaded_before" in again.stdout) == (2, True)
    path.write_bytes(gzip.compress(CONTENT)[:-20])
    cut_off = call(sqlite, "load", "--again", str(path))
    assert (cut_off.exit_code, "not whole (compressed_file)" in cut_off.stderr) == (2, True)
    assert patients(sqlite) == 768


def archived(name: str, content: bytes) -> bytes:
    file = BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        member = tarfile.TarInfo(name)
        member.size = len(content)
        archive.addfile(member, BytesIO(content))
    return file.getvalue()


LONG = CONTENT * 300
NO_TABLES: list[tuple[bytes, str]] = [
    (b"ward,bed\n" + LONG, "Line 1 is no header"),
    (archived("patients.csv", LONG), "It is no text, such as an archive"),
    (bytes(len(LONG)), "It is no text"),
    (b"7" * len(LONG), "(field_too_long)"),
]


def test_what_is_no_table_is_told_before_all_of_it_is_unpacked(
    sqlite: Database, tmp_path: Path
) -> None:
    """The end of each is lacking, which whoever unpacks all of it would find."""
    path = tmp_path / "patients.csv.gz"
    for content, report in NO_TABLES:
        path.write_bytes(gzip.compress(content, 1)[:-20])
        ended = call(sqlite, "load", str(path))
        assert (ended.exit_code, report in ended.stderr) == (2, True), ended.stderr
    ended = call(None, "suggest", str(path))
    assert (ended.exit_code, "(field_too_long)" in ended.stderr) == (2, True), ended.stderr


def test_a_long_file_is_unpacked_whole(tmp_path: Path) -> None:
    path = tmp_path / "patients.csv.gz"
    path.write_bytes(gzip.compress(LONG, 1))
    looked_at: list[bytes] = []
    with readable_again(path, lambda file: looked_at.append(file.path.read_bytes())) as file:
        assert file.path.read_bytes() == LONG
    assert looked_at == [LONG[:4_000_000]]
