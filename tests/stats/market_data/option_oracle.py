"""What option quotes must say: Black-Scholes-Merton in closed form, its volatility by bisection, the forward by parity.

Hull, J., "Options, Futures, and Other Derivatives": chapter 15 (price), 19 (greeks), 11 (put-call parity).
Units: theta per calendar day, vega and rho per percentage point.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from math import erf, exp, log, pi, sqrt

from tests.stats.market_data.oracle import SECOND_NS, Row, ordered

YEAR_NS = 365 * 86_400 * SECOND_NS
GREEKS = ("delta", "gamma", "theta", "vega", "rho", "iv")


def cumulative(x: float) -> float:
    return (1 + erf(x / sqrt(2))) / 2


def density(x: float) -> float:
    return exp(-x * x / 2) / sqrt(2 * pi)


@dataclass(frozen=True, slots=True)
class European:
    """A call (sign 1) or a put (-1); rates per year, continuously compounded, t in years."""

    sign: int
    spot: float
    strike: float
    t: float
    rate: float
    dividend_yield: float

    def _d(self, volatility: float) -> tuple[float, float]:
        spread = volatility * sqrt(self.t)
        carry = self.rate - self.dividend_yield
        first = (log(self.spot / self.strike) + (carry + volatility**2 / 2) * self.t) / spread
        return first, first - spread

    def price(self, volatility: float) -> float:
        first, second = self._d(volatility)
        spot, strike = self.spot * exp(-self.dividend_yield * self.t), self.strike * exp(-self.rate * self.t)
        return self.sign * (spot * cumulative(self.sign * first) - strike * cumulative(self.sign * second))

    def implied(self, price: float) -> float | None:
        """The volatility at which it has the price; None if there is none."""
        low, high = 1e-9, 20.0
        if not self.price(low) < price < self.price(high):
            return None
        for _ in range(200):
            middle = (low + high) / 2
            low, high = (middle, high) if self.price(middle) < price else (low, middle)
        return (low + high) / 2

    def greeks(self, volatility: float) -> dict[str, float]:
        first, second = self._d(volatility)
        carried, discounted = exp(-self.dividend_yield * self.t), exp(-self.rate * self.t)
        decay = self.spot * carried * density(first) * volatility / (2 * sqrt(self.t))
        interest = self.sign * self.rate * self.strike * discounted * cumulative(self.sign * second)
        paid = self.sign * self.dividend_yield * self.spot * carried * cumulative(self.sign * first)
        return {
            "delta": self.sign * carried * cumulative(self.sign * first),
            "gamma": carried * density(first) / (self.spot * volatility * sqrt(self.t)),
            "theta": (paid - interest - decay) / 365,
            "vega": self.spot * carried * density(first) * sqrt(self.t) / 100,
            "rho": self.sign * self.strike * self.t * discounted * cumulative(self.sign * second) / 100,
        }


def middle(quote: Row | None) -> float | None:
    """The mid price of a quote with both sides."""
    if quote is None or quote.get("bid") is None or quote.get("ask") is None:
        return None
    return float((Decimal(str(quote["bid"])) + Decimal(str(quote["ask"]))) / 2)


def known_at(rows: Iterable[Row], time_ns: int) -> Row | None:
    """The last row at or before an instant."""
    before: Sequence[Row] = [row for row in ordered(rows) if row["time_ns"] <= time_ns]
    return before[-1] if before else None


def parity_forward(call: float, put: float, *, strike: float, rate: float, t: float) -> float:
    return strike + (call - put) * exp(rate * t)


@dataclass(frozen=True, slots=True)
class Chain:
    """A call and a put of one strike and expiry, European, in US dollars, and what they are derived from.

    Rows as they were ingested. last_trade_ns: when both are traded for the last time. rate: asked for;
    without forwards by parity nothing is paid on the underlying.
    """

    call: Sequence[Row]
    put: Sequence[Row]
    underlying_quotes: Sequence[Row]
    underlying_trades: Sequence[Row]
    strike: float
    last_trade_ns: int
    rate: float

    def spot(self, time_ns: int) -> tuple[float, int]:
        """The newer one, and when it was, of the underlying's mid price and its last trade.

        Of the mid price each side is as last named.
        """
        sides = [
            known_at([row for row in self.underlying_quotes if row.get(side) is not None], time_ns)
            for side in ("bid", "ask")
        ]
        trade = known_at(self.underlying_trades, time_ns)
        found = [] if trade is None else [(trade["time_ns"], 0, trade["price"])]
        bid, ask = sides
        if bid is not None and ask is not None and bid["bid"] <= ask["ask"]:
            found.append((max(bid["time_ns"], ask["time_ns"]), 1, (bid["bid"] + ask["ask"]) / 2))
        when, _, price = max(found)
        return float(price), when

    def forward(self, time_ns: int, t: float) -> float | None:
        """By parity of the two quotes that stand, both with two sides that do not cross."""
        call, put = known_at(self.call, time_ns), known_at(self.put, time_ns)
        mids = [middle(quote) for quote in (call, put) if quote is not None and not is_crossed(quote)]
        if len(mids) < 2 or None in mids:
            return None
        return parity_forward(
            float(mids[0] or 0), float(mids[1] or 0), strike=self.strike, rate=self.rate, t=t
        )

    def call_values(self, quote: Row) -> Row:
        """What a quote of the call implies, and what it was found from."""
        time_ns, price = quote["time_ns"], middle(quote)
        t = (self.last_trade_ns - time_ns) / YEAR_NS
        spot, spot_ns = self.spot(time_ns)
        forward = self.forward(time_ns, t)
        paid = 0.0 if forward is None else self.rate - log(forward / spot) / t
        option = European(1, spot, self.strike, t, self.rate, paid)
        volatility = None if price is None else option.implied(price)
        greeks = (
            dict.fromkeys(GREEKS) if volatility is None else {**option.greeks(volatility), "iv": volatility}
        )
        return {
            "time_ns": time_ns, "bid": quote.get("bid"), "ask": quote.get("ask"), **greeks,
            "price": price, "spot": spot, "spot_timestamp": spot_ns,
            "forward": spot * exp(self.rate * t) if forward is None else forward,
            "forward_source": "spot" if forward is None else "parity",
            "rate": self.rate, "rate_source": "request", "dividend_yield": paid, "dividends": 0.0, "t": t,
            "reason": "one_sided" if price is None else "no_solution" if volatility is None else None,
        }  # fmt: skip


def is_crossed(quote: Row) -> bool:
    return quote.get("bid") is not None and quote.get("ask") is not None and bool(quote["bid"] > quote["ask"])
