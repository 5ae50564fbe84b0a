"""Alpaca's portfolio history: the equity of an account at instants of a period."""

import re
from dataclasses import replace
from typing import Annotated

import numpy as np
from rest_framework.request import Request
from rest_framework.response import Response

from calendars.trading_calendar import exchange_calendar
from dialects.alpaca.accounts import AlpacaAccountView, parameter
from dialects.alpaca.hours import EXCHANGE
from store.arrays import Integers
from store.protocol import Window
from store.timestamps import DAY_NS, MINUTE_NS, SECOND_NS
from trading.api.account_view import ACCOUNT_READ, account_answer
from trading.lease import engine_status
from trading.models import Account
from trading.performance import equities_at
from trading.selectors import account_valued
from web.documents import AnswerDocument, about, like
from web.requests.exceptions import InvalidParameter
from web.requests.parameters import choice

_DAY, _MOST_POINTS = "1D", 10_000
# Steps in minutes. The equity of days is that at the end of each session.
_STEPS = {"1Min": 1, "5Min": 5, "15Min": 15, "1H": 60, _DAY: 0}
_UNIT_DAYS = {"D": 1, "W": 7, "M": 30, "A": 365}
_HOURS = ("market_hours", "continuous")
_HISTORY = (
    parameter("period", "A number and D, W, M (30 days) or A (365 days), or `all`.", default="1M"),
    parameter("timeframe", "The step. Default: by the period's length.", enum=[*_STEPS]),
    parameter("start", "The period's begin."),
    parameter("end", "The period's end. Default: now, or `period` after `start`."),
    parameter("date_start", "The period's first date, in place of `start`, as old clients send it."),
    parameter("date_end", "The period's last date, in place of `end`."),
    parameter("intraday_reporting", "The hours of steps.", enum=[*_HOURS], default=_HOURS[0]),
    parameter("pnl_reset", "per_day only with 1D.", enum=["no_reset", "per_day"], default="no_reset"),
    parameter("extended_hours", "true only with 1D.", type="boolean", default=False),
)


class AlpacaPortfolioHistory(AnswerDocument, kw_only=True):
    """The equity at instants of a period. What was paid in and out is neither profit nor loss."""

    timestamp: Annotated[list[int], about("Epoch seconds.", [1735851600])]
    equity: Annotated[list[float], like([100_099.0])]
    profit_loss: Annotated[list[float], about("Since the period's begin.", [99.0])]
    profit_loss_pct: Annotated[list[float], about("A fraction.", [0.00099])]
    base_value: Annotated[float, about("The equity at the period's begin.", 100_000.0)]
    timeframe: Annotated[str, like(_DAY)]


class AlpacaPortfolioHistoryViewSet(AlpacaAccountView):
    """The history of the key's account."""

    access = {"retrieve": replace(ACCOUNT_READ, cost="stream")}
    answers = {"retrieve": AlpacaPortfolioHistory}
    parameters = {"retrieve": _HISTORY}

    def retrieve(self, request: Request) -> Response:
        """Get the history of the equity."""
        account, now_ns = self.account(), engine_status().now_ns
        marks = account.equities.order_by("at_ns", "id").values_list("at_ns", flat=True)
        first_ns = next(iter(marks[:1]), now_ns)
        start, end = self._period(first_ns, now_ns)
        days = (end - start) / DAY_NS
        usual = "1Min" if days < 7 else "15Min" if days < 30 else _DAY
        timeframe = choice(self.query, "timeframe", _STEPS, usual)
        is_always = choice(self.query, "intraday_reporting", _HOURS, _HOURS[0]) == _HOURS[1]
        self._refuse_other_reports(is_of_days=timeframe == _DAY)
        period = Window(max(start, first_ns), min(end, now_ns))
        instants = _instants(period, _STEPS[timeframe] * MINUTE_NS, is_always=is_always)
        is_until_now = period.start_ns <= now_ns <= end
        return account_answer(
            _history(account, instants, timeframe, is_until_now=is_until_now), account.number
        )

    def _period(self, first_ns: int, now_ns: int) -> tuple[int, int]:
        """Return the begin and the end that a call asks for. first_ns: the account's begin. Raises InvalidParameter."""
        given = {"start", "date_start", "end", "date_end", "period"}.intersection(self.query)
        if len(given) > 2 or given >= {"start", "date_start"} or given >= {"end", "date_end"}:
            message = (
                "send at most two of start, end and period; date_start is in place of start, date_end of end"
            )
            raise InvalidParameter("conflicting_parameters", message)
        start, date_start, end, date_end = (
            self.instant(name) for name in ("start", "date_start", "end", "date_end")
        )
        start = start if date_start is None else date_start
        end = end if date_end is None else date_end + DAY_NS
        text = self.query.get("period", "1M")
        match = re.fullmatch(r"([1-9][0-9]{0,2})([DWMA])", text)
        if match is None and text != "all":
            message = "period must be all, or a number up to 999 and D, W, M or A, such as 1M"
            raise InvalidParameter("invalid_duration", message)
        length = None if match is None else int(match[1]) * _UNIT_DAYS[match[2]] * DAY_NS
        if start is None:
            end = now_ns if end is None else end
            return (first_ns if length is None else end - length), end
        if end is None:
            return start, start + length if length and "period" in given else max(start, now_ns)
        if start >= end:
            raise InvalidParameter("invalid_range", "start must be before end")
        return start, end

    def _refuse_other_reports(self, *, is_of_days: bool) -> None:
        """Refuse what would change steps within days. Raises InvalidParameter."""
        resets = choice(self.query, "pnl_reset", ("no_reset", "per_day"), "no_reset")
        if not is_of_days and (resets != "no_reset" or self.flag("extended_hours")):
            message = f"pnl_reset=per_day and extended_hours=true go with timeframe={_DAY} only"
            raise InvalidParameter("invalid_parameter", message)


def _instants(period: Window, step_ns: int, *, is_always: bool) -> Integers:
    """Return the begin of a period, then the instants of the history: the ends of sessions (step 0), or of steps."""
    if period.start_ns > period.end_ns:
        return np.empty(0, np.int64)
    begins, ends = np.array([period.start_ns // DAY_NS * DAY_NS]), np.array([period.end_ns])
    if not (is_always and step_ns):
        schedule = exchange_calendar(EXCHANGE).on_dates(period.start_ns // DAY_NS, period.end_ns // DAY_NS)
        begins, ends = schedule.open_ns, schedule.close_ns
    if step_ns:
        if int((ends - begins).sum()) // step_ns > _MOST_POINTS:
            raise InvalidParameter("range_too_large", f"a history has at most {_MOST_POINTS:,} points")
        steps = [np.arange(begin, end + 1, step_ns) for begin, end in zip(begins, ends, strict=True)]
        ends = np.concatenate([np.empty(0, np.int64), *steps])
    return np.append(period.start_ns, ends[(ends >= period.start_ns) & (ends < period.end_ns)])


def _history(
    account: Account, instants: Integers, timeframe: str, *, is_until_now: bool
) -> AlpacaPortfolioHistory:
    """Return the equity at instants, of which the first one is the period's begin."""
    points = equities_at(account, instants)
    if is_until_now:
        valued = account_valued(account)
        equity = valued.state.equity if valued.equity is None else valued.equity
        instants = np.append(instants, valued.now_ns)
        start_equity = float(valued.state.start_equity)
        points = np.append(points, [(float(equity), start_equity, float(valued.state.paid_in))], axis=0)
    equities, start_equities, paid_in = points.T
    growth = np.divide(equities, start_equities, out=np.ones(len(points)), where=start_equities > 0)
    profit = equities - equities[:1] - (paid_in - paid_in[:1])
    return AlpacaPortfolioHistory(
        timestamp=(instants[1:] // SECOND_NS).tolist(),
        equity=equities[1:].round(6).tolist(),
        profit_loss=profit[1:].round(6).tolist(),
        profit_loss_pct=(growth / growth[:1] - 1)[1:].round(9).tolist(),
        base_value=float(equities[0]) if len(equities) else 0.0,
        timeframe=timeframe,
    )
