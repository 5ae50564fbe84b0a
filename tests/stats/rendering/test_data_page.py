"""The page about an answer: its form, its rows, its formats; all without a script."""

from urllib.parse import parse_qs, urlsplit

import pytest
from django.contrib.auth.models import User
from django.test import Client

from stats.rendering.page_forms import RowsTable, rows_table
from stats.rendering.page_links import without_empty
from tests.api_client import OHLC, trade
from tests.html_page import Page
from tests.stats.rendering.views import FormBars, PlainBars, respond

HTML = "text/html"
HEADERS = {"Accept": HTML}


def page(query: str = "", *, view: type[PlainBars] = FormBars, suffix: str = "", accept: str = HTML) -> Page:
    return Page(respond(view, query, suffix=suffix, accept=accept).content.decode())


def test_every_parameter_has_an_input_with_its_label_and_help():
    found = page()
    assert list(found.inputs()) == ["symbol", "resolution", "limit", "coverage", "cursor"]
    labels = {shown["for"] for tag, shown in found.elements if tag == "label"}
    assert {shown["id"] for shown in found.inputs().values()} == labels
    ids = {shown.get("id") for _, shown in found.elements}
    assert found.inputs()["symbol"]["aria-describedby"] in ids


def test_inputs_say_what_they_take():
    inputs = page().inputs()
    assert "required" in inputs["symbol"]
    assert "required" not in inputs["limit"]
    options = [shown["value"] for tag, shown in page().elements if tag == "option"]
    assert options == ["", "1m", "1h"]


def test_the_form_sends_itself_by_get_to_the_same_path():
    assert (page().form()["method"], page().form()["action"]) == ("get", "/bars")


def test_values_are_kept_but_a_cursor_is_not():
    found = page("symbol=AAPL&resolution=1h&limit=5&coverage=true&cursor=abc")
    inputs = found.inputs()
    assert (inputs["symbol"]["value"], inputs["limit"]["value"], inputs["cursor"]["value"]) == (
        "AAPL",
        "5",
        "",
    )
    assert (inputs["coverage"]["value"], found.selected()) == ("true", ["1h"])


def test_values_and_errors_are_escaped():
    html = respond(FormBars, "symbol=%22%3E%3Cscript%3Ex", accept=HTML).content.decode()
    assert "<script>x" not in html
    assert "&quot;&gt;&lt;script&gt;x" in html
    assert "The &lt;instrument&gt;." in html


def test_rows_are_a_table_with_the_json_a_click_away():
    bars = [{"timestamp": "2025-01-02T14:30:00Z", "close": 1.5, "<b>": None}, {"close": 2, "flags": ["a"]}]
    assert rows_table({"symbols": ["AAPL"], "bars": bars, "absences": []}) == RowsTable(
        "bars",
        ["timestamp", "close", "<b>", "flags"],
        [["2025-01-02T14:30:00Z", "1.5", "", ""], ["", "2", "", '["a"]']],
    )
    assert rows_table([{"a": 1}]) == RowsTable("rows", ["a"], [["1"]])


@pytest.mark.parametrize(
    "document", [{"symbol": "AAPL"}, {"a": [1, 2]}, {"a": [{}], "b": [{}]}, [], None, "x"]
)
def test_other_documents_have_no_table(document: object):
    assert rows_table(document) is None


def test_the_next_page_is_a_link_that_keeps_the_query():
    found = page("symbol=A%26B&limit=5&start=")
    (following,) = found.links("next")
    assert urlsplit(following).path == "/bars"
    assert parse_qs(urlsplit(following).query) == {"symbol": ["A&B"], "limit": ["5"], "cursor": ["to&come"]}
    assert found.links("prev") == []


def test_every_other_format_is_a_link():
    targets = [parse_qs(urlsplit(url).query) for url in page("symbol=A").links("alternate nofollow")]
    assert [target["format"] for target in targets] == [
        ["json"], ["columnar"], ["msgpack"], ["ndjson"], ["csv"], ["arrow"],
    ]  # fmt: skip
    assert all(target["symbol"] == ["A"] for target in targets)


@pytest.mark.parametrize(("query", "suffix"), [("format=api", ""), ("", "api")], ids=["parameter", "suffix"])
def test_a_page_that_was_asked_for_by_name_stays_one(query: str, suffix: str):
    found = page(query, suffix=suffix, accept="*/*")
    assert found.form()["action"] == "/bars"
    hidden = [
        shown for tag, shown in found.elements if shown.get("type") == "hidden" and shown["name"] == "format"
    ]
    assert [shown["value"] for shown in hidden] == ["api"]
    assert parse_qs(urlsplit(found.links("next")[0]).query)["format"] == ["api"]


def test_a_view_without_a_query_serializer_has_a_page_without_a_form():
    found = page(view=PlainBars)
    assert found.inputs() == {}
    assert found.links("next") != []


def test_a_refused_query_keeps_its_form():
    response = respond(FormBars, "wrong=1&symbol=AAPL", accept=HTML)
    assert response.status_code == 400
    assert Page(response.content.decode()).inputs()["symbol"]["value"] == "AAPL"


def test_the_page_adds_no_script():
    def scripts(view: type[PlainBars]) -> int:
        return sum(tag == "script" for tag, _ in page(view=view).elements)

    assert scripts(FormBars) == scripts(PlainBars)


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("", ""),
        ("a=&b=2&c=", "b=2"),
        ("cursor=ab=&x=", "cursor=ab="),
        ("a=%20&b=%C3%A9", "a=%20&b=%C3%A9"),
    ],
)
def test_empty_parameters_are_left_out(given: str, kept: str):
    assert without_empty(given) == kept


@pytest.fixture
def browser(api) -> Client:
    """A staff member's browser before 150 bars."""
    api.ingest(*[trade(timestamp=f"2025-01-02T{14 + n // 60}:{n % 60:02d}:00Z") for n in range(150)])
    client = Client()
    client.force_login(User.objects.create_superuser("lovelace"))
    return client


def test_the_form_of_bars_works_with_its_empty_inputs(browser: Client):
    response = browser.get(
        f"{OHLC}?symbol=AAPL&start=&end=&interval=1h&as_of=&limit=&cursor=", headers=HEADERS
    )
    found = Page(response.content.decode())
    assert response.status_code == 200
    assert [shown for tag, shown in found.elements if tag == "details"][1:2] == [{"class": "raw"}]
    assert list(found.inputs()) == ["symbol", "start", "end", "interval", "as_of", "limit", "cursor"]
    assert (found.inputs()["symbol"]["value"], found.selected()) == ("AAPL", ["1h"])


def test_bars_are_looked_through_page_by_page(browser: Client):
    first = browser.get(f"{OHLC}?symbol=AAPL", headers=HEADERS).content.decode()
    assert first.count("&quot;timestamp&quot;") == 100
    (following,) = Page(first).links("next")
    second = browser.get(following, headers=HEADERS).content.decode()
    assert second.count("&quot;timestamp&quot;") == 50
    (back,) = Page(second).links("prev")
    assert browser.get(back, headers=HEADERS).content.decode().count("&quot;timestamp&quot;") == 100


def test_empty_parameter_outside_the_form_is_refused(api):
    api.ingest(trade())
    assert api.get(f"{OHLC}?symbol=AAPL&start=").status_code == 400


TREE = "/api/v1/market-data/equities/AAPL"


@pytest.mark.parametrize("dataset", ["ohlcv", "trades", "latest"])
def test_the_forms_of_the_tree_work_with_their_empty_inputs(browser: Client, dataset: str):
    query = (
        "start=2025-01-02T14:00Z&end=2025-01-02T15:00Z&resolution=1m&limit=5" if dataset == "ohlcv" else ""
    )
    query = "start=2025-01-02T14:00Z&end=2025-01-02T15:00Z&limit=5" if dataset == "trades" else query
    first = browser.get(f"{TREE}/{dataset}?{query}", headers=HEADERS)
    assert first.status_code == 200
    inputs = Page(first.content.decode()).inputs()
    filled = "&".join(f"{name}=" for name in inputs if f"{name}=" not in query)
    assert filled
    assert browser.get(f"{TREE}/{dataset}?{query}&{filled}", headers=HEADERS).status_code == 200
