"""The best bid and offer by a plain replay of all venues, one quote after the other, without code of the project."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

Row = dict[str, Any]
# Of conditions in the tests, those that keep a quote out.
KEPT_OUT = {"non_firm", "closed_quote", "suspicious"}


class Replay:
    """The standing quote of each venue, and a row for each change so far."""

    def __init__(self) -> None:
        self.standing: dict[str | None, Row] = {}
        self.rows: list[Row] = []
        self._last = _best({})

    def quote(self, quote: Row, until: int | None) -> None:
        """Take a venue's quote, which stands until an instant; None if it takes no part."""
        self.standing.pop(quote["exchange"], None)
        if until is not None:
            self.standing[quote["exchange"]] = {**quote, "until": until}
        self._look(quote["time_ns"])

    def end_until(self, time_ns: int) -> None:
        """End what stands no longer. What ends at the very instant makes no row: a quote comes then, or the end."""
        ends = sorted({each["until"] for each in self.standing.values() if each["until"] <= time_ns})
        for instant in ends:
            self.standing = {venue: each for venue, each in self.standing.items() if each["until"] > instant}
            if instant < time_ns:
                self._look(instant)

    def _look(self, time_ns: int) -> None:
        best = _best(self.standing)
        if best != self._last:
            self.rows.append({"time_ns": time_ns, **best})
            self._last = best


def best_rows(
    quotes: Sequence[Row], *, max_age_ns: int, closes_ns: Callable[[str | None, int], int | None], end_ns: int
) -> list[Row]:
    """Return a row for each change before `end_ns`.

    quotes: in order. closes_ns: takes a venue and an instant; returns when the venue closes, None if it is closed.
    """
    replay = Replay()
    for order, quote in enumerate(quotes):
        time_ns, venue = quote["time_ns"], quote["exchange"]
        replay.end_until(time_ns)
        close_ns = closes_ns(venue, time_ns)
        takes_part = close_ns is not None and KEPT_OUT.isdisjoint((quote["conditions"] or "").split(";"))
        until = min(time_ns + max_age_ns, close_ns or 0) if takes_part else None
        replay.quote({**quote, "order": order}, until)
    replay.end_until(end_ns)
    return replay.rows


def _best(standing: dict[str | None, Row]) -> Row:
    bids, asks = list(_sides(standing, "bid")), list(_sides(standing, "ask"))
    bid = max(bids, key=lambda each: (each["bid"], each["bid_size"] or 0, -each["order"]), default=None)
    ask = max(asks, key=lambda each: (-each["ask"], each["ask_size"] or 0, -each["order"]), default=None)
    return {
        "bid": bid and bid["bid"], "bid_size": bid and bid["bid_size"],
        "ask": ask and ask["ask"], "ask_size": ask and ask["ask_size"],
        "bid_exchange": bid and bid["exchange"], "ask_exchange": ask and ask["exchange"],
        "state": _state(bid, ask),
    }  # fmt: skip


def _sides(standing: dict[str | None, Row], side: str) -> Iterator[Row]:
    for each in standing.values():
        price, size = each[side], each[f"{side}_size"]
        if price is not None and size != 0 and (price != 0 or size is not None):
            yield each


def _state(bid: Row | None, ask: Row | None) -> str:
    if bid is None or ask is None:
        return "empty" if bid is ask else "one_sided"
    if bid["bid"] == ask["ask"]:
        return "locked"
    return "crossed" if bid["bid"] > ask["ask"] else "normal"
