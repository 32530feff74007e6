"""The site of these pages, by Sphinx (`make docs`): the same Markdown that GitHub shows, with a
menu and a search.

Warnings are errors, among them links and anchors that lead nowhere. The project's root is what
Sphinx reads, so that links to files outside this folder lead somewhere, too.
"""

import os

from sphinx.application import Sphinx

project = "pima"
html_title = "pima"
extensions = ["myst_parser", "sphinxcontrib.mermaid"]
source_suffix = {".md": "markdown"}
root_doc = "docs/index"
include_patterns = [
    "README.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    "SECURITY.md",
    "CODE_OF_CONDUCT.md",
    "docs/**",
    "pima/data/PROVENANCE.md",
]
html_theme = "furo"
html_copy_source = False
html_show_sourcelink = False
html_show_copyright = False

# Anchors as GitHub makes them, of every heading.
myst_heading_anchors = 6
# Diagrams are drawn in the reader's browser, by Mermaid as the extension fetches it, or by the copy
# of one's own that MERMAID is the address of. With neither, a diagram's text is shown.
myst_fence_as_directive = ["mermaid"]
mermaid_height = "auto"
mermaid_fullscreen_button = "+"
mermaid_use_local = os.environ.get("MERMAID", "")

_MENU = {
    "Start": ["start/tutorial", "start/*", "README </README>"],
    "Do": ["do/symptoms", "do/*"],
    "Look up": ["reference/commands", "reference/*"],
    "Understand": ["understand/architecture", "understand/*"],
    "Measured": ["measured/*"],
    "Take part": [
        "/CONTRIBUTING",
        "/CHANGELOG",
        "/SECURITY",
        "/CODE_OF_CONDUCT",
        "/pima/data/PROVENANCE",
    ],
}


def _add_the_menu(_app: Sphinx, page: str, source: list[str]) -> None:
    """Add it to the front page here, since GitHub would show its directives."""
    if page == root_doc:
        for door, pages in _MENU.items():
            source[0] += "\n".join(
                ["\n```{toctree}", ":hidden:", ":glob:", f":caption: {door}", "", *pages, "```\n"]
            )


def setup(app: Sphinx) -> None:
    """Called by Sphinx."""
    app.connect("source-read", _add_the_menu)
