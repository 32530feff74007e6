"""Who gives a command, for the records that say so."""

import getpass
import os


def this_user() -> str:
    """The name under which this process runs."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user without a name
        return f"uid {os.getuid()}"
