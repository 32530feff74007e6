"""The list of licences of `make audit`: packages under others are refused."""

from importlib.metadata import PackageNotFoundError, distribution

from tests.audit.licences import ALLOWED, pinned, refused


def installed(name: str) -> bool:
    try:
        return bool(distribution(name))
    except PackageNotFoundError:
        return False


def test_a_package_under_a_licence_that_is_not_on_the_list_is_refused_by_name() -> None:
    assert refused(["msgspec", "codespell"]) == {"codespell": ["GPL-2.0-only"]}


def test_a_package_that_declares_no_licence_is_refused_unless_somebody_has_read_it() -> None:
    none = "none declared by namex"
    assert refused(["namex"]) == {}
    assert refused(["namex"], ALLOWED - {none}) == {"namex": [none]}


def test_each_licence_that_a_package_declares_must_be_on_the_list() -> None:
    two = {"License :: OSI Approved :: Mozilla Public License 2.0 (MPL 2.0)", "MPL-2.0"}
    for missing in two:
        assert refused(["certifi"], ALLOWED - {missing}) == {"certifi": [missing]}


def test_every_package_that_is_here_and_runs_pima_has_a_licence_on_the_list() -> None:
    here = {name: version for name, version in pinned().items() if installed(name)}
    assert {"tensorflow", "psycopg-binary", "numpy"} <= here.keys()
    assert refused(here) == {}
