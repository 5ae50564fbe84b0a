"""A batch of corrections made ready for the log, and its lines in the file of corrections."""

import hashlib
import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa

from store.csv.parts.commit import PartKind
from store.csv.parts.corrected import corrections_of, known_values
from store.csv.writing.batch import BatchHashes, Chunk
from store.csv.writing.identities import StoredHashes, hash_rows
from store.protocol import Amendment
from store.rows.corrections import Change
from store.rows.visible import ACTION, ARRIVAL
from store.timestamps import DAY_NS


class CorrectionChunk(Chunk):
    """Corrections of one event date in the columns of `corrections_of`, in the order in which they apply."""

    kind = PartKind.CORRECTIONS

    def known(self, first_arrival: int) -> StoredHashes:
        """The corrected values of rows with ids, under the arrival numbers of the rows that they correct."""
        own = {ARRIVAL.name, ACTION.name}
        columns = tuple(column for column in self.dataset.columns if column.name not in own)
        dataset = replace(self.dataset, columns=columns).first_form
        rows = known_values(dataset, self.rows)
        return StoredHashes.of(hash_rows(dataset, rows), rows.column(ARRIVAL.name).to_numpy())


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
    def key_hash(self) -> str | None:
        return self.amendment.key_hash

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
        chunks, named = [], (dataset, self.amendment.symbol)
        for day, of_day in sorted(by_day.items()):
            rows = [
                {**change.row, ARRIVAL.name: change.arrival, ACTION.name: change.action.value}
                for change in of_day
            ]
            batch = pa.RecordBatch.from_pylist(rows, schema=dataset.schema)
            places = np.array([change.place for change in of_day])
            chunks.append(CorrectionChunk(*named, day, batch, places, BatchHashes(dataset, batch)))
        return tuple(chunks)
