"""Giving messages to a receiver, in a child process with a deadline: some receivers hang, and each way to reach one has
time limits of its own, or none."""

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum

from pima.alerting.sender import EXTRA_MISSING, UNKNOWN_ADDRESS

SECONDS_TO_TAKE = 30
"""How long a receiver may need for all that is sent at once."""


@dataclass(frozen=True, slots=True)
class Message:
    """What a receiver gets."""

    title: str
    body: str
    kind: str
    """`failure`, `info` or `success`, which many receivers show by a colour."""


class Problem(StrEnum):
    """Why a receiver did not take everything."""

    NOT_TAKEN = "not_taken"
    TIMED_OUT = "timed_out"
    UNKNOWN_ADDRESS = "unknown_address"
    EXTRA_MISSING = "extra_missing"


_OF_EXIT_CODE = {UNKNOWN_ADDRESS: Problem.UNKNOWN_ADDRESS, EXTRA_MISSING: Problem.EXTRA_MISSING}


@dataclass(frozen=True, slots=True)
class Sent:
    """What became of messages."""

    taken: list[bool]
    """Of each message whether the receiver has it."""
    problem: Problem | None
    """None where it has them all."""


def send(url: str, messages: Sequence[Message], environ: Mapping[str, str], seconds: int = SECONDS_TO_TAKE) -> Sent:
    """Give a receiver messages. Whatever it does, this returns within the time, and no child is left."""
    given = json.dumps({"url": url, "seconds": seconds, "messages": [asdict(message) for message in messages]})
    try:
        ended = subprocess.run(
            [sys.executable, "-m", "pima.alerting.sender"],
            env=_without_secrets(environ),
            input=given.encode(),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # a Ctrl-C is its parent's
            timeout=seconds,
            check=False,
        )
    except subprocess.TimeoutExpired as late:
        return Sent(_taken(late.stdout or b"", len(messages)), Problem.TIMED_OUT)
    except OSError:  # no more processes
        return Sent([False] * len(messages), Problem.NOT_TAKEN)
    taken = _taken(ended.stdout, len(messages))
    return Sent(taken, _OF_EXIT_CODE.get(ended.returncode, None if all(taken) else Problem.NOT_TAKEN))


def _taken(lines: bytes, count: int) -> list[bool]:
    """Those that it did not come to were not taken."""
    said = [line == b"1" for line in lines.split()]
    return [*said, *[False] * (count - len(said))]


def _without_secrets(environ: Mapping[str, str]) -> dict[str, str]:
    """It needs proxies and certificates, and none of ours."""
    return {name: value for name, value in environ.items() if not name.startswith(("PIMA_", "DATABASE_URL"))}
