"""Which format a request gets, and what goes out where a view speaks no format."""

import json

import pytest

from stats.rendering.formats import FORMATS
from stats.rendering.renderers import RENDERERS
from tests.stats.rendering.tables import TWO_BARS, document
from tests.stats.rendering.views import PlainBars, SpeakingBars, respond

BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
BODIES = {name: each.render(document(TWO_BARS)) for name, each in FORMATS.items()}


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("by", ["accept", "format", "suffix"])
def test_a_format_is_chosen_by_its_media_type_its_name_or_a_suffix(by: str, name: str):
    asked = {
        "accept": {"accept": FORMATS[name].media_type},
        "format": {"query": f"format={name}"},
        "suffix": {"suffix": name},
    }
    response = respond(PlainBars, **asked[by])
    assert (response["Content-Type"], response.content) == (FORMATS[name].content_type, BODIES[name])


@pytest.mark.parametrize(
    ("accept", "name"),
    [
        ("*/*", "json"),
        ("", "json"),
        ("application/*", "json"),
        ("text/csv, */*;q=0.1", "csv"),
        ("application/x-ndjson;q=0.9, text/html;q=0.1", "ndjson"),
        ("application/vnd.apache.arrow.stream, application/json;q=0.5", "arrow"),
        ("application/json;q=0.5, text/csv;q=0.6", "csv"),
        ("application/json;q=0, */*", "columnar"),
        ("text/csv;charset=utf-8", "csv"),
        ("text/csv;q=nonsense, application/json;q=0.9", "csv"),
    ],
)
def test_the_client_gets_the_format_it_likes_best(accept: str, name: str):
    assert respond(PlainBars, accept=accept)["Content-Type"] == FORMATS[name].content_type


def test_format_in_the_url_overrides_accept():
    response = respond(PlainBars, "format=csv", accept="application/json")
    assert response["Content-Type"] == FORMATS["csv"].content_type


@pytest.mark.parametrize(
    ("asked", "listed"),
    [
        ({"query": "format=xml"}, [*FORMATS, "api"]),
        ({"suffix": "xml"}, [*FORMATS, "api"]),
        ({"accept": "image/png"}, [each.media_type for each in RENDERERS]),
        ({"accept": "application/json;q=0"}, [each.media_type for each in RENDERERS]),
    ],
    ids=["format", "suffix", "accept", "refused"],
)
def test_unknown_format_is_406_with_the_known_ones(asked: dict[str, str], listed: list[str]):
    response = respond(PlainBars, **asked)
    assert (response.status_code, response["Content-Type"]) == (406, "application/problem+json")
    assert json.loads(response.content)["message"].endswith(f" are {', '.join(listed)}")


@pytest.mark.parametrize("name", FORMATS)
def test_an_error_is_a_problem_whatever_the_format(name: str):
    response = respond(PlainBars, f"wrong=1&format={name}")
    assert (response.status_code, response["Content-Type"]) == (400, "application/problem+json")
    assert json.loads(response.content)["code"] == "unknown_parameter"


@pytest.mark.parametrize("name", FORMATS)
def test_answer_without_rows_is_json(name: str):
    response = respond(SpeakingBars, f"format={name}", method="put")
    assert (response["Content-Type"], json.loads(response.content)) == ("application/json", {"said": True})


def test_a_browser_gets_a_page():
    assert respond(PlainBars, accept=BROWSER)["Content-Type"] == "text/html; charset=utf-8"
