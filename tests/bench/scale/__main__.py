"""python -m tests.bench.scale [CASE ...]: measures beyond one process, prints it, and puts it into docs/scale.md.

With --rows it is measured at that size alone and printed, with --hundred-million at 1e8 rows besides.
"""

import argparse
import json
import tempfile
import time
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path

from tests.bench.endings import end_in_order, to_its_end
from tests.bench.scale.files import files
from tests.bench.scale.nights import nights
from tests.bench.scale.place import Place
from tests.bench.speed.databases import train
from tests.bench.speed.measure import Line, run_job
from tests.conftest import ROOT, postgresql_server

CASES = {"files": files, "nights": nights}
PAGE, RESULTS = ROOT / "docs" / "scale.md", ROOT / "docs" / "scale.json"
BEGIN, END = "<!-- measured: {} -->\n", "<!-- /measured -->\n"
SIZES = (100_000, 1_000_000, 10_000_000)


def main(names: list[str], sizes: tuple[int, ...], is_recorded: bool) -> None:
    """Run the named cases, or all."""
    end_in_order()
    with ExitStack() as opened:
        with to_its_end():
            folder = Path(opened.enter_context(tempfile.TemporaryDirectory()))
            uri = opened.enter_context(postgresql_server())
        trained = train(folder)
        place = Place(uri, folder, trained, _model(folder, trained), sizes)
        for name in names or CASES:
            began = time.monotonic()
            lines = CASES[name](place)
            print("\n".join(line.as_row() for line in lines), f"{time.monotonic() - began:.0f} s", sep="\n", flush=True)
            if is_recorded:
                _record(name, lines)


def _model(folder: Path, trained: Path) -> Path:
    path = folder / "version-1.pima"
    run_job("models", f"sqlite:///{trained}", "export", "1", "--out", str(path))
    return path


def _record(name: str, lines: list[Line]) -> None:
    """Into the page; lines at other sizes stay as they were."""
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    results[name] = results.get(name, {}) | {line.what: asdict(line) for line in lines}
    RESULTS.write_text(json.dumps(results, indent=1) + "\n")
    rows = [Line(**line).as_row() for line in results[name].values()]
    head = ["| what | measured | single rounds | target | met |", "|---|---|---|---|---|"]
    before, begin, rest = PAGE.read_text().partition(BEGIN.format(name))
    PAGE.write_text(before + begin + "\n".join([*head, *rows]) + "\n" + END + rest.partition(END)[2])


if __name__ == "__main__":
    options = argparse.ArgumentParser(prog="python -m tests.bench.scale", description=__doc__)
    options.add_argument("names", nargs="*", metavar="CASE", help=f"of: {', '.join(CASES)}")
    options.add_argument("--rows", type=int, help="at this size alone, and nothing is recorded")
    options.add_argument("--hundred-million", action="store_true", help="of files, at 100,000,000 rows besides")
    given = options.parse_args()
    larger = (100_000_000,) if given.hundred_million else ()
    main(given.names, SIZES + larger if given.rows is None else (given.rows,), given.rows is None)
