"""The page of a process's memory lists every cache, with the bounds of the code."""

import re
from importlib import import_module

from django.conf import settings

from stats.caching.response_cache import DEFAULT_BYTES
from store.csv.store import MEMORY_MIB
from tests.program import PACKAGES

ROW = re.compile(r"^\| [^|]+ \| ([\d,]+) \| `([a-z_.]+)\.([A-Z_]+)` \|", re.MULTILINE)
ROWS = ROW.findall((settings.BASE_DIR / "docs" / "memory.md").read_text())


def test_the_bounds_on_the_page_are_those_of_the_code():
    assert {(module, name): int(bound.replace(",", "")) for bound, module, name in ROWS} == {
        (module, name): getattr(import_module(module), name) for _, module, name in ROWS
    }


def test_every_cache_is_on_the_page():
    caches = {
        ".".join(path.relative_to(settings.BASE_DIR).with_suffix("").parts)
        for package in PACKAGES
        for path in (settings.BASE_DIR / package).rglob("*.py")
        if re.search(r"\b(?:LRUCache|OrderedDict)\b", path.read_text())
    }
    assert caches
    assert caches <= {module for _, module, _ in ROWS}


def test_the_sizes_that_can_be_set_have_the_defaults_of_the_code():
    page = (settings.BASE_DIR / "docs" / "settings.md").read_text()
    defaults = dict(re.findall(r"^\| `(\w+_MEMORY_MIB)` \| `(\d+)` \|", page, re.MULTILINE))
    assert defaults == {
        "STORE_MEMORY_MIB": str(MEMORY_MIB),
        "ANSWERS_MEMORY_MIB": str(DEFAULT_BYTES // 2**20),
    }
