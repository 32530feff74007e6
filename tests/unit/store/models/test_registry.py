"""What is kept of a declaration is the declaration."""

from pathlib import Path

from pima.settings.reading import SHIPPED
from pima.store.models.registry import as_declaration, as_stored
from tests.support.declared import declaration


def test_what_is_stored_is_the_same_declaration_again(tmp_path: Path) -> None:
    for each in (SHIPPED, declaration(tmp_path)):
        assert as_declaration(as_stored(each)) == each
