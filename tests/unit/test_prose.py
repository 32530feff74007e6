"""Pages and messages in plain English: no sentence above forty words, and the field's word in place
of a private one.

A test, since Vale's package fetches its program from the network when it first runs, and `make
check` must not.
"""

import re
from collections.abc import Iterator

import pytest

from tests.support.reference import pages
from tests.support.shipped import ROOT

MOST_WORDS = 40
PLAIN = {
    "anew": "again",
    "behold": "see",
    "complains? of": "reports",
    "e\\.g\\.": "for example",
    "henceforth": "from now on",
    "i\\.e\\.": "that is",
    "in order to": "to",
    "is no more": "is gone",
    "lest": "so that ... not",
    "leverages?": "use",
    "mend(s|ed|ing)?": "fix, correct or repair",
    "nor may": "must not",
    "obviously": "nothing",
    "of late": "lately",
    "once more": "again",
    "(is|are) to be had": "is available",
    "save (that|for)": "except",
    "simply": "nothing",
    "tells? of": "reports",
    "thereof": "of it",
    "utili[sz]e[sd]?": "use",
    "whence": "from where",
}
"""Words that no page and no message has, each with what to write."""
_BANNED = re.compile(rf"\b(?:{'|'.join(PLAIN)})(?!\w)", re.IGNORECASE)
_ENDS = re.compile(r"(?<=[.!?])[\"')*]*\s+(?=[\"'(*]*[A-Z0-9`])")
# A line that begins a text of its own: a heading, an item, a cell's row, a quotation.
_BEGINS = re.compile(r"^\s*(?:#+|[-*] |\d+\. |\||>)")

BY_HAND = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")),
    *(page for page in sorted((ROOT / "docs").rglob("*.md")) if page.parent.name != "measured"),
]
_GENERATED = pages().keys() - {"errors.md"}
TEXTS = {
    str(page.relative_to(ROOT)): page.read_text() for page in BY_HAND if page.name not in _GENERATED
}


def sentences(text: str) -> Iterator[str]:
    """The sentences of a page, without its code, a piece of code in a line being one word."""
    text = re.sub(r"^```.*?^```$|<!--.*?-->", "\n\n", text, flags=re.MULTILINE | re.DOTALL)
    text = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", re.sub(r"`[^`]+`", "`code`", text))
    for paragraph in re.split(r"\n\s*\n", text):
        lines = [
            ("\n" if _BEGINS.match(line) else " ") + line.strip() for line in paragraph.splitlines()
        ]
        for piece in re.split(r"[\n|]", "".join(lines)):
            yield from _ENDS.split(re.sub(r"^[-#*>\s]+", "", piece))


def test_the_sentences_of_a_page_are_found() -> None:
    page = (
        "# A head\n\nOne is `a. B`, of\ntwo lines. [Another](x.md) is here!\n- an item\n\n| a "
        "cell | so. And |\n"
    )
    page += "```\ncode\n```\n"
    found = [
        "A head",
        "One is `code`, of two lines.",
        "Another is here!",
        "an item",
        "a cell",
        "so.",
        "And",
    ]
    assert [each.strip() for each in sentences(page) if each.strip()] == found


@pytest.mark.parametrize("name", TEXTS)
def test_it_is_plain_english(name: str) -> None:
    long = [each for each in sentences(TEXTS[name]) if len(each.split()) > MOST_WORDS]
    assert long == [], "sentences above forty words"
    assert [found[0] for found in _BANNED.finditer(" ".join(sentences(TEXTS[name])))] == [], PLAIN
