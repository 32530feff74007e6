"""python -m pima.alerting.sender: gives messages to one receiver, as a process of its own that its parent can kill.

Standard input has one JSON object: `url`, `seconds` and `messages`, each with `title`, `body` and `kind`. Standard
output gets a line for each message that was tried: 1 where the receiver has taken it, else 0.
"""

import json
import logging
import signal
import sys

UNKNOWN_ADDRESS, EXTRA_MISSING = 3, 4
"""Exit codes."""


def main() -> int:
    """Send what standard input says; returns the exit code."""
    given = json.load(sys.stdin)
    # It must not outlive its time where its parent is gone, either; the signal's own effect is to end the process.
    signal.alarm(given["seconds"])
    logging.disable()  # a library's lines may hold the address
    try:
        import apprise
    except ImportError:
        return EXTRA_MISSING
    receiver = apprise.Apprise(asset=apprise.AppriseAsset(app_id="pima", app_desc="pima", app_url=""))
    if not receiver.add(given["url"]):
        return UNKNOWN_ADDRESS
    for message in given["messages"]:
        kind = apprise.NotifyType(message["kind"])
        taken = receiver.notify(message["body"], message["title"], kind, body_format=apprise.NotifyFormat.TEXT)
        print(int(bool(taken)), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
