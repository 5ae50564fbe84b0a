"""A batch of corrections made ready for the log, and its lines in the file of corrections."""

import hashlib
import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import pyarrow as pa

from trades.arrow_later import compute as pc
from trades.declarations import Column, Dataset, Kind
from trades.storage.commit import PartKind
from trades.storage.corrections import Change
from trades.storage.csv.batch import Chunk
from trades.storage.csv.identities import RowHashes, hash_rows
from trades.storage.protocol import Action, Amendment
from trades.storage.visible import ACTION, ARRIVAL
from trades.timestamps import DAY_NS


def corrections_of(dataset: Dataset) -> Dataset:
    """The columns of a dataset's file of corrections: its own, the corrected row's arrival number, and the action."""
    own = (Column(ARRIVAL.name, Kind.INTEGER, required=True), Column(ACTION.name, Kind.TEXT, required=True))
    return replace(dataset, columns=(*dataset.columns, *own))


def known_values(dataset: Dataset, corrections: pa.RecordBatch | pa.Table) -> pa.RecordBatch | pa.Table:
    """The rows whose values are taken from now on: an id stays known by its corrected values, too."""
    corrects = pc.equal(corrections.column(ACTION.name), Action.CORRECT.value)
    has_id = corrections.column(dataset.id_columns[-1]).is_valid() if dataset.id_columns else False
    return corrections.filter(pc.and_(corrects, has_id)).select(dataset.schema.names)


class CorrectionChunk(Chunk):
    """Corrections of one event date in the columns of `corrections_of`, in the order in which they apply."""

    kind = PartKind.CORRECTIONS

    @cached_property
    def hashes(self) -> RowHashes:
        """What later rows are recognised by because of the corrections."""
        own = {ARRIVAL.name, ACTION.name}
        columns = tuple(column for column in self.dataset.columns if column.name not in own)
        dataset = replace(self.dataset, columns=columns)
        return hash_rows(dataset, known_values(dataset, self.rows))


@dataclass(frozen=True)
class PreparedAmendment:
    """A batch of corrections and its hash."""

    amendment: Amendment
    digest: str

    @classmethod
    def of(cls, amendment: Amendment) -> "PreparedAmendment":
        """Do all of the work that needs no lock."""
        said = [
            [
                each.action,
                each.timestamp_ns,
                each.trade_id,
                each.exchange,
                each.price,
                each.volume,
                dict(each.new),
            ]
            for each in amendment.corrections
        ]
        text = json.dumps(["corrections", said], sort_keys=True)
        return cls(amendment, hashlib.sha256(text.encode()).hexdigest())

    @property
    def caller(self) -> str:
        return self.amendment.caller

    @property
    def request_key(self) -> str | None:
        return self.amendment.request_key

    @property
    def received(self) -> int:
        """How many corrections there are."""
        return len(self.amendment.corrections)

    def chunks(self, made: Sequence[Change]) -> tuple[CorrectionChunk, ...]:
        """The changes by event date, each date's in order."""
        dataset = corrections_of(self.amendment.dataset)
        time = self.amendment.dataset.columns[0].name
        by_day: dict[int, list[Change]] = defaultdict(list)
        for change in made:
            by_day[int(str(change.row[time])) // DAY_NS].append(change)
        chunks = []
        for day, of_day in sorted(by_day.items()):
            rows = [
                {**change.row, ARRIVAL.name: change.arrival, ACTION.name: change.action.value}
                for change in of_day
            ]
            batch = pa.RecordBatch.from_pylist(rows, schema=dataset.schema)
            places = np.array([change.place for change in of_day])
            chunks.append(CorrectionChunk(dataset, self.amendment.symbol, day, batch, places))
        return tuple(chunks)
