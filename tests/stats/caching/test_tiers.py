from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest

from stats.caching import tiers


def test_threads_that_begin_together_get_the_same_tiers(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(tiers, "_tiers_of_process", [])
    together = Barrier(8)

    def first(_: int) -> tiers.CacheTiers:
        together.wait()
        return tiers.process_tiers()

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(first, range(8)))
    assert len({id(each) for each in found}) == 1
