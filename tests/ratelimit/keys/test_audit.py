"""What the audit log has of calls about keys: the call, what changed, and no secret; without its record nothing changes."""

import pytest
from django.db import DatabaseError
from django.utils import timezone

from audit.models import AuditRecord
from ratelimit.keys.services import key_create
from ratelimit.models import ApiKey
from tests.api_client import answer, make_key, problem
from tests.ratelimit.keys.key_calls import KEYS, post
from web.idempotency.models import SealedAnswer

pytestmark = pytest.mark.usefixtures("project_redis")


def told() -> str:
    return str(list(AuditRecord.objects.values()))


def test_a_call_and_its_change_are_recorded_before_the_answer(api):
    # Those of the fixture's own key.
    before = AuditRecord.objects.count()
    made = answer(post(api))
    rotated = answer(post(api, f"{KEYS}/{made['id']}/rotate", {"overlap_seconds": 60}))
    api.call("DELETE", f"{KEYS}/{rotated['id']}")
    records = AuditRecord.objects.filter(sequence__gt=before).order_by("sequence")
    assert list(records.exclude(event="").values_list("event", "subject")) == [
        ("key.created", f"key:{made['id']}"),
        ("key.rotated", f"key:{made['id']}"),
        ("key.revoked", f"key:{made['id']}"),
    ]
    calls = records.exclude(method="")
    assert list(calls.values_list("method", "status")) == [("POST", 201), ("POST", 201), ("DELETE", 200)]
    assert len(set(records.values_list("correlation_id", flat=True))) == 3
    for shown in (made, rotated):
        for secret in (shown["key"].split("_")[2], shown["signing_secret"]):
            assert secret not in told()


def test_a_secret_that_comes_as_a_correlation_id_is_on_no_record(api):
    secret = make_key()
    response = post(api, x_correlation_id=secret)
    assert response.status_code == 201
    assert response["X-Correlation-ID"] != secret
    assert AuditRecord.objects.filter(correlation_id=response["X-Correlation-ID"]).count() == 2
    assert secret not in told()


def test_the_correlation_id_of_an_event_is_masked(db):
    made = key_create(
        name="x", scopes=["market:read"], now=timezone.now(), actor="test", correlation_id=make_key()
    )
    assert AuditRecord.objects.get(subject=f"key:{made.stored.pk}").correlation_id == "***"


def test_a_refusal_is_recorded_and_changes_nothing(api):
    assert problem(post(api, body={"name": "x"})) == (422, "validation_failed")
    assert AuditRecord.objects.filter(method="POST", status=422).exists()


@pytest.mark.parametrize("idempotency_key", [None, "k1"])
def test_a_change_that_cannot_be_recorded_is_refused(api, monkeypatch, idempotency_key):
    def away(*_: object, **__: object) -> None:
        raise DatabaseError("away")

    headers = {} if idempotency_key is None else {"idempotency_key": idempotency_key}
    monkeypatch.setattr("audit.recording.audit_first.records_append", away)
    refused = post(api, **headers)
    assert refused.status_code == 503
    assert b"md_" not in refused.content
    assert ApiKey.objects.count() == 1
    assert not SealedAnswer.objects.exists()
    monkeypatch.undo()
    assert post(api, **headers).status_code == 201
