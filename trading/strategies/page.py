"""The page of a backtest in a browser: what its charts and tables show."""

from collections.abc import Mapping
from typing import Any

import orjson

from jobs.kinds import Document
from stats.rendering.answer_tables import Links, answer_sections
from stats.rendering.renderers import QueryFormRenderer

# For programs: the tables leave them out.
_NOT_SHOWN = ("id", "order_id", "checks")


class BacktestPageRenderer(QueryFormRenderer):
    """The page of a backtest: the curves, the trades on candles, and tables of all that the run says."""

    template = "strategies/backtest.html"

    def get_context(
        self, data: Any, accepted_media_type: str | None, renderer_context: Mapping[str, Any]
    ) -> dict[str, Any]:
        context = super().get_context(data, accepted_media_type, renderer_context)
        if context["problem"] or not context["content"] or renderer_context["view"].action != "retrieve":
            return context
        job = orjson.loads(context["content"])
        return {
            **context,
            "job": job,
            "name": f"Backtest of {job['parameters'].get('strategy', '')}",
            "description": "",
            "drawn": job["result"] and _drawn(job["result"]),
            "sections": answer_sections(_shown(job), Links()),
            "is_running": "cancel" in job["links"],
        }


def _drawn(result: Document) -> Document:
    """Return what the page's charts show of a result."""
    inputs = result["inputs"]
    return {
        "symbols": inputs["symbols"],
        "start": inputs["start"],
        "end": inputs["end"],
        "curve": result["performance"]["drawdown_curve"],
        "trades": [
            {name: trade[name] for name in ("symbol", "direction", "opened_at", "closed_at", "pnl")}
            for trade in result["trades"]
        ],
        "trades_in_all": result["performance"]["trades"],
        "positions": result["positions"],
    }


def _shown(job: Document) -> Document:
    """Return what the page's tables show of a backtest."""
    facts = {name: job[name] for name in ("state", "progress", "error") if job[name]}
    result = job["result"]
    if not result:
        return facts | {"inputs": job["parameters"]}
    signals, trades = result["signals"], result["trades"]
    refused = [row for row in signals["rows"] if row["refused"]]
    figures = {name: value for name, value in result["performance"].items() if name != "drawdown_curve"}
    return {
        "state": job["state"],
        **({"notice": result["notice"]} if result.get("notice") else {}),
        "figures": _readable(figures),
        "honesty": _readable(result.get("honesty")),
        "signals": _readable({name: value for name, value in signals.items() if name != "rows"}),
        _of_all(
            "refused signals", "signals", len(signals["rows"]), signals["accepted"] + signals["refused"]
        ): (_readable(refused)),
        _of_all("trades", "trades", len(trades), figures["trades"]): _readable(trades),
        "open at the end": _readable(result["positions"]),
        "inputs": result["inputs"],
        "declared terms": result["terms"],
        "assumptions": [{"assumption": each.replace("`", "")} for each in result["assumptions"]],
    }


def _of_all(title: str, noun: str, kept: int, count: int) -> str:
    """Return the title of a table. It says if it was made of the first rows only."""
    return title if kept == count else f"{title}: of the first {kept:,} of {count:,} {noun}"


def _readable(value: Any) -> Any:
    """Return a value with names in words, numbers of eight digits, and without what only programs need."""
    match value:
        case dict():
            shown = {name: each for name, each in value.items() if name not in _NOT_SHOWN}
            return {name.replace("_", " "): _readable(each) for name, each in shown.items()}
        case list():
            return [_readable(each) for each in value]
        case float():
            return float(f"{value:.8g}")
    return value
