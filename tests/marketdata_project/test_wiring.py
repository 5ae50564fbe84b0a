"""Every need that a package declares is provided at start-up, and nothing is named by a setting instead."""

import re
from importlib import import_module
from pathlib import Path

import pytest
from django.conf import settings

from ops.needs import Need
from tests.program import PACKAGES

DECLARATION = re.compile(r"^(\w+): .*= Need\(", re.MULTILINE)


def needs() -> list[tuple[str, str]]:
    """Module and name of each need that the program declares."""
    return [
        (".".join(path.relative_to(settings.BASE_DIR).with_suffix("").parts), name)
        for path, text in program_texts()
        for name in DECLARATION.findall(text)
    ]


def program_texts() -> list[tuple[Path, str]]:
    paths = [path for package in PACKAGES for path in Path(settings.BASE_DIR, package).rglob("*.py")]
    return [(path, path.read_text()) for path in paths]


def test_there_are_needs():
    assert len(needs()) > 3


@pytest.mark.parametrize(("module", "name"), needs())
def test_each_need_is_provided_and_has_its_own_name(module, name):
    need = getattr(import_module(module), name)
    assert isinstance(need, Need)
    assert need.get() is not None
    assert need._name == f"{module}.{name}"
