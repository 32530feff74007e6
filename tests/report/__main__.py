"""make report-test: the report of a simulated half year, opened by a headless Chromium at a desk's
and a phone's width.

Nothing may be fetched, complained of, cut off, overlapping or faint, and each picture must have its
figures. Writes the two screenshots under docs/. BROWSER names another program than `chromium`.
"""

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page, sync_playwright

from tests.report.history import half_a_year, new_clinic
from tests.support.databases import Database, call
from tests.support.shipped import ROOT

LOOKING = (Path(__file__).parent / "looking.js").read_text()
DESK, PHONE = (1280, 900), (390, 844)
FIRST_LOOK = (1280, 540)
MOST_BYTES = 300_000


def main() -> int:
    """0, or an AssertionError that lists what was seen."""
    program = os.environ.get("BROWSER") or shutil.which("chromium")
    if program is None:
        print(
            "make report-test needs a Chromium (Debian: apt-get install chromium)", file=sys.stderr
        )
        return 2
    with tempfile.TemporaryDirectory(prefix="pima-report-") as name, _browser(program) as browser:
        folder = Path(name)
        for report in (_of_nothing(folder), _of_half_a_year(folder)):
            for window in (DESK, PHONE):
                for scheme in ("light", "dark"):
                    _look(browser, report, window, scheme)
            print(f"{report.name}: {report.stat().st_size:,} bytes, as promised")
        _take_pictures(browser, report)
    return 0


@contextmanager
def _browser(program: str) -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield browser
        browser.close()


def _of_nothing(folder: Path) -> Path:
    return _report(new_clinic(folder / "empty.db"), folder / "report-of-nothing.html")


def _of_half_a_year(folder: Path) -> Path:
    return _report(half_a_year(folder), folder / "report-of-half-a-year.html")


def _report(database: Database, path: Path) -> Path:
    ended = call(database, "report", "--out", str(path))
    assert ended.exit_code == 0, ended.stderr
    return path


def _look(browser: Browser, report: Path, window: tuple[int, int], scheme: Any) -> None:
    seen: list[str] = []
    with _opened(browser, report, window, scheme, seen) as page:
        seen += page.evaluate(LOOKING)
        # A picture of each width for whoever wants to look closer.
        if kept := os.environ.get("PIMA_REPORT_PICTURES"):
            page.screenshot(path=f"{kept}/{report.stem}-{window[0]}-{scheme}.png", full_page=True)
    assert seen == [], "\n".join([f"{report.name}, {window[0]} wide, {scheme}:", *seen])


@contextmanager
def _opened(
    browser: Browser, report: Path, window: tuple[int, int], scheme: Any, seen: list[str]
) -> Iterator[Page]:
    page = browser.new_page(viewport={"width": window[0], "height": window[1]}, color_scheme=scheme)
    page.on("console", lambda message: seen.append(f"console: {message.text}"))
    page.on("pageerror", lambda error: seen.append(f"error: {error}"))
    page.on(
        "request",
        lambda asked: (
            asked.url in (report.as_uri(), "data:,") or seen.append(f"fetched: {asked.url}")
        ),
    )
    page.goto(report.as_uri())
    yield page
    page.close()


def _take_pictures(browser: Browser, report: Path) -> None:
    for name, window in (("desk", FIRST_LOOK), ("phone", PHONE)):
        path = ROOT / "docs" / f"report-{name}.png"
        with _opened(browser, report, window, "light", []) as page:
            page.screenshot(path=path)
        assert path.stat().st_size < MOST_BYTES, path
        print(f"{path.relative_to(ROOT)}: {path.stat().st_size:,} bytes")


if __name__ == "__main__":
    sys.exit(main())
