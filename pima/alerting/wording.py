"""Alerts as people read them: what is so, on which machine, since when, and what to do."""

import socket
from datetime import datetime

from pima.alerting.due import Alert, Kind
from pima.alerting.sending import Message

_COLOURS = {Kind.HOLDS: "failure", Kind.FLAPS: "failure", Kind.HAPPENED: "info", Kind.OVER: "success"}
_SAYS = {Kind.FLAPS: " comes and goes", Kind.OVER: " is over"}


def message(alert: Alert) -> Message:
    """What a receiver gets."""
    title = _title(alert.name + _SAYS.get(alert.kind, ""))
    return Message(title, _BODIES[alert.kind](alert), _COLOURS[alert.kind])


def trial_message() -> Message:
    """What says that it is none."""
    return Message(_title("a test"), "Alerts of this installation reach you.", "info")


def _holds(alert: Alert) -> str:
    return f"{_sentence(alert.what)}\nSeen since {_moment(alert.since)}.\nWhat to do: {alert.advice}."


def _flaps(alert: Alert) -> str:
    return f"{_holds(alert)}\nIt comes and goes: you hear of it again when it has been over for an hour, or in a day."


def _happened(alert: Alert) -> str:
    return f"{_sentence(alert.what)}\nAt {_moment(alert.since)}.\nWhat to do: {alert.advice}."


def _is_over(alert: Alert) -> str:
    return f"It was seen since {_moment(alert.since)}, and is so no more."


_BODIES = {Kind.HOLDS: _holds, Kind.FLAPS: _flaps, Kind.HAPPENED: _happened, Kind.OVER: _is_over}


def _title(name: str) -> str:
    return f"pima on {socket.gethostname()}: {name}"


def _sentence(what: str) -> str:
    return f"{what[:1].upper()}{what[1:]}".rstrip(".") + "."


def _moment(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"
