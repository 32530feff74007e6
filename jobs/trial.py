"""python -m jobs.trial: an answer on a table that pima has never seen: whether a network would be
better than what there is. It is fitted on a copy of 50,000 rows, drawn over the whole table, and
judged on held-out persons. It needs no settings.

Nothing is written to the table. The folder pima-trial gets report and draft; the copy is removed.
"""

import os
import random
import re
import sys
import textwrap
import tomllib
from argparse import Namespace
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from heapq import nsmallest
from operator import itemgetter
from pathlib import Path
from tempfile import TemporaryDirectory
from types import NoneType
from typing import Any

import pandas as pd
from rich.console import Console
from rich.table import Table
from sqlalchemy.exc import DBAPIError

from jobs.command import Command, Result, end_with, main_of
from jobs.demo import run_step
from jobs.options import OptionParser
from pima.core.declared.source import Source
from pima.core.rows.cells import as_word
from pima.core.statistics.estimates import Estimate, in_words
from pima.core.verdicts.evidence import Evidence, read_evidence
from pima.errors import Interrupted, WrongUsage
from pima.intake.sources.source_engine import make_source_engine
from pima.intake.whole_tables import table_of_file, table_of_source
from pima.logs import write_line
from pima.runs.whole_file import whole_file
from pima.settings.reading import SHIPPED_FILE

FOLDER = Path("pima-trial")
_URL = "PIMA_SOURCE__TRIAL__URL"
_MOST_ROWS = 50_000
_ROW = "row_of_the_trial"
_SHOWN = 3
_TOO_GOOD = "if one has several rows, all figures are too good"
_KEYLESS = "No column is different in each row: a service needs a view with such a key"
_SCORE = re.compile(
    r"\[\[feature\]\]\n(name = .*\n)(?:.+\n)*.*"
    r"write \[\[present_score\]\].* its name(?:, with (.*))?\n(?:.+\n)*"
)
"""The feature of a draft that may be the score in use: its name, and its direction if it falls."""
_NEXT = f"""- more doubts, and columns and rows that were left out: --json
- {FOLDER} has the report, for any browser, and the draft, pima.toml: look it over
- for a service of it, of rows in a database:
  export DATABASE_URL=sqlite:///pima.db {_URL}=...
  for job in migrate pull retrain score; do python -m jobs.$job --config {FOLDER}/pima.toml; done"""


def _options(options: OptionParser) -> None:
    options.add_argument(
        "place", metavar="FILE-or-URL", help="CSV or Parquet; or a database's URL, with --table"
    )
    options.add_argument("--table", help="the table or view of the database")
    options.add_argument("--outcome", metavar="COLUMN", help="the column of the outcome")
    options.add_argument(
        "--yes", action="store_true", help="ask nothing: take the best guess, which is told"
    )
    options.set_defaults(config=SHIPPED_FILE)  # which has no settings, and is there in any folder


def _work(command: Command) -> Result:
    given = command.options
    if ("://" in given.place) == (given.table is None):
        raise WrongUsage(what="expected a FILE, or a database's URL with --table TABLE")
    try:
        return _trial(command)
    except Interrupted as ending:
        ending.told = "stopped: asked by a signal; the table is as it was, and there is no draft"
        raise


def _trial(command: Command) -> Result:
    given = command.options
    with suppress(OSError):  # whole_file says why there is none
        FOLDER.mkdir()
    draft_file = whole_file(FOLDER / "pima.toml", "the draft")
    with command.stop.at_once(), draft_file as file, TemporaryDirectory() as work:
        ours = {
            "DATABASE_URL": f"sqlite:///{work}/pima.db",
            _URL: f"sqlite:///{work}/copy.db",
            "PIMA_GATE__WINDOW": "all",
            # The same persons are held out each time, so that trying again finds no luck.
            "PIMA_HOLDOUT__SALT": "trial",
            "PIMA_REPORT__FOLDER": str(FOLDER),
        }
        name = _copy(command, ours[_URL])
        run = partial(run_step, command.environ, ours)
        table = (f"--config={SHIPPED_FILE}", "--source=trial", f"--table={name}")
        draft = _draft(given, partial(run, "suggest", *table))
        config = Path(work, "pima.toml")
        config.write_text(draft)
        found = _tried(run, "--config", str(config))
        file.write(draft.replace(f'table = "{name}"', f'table = "{given.table or name}"').encode())
    person = _lines("(person = .*)", draft) or ["No column names the person: " + _TOO_GOOD]
    keyless = [_KEYLESS for _ in _lines(f'key = "{_ROW}".*', draft)]
    doubts = [*person, *keyless, *_lines('# (?:Doubt: |(?=".*" is no ))(.*)', draft)]
    columns = _lines(f'# ("(?!{_ROW}).*": (?!the key|the person).*)', draft)
    doubts.sort(key=lambda told: not told.endswith("?"))
    return found | {"doubts": doubts, "left_out": columns}


def _lines(pattern: str, draft: str) -> list[str]:
    found: list[str] = re.findall(f"^{pattern}$", draft, re.MULTILINE)
    return found


def _copy(command: Command, url: str) -> str:
    """Copy rows drawn over the whole table into a table of the same name, which is returned."""
    given = command.options
    path = Path(given.place)
    write_line("reads the table ...")
    if given.table is None:
        opening = table_of_file(path)
    else:
        engine = make_source_engine("trial", given.place, command.settings.database)
        source = Source(name="trial", key="", columns={}, table=given.table)
        opening = table_of_source(engine, source)
    with opening as opened:
        every = (row for columns, _ in opened.blocks for row in zip(*columns, strict=True))
        draw = random.Random(0)  # noqa: S311 (the same rows each time, and no secret)
        drawn = nsmallest(_MOST_ROWS, ((draw.random(), n, row) for n, row in enumerate(every)))
    drawn.sort(key=itemgetter(1))
    rows = pd.DataFrame([row for *_, row in drawn], columns=opened.names, dtype=object)
    if opened.names is None:
        rows = rows.rename(columns=lambda n: f"column_{n + 1}")
    name = (given.table or path.stem).rpartition(".")[2]
    try:
        # Outcomes come last, so it is not the last column.
        rows.insert(max(rows.shape[1] - 1, 0), _ROW, range(1, len(rows) + 1))
        rows.map(_stored).to_sql(name, url, index=False)
    except (DBAPIError, ValueError, OverflowError) as error:
        # Its text may hold a row, and names are a row's values where a file has no header.
        kind = type(error).__name__
        why = f"{name} can't be copied into SQLite ({kind})"
        raise WrongUsage(what=f"{why}: expected columns whose names differ, case aside") from None
    return name


def _stored(value: Any) -> Any:
    """The value as SQLite takes it and `pull` reads it."""
    return value if type(value) in (int, float, str, NoneType) else as_word(value)


def _draft(given: Namespace, suggest: Callable[..., Result]) -> str:
    outcome = [f"--outcome={given.outcome}"] if given.outcome else []
    draft: str = suggest(*outcome)["draft"]
    if os.isatty(0) and not given.yes:
        (guess,) = tomllib.loads(draft)["source"]
        late = "Which are known only with the outcome, or later? Put commas between them."
        told = [
            *_answer("outcome", "Which column is the outcome?", guess),
            *_answer("person", "Which one names the person, if one has several rows?", guess),
            *_answer("without", late, guess),
        ]
        draft = suggest(*told)["draft"]
    if not _lines("(outcome = .*)", draft):
        what = "no column has two values such as yes and no"
        raise WrongUsage(what=f"{what}: --outcome names another one of two values")
    if len(_SCORE.findall(draft)) == 1:
        draft = _SCORE.sub(r"[[present_score]]\n\1\2\n", draft)
    shown = r"((?:key|person|outcome|outcome_words|\[\[present_score\]\]\nname) = [^#\n]*[^#\s]).*"
    write_line(f"takes {'; '.join(_lines(shown, draft))}".replace("\n", " "))
    return draft


def _answer(key: str, question: str, guess: Mapping[str, Any]) -> list[str]:
    guessed = [guess[key]] if key in guess else []
    write_line(f"{question} Enter takes {', '.join(guessed) or 'none'}.")
    answer = sys.stdin.readline().strip()
    named = answer.split(",") if answer else guessed
    return [f"--{key}={each.strip()}" for each in named]


def _tried(run: Callable[..., Result], *config: str) -> Result:
    write_line("fits a network and a straight line, and judges both on held-out persons ...")
    with Console(stderr=True).status("a minute or so is usual"):
        done = {job: run(job, *config) for job in ("migrate", "pull", "retrain")}
        version = run("models", *config, "show", str(done["retrain"]["challenger"]))
    (pulled,) = done["pull"]["sources"]
    rows = {"rows": pulled["inserted"], "rejected": pulled["rejected_by_field"]}
    return rows | _answer_of(read_evidence(version["evidence"]))


def _answer_of(found: Evidence) -> Result:
    """Say what the network is better than, and by how much."""
    (network,) = found.contestants
    better = [_than("one answer for all", network.auroc, 0.5)]
    models = [("the network", in_words(network.auroc), "")]
    for pair in found.pairs:
        better.append(_than(pair.name, pair.auroc_gain, 0))
        models.append((pair.name, in_words(pair.auroc), in_words(pair.auroc_gain)))
    rows = f"On {found.rows:,} held-out rows, {found.positive:,} of them with outcome 1"
    return {"answer": f"{rows}, the network is {'; '.join(better)}.", "models": models}


def _than(name: str, figure: Estimate, equal: float) -> str:
    if figure.low is not None and figure.low > equal:
        return f"better than {name}"
    if figure.high is not None and figure.high < equal:
        return f"worse than {name}"
    return f"not clearly better or worse than {name}"


def _show(result: Result) -> None:
    print(f"{textwrap.fill(result['answer'], 79)}\n")
    table = Table("model", "AUROC", "gain of the network", box=None)
    for model in result["models"]:
        table.add_row(*model)
    Console().print(table)
    print("\nNext:")
    for doubt in result["doubts"][:_SHOWN]:
        print(textwrap.fill(doubt, 79, initial_indent="- ", subsequent_indent="  "))
    print(_NEXT)


main = main_of("jobs.trial", __doc__, _work, _show, _options, needs_schema=False)

if __name__ == "__main__":
    end_with(main)
