"""Where pages, `deploy/` and `locks/` lie, which messages name: in a checkout's folder, and in a
wheel inside the package."""

import re
from pathlib import Path

_PACKAGE = Path(__file__).parents[1]
_IS_INSTALLED = (_PACKAGE / "docs").exists()
FOLDER = _PACKAGE if _IS_INSTALLED else _PACKAGE.parent
_NAMED = re.compile(r"(?<![\w./])(?:docs/\w+/[\w-]+\.md|deploy/\w+\.(?:sh|sql)|locks/\w+\.txt)")


def with_places(text: str, is_installed: bool = _IS_INSTALLED) -> str:
    """Name these files by their whole path where pima is installed: in a checkout, commands run in
    its folder."""
    return _NAMED.sub(rf"{FOLDER}/\g<0>", text) if is_installed else text
