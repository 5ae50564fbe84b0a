"""The audit log in the admin can be read and filtered, and nothing else."""

import json
from datetime import UTC, datetime

import pytest
from django.contrib import admin
from django.contrib.auth import get_user_model
from django.contrib.sessions.models import Session
from django.core.exceptions import PermissionDenied
from django.test import Client
from django.urls import path, reverse

from audit import admin as audit_admin
from audit.models import AuditRecord
from audit.records.detail import detail_text
from audit.services import event_record
from ratelimit.models import ApiKey
from tests.audit.builders import AT, record

urlpatterns = [path("admin/", admin.site.urls)]
pytestmark = pytest.mark.django_db
CHANGELIST = "admin:audit_auditrecord_changelist"


@pytest.fixture
def client(settings):
    settings.ROOT_URLCONF = __name__
    settings.MIDDLEWARE = [
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
        "django.contrib.messages.middleware.MessageMiddleware",
    ]
    client = Client()
    client.force_login(get_user_model().objects.create_superuser("root", password="root"))
    return client


@pytest.fixture
def records():
    return [
        record(0),
        record(1, caller="key:2", method="POST", path="/v1/trades/ingest", status=201),
        record(2, caller="", status=401),
        record(3, caller="key:2", status=429),
        record(4, at=datetime(2024, 12, 31, tzinfo=UTC), status=500),
    ]


def listed(client, **query):
    response = client.get(reverse(CHANGELIST), query)
    assert response.status_code == 200
    return [row.correlation_id for row in response.context["cl"].result_list]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        pytest.param({}, [4, 3, 2, 1, 0], id="all-newest-first"),
        pytest.param({"status_class": "4xx"}, [3, 2], id="4xx"),
        pytest.param({"status_class": "junk"}, [], id="no-such-class"),
        pytest.param({"since": "2025-01-02T03:01Z", "until": "2025-01-02T03:03Z"}, [2, 1], id="times"),
        pytest.param({"correlation_id": "call-3", "at__year": "2025"}, [3], id="correlation-id-and-date"),
        pytest.param({"status_class": ""}, [4, 3, 2, 1, 0], id="empty-class"),
        pytest.param({"caller": "key:2"}, [3, 1], id="caller"),
        pytest.param({"caller": "-"}, [2], id="nobody"),
        pytest.param({"at__year": "2024"}, [4], id="date"),
        pytest.param({"q": "ingest"}, [1], id="search-path"),
    ],
)
def test_list_is_filtered(client, records, query, expected):
    assert listed(client, **query) == [f"call-{number}" for number in expected]


def test_filters_offer_what_there_is(client, records):
    page = client.get(reverse(CHANGELIST)).content.decode()
    assert all(f'<option value="{word}">' in page for word in ("2xx", "5xx", "DELETE", "config"))


def test_a_filter_that_is_wrong_says_so(client, records):
    page = client.get(reverse(CHANGELIST), {"since": "yesterday"}).content.decode()
    assert "must be an instant" in page


def test_filters_keep_the_date_and_the_search(client, records):
    page = client.get(reverse(CHANGELIST), {"at__year": "2025", "q": "call"}).content.decode()
    form = page[page.index('class="audit-filters"') :]
    assert '<input type="hidden" name="at__year" value="2025">' in form
    assert '<input type="hidden" name="q" value="call">' in form


def exported(response):
    assert response["Content-Type"] == "application/x-ndjson"
    return [json.loads(line)["correlation_id"] for line in response.getvalue().splitlines()]


@pytest.mark.parametrize(
    "end",
    [
        lambda: get_user_model().objects.update(is_active=False),
        lambda: Session.objects.all().delete(),
    ],
    ids=["deactivated", "logged out"],
)
def test_an_export_ends_with_its_session(client, records, monkeypatch: pytest.MonkeyPatch, end):
    monkeypatch.setattr("audit.reading.export.PIECE_RECORDS", 1)
    selected = {"action": "export_selected", "_selected_action": [records[3].pk, records[0].pk]}
    pieces = iter(client.post(reverse(CHANGELIST), selected))
    assert next(pieces)
    end()
    with pytest.raises(PermissionDenied):
        next(pieces)


def test_what_is_selected_is_exported(client, records):
    selected = {"action": "export_selected", "_selected_action": [records[3].pk, records[0].pk]}
    assert exported(client.post(reverse(CHANGELIST), selected)) == ["call-0", "call-3"]


def test_who_may_not_see_records_exports_none(client, records):
    client.force_login(get_user_model().objects.create_user("clerk", password="clerk", is_staff=True))
    selected = {"action": "export_selected", "_selected_action": [records[0].pk]}
    assert client.post(reverse(CHANGELIST), selected).status_code == 403


def test_a_change_is_shown_by_member_escaped_and_masked(client):
    detail = {"change": ({"name": "<script>alert(1)</script>", "tick": 1}, {"name": "token=s3cret"})}
    event_record(
        at=AT, actor="user:1", audit_class="config", event="instrument.told", subject="X", detail=detail
    )
    page = client.get(reverse("admin:audit_auditrecord_change", args=[1])).content.decode()
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "<script>alert" not in page
    assert "s3cret" not in page
    assert [text in page for text in ("<th scope='row'>tick</th>", "<code>1</code>")] == [True, True]


@pytest.mark.parametrize(
    ("detail", "shown"),
    [
        ({"body": {"name": "feed"}}, "&quot;name&quot;: &quot;feed&quot;"),
        ({"records": 7}, "&quot;records&quot;: 7"),
        ({"change": ({"a": "x" * 70_000}, {})}, "&quot;sha256&quot;"),
    ],
    ids=["body", "more", "long"],
)
def test_a_detail_is_shown(client, detail, shown):
    record(0, detail=detail_text(detail))
    page = client.get(reverse("admin:audit_auditrecord_change", args=[1])).content.decode()
    assert shown in page


def test_count_stops_where_nobody_reads_on(client, records, monkeypatch):
    monkeypatch.setattr(audit_admin, "COUNTED_RECORDS", 3)
    response = client.get(reverse(CHANGELIST))
    assert response.context["cl"].paginator.count == 3


def test_record_is_shown(client, records):
    response = client.get(reverse("admin:audit_auditrecord_change", args=[records[1].pk]))
    assert response.status_code == 200
    page = response.content.decode()
    assert "/v1/trades/ingest" in page
    assert '<input type="submit"' not in page


@pytest.mark.parametrize("action", ["change", "delete"])
def test_posting_a_change_or_a_deletion_is_403(client, records, action):
    before = list(AuditRecord.objects.values())
    url = reverse(f"admin:audit_auditrecord_{action}", args=[records[0].pk])
    assert client.post(url, {"path": "/forged", "post": "yes"}).status_code == 403
    assert list(AuditRecord.objects.values()) == before


def test_adding_is_403(client):
    url = reverse("admin:audit_auditrecord_add")
    assert client.get(url).status_code == 403
    assert client.post(url, {"path": "/forged"}).status_code == 403
    assert not AuditRecord.objects.exists()


def test_no_bulk_deletion(client, records):
    selected = [row.pk for row in records]
    client.post(
        reverse(CHANGELIST), {"action": "delete_selected", "_selected_action": selected, "post": "yes"}
    )
    assert AuditRecord.objects.count() == len(records)
    assert "delete_selected" not in client.get(reverse(CHANGELIST)).content.decode()


def test_stranger_is_sent_to_the_login(client, records):
    client.logout()
    assert client.get(reverse(CHANGELIST)).status_code == 302


def test_calls_that_differ_are_shown_as_different(client):
    for number, query in enumerate(
        ("a=1%26b=2", "a=1&b=2", "start=2025-01-02T09%3A30", "start=2025-01-02T09:30")
    ):
        record(number, query=query)
    shown = [
        audit_admin.AuditRecordAdmin(AuditRecord, admin.site).what(each) for each in AuditRecord.objects.all()
    ]
    assert len(set(shown)) == 3


def test_callers_have_their_names_by_two_queries_a_page(client, django_assert_max_num_queries):
    key = ApiKey.objects.create(name="desk of rates", prefix="ab", digest="0" * 64, created_at=AT)
    person = get_user_model().objects.create_user("ada")
    for number, caller in enumerate(
        (f"key:{key.pk}", f"user:{person.pk}", "key:999", "", "command:serve") * 4
    ):
        record(number, caller=caller, path="/api/v1/market-data/equities/BRK%2FA/trades")
    with django_assert_max_num_queries(9):
        html = client.get(reverse(CHANGELIST)).content.decode()
    cells = (
        f"desk of rates (key:{key.pk})",
        f"ada (user:{person.pk})",
        ">key:999<",
        ">command:serve<",
        "equities/BRK/A/trades",
    )
    assert all(cell in html for cell in cells)
