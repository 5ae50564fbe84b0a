"""Operators read jobs in the admin, and change nothing."""

import pytest
from django.contrib.auth.models import User
from django.test import Client

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
    assert 'field-done">3<' in shown
    assert 'field-total">8<' in shown
    page = admin.get(f"/admin/jobs/job/{job.pk}/change/").content.decode()
    assert str(job.uuid) in page
    assert "<b>" not in page


def test_nothing_is_added_by_hand(admin: Client) -> None:
    assert admin.get("/admin/jobs/job/add/").status_code == 403
