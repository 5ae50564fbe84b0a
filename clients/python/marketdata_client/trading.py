"""Calls of trading: orders, what an account holds, backtests. Each order and each job is made once, also after retries."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any
from uuid import uuid4

from marketdata_client.bodies import object_in
from marketdata_client.calls import post_call
from marketdata_client.errors import BadAnswer
from marketdata_client.exchange import answered
from marketdata_client.jobs import Job, job_result
from marketdata_client.site import Call, Site, segment
from marketdata_client.steps import Flow

_ROOT = "/api/v1"


def portfolio(site: Site, account: str | None) -> Flow[dict[str, Any]]:
    """Return an account's positions and money. account: None for the only one that the key sees."""
    call = Call("GET", f"{_ROOT}/portfolio", {"account": account})
    return object_in((yield from answered(site, call)).body)


def order_placed(
    site: Site, terms: Mapping[str, Any], account: str | None, client_order_id: str | None
) -> Flow[dict[str, Any]]:
    """Place an order, and return it. terms: as docs/trading.md has them; those that are None are left out."""
    call = _once("/orders", {**terms, "client_order_id": client_order_id}, account)
    return object_in((yield from answered(site, call)).body)


def order_cancelled(site: Site, order_id: str, account: str | None) -> Flow[dict[str, Any]]:
    """Ask for the cancel of an order, and return it."""
    call = Call("DELETE", f"{_ROOT}/orders/{segment(order_id)}", {"account": account})
    return object_in((yield from answered(site, call)).body)


def backtested(
    site: Site,
    strategy: str,
    symbols: Sequence[str],
    terms: Mapping[str, Any],
    on_progress: Callable[[Job], object],
) -> Flow[Any]:
    """Run a backtest, and return its result. Raises `JobFailed`."""
    if isinstance(symbols, str):
        raise TypeError("give the symbols in a list")
    call = _once("/backtests", {"strategy": strategy, "symbols": list(symbols), **terms})
    job = object_in((yield from answered(site, call)).body)
    if not isinstance(job.get("id"), str):
        raise BadAnswer("the job has no id")
    return (yield from job_result(site, job["id"], on_progress))


def _once(path: str, terms: Mapping[str, Any], account: str | None = None) -> Call:
    """Return a POST that is sent again without harm. Terms that are None are left out."""
    body = {name: value for name, value in terms.items() if value is not None}
    call = post_call(_ROOT + path, body, idempotency_key=uuid4().hex)
    return replace(call, query={"account": account})
