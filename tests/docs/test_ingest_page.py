"""The page on ingest: its program runs, and its table is the declarations."""

import re

import orjson
from django.conf import settings

from store.datasets import DATASETS
from tests.api_client import answer
from trades.formats import READERS
from trades.ingest import IngestViewSet

PAGE = (settings.BASE_DIR / "docs" / "ingest.md").read_text()


def test_the_program_makes_one_batch_in_two_formats(api):
    (program,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    made: dict[str, bytes] = {}
    exec(program, made)
    path = "/api/v1/quotes/ingest"
    first = api.ingest(
        made["arrow"], path=path, query="symbol=AAPL", content_type="application/vnd.apache.arrow.stream"
    )
    again = api.ingest(made["text"], path=path, query="symbol=AAPL", content_type="text/csv")
    assert answer(first)["stored"] == 2
    assert orjson.loads(again.content)["duplicates"] == 2


def test_the_table_of_datasets_names_each_column():
    for dataset in DATASETS.values():
        if dataset.name == "option_quotes":
            continue
        (row,) = re.findall(rf"^\| `{dataset.name.replace('_', '-')}/ingest`.*$", PAGE, re.MULTILINE)
        columns = re.findall(r"`(\w+)`(\??)", row.split("|")[2])
        declared = [(column.name, "" if column.required else "?") for column in dataset.columns[1:]]
        words = {word for column in dataset.columns for word in column.choices}
        assert [found for found in columns if found[0] not in words] == declared


def test_the_formats_are_those_that_there_are():
    assert re.findall(r"^\| `([a-z/.-]+)` \|", PAGE, re.MULTILINE)[-len(READERS) :] == list(READERS)
    assert [parser.media_type for parser in IngestViewSet.parser_classes] == list(READERS)
