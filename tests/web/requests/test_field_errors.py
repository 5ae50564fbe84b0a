"""What is wrong with the fields of a body, and which of them nobody knows."""

from typing import Any

import pytest
from rest_framework import serializers

from web.requests.exceptions import ERRORS_LIMIT, FieldError
from web.requests.field_errors import KnownFieldsSerializer, field_errors


class RowSerializer(KnownFieldsSerializer):
    price = serializers.FloatField()


class BatchSerializer(KnownFieldsSerializer):
    rows: Any = serializers.ListSerializer(child=RowSerializer(), min_length=1, max_length=2)
    names = serializers.ListField(child=serializers.CharField(max_length=1), required=False, max_length=2)


def errors_of(data, **context) -> list[FieldError]:
    serializer = BatchSerializer(data=data, context=context)
    serializer.is_valid()
    return list(field_errors(serializer.errors))


@pytest.mark.parametrize(
    ("data", "path", "code"),
    [
        ({}, "rows", "required"),
        ([], "", "invalid_type"),
        ({"rows": [{"price": 1}], "row": 1}, "row", "unknown_field"),
        ({"rows": [{"price": 1}, {"price": "x"}]}, "rows[1].price", "invalid_type"),
        ({"rows": [{"price": 1, "prise": 1}]}, "rows[0].prise", "unknown_field"),
        ({"rows": []}, "rows", "empty"),
        ({"rows": [{"price": 1}] * 3}, "rows", "too_many"),
        ({"rows": [{"price": 1}], "names": ["a", "b", "c"]}, "names", "too_many"),
        ({"rows": [{"price": 1}], "names": ["ab"]}, "names[0]", "invalid_text"),
    ],
)
def test_an_error_has_the_path_of_its_field(data, path, code):
    assert [(error.path, error.code) for error in errors_of(data)] == [(path, code)]


def test_unknown_and_invalid_fields_are_reported_together():
    found = {error.path: error.message for error in errors_of({"rows": [{"prise": 1}]})}
    assert found["rows[0].prise"] == "is not a field of this object; did you mean price?"
    assert "rows[0].price" in found


def test_fields_that_are_not_known_may_be_passed_over():
    assert errors_of({"rows": [{"price": 1, "prise": 1}]}, ignore_unknown=True) == []


def test_the_first_of_many_unknown_fields_are_reported():
    unknown = {f"{number:x<99}": 1 for number in range(2 * ERRORS_LIMIT)}
    found = errors_of({"rows": [{"price": 1}], **unknown})
    assert len(found) == ERRORS_LIMIT
    assert {len(error.path) for error in found} == {64}
