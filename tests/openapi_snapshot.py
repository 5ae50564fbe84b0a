"""The committed OpenAPI documents of all versions; run as a program it writes them anew.

    .venv/bin/python -m tests.openapi_snapshot

takes in additions. It refuses removals and changes, and names them; `--losses` writes them, too.
"""

import os
import sys
from pathlib import Path
from typing import Any

import django
import drf_spectacular
import jsonschema_rs
import orjson
import yaml
from drf_spectacular.drainage import GENERATOR_STATS

from marketdata_project.versions import VERSIONS
from tests.openapi_differences import METHODS, differences

PROJECT = Path(__file__).resolve().parent.parent
NAMES = [each.name for each in VERSIONS]
COMMAND = ".venv/bin/python -m tests.openapi_snapshot"
_TEXTS = {"description", "summary", "title", "example", "examples"}
_NAMED_BY_US = {"properties", "schemas", "paths", "responses", "securitySchemes"}
_HEADER = f"""# The contract of {{}}, without texts and examples. The error codes are the names below components.examples.
# tests/marketdata_project/test_openapi_snapshot.py compares it with what is served. Written by: {COMMAND}
"""
_RULES = Path(drf_spectacular.__file__).parent / "validation" / "openapi_3_1_schema.json"


def snapshot(version: str) -> Path:
    """The file of a version's committed document."""
    return PROJECT / "docs" / f"openapi-{version}.yaml"


def served(version: str) -> dict[str, Any]:
    """The document as it is served now."""
    from marketdata_project.schema_view import schema_document  # noqa: PLC0415 needs Django's settings

    document: dict[str, Any] = orjson.loads(schema_document("json", version=version).body)
    return document


def committed(version: str) -> dict[str, Any]:
    """The document as it was last committed."""
    document: dict[str, Any] = yaml.load(snapshot(version).read_bytes(), yaml.CSafeLoader)
    return document


def without_texts(document: dict[str, Any]) -> dict[str, Any]:
    """A valid document with the same contract."""
    codes: dict[str, Any] = {code: {} for code in document["components"]["examples"]}
    bare: dict[str, Any] = _bare(document)
    operations = (item[method] for item in bare["paths"].values() for method in METHODS if method in item)
    for responses in (bare["components"]["responses"], *(each["responses"] for each in operations)):
        for response in responses.values():
            if "$ref" not in response:
                response["description"] = ""  # the specification asks for it
    bare["info"] = document["info"]
    bare["components"]["examples"] = codes
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


def text_of(document: dict[str, Any], version: str) -> str:
    """The file's content for a document: the same text for the same contract."""
    bare = without_texts(document)
    return _HEADER.format(version) + yaml.dump(
        bare, Dumper=yaml.CSafeDumper, width=120, default_flow_style=None, allow_unicode=True
    )


def refusal(version: str, lines: list[str]) -> str:
    """The message for whoever takes something out of a version. lines: the removals and changes."""
    listed = "\n".join(f"- `{line}`" for line in lines)
    return f"""Clients of {version} lose something:
{listed}
If that was not meant, give it back.
To change a document, publish it in a new version beside {version}, as tests/marketdata_project/v3_site.py does.
To remove a path, first deprecate it in marketdata_project/versions.py, and remove it after its sunset.
Only what no client can depend on may go at once: write into CHANGELOG.md what clients do instead, and run
{COMMAND} --losses
"""


def faults(document: dict[str, Any]) -> list[str]:
    """Where a document is not OpenAPI 3.1, by the specification's own schema; what generating it warned of."""
    errors = jsonschema_rs.validator_for(orjson.loads(_RULES.read_bytes())).iter_errors(document)
    warnings = ["the generator warned; see above"] if GENERATOR_STATS else []
    return warnings + [f"{'/'.join(map(str, each.instance_path))}: {each.message[:200]}" for each in errors]


def main(arguments: list[str]) -> int:
    """Write the documents, or with `--check` say whether they would change; return 1 where one may not be written.

    With `--losses` it writes removals and changes, too.
    """
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "marketdata_project.settings.test")
    django.setup()
    is_check, with_losses = "--check" in arguments, "--losses" in arguments
    return max([_written(version, is_check=is_check, with_losses=with_losses) for version in NAMES])


def _written(version: str, *, is_check: bool, with_losses: bool) -> int:
    GENERATOR_STATS.reset()
    found, file = served(version), snapshot(version)
    if wrong := faults(found):
        sys.stderr.write("\n".join([f"The document of {version} is not valid:", *wrong, ""]))
        return 1
    if not with_losses and (lost := differences(committed(version), found)):
        sys.stderr.write(refusal(version, lost))
        return 1
    text = text_of(found, version)
    if not is_check:
        file.write_text(text)
    elif text != file.read_text():
        sys.stdout.write(f"{file.relative_to(PROJECT)} lacks what was added; take it in: {COMMAND}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
