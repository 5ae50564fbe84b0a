"""What files of corrections hold beside a dataset's own columns, and the values known because of them."""

from dataclasses import replace

import pyarrow as pa

from store.arrow_later import compute as pc
from store.declarations import Column, Dataset, Kind
from store.protocol import Action
from store.rows.visible import ACTION, ARRIVAL


def corrections_of(dataset: Dataset) -> Dataset:
    """The columns of a dataset's corrections: its own, the corrected row's arrival number, the action.

    Later columns stand behind these two, too.
    """
    own = (Column(ARRIVAL.name, Kind.INTEGER, required=True), Column(ACTION.name, Kind.TEXT, required=True))
    later = (column for column in dataset.columns if column.later)
    return replace(dataset, columns=(*dataset.first_form.columns, *own, *later))


def known_values(dataset: Dataset, corrections: pa.RecordBatch | pa.Table) -> pa.RecordBatch | pa.Table:
    """The rows whose values are taken from now on: an id stays known by its corrected values, too.

    In the dataset's columns and `arrival`.
    """
    corrects = pc.equal(corrections.column(ACTION.name), Action.CORRECT.value)
    has_id = corrections.column(dataset.id_columns[-1]).is_valid() if dataset.id_columns else False
    return corrections.filter(pc.and_(corrects, has_id)).select([*dataset.schema.names, ARRIVAL.name])
