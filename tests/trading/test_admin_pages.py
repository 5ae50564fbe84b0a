"""Trading in the admin: rows are shown and not changed; terms are changed and recorded."""

import json

import pytest
from django.contrib.auth.models import User
from django.test import Client

from audit.models import AuditRecord
from tests.trading.calls import COIN, CallDesk
from trading.models import Account, ExecutionRow, InstrumentTerms, OrderRow, TransactionRow

TERMS = {"symbol": "coin", "tick": "0.05", "shortable": "false"}


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


class TestTerms:
    def test_a_change_is_recorded(self, admin_site):
        assert admin_site.post("/admin/trading/instrumentterms/add/", TERMS).status_code == 302
        terms = InstrumentTerms.objects.get()
        assert (terms.symbol, terms.tick) == (COIN, "0.05")
        admin_site.post(f"/admin/trading/instrumentterms/{terms.pk}/change/", {**TERMS, "tick": "0.1"})
        record = AuditRecord.objects.latest("sequence")
        assert (record.event, record.audit_class, record.subject) == (
            "terms.changed", "config", "instrument:COIN",
        )  # fmt: skip
        assert json.loads(record.detail)["change"] == [{"path": "tick", "before": "0.05", "after": "0.1"}]

    def test_so_is_a_deletion(self, admin_site):
        admin_site.post("/admin/trading/instrumentterms/add/", TERMS)
        terms = InstrumentTerms.objects.get()
        admin_site.post(f"/admin/trading/instrumentterms/{terms.pk}/delete/", {"post": "yes"})
        assert not InstrumentTerms.objects.exists()
        assert AuditRecord.objects.latest("sequence").event == "terms.deleted"

    @pytest.mark.parametrize("name", ["tick", "lot", "borrow_rate", "initial_margin", "contract_margin"])
    @pytest.mark.parametrize(
        "text",
        ["0", "-1", "x", "inf", "nan", "1E-400", "1e300", "1_0", "٣", " 1", "1" * 13, f"0.{'0' * 18}1"],
    )
    def test_what_cannot_be_computed_with_is_refused(self, admin_site, name, text):
        page = admin_site.post("/admin/trading/instrumentterms/add/", {**TERMS, name: text})
        # A form strips blanks.
        assert (page.status_code, InstrumentTerms.objects.exists()) == (
            (302, True) if text == " 1" else (200, False)
        )

    @pytest.mark.parametrize("change", [{"symbol": "../x"}, {"lot": "0.0000000001"}])
    def test_wrong_ones_are_refused(self, admin_site, change):
        page = admin_site.post("/admin/trading/instrumentterms/add/", {**TERMS, **change})
        assert page.status_code == 200
        assert not InstrumentTerms.objects.exists()
