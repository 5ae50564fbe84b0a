"""The admin has our name, and its lists stand in the order of use."""

import pytest
from django.contrib import admin
from django.contrib.auth import get_user_model
from django.contrib.staticfiles import finders
from django.test import Client

from dashboard.chart_files import ChartFileFinder
from tests.html_page import Page


@pytest.fixture
def staff(db) -> Client:
    client = Client()
    client.force_login(get_user_model().objects.create_superuser("ada"))
    return client


def test_the_index_has_our_name_and_the_lists_in_the_order_of_use(staff):
    response = staff.get("/admin/")
    assert response.context["title"] == "Records, keys, jobs, instruments"
    assert (response.context["site_header"], response.context["site_title"]) == ("Market data", "Market data")
    names = [app["name"] for app in response.context["app_list"]]
    assert names[:4] == ["Audit", "Keys and limits", "Jobs", "Instruments"]
    assert "Django administration" not in response.content.decode()


def test_every_list_has_a_plain_name():
    names = {str(model._meta.verbose_name_plural) for model in admin.site._registry}
    assert {"orders", "executions", "transactions", "instruments", "API keys"} <= names
    assert [name for name in names if "row" in name or "entr" in name] == []


def test_every_page_of_the_admin_leads_to_the_dashboard_and_the_documentation(staff):
    for path in ("/admin/", "/admin/jobs/job/"):
        assert {"/", "/api/v1/docs", "/docs/guide"} <= set(Page(staff.get(path).content.decode()).targets())


@pytest.mark.parametrize("has_charts", [True, False])
def test_the_dashboard_says_when_the_charts_are_not_installed(client, settings, has_charts: bool):
    settings.HAS_CHARTS = has_charts
    page = client.get("/").content.decode()
    assert ("dashboard.js" in page) is has_charts
    assert ("requirements-charts.txt" in page) is not has_charts


def test_of_the_chart_package_only_its_script_is_served():
    finder = ChartFileFinder()
    if not finder.locations:
        pytest.skip("lightweight-charts is not installed")
    assert [path for path, _ in finder.list(None)] == ["lightweight-charts.js"]
    assert finder.find("lightweight-charts/lightweight-charts.js")
    for name in ("index.html", "test.html", "bundle.js", "styles.css", "../__init__.py"):
        assert not finders.find(f"lightweight-charts/{name}")
