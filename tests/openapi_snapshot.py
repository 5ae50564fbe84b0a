"""The committed OpenAPI document of v1 and the API's changelog; run as a program it writes the document anew.

    .venv/bin/python -m tests.openapi_snapshot

takes in additions. It refuses, and names them, while removals and changes have no line in the changelog.
"""

import os
import re
import sys
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import django
import orjson
import yaml

from tests.openapi_differences import METHODS, differences

PROJECT = Path(__file__).resolve().parent.parent
SNAPSHOT = PROJECT / "docs" / "openapi-v1.yaml"
CHANGES = PROJECT / "docs" / "api_changes.md"
COMMAND = ".venv/bin/python -m tests.openapi_snapshot"
_TEXTS = {"description", "summary", "title", "example", "examples"}
_NAMED_BY_US = {"properties", "schemas", "paths", "responses", "securitySchemes"}
_PROBLEM = "application/problem+json"
_HEADER = f"""# The contract of v1, without texts and examples. The error codes are the names below components.examples.
# tests/marketdata_project/test_openapi_snapshot.py compares it with what is served. Written by: {COMMAND}
"""
_LINE = re.compile(r"^- `([^`]+)`", re.MULTILINE)


def served() -> dict[str, Any]:
    """The document as it is served now."""
    from marketdata_project.schema_view import schema_document  # noqa: PLC0415 needs Django's settings

    document: dict[str, Any] = orjson.loads(schema_document("json").body)
    return document


def committed() -> dict[str, Any]:
    """The document as it was last committed."""
    document: dict[str, Any] = yaml.load(SNAPSHOT.read_bytes(), yaml.CSafeLoader)
    return document


def without_texts(document: dict[str, Any]) -> dict[str, Any]:
    """A valid document with the same contract; each status's problem response stands once, among the components."""
    codes: dict[str, Any] = {code: {} for code in document["components"]["examples"]}
    bare: dict[str, Any] = _bare(document)
    problems: dict[str, Any] = {}
    for item in bare["paths"].values():
        for method in METHODS:
            for status, response in item.get(method, {}).get("responses", {}).items():
                # The specification asks for a description.
                response["description"] = ""
                if list(response.get("content", ())) == [_PROBLEM]:
                    problems[f"Problem{status}"] = dict(response)
                    item[method]["responses"][status] = {"$ref": f"#/components/responses/Problem{status}"}
    bare["info"] = document["info"]
    bare["components"] |= {"responses": problems, "examples": codes}
    return bare


def _bare(node: Any, *, is_named_by_us: bool = False) -> Any:
    """The node without texts; below properties and the like a name is a field's, not the specification's."""
    if isinstance(node, dict):
        return {
            name: _bare(value, is_named_by_us=not is_named_by_us and name in _NAMED_BY_US)
            for name, value in node.items()
            if is_named_by_us or name not in _TEXTS
        }
    return [_bare(each) for each in node] if isinstance(node, list) else node


def text_of(document: dict[str, Any]) -> str:
    """The file's content for a document: the same text for the same contract."""
    bare = without_texts(document)
    return _HEADER + yaml.dump(
        bare, Dumper=yaml.CSafeDumper, width=120, default_flow_style=None, allow_unicode=True
    )


def covered() -> set[str]:
    """The differences that the changelog has a line for: list items that begin with the difference in backticks.

    `*` stands for any text.
    """
    return set(_LINE.findall(CHANGES.read_text()))


def uncovered(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    """The removals and changes from `old` to `new` without a line in the changelog."""
    known = covered()
    return [line for line in differences(old, new) if not any(fnmatchcase(line, each) for each in known)]


def main(arguments: list[str]) -> int:
    """Write the document, or with `--check` say whether it would change; returns 1 where it may not be written."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "marketdata_project.settings.test")
    django.setup()
    found = served()
    missing = uncovered(committed(), found)
    if missing:
        lines = "\n".join(f"- `{line}`" for line in missing)
        sys.stderr.write(f"Clients lose by this; first say so in {CHANGES.relative_to(PROJECT)}:\n{lines}\n")
        return 1
    text, name = text_of(found), SNAPSHOT.relative_to(PROJECT)
    if "--check" not in arguments:
        SNAPSHOT.write_text(text)
    elif text != SNAPSHOT.read_text():
        sys.stdout.write(f"{name} lacks what was added; take it in: {COMMAND}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
