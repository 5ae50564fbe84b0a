"""Imports QuantLib at first use, so that processes that price no options do not load it."""

from functools import cache
from importlib import import_module
from typing import Any


@cache
def quantlib() -> Any:
    """The module `QuantLib`, which has no type hints."""
    return import_module("QuantLib")
