"""Operators read jobs and backfills in the admin, and change nothing."""

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from jobs.backfills.models import EXHAUSTED, Backfill
from jobs.models import Job

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def admin() -> Client:
    client = Client()
    client.force_login(User.objects.create_superuser("lovelace"))
    return client


def test_a_job_is_shown_with_its_progress(admin: Client, submit) -> None:
    job = submit()
    Job.objects.update(done=3, total=8, result={"note": "<b>"})
    shown = admin.get("/admin/jobs/job/").content.decode()
    assert "3 of 8 steps" in shown
    assert 'value="3"' in shown.replace("'", '"')
    page = admin.get(f"/admin/jobs/job/{job.pk}/change/").content.decode()
    assert str(job.uuid) in page
    assert "<b>" not in page


def test_a_backfill_is_shown_with_what_sources_said(admin: Client) -> None:
    row = Backfill.objects.create(
        dataset="trades",
        symbol="AAPL",
        start_ns=1_735_828_200 * 10**9,
        end_ns=1_735_828_260 * 10**9,
        state=EXHAUSTED,
        told=[["desk", "answered 500"]],
        asked_at=timezone.now(),
    )
    assert "2025-01-02T14:30:00Z" in admin.get("/admin/backfills/backfill/").content.decode()
    assert "answered 500" in admin.get(f"/admin/backfills/backfill/{row.pk}/change/").content.decode()


@pytest.mark.parametrize("path", ["/admin/jobs/job/add/", "/admin/backfills/backfill/add/"])
def test_nothing_is_added_by_hand(admin: Client, path: str) -> None:
    assert admin.get(path).status_code == 403
