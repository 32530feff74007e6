"""Every code that pima reports, with its meaning and what to do, read from where the code is
defined."""

import re
from collections.abc import Iterator
from typing import NamedTuple

from pima import errors
from pima.core.rows.validation import MEANINGS
from pima.core.verdicts.reasons import Reason, why
from pima.core.verdicts.verdict import Measure
from pima.errors.places import with_places
from pima.intake.files.bad_lines import EXPECTED
from pima.store.service.runs import ENDINGS
from pima.watch import conditions, health

DEFECT = "unexpected_"
"""The beginning of a defect's code; the exception's class follows."""
_FAMILIES = {DEFECT: "CLASS", "killed_by_": "SIGNAL", "exit_code_": "N"}
"""Beginnings of codes with varying ends, and a word for the end."""


class Entry(NamedTuple):
    """An explanation of a code; one code may have several."""

    code: str
    kind: str
    means: str
    advice: str = ""
    exit_code: int | None = None
    """The exit code of the command that an error ends; None for other kinds."""

    @property
    def name(self) -> str:
        """The code as pages show it."""
        return self.code + _FAMILIES.get(self.code, "")

    def __str__(self) -> str:
        advice = f"\nWhat to do: {self.advice.rstrip('.')}." if self.advice else ""
        return with_places(f"{self.name} ({self.kind}): {self.means}{advice}")


def entries() -> list[Entry]:
    """All codes by kind, in the order of their definitions."""
    return [
        *_of_health(),
        *_of_errors(),
        *(Entry(code, "end of a run", means) for code, means in ENDINGS.items()),
        *(Entry(code, "reason of a row", means) for code, means in MEANINGS.items()),
        *(
            Entry(code, "reason of a file's line", f"{text[0].upper()}{text[1:]}.")
            for code, text in EXPECTED.items()
        ),
        *_of_verdicts(),
    ]


def entries_of(code: str) -> list[Entry]:
    """The entries of one code, which may be followed by a source or a figure, as people copy it."""
    asked = code.partition(":")[0].strip()
    return [
        each
        for each in entries()
        if each.code == asked
        or (each.code in _FAMILIES and asked.startswith(each.code))
        or each.name == asked
    ]


def _of_health() -> Iterator[Entry]:
    for kind, told in (("reason of health", health.COMPLAINTS), ("alert", conditions.EXPLAINED)):
        for code, (means, advice) in told.items():
            yield Entry(code, kind, means, _with_names(advice))


def _of_errors() -> Iterator[Entry]:
    for each in sorted(_classes(errors.PimaError), key=lambda error: (error.exit_code, error.code)):
        message = _with_names(" ".join(str(each.__doc__).split()))
        note = vars(each).get("note", "")
        if note and message[-1].isalpha():
            message += "."
        told = f"{message} {note}".strip() if re.search("[a-z]", message) else note
        yield Entry(each.code, f"error, exit code {each.exit_code}", told, exit_code=each.exit_code)
    stopped = errors.Interrupted
    yield Entry(
        stopped.code,
        "error, exit codes 130 and 143",
        stopped.note,
        exit_code=errors.INTERRUPTED_BY_CTRL_C,
    )
    defect = (
        "A defect of pima: the exception's class follows, and the message has its place. Report "
        "it. The batch was "
    )
    yield Entry(
        DEFECT,
        "error, exit code 1",
        f"{defect}rolled back; other runs are not affected.",
        exit_code=1,
    )


def _of_verdicts() -> Iterator[Entry]:
    for reason in Reason:
        said, *others = dict.fromkeys(why(reason, each) for each in Measure if _is_of(reason, each))
        if others:
            # They differ by what each measure calls better alone.
            said = f"by gate.measure it is better than the champion,{said.partition(',')[2]}"
        yield Entry(reason, "reason of a verdict", f"{said[0].upper()}{said[1:]}.")


def _is_of(reason: Reason, measure: Measure) -> bool:
    try:
        return bool(why(reason, measure))
    except KeyError:
        return False


def _classes(of: type[errors.PimaError]) -> Iterator[type[errors.PimaError]]:
    for derived in of.__subclasses__():
        # The bases of the exit codes are never raised.
        if derived.__module__ != errors.PimaError.__module__:
            yield derived
        yield from _classes(derived)


def _with_names(message: str) -> str:
    """Replace a message's facts by their names in capitals, as options do."""
    return re.sub(r"\{(\w+)[^}]*\}", lambda found: found[1].upper(), message)
