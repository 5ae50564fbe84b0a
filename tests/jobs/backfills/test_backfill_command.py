"""`manage.py backfill` works without a server, and says what became of each gap."""

import json
from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from store.datasets import TRADES
from store.protocol import ALL_TIME
from store.timestamps import format_timestamp
from tests.jobs.backfills.gap_market import LOST, SCHEDULE, TIMES, without
from tests.stats.market_data.absence.quiet_market import store_trades
from trades.stores import market_store

pytestmark = pytest.mark.django_db(transaction=True)
RANGE = (
    f"--start={format_timestamp(int(SCHEDULE.open_ns[0]))}",
    f"--end={format_timestamp(int(SCHEDULE.close_ns[-1]))}",
)


def said(*arguments: str) -> str:
    out = StringIO()
    call_command("backfill", *arguments, stdout=out)
    return out.getvalue()


def test_gaps_are_filled_and_shown(default_store, archive) -> None:
    store_trades(without(LOST))
    archive()
    shown = said("gen", *RANGE)
    assert format_timestamp(LOST[0]) in shown
    assert "gaps: 1, filled: 1, rows: 120" in shown
    assert market_store().log(TRADES, "GEN").at().rows(ALL_TIME).num_rows == len(TIMES)
    assert json.loads(said("GEN", *RANGE, "--json"))["gaps"] == 0


def test_what_is_wrong_is_told_in_a_sentence(default_store, archive) -> None:
    with pytest.raises(CommandError, match="end: must be later than start"):
        said("GEN", "--start=2025-01-03", "--end=2025-01-02")
    with pytest.raises(CommandError, match="nothing is stored under the symbol NONE"):
        said("NONE", *RANGE)
