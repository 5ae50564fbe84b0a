"""The recipe of CONTRIBUTING.md for a list endpoint: the tests that it shows pass with the code that it shows."""

import re
import sys
from collections.abc import Iterator
from textwrap import dedent
from types import ModuleType
from typing import Any

import pytest
from django.conf import settings
from django.urls import include, path

from marketdata_project import urls
from web import endpoints

TEXT = (settings.BASE_DIR / "CONTRIBUTING.md").read_text()
CODE, TESTS = map(dedent, re.findall(r"^ {3}```python\n(.*?)^ {3}```", TEXT, re.DOTALL | re.MULTILINE))
ROUTE = re.findall(r"`(_route\(.*\)),`", TEXT)[0]

exec(TESTS)


@pytest.fixture(autouse=True)
def _endpoint(settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    views, urlconf = ModuleType("shown_views"), ModuleType("shown_urls")
    for module in (views, urlconf):
        monkeypatch.setitem(sys.modules, module.__name__, module)
    exec(CODE, views.__dict__)
    route = eval(ROUTE, {**vars(urls), **vars(views)})
    vars(urlconf).update(
        urlpatterns=[path("api/v1/", include([route])), *urls.urlpatterns], handler404=urls.handler404
    )
    settings.ROOT_URLCONF = urlconf.__name__
    endpoints._cached_match.cache_clear()
    yield
    endpoints._cached_match.cache_clear()
