"""Every operation of the OpenAPI document has a tag, in the order of use."""

from marketdata_project.openapi_tags import TAGS, tags_fitting
from tests.marketdata_project.test_openapi import operations, schema


def test_the_tags_are_described_and_begin_with_market_data():
    tags = schema()["tags"]
    assert [tag["name"] for tag in tags[:2]] == ["equities", "crypto"]
    assert all(tag["description"].endswith(".") for tag in tags)
    assert {tag.name for tag in TAGS} == {name for each in operations().values() for name in each["tags"]}


def test_each_path_fits_one_tag():
    fitting = {path: [tag.name for tag in tags_fitting(path)] for path in schema()["paths"]}
    wrong = {path: names for path, names in fitting.items() if len(names) != 1}
    assert not wrong, "add the path to the pattern of one tag in marketdata_project/openapi_tags.py"


def test_the_operations_stand_in_the_order_of_their_tags():
    order = [tag.name for tag in TAGS]
    places = [order.index(operation["tags"][0]) for operation in operations().values()]
    assert places == sorted(places)
    assert next(iter(schema()["paths"])) == "/api/v1/market-data/equities/{symbol}/ohlcv"
