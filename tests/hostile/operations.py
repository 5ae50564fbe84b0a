"""What the served OpenAPI document offers: its operations, and valid calls of each, made of what the store holds."""

import copy
import json
import random
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import quote, urlencode

from tests.front.front_server import Reply
from tests.hostile import stock
from tests.hostile.wire import Wire
from web.endpoints import body_limit

SCHEMA = "/api/v1/schema?format=json"
JSON, FORM = "application/json", "application/x-www-form-urlencoded"
PIECE = "application/octet-stream"
METHODS = ("get", "post", "put", "patch", "delete")
WITH_BODY = ("POST", "PUT", "PATCH")
# How often a parameter is given that need not be.
_OPTIONAL_SHARE = 0.3
# Not to be given with others, or only with the answer to an earlier request.
_NEVER_GIVEN = frozenset({"cursor", "page_token", "last", "expiry"})


Place = tuple[str | int, ...]
"""Keys and indices that lead to a value in a document."""


@dataclass(frozen=True)
class Parameter:
    name: str
    place: str
    """`query`, `path` or `header`."""
    schema: Mapping[str, Any]
    is_required: bool


@dataclass(frozen=True)
class Operation:
    name: str
    method: str
    path: str
    """As in the document: `/api/v1/…/{symbol}/…`."""
    parameters: tuple[Parameter, ...] = field(repr=False)
    media_types: tuple[str, ...] = field(repr=False)
    example: Any = field(repr=False)
    """A valid JSON document; None for an operation without a body."""
    fields: tuple[Place, ...] = field(default=(), repr=False)
    """Where the document has, or may have, values that are no objects; of each list the first place."""
    numbers: tuple[Place, ...] = field(default=(), repr=False)
    """Those of `fields` that may be integers or numbers."""
    needs_body: bool = field(default=True, repr=False)

    def of_place(self, place: str) -> list[Parameter]:
        return [parameter for parameter in self.parameters if parameter.place == place]

    def takes(self, name: str) -> bool:
        return any(parameter.name == name for parameter in self.parameters)


def body_bytes(operation: Operation) -> int:
    """The largest body that the operation reads."""
    return body_limit(re.sub(r"\{\w+\}", "1", operation.path), operation.method)


@dataclass
class Call:
    """A request that can still be changed. `document` becomes the body, unless `raw_body` is there."""

    operation: Operation
    path_values: dict[str, str] = field(default_factory=dict)
    query: list[tuple[str, str]] = field(default_factory=list)
    headers: dict[str, str | bytes] = field(default_factory=dict)
    media_type: str = JSON
    document: Any = None
    raw_body: bytes | None = None
    method: str = ""

    @property
    def target(self) -> str:
        path = self.operation.path
        for name, value in self.path_values.items():
            path = path.replace(f"{{{name}}}", quote(value, safe="", errors="surrogatepass"))
        return f"{path}?{urlencode(self.query, errors='surrogatepass')}" if self.query else path

    @property
    def body(self) -> bytes | None:
        if self.operation.example is None or self.raw_body is not None:
            return self.raw_body
        if self.media_type == FORM:
            return urlencode(self.document, errors="surrogatepass").encode()
        return json.dumps(self.document, ensure_ascii=False).encode("utf-8", "surrogatepass")

    def sent(self, wire: Wire) -> Reply:
        body = self.body
        headers = dict(self.headers)
        if body is not None:
            headers.setdefault("Content-Type", self.media_type)
        return wire.ask(self.method or self.operation.method, self.target, headers, body)

    def put(self, place: Place, value: Any) -> None:
        """Set a value in the document; a field that was not there is added."""
        *outer, last = place
        target = self.document
        for step in outer:
            # What is missing on the way is a list.
            target = target.setdefault(step, [""]) if isinstance(step, str) else target[step]
        target[last] = value

    def keep_one_row(self, rng: random.Random) -> None:
        """Leave one element in each list of rows, so that nothing contradicts what is put into it."""
        for name, value in self.document.items():
            if isinstance(value, list):
                self.document[name] = [rng.choice(value)]

    def with_query(self, name: str, value: str) -> "Call":
        """The same call with this as the one value of a parameter."""
        return replace(self, query=[(n, v) for n, v in self.query if n != name] + [(name, value)])


def served_document(wire: Wire, path: str = SCHEMA) -> dict[str, Any]:
    reply = wire.ask("GET", path)
    assert reply.status == 200, reply.body
    document: dict[str, Any] = reply.json()
    return document


def operations_of(document: Mapping[str, Any]) -> list[Operation]:
    """Every operation of the document; each has an example where it takes a body.

    But for one whose body is a piece of a file, at an offset that only an upload knows: tests/jobs/uploads asks it.
    """
    schemas = document["components"]["schemas"]
    found = [
        _operation(path, method, definition, schemas)
        for path, methods in document["paths"].items()
        for method, definition in methods.items()
        if method in METHODS and PIECE not in definition.get("requestBody", {}).get("content", {})
    ]
    assert not [each.name for each in found if each.media_types and each.example is None]
    return found


def valid_call(operation: Operation, rng: random.Random) -> Call:
    """A call that is answered 2xx: real symbols and times, some of the optional parameters."""
    call = Call(
        operation,
        media_type=media_type_of(operation),
        path_values={each.name: value_for(operation, each, rng) for each in operation.of_place("path")},
        query=[
            (each.name, value_for(operation, each, rng))
            for each in operation.of_place("query")
            if _is_given(operation, each, rng)
        ],
    )
    if "/options/{symbol}" in operation.path and operation.takes("expiry") and rng.random() < 0.5:
        call = _of_a_whole_expiry(call)
    given = {name for name, _ in call.query}
    if given & {"coverage", "trailer"} or operation.name == "audit":
        # Not every format has a place for these, and an export is no page.
        call.query = [(name, value) for name, value in call.query if name != "format"]
    refused = refused_beside(operation, dict(call.query))
    call.query = [(name, value) for name, value in call.query if name not in refused]
    if operation.example is not None:
        call.document = stock.document_for(operation.name, copy.deepcopy(operation.example), rng)
    return call


def media_type_of(operation: Operation) -> str:
    """The media type of a call's body: JSON, unless the operation takes only forms."""
    return FORM if operation.media_types == (FORM,) else JSON


def refused_beside(operation: Operation, query: Mapping[str, Any]) -> set[str]:
    """The parameters that are refused beside the others, or without another that the query lacks."""
    lacking = {name for name, (other, value) in stock.DEPENDENT.items() if query.get(other) != value}
    if operation.takes("coverage") and query.get("coverage") != "true":
        lacking |= {"rule"}
    if query.get("knowledge") == "then":
        # Prices as they were known then are adjusted for nothing that came later.
        lacking |= {"adjust", "adjustment"}
    if operation.name == "performance" and "days" in query:
        lacking |= {"from", "to"}
    if query.get("on_conflict") == "replace":
        lacking |= {"dedupe"}
    if operation.name == "calendar":
        lacking |= {"symbol"}
    return lacking


def _of_a_whole_expiry(call: Call) -> Call:
    """All options on an underlying that expire on one date, at one instant, instead of one option."""
    return replace(
        call,
        path_values={"symbol": stock.SYMBOL},
        query=[("expiry", stock.EXPIRY), ("end", stock.VALUES["end"][0])],
    )


def _operation(
    path: str, method: str, definition: Mapping[str, Any], schemas: Mapping[str, Any]
) -> Operation:
    body = definition.get("requestBody", {})
    content = body.get("content", {})
    name, own = definition["operationId"], content.get(JSON, content.get(FORM, {}))
    fields = dict(_fields(own["schema"], schemas)) if own else {}
    examples = own.get("examples", {})
    return Operation(
        name=name,
        method=method.upper(),
        path=path,
        parameters=tuple(
            Parameter(each["name"], each["in"], each["schema"], each.get("required", False))
            for each in definition.get("parameters", [])
        ),
        media_types=tuple(content),
        example=next((example["value"] for example in examples.values()), stock.EXAMPLES.get(name)),
        fields=tuple(fields),
        numbers=tuple(place for place, schema in fields.items() if may_be_number(schema)),
        needs_body=body.get("required", False),
    )


def may_be_number(schema: Mapping[str, Any]) -> bool:
    """Whether a schema, or one of its alternatives, is of an integer or a number, or of anything."""
    types = schema.get("type", ())
    alternatives = [each for name in ("anyOf", "oneOf", "allOf") for each in schema.get(name, ())]
    is_number = bool({"integer", "number"} & set([types] if isinstance(types, str) else types))
    return is_number or any(map(may_be_number, alternatives)) or not schema


def _fields(
    schema: Mapping[str, Any], schemas: Mapping[str, Any]
) -> Iterator[tuple[Place, Mapping[str, Any]]]:
    """The places of all values that a schema declares, and their schemas."""
    if "$ref" in schema:
        schema = schemas[schema["$ref"].rpartition("/")[2]]
    if "properties" in schema:
        for name, inner in schema["properties"].items():
            yield from (((name, *rest), found) for rest, found in _fields(inner, schemas))
    else:
        yield (), schema
        if "items" in schema:
            yield from (((0, *rest), found) for rest, found in _fields(schema["items"], schemas))


def _is_given(operation: Operation, parameter: Parameter, rng: random.Random) -> bool:
    if parameter.name in _NEVER_GIVEN | _names_in(operation.example):
        return False
    is_needed = parameter.is_required or parameter.name in {"start", "end"}
    # It may have a symbol instead.
    is_needed |= (operation.name, parameter.name) == ("calendar", "exchange")
    return is_needed or rng.random() < _OPTIONAL_SHARE


def _names_in(document: Any) -> set[str]:
    """All keys of a document: what a row says is not said by the query, too."""
    if isinstance(document, dict):
        return set(document).union(*map(_names_in, document.values()))
    return set().union(*map(_names_in, document)) if isinstance(document, list) else set()


def value_for(operation: Operation, parameter: Parameter, rng: random.Random) -> str:
    """A value of a parameter that its operation accepts, as far as it depends on no other."""
    if isinstance(operation.example, dict) and parameter.name in operation.example:
        # The body names the same thing once more.
        return str(operation.example[parameter.name])
    if parameter.name in {"key", "job"} or operation.name in stock.DELETED:
        return (
            stock.key_id_for(operation.name, rng)
            if parameter.name == "key"
            else stock.job_for(operation.name)
        )
    if parameter.name in {"symbol", "symbols"}:
        return stock.symbol_for(operation.path)
    by_path = stock.VALUES_BY_PATH.get((parameter.name, operation.path.rpartition("/")[2]))
    if by_path is not None:
        return by_path
    # A parameter of one name may take other words elsewhere, such as `exchange`.
    words = parameter.schema.get("enum")
    values = [each for each in stock.VALUES.get(parameter.name, ()) if words is None or each in words]
    if values:
        return rng.choice(values)
    return _value_of(parameter.schema, rng)


def _value_of(schema: Mapping[str, Any], rng: random.Random) -> str:
    """A value that only its schema speaks of."""
    if "enum" in schema:
        return str(rng.choice(schema["enum"]))
    if schema.get("type") == "integer":
        least = schema.get("minimum", 1)
        return str(rng.randint(least, min(schema.get("maximum", least + 100), least + 100)))
    if schema.get("type") == "boolean":
        return rng.choice(["true", "false"])
    return str(schema.get("default") or next(iter(schema.get("examples", ["1"]))))


def example_calls(operation: Operation) -> list[Call]:
    """The calls that an operation's examples make: the first of each parameter that has any, then the second, and so on.

    A parameter with fewer examples begins with its first again.
    """
    shown = {
        each.name: each.schema["examples"]
        for each in operation.parameters
        if each.place != "header" and each.schema.get("examples")
    }

    def shown_at(place: str, n: int) -> list[tuple[str, str]]:
        found = ((each.name, shown.get(each.name)) for each in operation.of_place(place))
        return [(name, str(examples[n % len(examples)])) for name, examples in found if examples]

    return [
        Call(
            operation,
            media_type=media_type_of(operation),
            path_values=dict(shown_at("path", n)),
            query=shown_at("query", n),
            document=copy.deepcopy(operation.example),
        )
        for n in range(max(map(len, shown.values()), default=1))
    ]
