"""Giving messages to a receiver, in a child process with a deadline: some receivers hang, and each way to reach one has
time limits of its own, or none.

The child is this file as well, `python -m pima.extras.alert_sending`. Its standard input has one JSON object: `url`,
`seconds` and `messages`, each with `title`, `body` and `kind`. Its standard output gets a line for each message that
was tried: 1 where the receiver has taken it, else 0.
"""

import json
import logging
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum

SECONDS_TO_TAKE = 30
"""How long a receiver may need for all that is sent at once."""


@dataclass(frozen=True, slots=True)
class Message:
    """A text for a receiver."""

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


_EXIT_CODES = {3: Problem.UNKNOWN_ADDRESS, 4: Problem.EXTRA_MISSING}


@dataclass(frozen=True, slots=True)
class Sent:
    """The end of a sending."""

    taken: list[bool]
    """Of each message whether the receiver has it."""
    problem: Problem | None
    """None if it has them all."""


def send(url: str, messages: Sequence[Message], environ: Mapping[str, str], seconds: int = SECONDS_TO_TAKE) -> Sent:
    """Give a receiver messages. Whatever it does, this returns within the time, and no child is left."""
    given = json.dumps({"url": url, "seconds": seconds, "messages": [asdict(message) for message in messages]})
    # It needs proxies and certificates, and none of our secrets.
    its_own = {name: value for name, value in environ.items() if not name.startswith(("PIMA_", "DATABASE_URL"))}
    try:
        ended = subprocess.run(
            [sys.executable, "-m", "pima.extras.alert_sending"],
            env=its_own,
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
    return Sent(taken, _EXIT_CODES.get(ended.returncode, None if all(taken) else Problem.NOT_TAKEN))


def _taken(lines: bytes, count: int) -> list[bool]:
    """Read the child's output; messages that it did not come to were not taken."""
    said = [line == b"1" for line in lines.split()]
    return [*said, *[False] * (count - len(said))]


def main() -> int:
    """Send what standard input says; returns the exit code."""
    given = json.load(sys.stdin)
    # It must not outlive its time where its parent is gone, either; the signal's own effect is to end the process.
    signal.alarm(given["seconds"])
    logging.disable()  # a library's lines may hold the address
    codes = {problem: code for code, problem in _EXIT_CODES.items()}
    try:
        import apprise
    except ImportError:
        return codes[Problem.EXTRA_MISSING]
    receiver = apprise.Apprise(asset=apprise.AppriseAsset(app_id="pima", app_desc="pima", app_url=""))
    if not receiver.add(given["url"]):
        return codes[Problem.UNKNOWN_ADDRESS]
    for message in given["messages"]:
        kind = apprise.NotifyType(message["kind"])
        taken = receiver.notify(message["body"], message["title"], kind, body_format=apprise.NotifyFormat.TEXT)
        print(int(bool(taken)), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
