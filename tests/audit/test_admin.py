"""The audit log in the admin can be read and filtered, and nothing else."""

from datetime import UTC, datetime

import pytest
from django.contrib import admin
from django.contrib.auth import get_user_model
from django.test import Client
from django.urls import path, reverse

from audit import admin as audit_admin
from audit.models import AuditRecord

urlpatterns = [path("admin/", admin.site.urls)]
pytestmark = pytest.mark.django_db
CHANGELIST = "admin:audit_auditrecord_changelist"


def record(number, **changes):
    fields = {
        "at": datetime(2025, 1, 2, 3, number, tzinfo=UTC),
        "caller": "key:1",
        "method": "GET",
        "path": "/api/v1/stats/ohlc",
        "status": 200,
        "latency_us": 100,
        "address": "127.0.0.1",
        "correlation_id": f"call-{number}",
    }
    return AuditRecord.objects.create(**{**fields, **changes})


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
        pytest.param({"status_class": "2"}, [1, 0], id="2xx"),
        pytest.param({"status_class": "4"}, [3, 2], id="4xx"),
        pytest.param({"status_class": "5"}, [4], id="5xx"),
        pytest.param({"status_class": "junk"}, [4, 3, 2, 1, 0], id="no-such-class"),
        pytest.param({"status_class": "23"}, [4, 3, 2, 1, 0], id="two-classes"),
        pytest.param({"status_class": ""}, [4, 3, 2, 1, 0], id="empty-class"),
        pytest.param({"method": "POST"}, [1], id="method"),
        pytest.param({"caller": "key:2"}, [3, 1], id="caller"),
        pytest.param({"caller": "-"}, [2], id="nobody"),
        pytest.param({"caller": "key:2", "status_class": "4"}, [3], id="combined"),
        pytest.param({"at__year": "2024"}, [4], id="date"),
        pytest.param({"q": "ingest"}, [1], id="search-path"),
        pytest.param({"q": "call-3"}, [3], id="search-correlation-id"),
        pytest.param({"q": "key:2"}, [3, 1], id="search-caller"),
    ],
)
def test_list_is_filtered(client, records, query, expected):
    assert listed(client, **query) == [f"call-{number}" for number in expected]


def test_filters_offer_what_there_is(client, records):
    page = client.get(reverse(CHANGELIST)).content.decode()
    assert all(f"?caller={caller}" in page for caller in ("-", "key%3A1", "key%3A2"))
    assert all(f"?status_class={digit}" in page for digit in "12345")
    assert "?method=DELETE" in page


def test_callers_are_listed_in_order_and_no_more_than_asked_for(records):
    record(9, caller="staff:1")
    assert audit_admin.first_callers(100) == ["key:1", "key:2", "staff:1"]
    assert audit_admin.first_callers(2) == ["key:1", "key:2"]


def test_callers_take_one_query_each(records, django_assert_num_queries):
    with django_assert_num_queries(3):
        audit_admin.first_callers(100)


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
