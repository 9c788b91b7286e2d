"""The examples in the docstrings are true."""

import doctest
from importlib import import_module

import pytest

MODULES = ("api", "comparison", "explain", "matrix", "scenario", "settings")


@pytest.mark.parametrize("name", MODULES)
def test_examples(name):
    found = doctest.testmod(import_module(f"schedlab.experiment.{name}"))
    assert found.attempted > 0
    assert found.failed == 0
