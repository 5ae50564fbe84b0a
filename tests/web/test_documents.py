"""A document's struct gives its schema, its example and its JSON."""

from decimal import Decimal
from enum import StrEnum
from types import SimpleNamespace
from typing import Annotated, Any, Literal

import pytest
from msgspec import UNSET, UnsetType

from web.documents import (
    AnswerDocument,
    Date,
    Instant,
    about,
    arrow_schema,
    document_schema,
    example_of,
    like,
)


class Colour(StrEnum):
    RED = "red"
    GREEN = "green"


class WheelDocument(AnswerDocument):
    """A wheel."""

    spokes: Annotated[int, about("How many.", 32)]


class BikeDocument(AnswerDocument):
    """A bike."""

    price: Annotated[float, about("In euros.", 99.5)]
    made_at: Annotated[Instant | None, like("2025-01-02T14:30:00Z")]
    colour: Colour
    second: Colour | None
    kind: Literal["race", "city"]
    wheels: list[WheelDocument]
    spare: WheelDocument | None
    by_name: Annotated[dict[str, Any], like({})]
    is_new: bool
    note: Annotated[str | UnsetType, about("With a note.")] = UNSET


BIKE = BikeDocument.of_attributes(
    SimpleNamespace(price=Decimal("-0.0"), made_ns=1_735_828_200_000_000_000, colour=Colour.GREEN),
    second=None,
    kind="city",
    wheels=[WheelDocument(spokes=32)],
    spare=None,
    by_name={},
    is_new=True,
    note=UNSET,
)


def test_its_schema_has_types_texts_and_what_may_be_left_out():
    schema = document_schema(BikeDocument, lambda inner: {"$ref": inner.__name__})
    assert schema == {
        "type": "object",
        "description": "A bike.",
        "required": sorted(set(schema["properties"]) - {"note"}),
        "properties": {
            "price": {"type": "number", "format": "double", "description": "In euros."},
            "made_at": {"type": ["string", "null"], "format": "date-time"},
            "colour": {"type": "string", "enum": ["red", "green"]},
            "second": {"type": ["string", "null"], "enum": ["red", "green", None]},
            "kind": {"type": "string", "enum": ["race", "city"]},
            "wheels": {"type": "array", "items": {"$ref": "WheelDocument"}},
            "spare": {"oneOf": [{"$ref": "WheelDocument"}, {"type": "null"}]},
            "by_name": {"type": "object", "additionalProperties": {}},
            "is_new": {"type": "boolean"},
            "note": {"type": "string", "description": "With a note."},
        },
    }


def test_its_example_is_made_of_its_fields_examples():
    assert list(example_of(BikeDocument).items()) == [
        ("price", 99.5),
        ("made_at", "2025-01-02T14:30:00Z"),
        ("colour", "red"),
        ("second", None),
        ("kind", "race"),
        ("wheels", [{"spokes": 32}]),
        ("spare", None),
        ("by_name", {}),
        ("is_new", False),
    ]


def test_a_number_or_a_text_needs_an_example():
    class CarDocument(AnswerDocument):
        """A car."""

        doors: int

    with pytest.raises(TypeError, match=r"CarDocument\.doors"):
        example_of(CarDocument)


def test_its_json_has_doubles_texts_and_only_what_is_there():
    assert BIKE.as_json() == {
        "price": 0.0,
        "made_at": "2025-01-02T14:30:00Z",
        "colour": "green",
        "second": None,
        "kind": "city",
        "wheels": [{"spokes": 32}],
        "spare": None,
        "by_name": {},
        "is_new": True,
    }
    assert str(BIKE.as_json()["price"]) == "0.0"


def test_its_columns_are_flat_and_have_types_of_arrow():
    class SaleDocument(AnswerDocument):
        """A sale."""

        day: Date
        bike: BikeDocument
        buyer: WheelDocument | None

    columns = {each.name: (str(each.type), each.nullable) for each in arrow_schema(SaleDocument)}
    assert columns == {
        "day": ("date32[day]", False),
        "bike.price": ("double", False),
        "bike.made_at": ("timestamp[ns, tz=UTC]", True),
        "bike.colour": ("string", False),
        "bike.second": ("string", True),
        "bike.kind": ("string", False),
        "bike.wheels": ("string", False),
        "bike.spare.spokes": ("int64", True),
        "bike.by_name": ("string", False),
        "bike.is_new": ("bool", False),
        "bike.note": ("string", True),
        "buyer.spokes": ("int64", True),
    }
