"""Removals and changes between two OpenAPI documents, each as one stable line.

Additions give no line: paths, optional parameters and fields, statuses, formats, values of an enum. Texts, titles and examples
are ignored. References are followed, and a pair of components is compared once per direction, so a component may be renamed.
"""

from collections.abc import Iterator, Mapping
from typing import Any

Json = Mapping[str, Any]
METHODS = ("get", "put", "post", "patch", "delete")
REQUEST, RESPONSE = "request", "response"
# Each change of these is one of meaning; `type`, `enum` and `required` have rules of their own.
_SCALARS = (
    "format", "pattern", "default", "const", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf",
    "minLength", "maxLength", "minItems", "maxItems", "uniqueItems", "minProperties", "maxProperties",
)  # fmt: skip
_BRANCHES = ("allOf", "anyOf", "oneOf")
_OF_OPERATION = ("operationId", "x-required-scope", "x-required-sensitivity")


def differences(old: Json, new: Json) -> list[str]:
    """The removals and changes from `old` to `new`, sorted, each once.

    A line is `<METHOD path, or component (direction)> <place>: <old> -> <new>`, or ends with `: removed` or
    `: added as required`.
    """
    return sorted(set(_Comparison(old, new).run()))


class _Comparison:
    """Two documents, and which pairs of their components were compared already."""

    def __init__(self, old: Json, new: Json) -> None:
        self._old, self._new = old, new
        self._seen: set[tuple[str, str, str]] = set()

    def run(self) -> Iterator[str]:
        yield from _removed(self._old["paths"], self._new["paths"], "")
        for path, item in self._old["paths"].items():
            other = self._new["paths"].get(path)
            for method in METHODS if other is not None else ():
                name = f"{method.upper()} {path}"
                if method in item and method not in other:
                    yield f"{name}: removed"
                elif method in item:
                    yield from self._operation(item[method], other[method], name)
        codes, others = (document["components"].get("examples", {}) for document in (self._old, self._new))
        yield from _removed(codes, others, "error code ")

    def _operation(self, old: Json, new: Json, name: str) -> Iterator[str]:
        yield from _changed(old, new, _OF_OPERATION, name)
        yield from _removed(_schemes(old), _schemes(new), f"{name} security.")
        yield from self._parameters(old, new, name)
        yield from self._body(old.get("requestBody"), new.get("requestBody"), f"{name} requestBody")
        statuses = old["responses"], new["responses"]
        yield from _removed(*statuses, f"{name} responses.")
        for status in statuses[0].keys() & statuses[1].keys():
            before = _resolved(self._old, statuses[0][status])
            after = _resolved(self._new, statuses[1][status])
            yield from self._contents(before, after, f"{name} responses.{status}", RESPONSE)
            yield from _removed(
                before.get("headers", {}), after.get("headers", {}), f"{name} responses.{status}.headers."
            )

    def _parameters(self, old: Json, new: Json, name: str) -> Iterator[str]:
        before, after = (
            {f"{each['in']}.{each['name']}": each for each in operation.get("parameters", ())}
            for operation in (old, new)
        )
        yield from _removed(before, after, f"{name} parameters.")
        for key, parameter in after.items():
            place = f"{name} parameters.{key}"
            if key not in before:
                if parameter.get("required"):
                    yield f"{place}: added as required"
                continue
            if parameter.get("required") and not before[key].get("required"):
                yield f"{place}.required: false -> true"
            yield from self._schema(before[key]["schema"], parameter["schema"], place, REQUEST)

    def _body(self, old: Json | None, new: Json | None, place: str) -> Iterator[str]:
        if old is None or new is None:
            if old is not None:
                yield f"{place}: removed"
            elif new is not None and new.get("required"):
                yield f"{place}: added as required"
            return
        if new.get("required") and not old.get("required"):
            yield f"{place}.required: false -> true"
        yield from self._contents(old, new, place, REQUEST)

    def _contents(self, old: Json, new: Json, place: str, direction: str) -> Iterator[str]:
        before, after = old.get("content", {}), new.get("content", {})
        yield from _removed(before, after, f"{place}.")
        for media in before.keys() & after.keys():
            schemas = before[media].get("schema", {}), after[media].get("schema", {})
            yield from self._schema(*schemas, f"{place}.{media}", direction)

    def _schema(self, old: Any, new: Any, place: str, direction: str) -> Iterator[str]:
        if "$ref" in old and "$ref" in new:
            yield from _changed(old, new, _SCALARS, place)  # what stands beside the references
            pair = old["$ref"], new["$ref"], direction
            if pair in self._seen:
                return
            self._seen.add(pair)
            place = f"{old['$ref'].rpartition('/')[2]} ({direction})"
            old, new = {"$ref": old["$ref"]}, {"$ref": new["$ref"]}
        old, new = _resolved(self._old, old), _resolved(self._new, new)
        yield from _changed(old, new, _SCALARS, place)
        yield from _of_type(old, new, place, direction)
        yield from _of_enum(old, new, place)
        yield from self._properties(old, new, place, direction)
        yield from self._children(old, new, place, direction)

    def _properties(self, old: Json, new: Json, place: str, direction: str) -> Iterator[str]:
        before, after = old.get("properties", {}), new.get("properties", {})
        yield from _removed(before, after, f"{place}.")
        for name in before.keys() & after.keys():
            yield from self._schema(before[name], after[name], f"{place}.{name}", direction)
        was_required, is_required = set(old.get("required", ())), set(new.get("required", ()))
        if direction == REQUEST:
            for name in is_required - was_required:
                yield f"{place}.{name}" + (
                    ".required: false -> true" if name in before else ": added as required"
                )
        else:
            yield from (
                f"{place}.{name}.required: true -> false"
                for name in (was_required - is_required) & after.keys()
            )

    def _children(self, old: Json, new: Json, place: str, direction: str) -> Iterator[str]:
        for name in ("items", "additionalProperties"):
            yield from self._child(old.get(name), new.get(name), f"{place}.{name}", direction)
        for name in _BRANCHES:
            branches = old.get(name, []), new.get(name, [])
            for number, branch in enumerate(branches[0]):
                other = branches[1][number] if number < len(branches[1]) else None
                yield from self._child(branch, other, f"{place}.{name}.{number}", direction)
            # One more of anyOf and oneOf allows more, one more of allOf less.
            if len(branches[1]) > len(branches[0]) and (name == "allOf" or not branches[0]):
                yield f"{place}.{name}: {len(branches[0])} -> {len(branches[1])} schemas"

    def _child(self, old: Any, new: Any, place: str, direction: str) -> Iterator[str]:
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            yield from self._schema(old, new, place, direction)
        elif old != new:
            yield f"{place}: {_text(old)} -> {_text(new)}"


def _resolved(document: Json, node: Any) -> Any:
    """The node, or where its reference leads with what stands beside the reference."""
    if "$ref" not in node:
        return node
    found: Any = document
    for part in node["$ref"].removeprefix("#/").split("/"):
        found = found[part]
    return {**_resolved(document, found), **{name: node[name] for name in node if name != "$ref"}}


def _removed(old: Any, new: Any, place: str) -> Iterator[str]:
    return (f"{place}{name}: removed" for name in old if name not in new)


def _changed(old: Json, new: Json, names: tuple[str, ...], place: str) -> Iterator[str]:
    for name in names:
        if old.get(name) != new.get(name):
            yield f"{place}.{name}: {_text(old.get(name))} -> {_text(new.get(name))}"


def _schemes(operation: Json) -> set[str]:
    return {name for requirement in operation.get("security", ()) for name in requirement}


def _of_type(old: Json, new: Json, place: str, direction: str) -> Iterator[str]:
    """A request may take more types than before; every other change is one for the client."""
    before, after = (set(_listed(schema.get("type"))) for schema in (old, new))
    if before != after and not (direction == REQUEST and before and before < after):
        yield f"{place}.type: {_text(sorted(before))} -> {_text(sorted(after))}"


def _of_enum(old: Json, new: Json, place: str) -> Iterator[str]:
    if "enum" in old and "enum" in new:
        yield from (
            f"{place}.enum {_text(value)}: removed" for value in old["enum"] if value not in new["enum"]
        )
    else:
        yield from _changed(old, new, ("enum",), place)


def _listed(value: Any) -> list[Any]:
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


def _text(value: Any) -> str:
    if value is None or value == []:
        return "none"
    if isinstance(value, Mapping):
        return "a schema"
    if isinstance(value, bool):
        return str(value).lower()
    return "|".join(map(_text, value)) if isinstance(value, list) else str(value)
