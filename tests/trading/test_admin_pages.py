"""Trading in the admin: rows are shown and not changed."""

import pytest
from django.contrib.auth.models import User
from django.test import Client

from tests.trading.calls import CallDesk
from trading.models import Account, ExecutionRow, OrderRow, TransactionRow


@pytest.fixture
def admin_site(api) -> Client:
    client = Client()
    client.force_login(User.objects.create_superuser("ada"))
    return client


@pytest.mark.parametrize("model", [Account, OrderRow, ExecutionRow, TransactionRow])
def test_rows_are_shown_and_not_changed(admin_site, model):
    CallDesk().buy()
    name = model._meta.model_name
    row = model.objects.latest("pk")
    page = admin_site.get(f"/admin/trading/{name}/")
    assert page.status_code == 200
    assert str(getattr(row, "uuid", "ACC")) in page.content.decode()
    assert admin_site.get(f"/admin/trading/{name}/{row.pk}/change/").status_code == 200
    assert admin_site.post(f"/admin/trading/{name}/{row.pk}/change/", {}).status_code == 403
    assert admin_site.get(f"/admin/trading/{name}/add/").status_code == 403
    assert admin_site.post(f"/admin/trading/{name}/{row.pk}/delete/").status_code == 403
