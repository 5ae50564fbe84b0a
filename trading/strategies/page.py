"""The page of a backtest in a browser: its headline figures, and what its charts show."""

from collections.abc import Mapping
from typing import Any

import msgspec
from django.conf import settings

from stats.rendering.renderers import QueryFormRenderer
from trading.core.configuration import LIMITS
from web.requests.json_fields import JsonObject


class BacktestPageRenderer(QueryFormRenderer):
    """The page of a backtest: the curves, the trades on candles, and all that the run says as JSON."""

    template = "strategies/backtest.html"

    def get_context(
        self, data: Any, accepted_media_type: str | None, renderer_context: Mapping[str, Any]
    ) -> dict[str, Any]:
        context = super().get_context(data, accepted_media_type, renderer_context)
        if context["problem"] or not context["content"] or renderer_context["view"].action != "retrieve":
            return context
        job = msgspec.json.decode(context["content"])
        return {
            **context,
            "job": job,
            "name": f"Backtest of {job['parameters'].get('strategy', '')}",
            "description": "",
            "figures": job["result"] and _headline(job["result"]["performance"]),
            "notice": job["result"] and job["result"]["notice"],
            "limits": job["result"] and _limits_text(job["result"]["inputs"]),
            "drawn": job["result"] and _drawn(job["result"]),
            "has_charts": settings.HAS_CHARTS,
            "is_running": "cancel" in job["links"],
        }


def _headline(performance: JsonObject) -> list[tuple[str, str]]:
    """Return the names and values of the figures that the page begins with; a dash for those that are not defined."""
    win_rate = performance["win_rate"]
    figures = (
        ("Return", performance["return_pct"], "{:+z.2f} %"),
        ("Max. drawdown", -performance["max_dd"], "{:z.2f} %"),
        ("Sharpe ratio", performance["sharpe"], "{:z.2f}"),
        ("Trades", performance["trades"], "{:,}"),
        ("Win rate", None if win_rate is None else 100 * win_rate, "{:.0f} %"),
        ("Profit factor", performance["profit_factor"], "{:.2f}"),
    )
    texts = ((name, "\N{EN DASH}" if value is None else text.format(value)) for name, value, text in figures)
    return [(name, text.replace("+0.00 ", "0.00 ").replace("-", "\N{MINUS SIGN}")) for name, text in texts]


def _limits_text(inputs: JsonObject) -> str:
    """Return which limits and zones the backtest ran with."""
    if inputs["risk"] == "account":
        return "With the limits and zones of an account."
    held = ", ".join(f"{name} {inputs['config'][name]:g}" for name in LIMITS if name in inputs["config"])
    return f"With no limits and zones but {held}." if held else "Without limits and zones."


def _drawn(result: JsonObject) -> JsonObject:
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
