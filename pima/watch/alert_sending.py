"""Sending messages to all receivers, in a child process with one deadline: some receivers hang, and
the time limits of the services differ, if they have any.

The child also runs this file, as `python -m pima.watch.alert_sending`. Its standard input has one
JSON object: `urls`, `seconds` and `messages`, each with `title`, `body` and `kind`. Its standard
output gets a line for each message that a receiver took: the receiver's number and the message's.
"""

import json
import logging
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from enum import StrEnum

SECONDS_TO_TAKE = 30
"""How long all receivers may take for all messages together."""


@dataclass(frozen=True, slots=True)
class Message:
    """A text for receivers."""

    title: str
    body: str
    kind: str
    """`failure`, `info` or `success`, which many receivers show as a colour."""


class Problem(StrEnum):
    """Why a receiver did not take everything."""

    NOT_TAKEN = "not_taken"
    TIMED_OUT = "timed_out"
    UNKNOWN_ADDRESS = "unknown_address"
    EXTRA_MISSING = "extra_missing"


_EXTRA_IS_MISSING = 4
"""The child's exit code without apprise."""
_UNKNOWN = "unknown"
"""Stands in place of a message's number if apprise does not know the address."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """The result of sending."""

    taken: list[bool]
    """Whether any receiver took each message, in order."""
    problems: dict[int, Problem]
    """Problems of receivers that did not take everything, by their number, from 1."""


def send(
    urls: Sequence[str],
    messages: Sequence[Message],
    environ: Mapping[str, str],
    seconds: int = SECONDS_TO_TAKE,
) -> Delivery:
    """Send all receivers all messages. Whatever they do, this returns within the time limit, and no
    child is left."""
    given = {"urls": urls, "seconds": seconds, "messages": [asdict(each) for each in messages]}
    # The child needs settings of proxies and certificates, and none of pima's secrets.
    its_own = {
        name: value
        for name, value in environ.items()
        if not name.startswith(("PIMA_", "DATABASE_URL"))
    }
    problem = Problem.NOT_TAKEN
    output = b""
    try:
        ended = subprocess.run(
            [sys.executable, "-m", "pima.watch.alert_sending"],
            env=its_own,
            input=json.dumps(given).encode(),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # only the parent handles Ctrl-C
            timeout=seconds,
            check=False,
        )
        output = ended.stdout
        if ended.returncode == _EXTRA_IS_MISSING:
            problem = Problem.EXTRA_MISSING
    except subprocess.TimeoutExpired as late:
        output = late.stdout or b""
        problem = Problem.TIMED_OUT
    except OSError:  # no more processes
        pass
    lines = {tuple(line.split()) for line in output.decode().splitlines()}
    problems = {}
    for number in range(1, len(urls) + 1):
        if (str(number), _UNKNOWN) in lines:
            problems[number] = Problem.UNKNOWN_ADDRESS
        elif sum(line[0] == str(number) for line in lines) < len(messages):
            problems[number] = problem
    taken = {line[1] for line in lines}
    return Delivery([str(place) in taken for place in range(len(messages))], problems)


def main() -> int:
    """Send the messages from standard input; return the exit code."""
    given = json.load(sys.stdin)
    # The process must not outlive its time limit even if its parent is gone; SIGALRM ends it by
    # default.
    signal.alarm(given["seconds"])
    logging.disable()  # a library's lines may hold the address
    try:
        import apprise
    except ImportError:
        return _EXTRA_IS_MISSING

    def send_to(number: int, url: str) -> None:
        asset = apprise.AppriseAsset(app_id="pima", app_desc="pima", app_url="")
        receiver = apprise.Apprise(asset=asset)
        if not receiver.add(url):
            print(number, _UNKNOWN, flush=True)
            return
        for place, message in enumerate(given["messages"]):
            kind = apprise.NotifyType(message["kind"])
            text = apprise.NotifyFormat.TEXT
            if receiver.notify(message["body"], message["title"], kind, body_format=text):
                print(f"{number} {place}\n", end="", flush=True)

    # Each in a thread of its own, so that one that hangs takes no time of the others.
    with ThreadPoolExecutor(len(given["urls"])) as threads:
        for number, url in enumerate(given["urls"], 1):
            threads.submit(send_to, number, url)
    return 0


if __name__ == "__main__":
    sys.exit(main())
