"""Bars without a volume: every store keeps them, tells them from other values, and copies them exactly."""

from pathlib import Path
from typing import Any

import pytest

from store.copying import copy_log
from store.csv import CsvStore
from store.datasets import BARS
from store.exceptions import IdConflict
from store.market_store import MarketStore
from store.protocol import ALL_TIME, Action, Amendment, Correction, Receipt
from tests.memory_store import MemoryStore
from tests.store.builders import MINUTE, NOON, SYMBOL, Row, append_of, bar
from tests.store.walking import flat, walk

VOLUMES: dict[str, list[float | None]] = {
    "none": [None] * 5,
    "some": [None, 7.5, 0.0, None, 2.0],
    "many": [None if number % 3 else number * 0.5 for number in range(450)],
}


def rows(volumes: list[float | None]) -> list[Row]:
    return [bar(minute, 5.0, volume=volume) for minute, volume in enumerate(volumes)]


def send(store: MarketStore, *sent: Row, **terms: Any) -> Receipt:
    return store.append(append_of(BARS, *sent, **terms))


def stored(store: MarketStore, commit: int | None = None) -> list[Row]:
    found: list[Row] = store.log(BARS, SYMBOL).at(commit).rows(ALL_TIME).to_pylist()
    return found


@pytest.mark.parametrize("name", VOLUMES)
def test_volumes_come_back_as_they_were_and_are_recognised(store: MarketStore, name: str):
    sent = rows(VOLUMES[name])
    send(store, *sent)
    assert stored(store) == sent
    assert send(store, *sent).duplicates == len(sent)
    send(store, bar(1_000, 5.0), bar(1_001, 5.0, volume=None))
    assert [each["volume"] for each in stored(store)] == [*VOLUMES[name], 5.0, None]


@pytest.mark.parametrize(("kept", "sent"), [(None, 5.0), (5.0, None), (None, 0.0), (0.0, None)])
def test_an_unknown_volume_is_another_value_than_a_number(
    store: MarketStore, kept: float | None, sent: float | None
):
    send(store, bar(0, 5.0, volume=kept))
    with pytest.raises(IdConflict):
        send(store, bar(0, 5.0, volume=sent))
    with pytest.raises(IdConflict):
        send(store, bar(1, 5.0, volume=kept), bar(1, 5.0, volume=sent))
    assert send(store, bar(0, 5.0, volume=sent), replaces=True).replaced == 1
    assert [each["volume"] for each in stored(store)] == [sent]
    assert [each["volume"] for each in stored(store, commit=1)] == [kept]


def test_a_volume_is_corrected_to_a_number_and_back(store: MarketStore):
    send(store, bar(0, 5.0, volume=None), bar(1, 5.0))
    for minute, volume in ((0, 3.0), (1, None)):
        change = Correction(Action.CORRECT, NOON + minute * MINUTE, {"resolution": "1m"}, {"volume": volume})
        for count in (1, 0):
            assert store.correct(Amendment(BARS, SYMBOL, (change,), "key:1")).stored == count
    versions = [[each["volume"] for each in stored(store, commit)] for commit in (1, 2, 3)]
    assert versions == [[None, 5.0], [3.0, 5.0], [3.0, None]]


def test_a_copy_has_the_same_commits(store: MarketStore, tmp_path: Path):
    send(store, *rows(VOLUMES["some"]))
    send(store, *rows(VOLUMES["many"])[5:])
    for copy in (MemoryStore(), CsvStore(tmp_path / "copy")):
        copy_log(store.log(BARS, SYMBOL), copy.log(BARS, SYMBOL))
        assert flat(walk(copy, dataset=BARS)) == flat(walk(store, dataset=BARS))
        assert stored(copy) == stored(store)
