"""IBM's real prints of a morning, posted in shuffled batches with corrections: live bars are those of REST."""

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pytest
import time_machine

from store.datasets import TRADES
from store.instruments import Instrument
from store.protocol import Action, Amendment, Append, Correction, Dedupe
from store.timestamps import SECOND_NS
from tests.chance import SOAK, chosen_seed
from tests.stats.live.channels import HOUR_NS, MINUTE_NS, Client, differences, is_final, rest_bars
from tests.store.real_data import equity_trades, midnight_ns
from trades.stores import market_store

pytestmark = [pytest.mark.django_db, pytest.mark.system]

IBM = "IBM"
MIDNIGHT_NS = midnight_ns(2013, 10, 7)
# From before the open to the middle of a minute.
START_NS, END_NS = MIDNIGHT_NS + 9 * HOUR_NS, MIDNIGHT_NS + 11 * HOUR_NS + 20 * SECOND_NS
BATCHES = 24


@pytest.fixture(scope="module")
def prints() -> pa.RecordBatch:
    """The prints of the morning, each with an id; a few minutes out of order, but not the last."""
    rows = equity_trades("equity/ibm_20131007_tick_trade.csv", MIDNIGHT_NS).select(TRADES.schema.names)
    time_ns = rows.column("timestamp").to_numpy()
    rows = rows.filter(pa.array((time_ns >= START_NS) & (time_ns < END_NS)))
    rows = rows if SOAK else rows.take(pa.array(np.arange(0, len(rows), 8)))
    ids = pa.array([f"p{number}" for number in range(len(rows))])
    rows = rows.set_column(TRADES.schema.get_field_index("trade_id"), TRADES.schema.field("trade_id"), ids)
    delay_ns = np.random.default_rng(chosen_seed()).integers(0, 3 * MINUTE_NS, len(rows))
    delay_ns[-1] = 3 * MINUTE_NS
    (batch,) = (
        rows.take(pa.array(np.argsort(rows.column("timestamp").to_numpy() + delay_ns)))
        .combine_chunks()
        .to_batches()
    )
    return batch


def written(prints: pa.RecordBatch) -> Iterator[int]:
    """Store the batches and, after some of them, corrections of rows in them. Yields the time before each write."""
    chance = np.random.default_rng(chosen_seed())
    size = -(-len(prints) // BATCHES)
    for number in range(BATCHES):
        part = prints.slice(number * size, size)
        now_ns = int(part.column("timestamp").to_numpy().max()) + SECOND_NS
        yield now_ns
        market_store().append(Append(TRADES, IBM, part, "test", Dedupe.NONE))
        if number % 4 == 3:
            yield now_ns + SECOND_NS
            rows = part.take(pa.array(chance.choice(len(part), 4, replace=False))).to_pylist()
            new: list[dict[str, object]] = [{}, {"price": 180.0}, {"volume": 1.0}, {"conditions": "odd_lot"}]
            corrections = [
                Correction(
                    Action.CORRECT if values else Action.CANCEL,
                    row["timestamp"],
                    {"trade_id": row["trade_id"]},
                    new=values,
                )
                for row, values in zip(rows, new, strict=True)
            ]
            market_store().correct(Amendment(TRADES, IBM, tuple(corrections), "test"))


@pytest.mark.parametrize("policy", ["all", "us_equities"])
def test_live_bars_are_those_of_rest_and_a_feed_that_stops_leaves_the_last_open(
    default_store, prints: pa.RecordBatch, policy: str
):
    with time_machine.travel(START_NS / 1e9, tick=False) as traveller:
        market_store().set_instrument(Instrument(IBM, exchange="XNYS", bar_policy=policy))
        names = (f"bars.1m:{IBM}", f"bars.1m:{IBM}?hours=regular", f"bars.1d:{IBM}")
        clients = [Client(name) for name in names]
        now_ns = START_NS
        for written_ns in written(prints):
            for client in clients:
                client.follow()
                assert not differences(client.bars, rest_bars(client.query, now_ns=now_ns))
            now_ns = max(now_ns, written_ns)
            traveller.move_to(now_ns / 1e9)
        for client in clients:
            client.follow()
            assert not differences(client.bars, rest_bars(client.query, now_ns=now_ns))
        traveller.move_to((now_ns + HOUR_NS) / 1e9)
        for client in clients:
            client.follow()
        assert not any(is_final(client.bars[max(client.bars)]) for client in clients)
        assert sum(map(is_final, clients[0].bars.values())) > 90
