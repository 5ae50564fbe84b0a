"""QuantLib, imported at first use: a process that prices no options never loads it."""

from functools import cache
from importlib import import_module
from typing import Any


@cache
def quantlib() -> Any:
    """The module itself. It has no type hints."""
    return import_module("QuantLib")
