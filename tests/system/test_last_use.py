"""When a key was last used is not lost when a web process ends in order."""

import os
import signal
from datetime import UTC, datetime, timedelta
from http.client import HTTPConnection

import pytest

from tests.patience import PATIENCE_SECONDS
from tests.system.installation import installed

pytestmark = pytest.mark.xdist_group("installation")


def test_the_last_uses_are_written_at_a_drain(tmp_path):
    with installed(tmp_path, LOAD_SAMPLE="0") as installation:
        key = installation.new_key()
        # Whatever a round of the thread has written by then is older.
        began = datetime.now(UTC)
        connection = HTTPConnection("127.0.0.1", installation.port, timeout=PATIENCE_SECONDS)
        connection.request("GET", "/api/v1/instruments", headers={"X-API-Key": key})
        assert connection.getresponse().status == 200
        connection.close()
        with installation._database() as database:
            query = "SELECT last_used_at FROM ratelimit_apikey WHERE prefix = ?"
            os.kill(installation.served.process.pid, signal.SIGTERM)
            assert installation.served.ended()
            (told,) = database.execute(query, [key.split("_")[1]]).fetchone()
    used_at = datetime.fromisoformat(told).replace(tzinfo=UTC)
    assert began <= used_at <= began + timedelta(minutes=2)
