"""A draft as text: TOML that the settings read as it is, with the reason beside each line."""

import shlex
from collections.abc import Iterator, Mapping
from typing import Any

import tomlkit
from tomlkit.items import InlineTable, Table

from pima.core.features import folded_name
from pima.core.source import Source
from pima.extras.suggest.draft import Draft, LikelyOutcome, Suggested
from pima.extras.suggest.tables import FEWER, SHOWN_FROM, rows_shown

LEAST_SHARE = 0.25
"""Of the rarer class: below it no model may beat the majority class by accuracy."""


def as_toml(draft: Draft) -> str:
    """The whole text."""
    document = tomlkit.document()
    for line in _head(draft):
        document.add(tomlkit.comment(line))
    document.add(tomlkit.nl())
    document.append("gate", _gate(draft))
    document.append("outcome", _outcome(draft))
    document.add(tomlkit.nl())
    document.append("feature", tomlkit.aot())
    for feature in draft.features:
        document["feature"].append(_feature(draft, feature))
    text = document.as_string()
    if draft.refused:
        text += "\n# Refused as features:\n"
        text += "".join(f"# {quoted(each.column)}: {each.reason}\n" for each in draft.refused)
    if draft.table.source is not None:
        text += "\n" + _source(draft, draft.table.source)
    # In a text and in a comment alike, what can't be printed is escaped.
    return "".join(each if each.isprintable() or each == "\n" else f"\\U{ord(each):08X}" for each in text)


def quoted(text: str) -> str:
    """A text in double quotes, as TOML writes it."""
    return tomlkit.item(text).as_string()


def _add(table: Table, name: str, value: object, said: str = "", is_offered: bool = False) -> None:
    """Add a line, with what is said beside it; as a comment where it is only offered."""
    item = _inline(value) if isinstance(value, Mapping) else tomlkit.item(value)
    if said:
        item.comment(said)
    if is_offered:
        line = tomlkit.table()
        line.append(name, item)
        table.add(tomlkit.comment(line.as_string().rstrip()))
    else:
        table.append(name, item)


def _inline(values: Mapping[Any, Any]) -> InlineTable:
    table = tomlkit.inline_table()
    for name, value in values.items():
        table.append(str(name), _inline(value) if isinstance(value, Mapping) else value)
    return table


def _head(draft: Draft) -> Iterator[str]:
    table = draft.table
    name = quoted(table.called)
    rows = f"all {table.rows:,} rows of {name}."
    if not table.is_all:
        rows = f"the first {table.rows:,} rows of {name}: there are more, which were not read."
    yield f"A draft by python -m jobs.suggest, from {rows}"
    if table.unreadable:
        yield f"{rows_shown(table.unreadable)} could not be read, and load refuses a file with such lines."
    yield "Look at each line before you use it. Above all, is it known before the outcome? If not, it is no feature."
    yield f"Each end of a range comes from {SHOWN_FROM} rows or more, and lies beyond them: narrow it."
    yield f"Words and codes occur in {SHOWN_FROM} rows or more each. Fill in each unit: nothing is converted."
    if table.source is not None:
        return
    left_out = [each.column for each in draft.refused if each.is_left_out]
    if left_out and not table.has_names:
        yield "load takes a file without a header only where all its columns are declared: give it one."
        return
    ignored = [f"--ignore={shlex.quote(name.strip())}" for name in left_out if name.isprintable()]
    yield "With this draft saved as DRAFT.toml, once it has been looked at:"
    yield "  python -m jobs.migrate --config DRAFT.toml"
    yield f"  python -m jobs.load --config DRAFT.toml {' '.join([*ignored, 'FILE'])}"
    if draft.key:
        name = quoted(draft.key[0].name)
        yield f"Rows by a key, so that outcomes may come later: rename {name} to source_key, and add a column source."
    if draft.person:
        name = quoted(draft.person.name)
        yield f"Several rows per person: rename {name} to person_key, so that they stay on one side of the holdout."


def _gate(draft: Draft) -> Table:
    gate = tomlkit.table()
    if draft.outcome is None:
        _add(gate, "measure", "accuracy", f"below {LEAST_SHARE:.0%} of either outcome take log_loss")
        return gate
    known, rarer = draft.outcome.values.known, draft.outcome.values.rarer
    is_rare = rarer < LEAST_SHARE * known
    share = _share(rarer, known) if rarer >= SHOWN_FROM else FEWER
    reason = "accuracy would favour a model that never predicts it" if is_rare else "accuracy can tell models apart"
    said = f"the rarer outcome is {share} of {known:,}: {reason}"
    _add(gate, "measure", "log_loss" if is_rare else "accuracy", said)
    return gate


def _outcome(draft: Draft) -> Table:
    table, found = tomlkit.table(), draft.outcome
    if found is None:
        _add(table, "name", "outcome", "no column has two values such as yes and no: name it, and load it later")
        return table
    column = found.column.name
    is_called_so = folded_name(column) == "outcome" or not draft.table.has_names
    name = "outcome" if is_called_so else draft.names[column]
    _add(table, "name", name, f"two values in {quoted(column)}")
    _add(table, "meaning", "", "say what a 1 means")
    if draft.table.source is None and draft.table.has_names:
        _add_other_name(table, name, column)
        if (found.values.no, found.values.yes) != ("0", "1"):
            table.add(tomlkit.comment("load takes 0 and 1 for it: replace the words in the file"))
    if found.others:
        others = ", ".join(map(quoted, found.others))
        table.add(tomlkit.comment(f"other columns that might be the outcome: {others}"))
    return table


def _add_other_name(table: Table, name: str, column: str) -> None:
    if folded_name(column) != folded_name(name):
        _add(table, "also_called", [column])


def _feature(draft: Draft, feature: Suggested) -> Table:
    table, column = tomlkit.table(), feature.column
    name, kind = draft.names[column.name], feature.kind
    _add(table, "name", name, kind if name == column.name else f"{kind}; from {quoted(column.name)}")
    if feature.codes:
        _add(table, "kind", "category")
        _add(table, "codes", feature.codes)
    if feature.range is not None:
        low, high, below, above = feature.range
        _add(table, "unit", "")
        _add(table, "low", low, f"{rows_shown(below)} lie below and would be rejected" if below else "")
        _add(table, "high", high, f"{rows_shown(above)} lie above and would be rejected" if above else "")
    if feature.zero_is_missing:
        _add(table, "zero_is_missing", True)
    lacks = f"{_share(feature.missing, column.rows)} of the rows lack it" if feature.missing else "no row lacks it"
    _add(table, "may_be_missing", bool(feature.missing), lacks)
    if draft.table.source is None and draft.table.has_names:
        _add_other_name(table, name, column.name)
    for remark in feature.remarks:
        table.add(tomlkit.comment(remark))
    return table


def _source(draft: Draft, place: Source) -> str:
    source, key, person = tomlkit.table(), draft.key, draft.person
    _add(source, "name", place.name)
    _add(source, "query" if place.query else "table", place.query or place.table)
    if place.schema is not None:
        _add(source, "schema", place.schema)
    if key:
        is_one = len(key) == 1
        said = "different in each row, and never missing"
        _add(source, "key", key[0].name if is_one else [column.name for column in key], said)
        _add(source, "key_type", key[0].key_type if is_one else [column.key_type for column in key])
    else:
        _add(source, "key", "")
    if person is not None:
        said = f"{person.different_keys:,} different ones in {person.known:,} rows, which stay together in the holdout"
        _add(source, "person", person.name, said)
        _add(source, "person_type", person.key_type)
    if draft.outcome is not None:
        _add_outcome(source, draft.outcome)
        if draft.outcome_at:
            _add(source, "outcome_at", draft.outcome_at, "if that is when the outcome became known", is_offered=True)
    if draft.changed_since:
        said = "if each change of a row sets it: a pull then reads only what has changed"
        _add(source, "changed_since", draft.changed_since, said, is_offered=True)
    columns = tomlkit.table()
    for feature in draft.features:
        words = {label: code for code, label in feature.codes.items()} if feature.has_words else {}
        column = feature.column.name
        _add(columns, draft.names[column], {"column": column, "words": words} if words else column)
    source.append("columns", columns)
    sources = tomlkit.aot()
    sources.append(source)
    text = tomlkit.dumps({"source": sources})
    if key:
        return text
    why = "No column is different in each row, nor are two or three together: name a view that has such a key."
    return "".join(f"# {line}\n" for line in (why, *text.splitlines()))


def _add_outcome(source: Table, outcome: LikelyOutcome) -> None:
    column, values = outcome.column, outcome.values
    said = f"{_share(column.missing, column.rows)} not known yet" if column.missing else ""
    _add(source, "outcome", column.name, said)
    if column.known > values.known:
        source.add(tomlkit.comment(f"{FEWER} hold something else there, and are rejected"))
    if (values.no, values.yes) in (("0", "1"), ("false", "true")):
        return  # each means 0 or 1 without a word about it
    if values.rarer < SHOWN_FROM:
        hidden = f"outcome_words = {{ ... = 1, ... = 0 }}  # one of them stands in {FEWER}, so they are not shown"
        source.add(tomlkit.comment(hidden))
        return
    words = {column.usual_spelling(values.yes): 1, column.usual_spelling(values.no): 0}
    _add(source, "outcome_words", words, "" if values.is_clear else "which of the two is 1? the rarer was taken")


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.1%}".replace("%", " %") if not 0 < part < whole / 1000 else "less than 0.1 %"
