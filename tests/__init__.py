"""Asserts in what several test files share tell as much as a test's own."""

import pytest

pytest.register_assert_rewrite("tests.support")
