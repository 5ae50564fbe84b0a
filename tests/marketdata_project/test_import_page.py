"""The page `/import`: the form, and the calls that its script makes by the browser's login."""

import html
import re

import orjson
import pytest
from django.test import Client

from store.datasets import TRADES
from store.protocol import ALL_TIME
from store.walk import BEGINNING, CommitRecord
from tests.api_client import make_key
from tests.jobs.uploads.sending import UPLOADS, run
from trades.management.import_command import import_parser
from trades.stores import market_store

pytestmark = pytest.mark.django_db
FILE = b"Datum;Kurs;Menge\n02.01.2024 09:31:00;10,5;100\n15.01.2024 09:31:00;9,25;7\n"


@pytest.fixture(autouse=True)
def data_folder(settings, store_path, tmp_path) -> None:
    settings.UPLOADS_DIR = tmp_path / "uploads"


def browser(*, scopes: tuple[str, ...] = ("market:write",)) -> Client:
    client = Client(headers={"Accept": "text/html"})
    client.post("/login", {"key": make_key(scopes=scopes)})
    return client


def test_the_form_has_a_file_and_options_of_the_command():
    page = browser().get("/import", follow=True).content.decode()
    assert '<input id="file" name="file" type="file" required>' in page
    named = set(re.findall('<input id="option-[a-z_]+" name="([a-z_]+)"', page))
    assert (
        {"columns", "dataset", "symbol", "time_format"}
        < named
        < set(vars(import_parser().parse_args(["file"])))
    )
    assert "4.0\xa0GB" in html.unescape(page)


def test_only_who_may_write_sees_the_form():
    for client, status in (
        (browser(scopes=("market:read",)), 403),
        (Client(headers={"Accept": "text/html"}), 401),
    ):
        page = client.get("/import", follow=True)
        assert (page.status_code, b'<form class="import-form' in page.content) == (status, False)


def test_a_file_is_shown_and_stored_by_the_login_of_the_page():
    client = Client(headers={"Accept": "text/html"}, enforce_csrf_checks=True)
    client.cookies = browser().cookies
    token = re.search(
        'name="csrfmiddlewaretoken" value="([^"]+)"', client.get("/api/v1/import").content.decode()
    )
    assert token is not None
    always = {"X-CSRFToken": token[1], "Accept": "application/json"}
    body = orjson.dumps({"name": "X.csv", "size": len(FILE), "options": {"preview": True}})
    kind = "application/json"
    assert client.post(UPLOADS, body, kind, headers={"Accept": kind}).status_code == 403
    job = client.post(UPLOADS, body, kind, headers=always).json()["links"]["self"]
    upload = f"{UPLOADS}/{job.rpartition('/')[2]}"
    headers = {**always, "Upload-Offset": "0"}
    assert client.patch(upload, FILE, "application/octet-stream", headers=headers).json()["complete"]
    run(job)
    asked = client.get(job, headers=always).json()
    shown = asked["preview"]
    assert (asked["state"], shown["dataset"], shown["symbol"]) == ("needs_confirmation", "trades", "X")
    assert [row["price"] for row in shown["first_rows"]] == [10.5, 9.25]
    assert not market_store().symbols(TRADES)
    assert client.post(f"{job}/confirm", "{}", kind).status_code == 403
    assert client.post(f"{job}/confirm", "{}", kind, headers=always).status_code == 200
    run(job)
    assert client.get(job, headers=always).json()["result"]["stored"] == 2
    log = market_store().log(TRADES, "X")
    assert log.at().rows(ALL_TIME).column("price").to_pylist() == [10.5, 9.25]
    records = [each for each in log.commits(BEGINNING) if isinstance(each, CommitRecord)]
    assert [re.sub("[0-9]+", "1", each.facts.caller) for each in records] == ["key:1"]
