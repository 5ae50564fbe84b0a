"""The OpenAPI document of each version: one path per endpoint, and each operation's access and error codes."""

from collections.abc import Callable
from typing import Any

from drf_spectacular.generators import SchemaGenerator

from jobs.kinds import JOB_KINDS
from marketdata_project.error_codes import ERROR_CODES, ErrorCode, GivenBy
from marketdata_project.error_shapes import SHAPED_CONTENT_TYPE, error_status, shape_of
from marketdata_project.versions import Version, version_of
from ratelimit.access.scopes import SENSITIVITIES, TRADING_SCOPES
from store.datasets import CORRECTED
from web.endpoints import ANY_CALLER, ANYBODY, READ, Access, access_of
from web.problem_body import CONTENT_TYPE, TITLES, TYPE_BASE

_OAUTH2 = "OAuth2"

Operations = dict[tuple[str, str], Access | None]


def access_of_operations(endpoints: list[tuple[Any, ...]]) -> Operations:
    """Return the access of each operation. An operation is a path and a lower-case method."""
    return {
        (path, method.lower()): access_of(callback, method) for path, _regex, method, callback in endpoints
    }


def add_access(operation: dict[str, Any], access: Access | None) -> None:
    """Add an operation's requirements: the members `x-required-…`, and a sentence at the end of the description."""
    if access is None:
        return
    needed = _needed(access)
    if needed:
        text = operation.get("description", "")
        operation["description"] = f"{text}\n\nNeeds {' and '.join(needed)}.".lstrip()
    if _has_scope(access):
        operation["x-required-scope"] = access.scope_text
        for requirement in [each for each in operation.get("security", ()) if _OAUTH2 in each]:
            requirement[_OAUTH2] = [access.scope]
            if access.or_scope:
                operation["security"].append({_OAUTH2: [access.or_scope]})
    if _is_restricted(access):
        operation["x-required-sensitivity"] = access.sensitivity


def is_given_by(error: ErrorCode, access: Access | None, method: str) -> bool:
    """Return whether an operation can answer with an error code. `method` is in lower case.

    access: of the operation; with None every code that fits the method is possible.
    """
    if error.given_by in _CHANGES and method == "get":
        return False
    return access is None or _GIVEN_BY[error.given_by](access)


def _needed(access: Access) -> list[str]:
    scope = [f"the scope `{access.scope_text}`"] if _has_scope(access) else []
    clearance = [f"clearance for {access.sensitivity} data"] if _is_restricted(access) else []
    return [*scope, *clearance]


def _has_scope(access: Access) -> bool:
    return access.scope not in {ANYBODY, ANY_CALLER}


def _is_restricted(access: Access) -> bool:
    return _has_scope(access) and access.sensitivity != SENSITIVITIES[0]


def _has_caller(access: Access) -> bool:
    return access.scope != ANYBODY


def _submits_jobs(access: Access) -> bool:
    """Return whether the row is that of a call that submits jobs. Other calls may have an equal row."""
    return any(access == kind.access for kind in JOB_KINDS.get().values())


def _submits_exports(access: Access) -> bool:
    return any(access == kind.access for kind in JOB_KINDS.get().values() if kind.is_export)


_CHANGES = {
    *(GivenBy.CHANGES, GivenBy.CALLERS_CHANGES, GivenBy.KEY_CHANGES),
    *(GivenBy.DATA_CHANGES, GivenBy.TRADING_CHANGES, GivenBy.JOB_SUBMISSIONS, GivenBy.EXPORTS),
}
_GIVEN_BY: dict[GivenBy, Callable[[Access], bool]] = {
    GivenBy.EVERY: lambda _: True,
    GivenBy.READS: lambda access: access.kind == READ,
    GivenBy.CHANGES: lambda _: True,
    GivenBy.CALLERS: _has_caller,
    GivenBy.CALLERS_CHANGES: _has_caller,
    GivenBy.SCOPED: _has_scope,
    GivenBy.RESTRICTED: _is_restricted,
    GivenBy.LOGINS: lambda access: access.scope == ANYBODY,
    GivenBy.KEY_CHANGES: lambda access: access.scope == "keys:manage",
    GivenBy.DATA_CHANGES: lambda access: access.group == "data" and access.scope not in TRADING_SCOPES,
    GivenBy.TRADING: lambda access: access.scope in TRADING_SCOPES,
    GivenBy.TRADING_CHANGES: lambda access: access.scope in TRADING_SCOPES,
    GivenBy.JOB_SUBMISSIONS: _submits_jobs,
    GivenBy.EXPORTS: _submits_exports,
    GivenBy.LINKS: lambda access: access.scope == ANYBODY and access.kind == READ,
    # Its path is not in the document.
    GivenBy.LIVE_FEED: lambda _: False,
}


_OF_ALL = {400, 401, 403, 406, 429, 500, 503}
_OF_METHOD = {
    "post": {409, 413, 415, 422, 507},
    "put": {413, 415, 422, 507},
    "patch": {404, 409, 413, 415, 422},
}
_OF_OPERATION = {
    "ohlc": {404, 409, 422},
    "gaps": {404, 422},
    **{f"{dataset.name}_correct": {404} for dataset in CORRECTED},
    "instruments": {422},
    "instrument": {422},
    "calendar": {422},
    "clock": {422},
    "export_submit": {404},
    "upload_append": {507},
    "export_delete": {409},
    "export_link": {410},
    "export_file": {410, 412, 416},
    "download": {403, 410, 412, 416},
    "risk_configure": {412, 428},
    "model_set": {412, 428},
    "model_delete": {409, 412, 428},
    "models": {422},
    "order_cancel": {409},
    **{
        operation: {422}
        for operation in (
            *("closed_trades", "signals", "orders", "account_orders"),
            *("transactions", "account_transactions"),
        )
    },
}
# Statuses that all operations below `/market-data` can have.
_OF_TREE = {404, 409, 422}
# Those of operations on what a path names, but for the one that makes what is not there.
_OF_PATH = {404}
# Those of all operations of trading.
_OF_TRADING = {404}
# Operations whose body may be left out.
_BODY_IS_OPTIONAL = {"key_rotate", "position_close", "account_rebalance"}
_METHODS = {"get", "post", "put", "patch", "delete"}

_PROBLEM_FIELDS = {
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
    "checks": {
        "type": "array",
        "items": {"type": "object", "additionalProperties": True},
        "description": "Of refused orders: every check, with its numbers.",
    },
    "items": {
        "type": "array",
        "items": {"type": "object", "additionalProperties": True},
        "description": "Of `orders_refused`: the refused orders.",
    },
    "order_id": {"type": "string", "description": "Of `preview_used`: the order that it made."},
    "preview": {
        "type": "object",
        "additionalProperties": True,
        "description": "Of `preview_stale`: a new preview.",
    },
}
_PROBLEM = {
    "type": "object",
    "description": "An error (RFC 9457).",
    "required": ["type", "title", "status", "code", "message", "detail", "correlation_id", "errors"],
    "properties": _PROBLEM_FIELDS,
}
# Of dialects.
_SHAPED_PROBLEM = {
    "type": "object",
    "description": "An error.",
    "required": ["code", "message", "reason", "correlation_id", "errors"],
    "properties": {
        "code": {"type": "integer", "description": "Begins with the status."},
        "reason": {"type": "string", "description": "Stable, for programs: the `code` of v1."},
        **{name: _PROBLEM_FIELDS[name] for name in ("message", "correlation_id", "errors")},
    },
}


class VersionGenerator(SchemaGenerator):
    """Makes the document of a version."""

    def __init__(self, *args: Any, **options: Any) -> None:
        options.setdefault("api_version", "v1")
        super().__init__(*args, **options)  # type: ignore[no-untyped-call]

    @property
    def of_version(self) -> Version:
        return version_of(self.api_version)

    def _initialise_endpoints(self) -> None:
        """Keep each endpoint of the version once: without the trailing slash."""
        super()._initialise_endpoints()  # type: ignore[no-untyped-call]
        self.endpoints = [
            (path.rstrip("/"), *fields)
            for path, *fields in self.endpoints or ()
            if path.startswith(self.of_version.prefixes) and "docs" not in path
        ]


def add_problems(result: dict[str, Any], generator: Any, **_: Any) -> dict[str, Any]:
    """Add each operation's access and error responses (postprocessing hook of drf-spectacular)."""
    components = result["components"]
    shape = shape_of(generator.of_version.prefixes[0])
    components.setdefault("schemas", {})["Problem"] = _SHAPED_PROBLEM if shape else _PROBLEM
    components.setdefault("examples", {}).update(
        {
            error.code: {
                "summary": error.next_step.value,
                "value": shape(_example(error)) if shape else _example(error),
            }
            for error in ERROR_CODES
        }
    )
    media_type = SHAPED_CONTENT_TYPE if shape else CONTENT_TYPE
    rows = access_of_operations(generator.endpoints)
    for path, item in result["paths"].items():
        for method in _METHODS & set(item):
            operation, access = item[method], rows.get((path, method))
            add_access(operation, access)
            if "requestBody" in operation:
                operation["requestBody"]["required"] = operation["operationId"] not in _BODY_IS_OPTIONAL
            of_operation = _OF_OPERATION.get(operation["operationId"], set())
            of_tree = _OF_TREE if shape or "/market-data/" in path else set()
            of_path = _OF_PATH if "{" in path and operation["operationId"] != "instrument_set" else set()
            of_trading = _OF_TRADING if access is not None and access.scope in TRADING_SCOPES else set()
            of_method = _OF_METHOD.get(method, set())
            for status in sorted(_OF_ALL | of_method | of_operation | of_path | of_tree | of_trading):
                codes = _codes(status, method, access, path)
                if codes:
                    operation["responses"].setdefault(str(status), _response(status, codes, media_type))
    return result


def _codes(status: int, method: str, access: Access | None, path: str) -> list[str]:
    return [
        error.code
        for error in ERROR_CODES
        if error_status(error.status, error.code, path) == status and is_given_by(error, access, method)
    ]


def _response(status: int, codes: list[str], media_type: str) -> dict[str, Any]:
    """Return a response that has one of these codes. Examples are references, because many operations share them."""
    return {
        "description": TITLES[status],
        "content": {
            media_type: {
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
