"""A source's key is said nowhere, also if the source answers an error with it: no log, audit record, job or message has it."""

import logging
from pathlib import Path
from typing import Any

import orjson
import pytest
from django.core.management import CommandError, call_command

from audit.models import AuditRecord
from jobs.models import Job
from sources.registry import source_forget
from tests.api_client import Api, answer
from tests.jobs.running import run_job
from tests.ops.outbound.hostile_server import says, served
from tests.sources.asked import QUICK

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("default_store")]
SECRET = "s3cretOfAlpaca"
BODY = orjson.dumps({"message": SECRET, "code": SECRET, "detail": {"case": SECRET}, "error": SECRET})


@pytest.mark.parametrize("status", [200, 401, 403, 422, 429, 500])
def test_a_key_in_the_answer_of_an_error_is_said_nowhere(
    api: Api, settings: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture, status: int
) -> None:
    caplog.set_level(logging.DEBUG)
    settings.RUN_DIR = tmp_path / "run"
    settings.SOURCE_KEYS = {"alpaca": f"id:{SECRET}"}
    with served(says(BODY, status)) as server:
        settings.SOURCES = {"alpaca": {"url": server.url, "limits": QUICK}}
        with pytest.raises(CommandError) as raised:
            call_command("fetch", "alpaca", "AAPL", "--start", "2025-01-02", "--end", "2025-01-03")
        source_forget("alpaca")
        body = {"source": "alpaca", "name": "AAPL", "start": "2025-01-02", "end": "2025-01-03"}
        submitted = answer(api.call("POST", "/api/v1/fetches", orjson.dumps(body)))
        run_job(Job.objects.get(uuid=submitted["id"]).uuid)
        assert server.calls[0][1]["APCA-API-SECRET-KEY"] == SECRET
    shown = answer(api.call("GET", f"/api/v1/jobs/{submitted['id']}"))
    said = [str(raised.value), caplog.text, orjson.dumps(shown).decode(), str(Job.objects.values().get())]
    said += [str(record) for record in AuditRecord.objects.values()]
    assert Job.objects.get().error
    assert [text for text in said if SECRET in text] == []
