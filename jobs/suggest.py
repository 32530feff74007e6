"""python -m jobs.suggest: drafts declaration and mapping from the rows of a file or of a table. It
shows no patient's value: each end of a range and each word comes from 20 rows or more."""

import re
from pathlib import Path

from jobs.command import Command, Result, end_with, main_of
from jobs.options import OptionParser
from pima.core.declared.source import PLAIN_NAME, Source
from pima.errors import FileRefused, WrongUsage
from pima.extras.suggest.draft import draft_of
from pima.extras.suggest.draft_text import as_toml
from pima.extras.suggest.tables import Table, fault_of, table_of
from pima.intake.sources.source_engine import make_source_engine
from pima.intake.sources.source_reading import looks_like_ours
from pima.intake.whole_tables import table_of_file, table_of_source
from pima.logs import counted
from pima.runs.whole_file import whole_file
from pima.settings.reading import source_url


def _options(options: OptionParser) -> None:
    options.add_argument(
        "file", nargs="?", type=Path, metavar="FILE", help="CSV or Parquet; - is stdin"
    )
    options.add_argument(
        "--source",
        metavar="NAME",
        help="read a source's table instead of a file; its URL is PIMA_SOURCE__NAME__URL",
    )
    options.add_argument(
        "--table", help="with --source: the table or view; without it, what [[source]] NAME reads"
    )
    options.add_argument("--outcome", metavar="COLUMN", help="the column of the outcome")
    options.add_argument("--person", metavar="COLUMN", help="the column of the person's key")
    options.add_argument(
        "--without", metavar="COLUMN", action="append", default=[], help="leave this column out"
    )
    options.add_argument(
        "--out", type=Path, metavar="FILE", help="write the draft to this new file"
    )


def _work(command: Command) -> Result:
    given = command.options
    if (given.file is None) == (given.source is None) or (
        given.table is not None and given.source is None
    ):
        raise WrongUsage(what="expected a FILE, or --source NAME, perhaps with --table TABLE")
    # Nothing is written before the end, so the work may be abandoned anywhere.
    with command.stop.at_once():
        table = _file(given.file) if given.source is None else _source(command)
        told = (given.outcome, given.person, *given.without)
        if not {None, *(column.name for column in table.columns)}.issuperset(told):
            raise WrongUsage(what=f"{table.called} has no column of a name that you gave")
        draft = fault_of(table) or draft_of(table, *told)
    if isinstance(draft, str):
        raise _nothing(table.called, draft)
    text = as_toml(draft)
    if given.out is not None:
        with whole_file(given.out, "--out") as file:
            file.write(text.encode())
    return {
        "rows": table.rows,
        "all_rows": table.is_all,
        "features": len(draft.features),
        "refused": len(draft.refused),
        "out": given.out and str(given.out),
        "draft": text,
    }


def _nothing(table: object, why: object) -> WrongUsage:
    return WrongUsage(what=f"{table}: nothing can be suggested. {why}")


def _file(path: Path) -> Table:
    try:
        with table_of_file(path) as opened:
            return table_of(opened.called, None, opened.names, opened.blocks)
    except FileRefused as error:
        raise _nothing(error.facts["file"], error.facts["report"]) from None


def _source(command: Command) -> Table:
    name = command.options.source
    table = command.options.table
    known = {source.name: source for source in command.settings.sources}
    if not re.fullmatch(PLAIN_NAME, name):
        raise WrongUsage(
            what=(
                "--source: expected a lower-case letter, then lower-case letters, digits and "
                "underscores"
            )
        )
    if table is None and name not in known:
        raise WrongUsage(
            what=(
                "--source: the settings have no [[source]] of that name, so it takes --table "
                "TABLE too"
            )
        )
    # The source in the settings, or a new one that has only a table.
    source = known[name] if table is None else Source(name=name, key="", columns={}, table=table)
    engine = make_source_engine(
        source.name, source_url(command.environ, source.name), command.settings.database
    )
    try:
        with table_of_source(engine, source) as opened:
            if looks_like_ours(source, opened.names or ()):
                why = (
                    "It is pima's own, so its rows need no [[source]]. Expected a table or view "
                    "of yours."
                )
                raise _nothing(opened.called, why)
            return table_of(opened.called, source, opened.names, opened.blocks)
    finally:
        engine.dispose()


def _show(result: Result) -> None:
    if result["out"] is None:
        print(result["draft"], end="")
        return
    features = counted(result["features"], "feature")
    rows = counted(result["rows"], "row")
    more = "" if result["all_rows"] else " (there are more)"
    print(
        f"{result['out']}: a draft of {features} from {rows}{more}. Look it over before it is used."
    )


main = main_of("jobs.suggest", __doc__, _work, _show, _options, needs_schema=False)

if __name__ == "__main__":
    end_with(main)
