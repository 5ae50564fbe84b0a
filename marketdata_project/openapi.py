"""What the OpenAPI schema has beyond the views: one path per endpoint, and the problems of every operation."""

from typing import Any

from marketdata_project.error_codes import ERROR_CODES, ErrorCode
from marketdata_project.openapi_access import access_of_operations, add_access, is_given_by
from marketdata_project.problem_body import CONTENT_TYPE, TITLES, TYPE_BASE
from ratelimit.access.table import Access
from stats.market_data.queries.classes import MARKET_CLASSES

_OF_ALL = {400, 401, 403, 406, 429, 500, 503}
_OF_METHOD = {"post": {409, 413, 415, 422, 507}, "put": {413, 415, 422, 507}}
_OF_OPERATION = {
    "ohlc": {404, 409, 422},
    "trades_correct": {404},
    "instruments": {422},
    "instrument": {404, 422},
    "calendar": {422},
    "clock": {422},
    "key": {404},
    "key_revoke": {404},
    "key_rotate": {404},
}
# The branches of the market-data tree, whose operations are all refused for the same reasons.
_OF_TREE = {404, 409, 422}
# Whose body may be left out: what it would say has defaults.
_BODY_IS_OPTIONAL = {"key_rotate"}
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


def add_problems(result: dict[str, Any], generator: Any, **_: Any) -> dict[str, Any]:
    """A drf-spectacular postprocessing hook: what each operation asks for, and what it is refused with."""
    components = result["components"]
    components.setdefault("schemas", {})["Problem"] = _PROBLEM
    components.setdefault("examples", {}).update(
        {error.code: {"summary": error.next_step.value, "value": _example(error)} for error in ERROR_CODES}
    )
    rows = access_of_operations(generator.endpoints)
    for path, item in result["paths"].items():
        for method in _METHODS & set(item):
            operation, access = item[method], rows.get((path, method))
            add_access(operation, access)
            if "requestBody" in operation:
                operation["requestBody"]["required"] = operation["operationId"] not in _BODY_IS_OPTIONAL
            of_operation = _OF_OPERATION.get(operation["operationId"], set())
            of_tree = _OF_TREE if set(operation.get("tags", ())) & set(MARKET_CLASSES) else set()
            for status in sorted(_OF_ALL | _OF_METHOD.get(method, set()) | of_operation | of_tree):
                codes = _codes(status, method, access)
                if codes:
                    operation["responses"].setdefault(str(status), _response(status, codes))
    return result


def _codes(status: int, method: str, access: Access | None) -> list[str]:
    return [
        error.code for error in ERROR_CODES if error.status == status and is_given_by(error, access, method)
    ]


def _response(status: int, codes: list[str]) -> dict[str, Any]:
    """A refusal by one of these codes.

    Its examples are those of the components: there are few codes, and many operations that have them.
    """
    return {
        "description": TITLES[status],
        "content": {
            CONTENT_TYPE: {
                "schema": {"$ref": "#/components/schemas/Problem"},
                "examples": {code: {"$ref": f"#/components/examples/{code}"} for code in codes},
            }
        },
    }


def _example(error: ErrorCode) -> dict[str, Any]:
    return {
        "type": f"{TYPE_BASE}{error.code}",
        "title": TITLES[error.status],
        "status": error.status,
        "code": error.code,
        "message": error.meaning,
        "detail": error.meaning,
        "correlation_id": "5f0c6d1e9b8a4f7c",
        "errors": [],
    }
