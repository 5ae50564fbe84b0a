"""The JSON bodies of errors where clients do not read RFC 9457: paths without a version, and those of dialects."""

from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from django.http import HttpRequest, HttpResponse

from marketdata_project.versions import is_unversioned
from web.problem_body import CONTENT_TYPE

SHAPED_CONTENT_TYPE = "application/json"
Shape = Callable[[Mapping[str, Any]], dict[str, Any]]


def _unversioned_body(problem: Mapping[str, Any]) -> dict[str, Any]:
    return {"error": problem["message"], "code": problem["status"], **_added_members(problem)}


# Alpaca's own codes; by some of them ccxt chooses its exceptions. All others are the status with zeros behind it.
_ALPACA_CODES = {
    "client_order_id_reused": 40_010_001,
    "risk_refused": 40_310_000,
    "unknown_order": 40_410_000,
    "trading_halted": 40_310_000,
    "trading_stopped": 40_310_000,
    "unknown_position": 40_410_000,
    "unknown_watchlist": 40_410_000,
}
# Its statuses where they are others than ours.
_ALPACA_STATUSES = {"order_not_open": 422, "risk_refused": 403, "trading_halted": 403, "trading_stopped": 403}

# The members with which it says how much of a position can be sold.
_ALPACA_MEMBERS = ("available", "existing_qty", "held_for_orders", "related_orders", "symbol")


def _alpaca_body(problem: Mapping[str, Any]) -> dict[str, Any]:
    """Alpaca's codes begin with the status."""
    status = _ALPACA_STATUSES.get(problem["code"], problem["status"])
    code = _ALPACA_CODES.get(problem["code"], status * 100_000)
    message = problem["message"]
    if problem["code"] in {"invalid_cursor", "resync"}:
        message = message.replace("cursor", "page_token")
    own = {name: problem[name] for name in _ALPACA_MEMBERS if name in problem}
    return {"code": code, "message": message, **own, **_added_members(problem)}


def _udf_body(problem: Mapping[str, Any]) -> dict[str, Any]:
    """TradingView's adapter reads the body, whatever the status."""
    return {"s": "error", "errmsg": problem["message"], **_added_members(problem)}


def _added_members(problem: Mapping[str, Any]) -> dict[str, Any]:
    return {"reason": problem["code"], **{name: problem[name] for name in ("correlation_id", "errors")}}


# The versions of Alpaca's API: v2 of stocks and trading, v1beta1 of options, v1beta3 of crypto.
_SHAPES: dict[str, Shape] = {
    "/api/v2/": _alpaca_body,
    "/api/v1beta1/": _alpaca_body,
    "/api/v1beta3/": _alpaca_body,
    "/udf/": _udf_body,
}


def shape_of(path: str) -> Shape | None:
    """Return the shape of errors at a decoded path; None for RFC 9457's."""
    if is_unversioned(path):
        return _unversioned_body
    if path.removesuffix("/") == "/api/v1/corporate-actions":
        return _alpaca_body
    return next((shape for prefix, shape in _SHAPES.items() if f"{path}/".startswith(prefix)), None)


def error_status(status: int, code: str, path: str) -> int:
    """Return the status of an error at a decoded path. status: elsewhere."""
    return _ALPACA_STATUSES.get(code, status) if shape_of(path) is _alpaca_body else status


def error_body(problem: Mapping[str, Any], path: str) -> tuple[str, bytes]:
    """Return the content type and the body of a problem (RFC 9457) at a decoded path."""
    shape = shape_of(path)
    if shape is None:
        return CONTENT_TYPE, msgspec.json.encode(problem)
    return SHAPED_CONTENT_TYPE, msgspec.json.encode(shape(problem))


class ErrorShapeMiddleware:
    """Gives an error the body of its path."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self._get_response(request)
        if response.headers.get("Content-Type") == CONTENT_TYPE and shape_of(request.path_info):
            problem = msgspec.json.decode(response.content)
            response.status_code = error_status(response.status_code, problem["code"], request.path_info)
            response.headers["Content-Type"], response.content = error_body(problem, request.path_info)
        return response
