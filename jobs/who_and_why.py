"""Who gives a command and why, for the records that say so."""

import argparse
import getpass
import os


def this_user() -> str:
    """The name under which this process runs."""
    try:
        return _printable(getpass.getuser())
    except (KeyError, OSError):  # a container's user without a name
        return f"uid {os.getuid()}"


def why(text: str) -> str:
    """The type of an option that says why: words, in one line, that every database keeps and every terminal shows."""
    words = " ".join(text.split())
    if not words:
        raise argparse.ArgumentTypeError("expected a reason in words")
    return _printable(words)


def _printable(text: str) -> str:
    """An argument or a variable may be any bytes: what of them is no text came as surrogates."""
    return "".join(character if character.isprintable() else "\ufffd" for character in text)
