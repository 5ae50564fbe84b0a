"""Databento's HTTP API as its documentation has it, with DBN files that its own library encodes."""

import base64
from typing import Any
from urllib.parse import parse_qs, urlsplit

import orjson

from store.timestamps import parse_timestamp
from tests.ops.outbound.hostile_server import Call, says
from tests.trades.imports.vendor_files import IDS, Row, dbn_bytes

KEY = "db-goodgoodgoodgoodgoodgoodgoodgood"
PRICE = 0.1234
RECEIVED_NS = 9
"""How long after the event the records of `dbn_bytes` were received."""


class FakeDatabento:
    """Gives the records that were received in the time that is asked for. available: until when the dataset is there."""

    def __init__(self, rows: list[Row], available: str = "2025-02-01") -> None:
        self.rows, self.available = rows, available
        self.bought: list[dict[str, str]] = []

    def __call__(self, call: Call) -> None:
        url = urlsplit(call.path)
        terms = {name: values[0] for name, values in parse_qs(url.query or call.body.decode()).items()}
        if call.headers["Authorization"] != f"Basic {base64.b64encode(f'{KEY}:'.encode()).decode()}":
            self._refuse(call, 401, "auth_authentication_failed")
        elif url.path == "/v0/metadata.get_dataset_range":
            answer = {
                "start": "2018-05-01T00:00:00.000000000Z",
                "end": f"{self.available}T00:00:00.000000000Z",
            }
            says(orjson.dumps(answer))(call)
        elif parse_timestamp(terms["end"]) > parse_timestamp(self.available):
            self._refuse(call, 422, "data_end_after_available_end")
        elif terms["symbols"] not in IDS:
            self._refuse(call, 422, "symbology_invalid_request")
        elif url.path == "/v0/metadata.get_cost":
            says(orjson.dumps(PRICE))(call)
        elif url.path == "/v0/metadata.get_record_count":
            says(orjson.dumps(len(self._found(terms))))(call)
        else:
            assert (call.command, url.path, terms["encoding"]) == ("POST", "/v0/timeseries.get_range", "dbn")
            self.bought.append(terms)
            says(dbn_bytes(terms["schema"], self._found(terms)))(call)

    def _found(self, terms: dict[str, str]) -> list[Row]:
        start, end = (parse_timestamp(terms[name]) for name in ("start", "end"))
        late = 0 if terms["schema"].startswith("ohlcv") else RECEIVED_NS
        of_symbol = [row for row in self.rows if row["symbol"] == terms["symbols"]]
        return [row for row in of_symbol if start <= row["time"] + late < end]

    def _refuse(self, call: Call, status: int, case: str) -> None:
        detail: dict[str, Any] = {"case": case, "message": "no", "status_code": status, "payload": {}}
        says(orjson.dumps({"detail": detail}), status)(call)
