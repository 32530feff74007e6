"""Argparse, save that wrong usage is an error like all others: it becomes JSON where that was asked for, and shows none
of the values that were typed, since one might be a patient's."""

import argparse
import re
from typing import NoReturn

from pima.errors import WrongUsage
from pima.logs import write_line

_UNKNOWN = "unrecognized arguments"
# Greedy, so that what follows is argparse's own list and no part of the value.
_VALUE = re.compile(
    r"(invalid choice): .*(?= \(choose from )|(ignored explicit argument|invalid \w+ value).*", re.DOTALL
)


class HelpAsked(Exception):
    """The help is to be shown, by whoever sees to it that it can be written."""


class OptionParser(argparse.ArgumentParser):
    """A parser that shows its usage and raises WrongUsage, or HelpAsked, in place of ending the process."""

    def print_help(self, file: object = None) -> NoReturn:  # noqa: ARG002 (argparse's own signature)
        raise HelpAsked(self.format_help())

    def error(self, message: str) -> NoReturn:
        write_line(self.format_usage().rstrip())
        raise WrongUsage(what=_without_values(message))


def _without_values(message: str) -> str:
    if message.startswith(_UNKNOWN):
        options = re.findall(r"(?<!\S)--[a-z]+(?:-[a-z]+)*", message)
        return _UNKNOWN + (f", among them {', '.join(options)}" if options else "")
    return _VALUE.sub(lambda found: found[1] or found[2], message)
