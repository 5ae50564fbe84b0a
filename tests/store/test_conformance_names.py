"""Aliases with dates: what a name means on a date, and which may stand side by side, in every store."""

from collections.abc import Sequence

import pytest

from store.aliases import Alias, DatedAlias
from store.exceptions import AliasTaken, UnknownSymbol
from store.instruments import Instrument
from store.timestamps import parse_timestamp
from tests.store.builders import batch, trade

PAST = DatedAlias("FB", "2012-05-18", "2022-06-09")
NEXT = DatedAlias("FB", "2022-06-09")
META = Instrument("META", aliases=("FACEBOOK", PAST))


def on(date: str) -> int:
    return parse_timestamp(date)


@pytest.mark.parametrize(
    ("name", "date", "symbol"),
    [
        ("FB", "2012-05-18", "META"),
        ("FB", "2022-06-08T23:59:59.999999999Z", "META"),
        ("FB", "2022-06-09", "FB"),
        ("FB", "2012-05-17", "FB"),
        ("FB", None, "FB"),
        ("FACEBOOK", "1999-01-01", "META"),
        ("FACEBOOK", None, "META"),
        ("META", "2000-01-01", "META"),
        ("NOBODY", "2000-01-01", "NOBODY"),
    ],
)
def test_a_name_means_its_holder_of_the_date(store, name: str, date: str | None, symbol: str):
    store.set_instrument(META)
    assert store.canonical(name, None if date is None else on(date)) == symbol


def test_a_name_used_again_means_two_instruments(store):
    store.set_instruments([META, Instrument("FB.2022", aliases=(NEXT,))])
    assert [store.canonical("FB", at) for at in (on("2020-01-01"), on("2023-01-01"), None)] == [
        "META", "FB.2022", "FB.2022",
    ]  # fmt: skip
    assert store.instrument("FB").symbol == "FB.2022"
    with pytest.raises(UnknownSymbol):  # without a date it is FB.2022's
        store.canonical("FB", on("2000-01-01"))
    store.set_instrument(Instrument("META"))
    with pytest.raises(UnknownSymbol):
        store.canonical("FB", on("2020-01-01"))


def test_a_past_name_may_be_a_symbol_with_data(store):
    store.append(batch(trade(), symbol="FB"))
    store.set_instruments([META, Instrument("FB", exchange="XNAS")])
    assert [store.canonical("FB", at) for at in (on("2020-01-01"), on("2023-01-01"), None)] == [
        "META", "FB", "FB",
    ]  # fmt: skip
    assert store.instrument("FB").exchange == "XNAS"
    assert [each.symbol for each in store.declared_instruments()] == ["FB", "META"]


@pytest.mark.parametrize(
    ("symbol", "aliases"),
    [
        ("A", ("FB",)),
        ("A", (DatedAlias("FB", "2022-06-08"),)),
        ("A", (DatedAlias("FB", None, "2012-05-19"),)),
        ("A", (DatedAlias("FB", "2015-01-01", "2016-01-01"),)),
        ("A", (DatedAlias("FACEBOOK", None, "1990-01-01"),)),
        ("A", (DatedAlias("IBM", "2020-01-01"),)),
        ("A", (DatedAlias("META", "2020-01-01"),)),
        ("A", (DatedAlias("A", None, "2020-01-01"),)),
        ("FACEBOOK", ()),
    ],
    ids=[
        "always", "one day too early", "until one day too late", "within", "before an alias of always", "with data",
        "has aliases itself", "its own symbol", "told under an alias",
    ],
)  # fmt: skip
def test_a_name_of_another_at_the_time_is_taken(store, symbol: str, aliases: Sequence[Alias]):
    store.append(batch(trade(), symbol="IBM"))
    store.set_instrument(META)
    with pytest.raises(AliasTaken):
        store.set_instrument(Instrument(symbol, aliases=tuple(aliases)))


def test_names_side_by_side_are_declared_in_one_call_or_two(store):
    before = DatedAlias("FB", None, "2012-05-18")
    store.set_instruments([META, Instrument("OLD", aliases=(before, DatedAlias("META", None, "2021-01-01")))])
    store.set_instrument(Instrument("NEW", aliases=(NEXT,)))
    assert [store.canonical("FB", on(f"{year}-01-01")) for year in (2000, 2020, 2023)] == [
        "OLD",
        "META",
        "NEW",
    ]
    assert [store.canonical("META", on(f"{year}-01-01")) for year in (2000, 2023)] == ["OLD", "META"]
    assert store.instrument("OLD").aliases == (before, DatedAlias("META", None, "2021-01-01"))
    with pytest.raises(AliasTaken):
        store.set_instruments(
            [Instrument("X", aliases=("Z",)), Instrument("Y", aliases=(DatedAlias("Z", "2020-01-01"),))]
        )
