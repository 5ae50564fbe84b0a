"""Search in the guides, and the way from an error code to the guide that explains it."""

import pytest
from django.test import Client

from marketdata_project.error_codes import ERROR_CODES
from marketdata_project.guide_search import MAX_RESULTS, search, sections_of_code, words_of
from marketdata_project.guide_text import guide_names, guide_sections
from tests.html_page import Page
from web.problem_body import TYPE_BASE, problem_body


@pytest.fixture
def html(db):
    """The text of a page that is served."""

    def html(path: str, **query: str) -> str:
        response = Client().get(path, query)
        assert response.status_code == 200
        return response.content.decode()

    return html


def test_a_search_finds_sections_that_have_every_word():
    results = search(words_of("Revoked KEY"))
    assert results
    for result in results:
        whole = f"{result.section.guide_title} {result.section.heading} {result.section.text}".lower()
        assert "revoked" in whole
        assert "key" in whole


def test_a_section_with_the_words_in_its_heading_is_first():
    assert search(["final", "bars"])[0].section.heading == "Final bars"


@pytest.mark.parametrize(
    ("text", "url"),
    [("webhook", "/docs/guide/webhooks"), ("cancel order", "/docs/guide/trading#orders")],
)
def test_what_people_look_for_is_first(text, url):
    assert search(words_of(text))[0].section.url == url


def test_the_list_has_groups_and_begins_with_getting_started(html):
    page = html("/docs/guide")
    places = [
        page.index(f"<h2>{group}</h2>") for group in ("Start", "Data", "Trading", "Operation", "Inside")
    ]
    assert places == sorted(places)
    assert places[0] < page.index("Getting started") < page.index(">Market data</a>")


def test_error_codes_are_filtered_and_linked(html):
    page = html("/docs/errors", q="Idempotency")
    assert 'href="#invalid_idempotency_key"' in page
    assert "unknown_parameter" not in page
    assert 'href="#status-404"' in html("/docs/errors")
    assert "0 codes with" in html("/docs/errors", q="<xylophone>")


def test_a_result_is_linked_by_its_heading_with_the_words_marked(html):
    page = html("/docs/guide", q="final bars")
    assert '<a href="/docs/guide/market_data#final-bars"><mark>Final</mark> <mark>bars</mark></a>' in page


def test_results_lead_to_headings_that_exist(html):
    for word in ("commit", "order"):
        for result in search([word]):
            path, _, anchor = result.section.url.partition("#")
            assert not anchor or anchor in Page(html(path)).ids()


@pytest.mark.parametrize(
    "text", ['"><script>alert(1)</script>', "<b>", "&amp;", ".*", "a\\", "\x00", "(", "é" * 300]
)
def test_any_text_can_be_searched_and_none_becomes_markup(html, text):
    page = html("/docs/guide", q=text)
    assert "<script>alert" not in page
    assert "<b>" not in page


def test_more_than_eight_words_are_refused_in_words(html):
    assert "at most 8 words" in html("/docs/guide", q="a b c d e f g h i")
    assert "at most 8 words" not in html("/docs/guide", q="a b c d e f g h a")


def test_nothing_found_is_said(html):
    assert "No section has all of these words." in html("/docs/guide", q="xylophone quartz")


def test_many_results_are_cut_and_that_is_said(html):
    assert f"The first {MAX_RESULTS} sections" in html("/docs/guide", q="the")


def test_a_search_without_words_is_the_list(html):
    assert "<h1>Guides</h1>" in html("/docs/guide", q=" ")


def test_every_guide_lists_its_headings(html):
    for name in guide_names():
        headings = [section for section in guide_sections(name) if section.level == 2]
        page = html(f"/docs/guide/{name}")
        assert ('class="columns contents"' in page) == (len(headings) >= 3)


def test_the_type_of_every_problem_leads_to_its_row_and_the_row_to_a_guide(html):
    for path in ("/docs/errors", TYPE_BASE.partition("#")[0]):
        page = Page(html(path))
        for error in ERROR_CODES:
            body = problem_body(status=error.status, code=error.code, message="", correlation_id="")
            assert body["type"].partition("#")[2] == error.code
            assert error.code in page.ids()
        linked = {target.partition("#")[0] for target in page.targets()}
        assert {
            section.url.partition("#")[0] for error in ERROR_CODES for section in sections_of_code(error.code)
        } <= linked


def test_links_of_error_codes_lead_to_sections(html):
    pages = {name: Page(html(f"/docs/guide/{name}")).ids() for name in guide_names()}
    linked = [section for error in ERROR_CODES for section in sections_of_code(error.code)]
    assert len(linked) > 50
    for section in linked:
        anchor = section.url.partition("#")[2]
        assert not anchor or anchor in pages[section.guide]
