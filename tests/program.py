"""Where the program is: the packages that the contracts of imports are about, and what their modules say."""

import ast
import tomllib
from functools import cache
from pathlib import Path

import pytest
from django.conf import settings

PACKAGES: tuple[str, ...] = tuple(
    tomllib.loads((settings.BASE_DIR / "pyproject.toml").read_text())["tool"]["importlinter"]["root_packages"]
)

# Tests that read all modules of the program share a process of pytest-xdist, which parses them once.
OF_PROGRAM = pytest.mark.xdist_group("program")


@cache
def program_nodes() -> dict[Path, list[ast.AST]]:
    """All syntax nodes of each module of the program."""
    paths = [path for package in PACKAGES for path in (settings.BASE_DIR / package).rglob("*.py")]
    return {path: list(ast.walk(ast.parse(path.read_text()))) for path in paths}
