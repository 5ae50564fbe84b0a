from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest

from stats.caching import tiers


def test_threads_that_begin_together_get_the_same_tiers(
    tmp_path: Path, settings, monkeypatch: pytest.MonkeyPatch
):
    settings.RUN_DIR = tmp_path / "run"
    monkeypatch.setattr(tiers, "_assembled", [])
    together = Barrier(8)

    def first(_: int) -> tiers.Tiers:
        together.wait()
        return tiers.process_tiers()

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(first, range(8)))
    assert len({id(each) for each in found}) == 1
    assert (tmp_path / "run" / "cache-epochs").exists()
