"""The pages, and the blocks of commands and outputs that stand on them."""

import re
from typing import NamedTuple

from tests.support.shipped import ROOT

PAGES = {
    str(page.relative_to(ROOT)): page
    for page in (*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"))
}


class Block(NamedTuple):
    """What stands between two fences: the words behind the first, and the text."""

    info: str
    text: str


def blocks(page: str) -> list[Block]:
    """The blocks of a page's text."""
    return [
        Block(*each)
        for each in re.findall(r"^ *```([^\n]*)\n(.*?)^ *```$", page, re.MULTILINE | re.DOTALL)
    ]
