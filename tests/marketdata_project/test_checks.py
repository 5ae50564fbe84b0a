"""Settings that cannot work are found by `manage.py check`, with an id and a hint."""

import pytest
from django.core.checks import registry, run_checks

from marketdata_project import checks
from trades.storage.memory import MemoryStore


class Locked(MemoryStore):
    """A store that cannot be made."""

    def __init__(self) -> None:
        raise PermissionError("the folder is locked")


MEMORY = "trades.storage.memory.MemoryStore"
STORES = {
    "no such module": {"BACKEND": "nowhere.Store"},
    "no such class": {"BACKEND": "trades.storage.memory.Store"},
    "no backend": {"OPTIONS": {}},
    "unknown option": {"BACKEND": MEMORY, "OPTIONS": {"colour": "red"}},
    "refuses": {"BACKEND": f"{__name__}.Locked"},
}


@pytest.mark.parametrize(
    ("workers", "ids"), [(1, []), (64, []), (0, ["marketdata.E001"]), (-1, ["marketdata.E001"])]
)
def test_there_is_a_worker(settings, workers, ids):
    settings.WORKERS = workers
    assert [found.id for found in checks.check_workers()] == ids


@pytest.mark.parametrize(
    ("port", "ids"), [(0, []), (65_535, []), (-1, ["marketdata.E002"]), (65_536, ["marketdata.E002"])]
)
def test_a_port_is_one(settings, port, ids):
    settings.PORT = port
    assert [found.id for found in checks.check_port()] == ids


@pytest.mark.parametrize("declared", STORES.values(), ids=STORES)
def test_the_store_can_be_made(settings, declared):
    settings.MARKET_STORES = {"default": declared}
    assert [found.id for found in checks.check_store()] == ["marketdata.E003"]
    settings.MARKET_STORES = {"default": {"BACKEND": MEMORY}}
    assert checks.check_store() == []


def test_a_default_store_is_declared(settings):
    settings.MARKET_STORES = {"other": {"BACKEND": MEMORY}}
    assert [found.id for found in checks.check_store()] == ["marketdata.E003"]


def test_all_run_with_djangos_and_give_a_hint(settings):
    assert {checks.check_workers, checks.check_port, checks.check_store} <= set(
        registry.registry.get_checks()
    )
    settings.WORKERS, settings.PORT, settings.MARKET_STORES = 0, -1, {}
    found = {
        error.id: error.hint for error in run_checks() if error.id and error.id.startswith("marketdata.")
    }
    assert sorted(found) == ["marketdata.E001", "marketdata.E002", "marketdata.E003"]
    assert all(found.values())
