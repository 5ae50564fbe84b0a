"""What the OpenAPI schema has beyond the views: one path per endpoint, and the problems of every operation."""

from typing import Any

from marketdata_project.error_codes import ERROR_CODES
from marketdata_project.problem_body import CONTENT_TYPE, TITLES, TYPE_BASE

_OF_ALL = {400, 401, 403, 406, 429, 500, 503}
_OF_METHOD = {"post": {409, 413, 415, 422, 507}}
_OF_OPERATION = {"ohlc": {404, 409, 422}, "trades_correct": {404}}
_METHODS = {"get", "post", "put", "patch", "delete"}

_PROBLEM = {
    "type": "object",
    "description": "An error (RFC 9457).",
    "required": ["type", "title", "status", "code", "message", "detail", "correlation_id", "errors"],
    "properties": {
        "type": {"type": "string", "format": "uri-reference"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "code": {"type": "string", "description": "Stable, for programs."},
        "message": {"type": "string", "description": "For people."},
        "detail": {"type": "string"},
        "correlation_id": {"type": "string", "description": "Equals the header X-Correlation-ID."},
        "errors": {
            "type": "array",
            "maxItems": 100,
            "items": {
                "type": "object",
                "required": ["path", "code", "message"],
                "properties": {
                    "path": {"type": "string", "examples": ["trades[3].price"]},
                    "code": {"type": "string"},
                    "message": {"type": "string"},
                },
            },
        },
    },
}


def canonical_paths(endpoints: list[tuple[Any, ...]], **_: Any) -> list[tuple[Any, ...]]:
    """A drf-spectacular preprocessing hook: each endpoint once, below /api/v1, without the optional slash."""
    return [
        (path.rstrip("/"), *rest)
        for path, *rest in endpoints
        if path.startswith("/api/v1/") and "docs" not in path
    ]


def add_problems(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """A drf-spectacular postprocessing hook."""
    result["components"].setdefault("schemas", {})["Problem"] = _PROBLEM
    for path in result["paths"].values():
        for method in _METHODS & set(path):
            operation = path[method]
            name = operation["operationId"]
            for status in sorted(_OF_ALL | _OF_METHOD.get(method, set()) | _OF_OPERATION.get(name, set())):
                operation["responses"].setdefault(str(status), _response(status))
    return result


def _response(status: int) -> dict[str, Any]:
    of_status = [error for error in ERROR_CODES if error.status == status]
    return {
        "description": TITLES[status],
        "content": {
            CONTENT_TYPE: {
                "schema": {"$ref": "#/components/schemas/Problem"},
                "examples": {
                    error.code: {"value": _example(status, error.code, error.meaning)} for error in of_status
                },
            }
        },
    }


def _example(status: int, code: str, meaning: str) -> dict[str, Any]:
    return {
        "type": f"{TYPE_BASE}{code}",
        "title": TITLES[status],
        "status": status,
        "code": code,
        "message": meaning,
        "detail": meaning,
        "correlation_id": "5f0c6d1e9b8a4f7c",
        "errors": [],
    }
