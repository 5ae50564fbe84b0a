"""The OpenAPI document of each version: one path per endpoint, and each operation's access, and the error codes once."""

from typing import Any

from drf_spectacular.generators import SchemaGenerator

from marketdata_project.error_codes import ERROR_CODES, ErrorCode
from marketdata_project.error_shapes import SHAPED_CONTENT_TYPE, shape_of
from marketdata_project.versions import Version, version_of
from ratelimit.access.scopes import SENSITIVITIES
from web.endpoints import ANY_CALLER, ANYBODY, Access, access_of
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


def _needed(access: Access) -> list[str]:
    scope = [f"the scope `{access.scope_text}`"] if _has_scope(access) else []
    clearance = [f"clearance for {access.sensitivity} data"] if _is_restricted(access) else []
    return [*scope, *clearance]


def _has_scope(access: Access) -> bool:
    return access.scope not in {ANYBODY, ANY_CALLER}


def _is_restricted(access: Access) -> bool:
    return _has_scope(access) and access.sensitivity != SENSITIVITIES[0]


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
    """Add each operation's access, and the response of all errors (postprocessing hook of drf-spectacular).

    An operation has that response as its `default`. The response's examples have every error code.
    """
    components = result["components"]
    shape = shape_of(generator.of_version.prefixes[0])
    components.setdefault("schemas", {})["Problem"] = _SHAPED_PROBLEM if shape else _PROBLEM
    components.setdefault("responses", {})["Problem"] = _problem_response(
        SHAPED_CONTENT_TYPE if shape else CONTENT_TYPE
    )
    components.setdefault("examples", {}).update(
        {
            error.code: {
                "summary": error.next_step.value,
                "value": shape(_example(error)) if shape else _example(error),
            }
            for error in ERROR_CODES
        }
    )
    rows = access_of_operations(generator.endpoints)
    for path, item in result["paths"].items():
        for method in _METHODS & set(item):
            operation = item[method]
            add_access(operation, rows.get((path, method)))
            if "requestBody" in operation:
                operation["requestBody"]["required"] = operation["operationId"] not in _BODY_IS_OPTIONAL
            operation["responses"]["default"] = {"$ref": "#/components/responses/Problem"}
    return result


def _problem_response(media_type: str) -> dict[str, Any]:
    """Return the response of all errors, with an example of each code."""
    return {
        "description": "An error. `code` says which; the examples have every code.",
        "content": {
            media_type: {
                "schema": {"$ref": "#/components/schemas/Problem"},
                "examples": {
                    error.code: {"$ref": f"#/components/examples/{error.code}"} for error in ERROR_CODES
                },
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
