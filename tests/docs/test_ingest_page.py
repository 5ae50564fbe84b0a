"""The page about ingest names every dataset, field, format, parameter and limit that there is."""

import re

import pytest
from django.conf import settings
from django.urls import resolve

from marketdata_project.error_codes import ERROR_CODES
from trades.datasets import DATASETS, Dataset
from trades.formats.registry import READERS
from trades.ingest_query import DEDUPE_CHOICES
from trades.row_batch import DATES_LIMIT, ROWS_LIMIT

PAGE = (settings.BASE_DIR / "docs" / "ingest.md").read_text()
DUPLICATES = PAGE[PAGE.index("## Duplicates") :]
EVERY = pytest.mark.parametrize("dataset", DATASETS.values(), ids=list(DATASETS))


def row_of(page: str, dataset: Dataset) -> str:
    """The line of the table that begins with the dataset."""
    return next(line for line in page.splitlines() if line.startswith("| ") and f"`{dataset.name}`" in line)


def test_the_table_has_the_datasets_that_there_are():
    listed = re.findall(r"^\| `([a-z_]+)` \| `[a-z-]+/ingest`", PAGE, re.MULTILINE)
    assert sorted(listed) == sorted(DATASETS)


@EVERY
def test_a_dataset_is_listed_with_its_path(dataset: Dataset):
    (path,) = re.findall(r"`([a-z-]+/ingest)`", row_of(PAGE, dataset))
    assert resolve(f"/api/v1/{path}").url_name == path.replace("/", "-")


@EVERY
def test_a_dataset_is_listed_with_its_fields_and_which_of_them_are_optional(dataset: Dataset):
    if dataset.name == "option_quotes":
        assert "as `quotes`" in row_of(PAGE, dataset)
        assert dataset.columns == DATASETS["quotes"].columns
        return
    cell = row_of(PAGE, dataset).split(" | ")[2]
    optional = set(
        re.findall(r"`([a-z_]+)`", " ".join(re.findall(r"\(([^)]*)\)", without_choices(dataset, cell))))
    )
    others = dataset.columns[1:]
    assert optional == {column.name for column in others if not column.required}
    assert {column.name for column in others} <= set(re.findall(r"`([a-z_]+)`", cell))


def without_choices(dataset: Dataset, cell: str) -> str:
    """The cell without the words that a field may be."""
    for column in dataset.columns:
        for choice in column.choices:
            cell = cell.replace(f"(`{choice}` or ", "").replace(f"`{choice}`)", "")
    return cell


@EVERY
def test_a_dataset_is_listed_with_what_a_row_is_known_by(dataset: Dataset):
    row = row_of(DUPLICATES, dataset)
    assert set(dataset.id_columns) <= set(re.findall(r"`([a-z_]+)`", row))
    if dataset.id_columns:
        assert f"422 `{dataset.conflict[0]}`" in row


def test_every_format_is_listed():
    listed = re.findall(r"^\| `([a-z]+/[a-z.-]+)` \|", PAGE, re.MULTILINE)
    assert sorted(listed) == sorted(READERS)


def test_limits_and_choices_are_those_that_hold():
    assert f"1 to {ROWS_LIMIT:,} rows on at most {DATES_LIMIT} dates" in PAGE
    assert f"at most {settings.MAX_BODY_BYTES // 2**20} MiB" in PAGE
    assert set(re.findall(r"dedupe=([a-z]+)", PAGE)) | {"rows"} == set(DEDUPE_CHOICES)


def test_error_codes_on_the_page_exist():
    codes = {(str(error.status), error.code) for error in ERROR_CODES}
    assert set(re.findall(r"(\d{3}) `([a-z_]+)`", PAGE)) <= codes
