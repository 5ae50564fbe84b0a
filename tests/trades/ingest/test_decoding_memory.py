"""What decoding takes at most is what is reserved for it: 6 times the length of the body, and 16 MiB."""

import json
import subprocess
import sys
from pathlib import Path

import orjson
import pytest
from django.conf import settings

from store.datasets import TRADES
from tests.api_client import trade
from tests.trades.formats.bodies import ENCODERS
from trades.batches.row_batch import ROWS_LIMIT, BatchOptions
from trades.children import MEMORY_BYTES, MEMORY_FACTOR
from trades.decoder import LARGE_BYTES, decoded
from trades.formats import JSON, READERS
from web.requests.exceptions import MalformedDocument

# The kernel counts a thread's pages in steps of 64.
COUNTED_BYTES = 2 * 64 * 4096
pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="only Linux tells peaks"),
]


def test_no_body_that_a_web_process_decodes_takes_more():
    command = [sys.executable, "-m", "tests.trades.ingest.decoding_peaks"]
    found = json.loads(subprocess.check_output(command, cwd=settings.BASE_DIR))
    beyond = {
        name: (length, peak)
        for name, (length, peak) in found.items()
        if peak > MEMORY_FACTOR * length + MEMORY_BYTES + COUNTED_BYTES
    }
    assert beyond == {}


@pytest.mark.parametrize("name", ENCODERS)
def test_the_largest_batch_of_each_format_is_decoded_within_it(name):
    media_type, encode = ENCODERS[name]
    body = encode(TRADES, [trade(trade_id=str(number)) for number in range(ROWS_LIMIT)])
    assert len(body) > LARGE_BYTES
    assert decoded(READERS[media_type], body, BatchOptions()).rows.num_rows == ROWS_LIMIT


def test_a_body_that_would_take_more_is_refused():
    body = orjson.dumps({"trades": [{str(number): 1 for number in range(500_000)}]})
    with pytest.raises(MalformedDocument, match="MiB of memory") as refused:
        decoded(READERS[JSON], body, BatchOptions())
    assert refused.value.code == "document_too_large"
