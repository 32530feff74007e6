"""The dead man's switch: a URL that is fetched after each run, so that silence itself raises an alarm elsewhere.

The convention of healthchecks.io and others: the URL itself after a success, the URL with /fail after a failure. It is
fetched in a thread of its own, once; it never delays or fails a run, and its address, a secret, is never logged.
"""

import threading

from pima.logs import get_logger
from pima.settings.sections import PingSettings
from pima.store.runs import Status

SECONDS_TO_ANSWER = 10
# Asked to stop, or not run at all: neither a success nor a failure.
_SILENT = (Status.INTERRUPTED, Status.SKIPPED, Status.MISSED)


def ping(settings: PingSettings, job: str, status: str) -> threading.Thread | None:
    """Tell of a run's end, where a URL is set for the job; the thread that does it."""
    url = getattr(settings, f"{job}_url").rstrip("/")
    if not url or status in _SILENT:
        return None
    address = url if status == Status.SUCCEEDED else f"{url}/fail"
    thread = threading.Thread(target=_fetch, args=(job, address), name="ping", daemon=True)
    thread.start()
    return thread


def _fetch(job: str, address: str) -> None:
    # Here, so that a job without a URL starts without HTTP and TLS.
    import http.client
    import urllib.request

    try:
        # Settings let http and https addresses through only.
        with urllib.request.urlopen(address, timeout=SECONDS_TO_ANSWER) as answer:  # noqa: S310
            get_logger().info("pinged", job=job, answer=answer.status)
    except (OSError, ValueError, http.client.HTTPException) as error:
        get_logger().warning("the ping was not answered", job=job, error=type(error).__name__)
