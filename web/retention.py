"""How many rows of a table one holder may keep."""

from typing import TypeVar

from django.db.models import F, Model, QuerySet, Window
from django.db.models.functions import RowNumber

Row = TypeVar("Row", bound=Model)


def beyond_newest(rows: QuerySet[Row], *, holder: str, most: int) -> QuerySet[Row]:
    """Return the rows but for each holder's `most` newest ones, by `id`. holder: the name of a column."""
    rank = Window(RowNumber(), partition_by=F(holder), order_by=F("id").desc())
    return rows.filter(pk__in=rows.annotate(rank=rank).filter(rank__gt=most).values("pk"))
