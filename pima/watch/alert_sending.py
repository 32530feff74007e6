"""Sending messages to a receiver, in a child process with a deadline: some receivers hang, and the
time limits of the services differ, if they have any.

The child also runs this file, as `python -m pima.watch.alert_sending`. Its standard input has one
JSON object: `url`, `seconds` and `messages`, each with `title`, `body` and `kind`. Its standard
output gets a line for each message that was tried: 1 if the receiver accepted it, else 0.
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
"""How long a receiver may take for all messages together."""


@dataclass(frozen=True, slots=True)
class Message:
    """A text for a receiver."""

    title: str
    body: str
    kind: str
    """`failure`, `info` or `success`, which many receivers show as a colour."""


class Problem(StrEnum):
    """Why a receiver did not accept everything."""

    NOT_TAKEN = "not_taken"
    TIMED_OUT = "timed_out"
    UNKNOWN_ADDRESS = "unknown_address"
    EXTRA_MISSING = "extra_missing"


_EXIT_CODES = {3: Problem.UNKNOWN_ADDRESS, 4: Problem.EXTRA_MISSING}


@dataclass(frozen=True, slots=True)
class Sent:
    """The result of sending."""

    taken: list[bool]
    """Whether the receiver accepted each message, in order."""
    problem: Problem | None
    """Why it did not accept all of them; None if it did."""


def send(
    url: str,
    messages: Sequence[Message],
    environ: Mapping[str, str],
    seconds: int = SECONDS_TO_TAKE,
) -> Sent:
    """Send a receiver messages. Whatever it does, this returns within the time limit, and no child
    is left."""
    given = json.dumps(
        {"url": url, "seconds": seconds, "messages": [asdict(message) for message in messages]}
    )
    # The child needs settings of proxies and certificates, and none of pima's secrets.
    its_own = {
        name: value
        for name, value in environ.items()
        if not name.startswith(("PIMA_", "DATABASE_URL"))
    }
    try:
        ended = subprocess.run(
            [sys.executable, "-m", "pima.watch.alert_sending"],
            env=its_own,
            input=given.encode(),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # only the parent handles Ctrl-C
            timeout=seconds,
            check=False,
        )
    except subprocess.TimeoutExpired as late:
        return Sent(_taken(late.stdout or b"", len(messages)), Problem.TIMED_OUT)
    except OSError:  # no more processes
        return Sent([False] * len(messages), Problem.NOT_TAKEN)
    taken = _taken(ended.stdout, len(messages))
    problem = _EXIT_CODES.get(ended.returncode)
    if problem is None and not all(taken):
        problem = Problem.NOT_TAKEN
    return Sent(taken, problem)


def _taken(lines: bytes, count: int) -> list[bool]:
    """Read the child's output; messages that it did not reach were not accepted."""
    said = [line == b"1" for line in lines.split()]
    return [*said, *[False] * (count - len(said))]


def main() -> int:
    """Send the messages from standard input; return the exit code."""
    given = json.load(sys.stdin)
    # The process must not outlive its time limit even if its parent is gone; SIGALRM ends it by
    # default.
    signal.alarm(given["seconds"])
    logging.disable()  # a library's lines may hold the address
    codes = {problem: code for code, problem in _EXIT_CODES.items()}
    try:
        import apprise
    except ImportError:
        return codes[Problem.EXTRA_MISSING]
    receiver = apprise.Apprise(
        asset=apprise.AppriseAsset(app_id="pima", app_desc="pima", app_url="")
    )
    if not receiver.add(given["url"]):
        return codes[Problem.UNKNOWN_ADDRESS]
    for message in given["messages"]:
        kind = apprise.NotifyType(message["kind"])
        taken = receiver.notify(
            message["body"], message["title"], kind, body_format=apprise.NotifyFormat.TEXT
        )
        print(int(bool(taken)), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
