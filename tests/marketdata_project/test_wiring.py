"""At start-up everything is handed over that a room declares as needed, and nothing is named by a setting instead."""

import ast
from importlib import import_module
from pathlib import Path

import pytest
from django.conf import settings

from needs import Need
from tests.program import PACKAGES

pytestmark = pytest.mark.system


def needs() -> list[tuple[str, str]]:
    """Module and name of each need that the program declares."""
    found = []
    for package in PACKAGES:
        for path in Path(settings.BASE_DIR, package).rglob("*.py"):
            for node in ast.parse(path.read_text()).body:
                match node:
                    case ast.AnnAssign(target=ast.Name(name), value=ast.Call(func=ast.Name("Need"))):
                        module = ".".join(path.relative_to(settings.BASE_DIR).with_suffix("").parts)
                        found.append((module, name))
    return found


def test_there_are_needs():
    assert len(needs()) > 3


@pytest.mark.parametrize(("module", "name"), needs())
def test_each_need_is_handed_over_and_says_its_own_name(module, name):
    need = getattr(import_module(module), name)
    assert isinstance(need, Need)
    assert need.get() is not None
    assert need._name == f"{module}.{name}"


def test_only_stores_and_the_frameworks_own_are_named_by_settings():
    """Django's and DRF's own paths are checked by them; a store's backend is, as Django's STORAGES, data."""
    used = {
        str(path.relative_to(settings.BASE_DIR))
        for package in PACKAGES
        for path in Path(settings.BASE_DIR, package).rglob("*.py")
        if "import_string" in path.read_text()
    }
    assert used == {"marketdata_project/checks.py", "trades/stores.py"}
