"""The pages of docs/ under /docs/guide: each is served, and each link in it leads somewhere."""

import re
from functools import cache

import pytest
from django.conf import settings
from django.test import Client

from tests.html_page import Page

NAMES = [path.stem for path in (settings.BASE_DIR / "docs").glob("*.md")]


@pytest.fixture
def page(db):
    """The elements of a page that is served; None if it is not."""
    client = Client()

    @cache
    def page(path: str) -> Page | None:
        response = client.get(path, follow=True)
        return Page(response.content.decode()) if response.status_code == 200 else None

    return page


def test_every_guide_is_served_and_every_link_in_it_leads_somewhere(page):
    for name in NAMES:
        found = page(f"/docs/guide/{name}")
        for target in found.targets():
            path, _, anchor = target.partition("#")
            if not path.startswith("http"):
                linked = page(path) if path else found
                assert linked is not None, (name, target)
                assert not anchor or anchor in linked.ids(), (name, target)


@pytest.mark.parametrize("prefix", ["", "/api/v1"])
def test_the_list_names_every_guide(page, prefix):
    listed = {target.removeprefix("/docs/guide/") for target in page(f"{prefix}/docs/guide").targets()}
    assert listed >= set(NAMES)


def test_the_list_is_linked_from_the_first_page_and_the_documentation(page):
    for path in ("/", "/api/v1/docs"):
        assert "/docs/guide" in page(path).targets()


def test_tables_code_and_headings_are_elements(page):
    tags = {tag for tag, _ in page("/docs/guide/limits").elements}
    assert {"table", "pre", "code", "h1", "h2"} <= tags


def test_a_link_to_a_file_that_is_no_guide_is_text(client, db):
    html = client.get("/docs/guide/contents").content.decode()
    assert "openapi-v1.yaml" in html
    assert not re.search(r"<a [^>]*openapi-v1\.yaml", html)


@pytest.mark.parametrize("name", ["nothing", "openapi-v1", "openapi-v1.yaml", "limits.md", "..%2fREADME"])
def test_what_is_no_guide_is_404(client, db, name):
    response = client.get(f"/docs/guide/{name}")
    assert (response.status_code, response.json()["code"]) == (404, "not_found")
