"""Every code that a wrong field can have is one of the answers' or stands on the page of errors."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from rest_framework import serializers

from marketdata_project.error_codes import ERROR_CODES
from store.datasets import CORRECTED, DATASETS
from store.symbols import InvalidSymbol
from store.timestamps import InvalidTimestamp
from tests.program import OF_PROGRAM, PACKAGES, program_nodes
from trades.batches.serializers import BatchSerializer, RowSerializer
from trades.correction_batch import CorrectionBatchSerializer, CorrectionSerializer
from web.requests.field_errors import CODES_OF_DRF, KnownFieldsSerializer

pytestmark = OF_PROGRAM
PAGE = Path(settings.BASE_DIR, "docs", "errors.md")
# Where a call that says what is wrong has its code.
PLACES = {"ValidationError": None, "ErrorDetail": 1, "FieldError": 1}


def page_codes() -> list[str]:
    """Those of the list of fields."""
    table = PAGE.read_text().split("## Codes of fields")[1]
    return [
        code
        for row in re.findall(r"^- (`.*?): ", table, re.MULTILINE)
        for code in re.findall(r"`(\w+)`", row)
    ]


def kinds(base: type) -> Iterator[Any]:
    for kind in base.__subclasses__():
        yield kind
        yield from kinds(kind)


def codes_of(field: "serializers.Field[Any, Any, Any, Any]") -> Iterator[str]:
    """Those by which a field, or one within it, refuses a value, as clients get them."""
    said = {*field.error_messages, *(getattr(check, "code", "invalid") for check in field.validators)}
    yield from (CODES_OF_DRF.get(code, code) for code in said)
    inner = field.fields.values() if isinstance(field, serializers.Serializer) else ()
    for each in (*inner, *filter(None, [getattr(field, "child", None)])):
        yield from codes_of(each)


def codes_of_bodies() -> set[str]:
    """What the serializers of all bodies can say."""
    import_module(settings.ROOT_URLCONF)
    batches = [
        *(BatchSerializer(dataset=dataset) for dataset in DATASETS.values()),
        *(CorrectionBatchSerializer(dataset=dataset) for dataset in CORRECTED),
    ]
    of_dataset = {RowSerializer, BatchSerializer, CorrectionSerializer, CorrectionBatchSerializer}
    known = {kind for kind in kinds(KnownFieldsSerializer) if kind.__module__.startswith(PACKAGES)}
    whole = [kind() for kind in known - of_dataset]
    return {code for each in (*batches, *whole) for code in codes_of(each)}


def said_in(node: ast.AST) -> Iterator[object]:
    """The codes that stand in one expression of the program."""
    match node:
        case ast.Assign(targets=[ast.Name("default_error_messages")], value=ast.Dict(keys=keys)):
            yield from (key.value for key in keys if isinstance(key, ast.Constant))
        case ast.Call(func=ast.Name(name) | ast.Attribute(attr=name)) if name in PLACES:
            place = PLACES[name]
            given = [] if place is None else node.args[place : place + 1]
            given += [word.value for word in node.keywords if word.arg == "code"]
            yield from (each.value for each in given if isinstance(each, ast.Constant))


@cache
def codes_in_program() -> set[object]:
    found = {code for nodes in program_nodes().values() for node in nodes for code in said_in(node)}
    return {CODES_OF_DRF.get(str(code), code) for code in found}


def codes_of_rows() -> set[str]:
    """Of times and symbols, and of what the datasets declare: bounds of numbers, rules of rows."""
    declared = DATASETS.values()
    bounds = {
        column.lower_bound.code for dataset in declared for column in dataset.columns if column.lower_bound
    }
    texts = {error.code for error in (InvalidSymbol, InvalidTimestamp, *kinds(InvalidTimestamp))}
    return texts | bounds | {rule.code for dataset in declared for rule in dataset.rules}


@pytest.mark.parametrize("found", [codes_of_bodies, codes_in_program, codes_of_rows])
def test_each_code_of_a_field_is_documented(found):
    codes = found()
    assert len(codes) > 3
    assert codes - {error.code for error in ERROR_CODES} - set(page_codes()) == set()


def test_the_list_has_each_code_once_and_none_that_nobody_says():
    codes = page_codes()
    said = codes_of_bodies() | codes_in_program() | codes_of_rows()
    assert [code for code in codes if codes.count(code) > 1 or code not in said] == []
