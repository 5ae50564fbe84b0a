"""The declared codes are those that the code uses, each once, each explained."""

import ast
import re
from collections import Counter
from pathlib import Path

import pytest
from django.conf import settings
from django.test import Client
from rest_framework.exceptions import PermissionDenied

from marketdata_project.error_codes import ERROR_CODES
from marketdata_project.problem_body import TITLES
from tests.program import PACKAGES


def literals() -> set[str]:
    """Every string constant in the program but for the declarations themselves."""
    found: set[str] = set()
    for package in PACKAGES:
        for path in Path(settings.BASE_DIR, package).rglob("*.py"):
            if path.parent.name != "error_codes":
                nodes = ast.walk(ast.parse(path.read_text()))
                found.update(
                    n.value for n in nodes if isinstance(n, ast.Constant) and isinstance(n.value, str)
                )
    return found


def test_every_declared_code_is_one_that_the_code_can_give():
    of_drf = {PermissionDenied.default_code}  # raised by its session authentication
    template = Path(settings.BASE_DIR, "deploy", "nginx", "marketdata.conf").read_text()
    of_proxy = set(re.findall(r'"code":"(\w+)"', template))
    assert {error.code for error in ERROR_CODES} - literals() - of_drf - of_proxy == set()


def test_a_code_is_declared_once_with_one_status():
    assert [code for code, count in Counter(error.code for error in ERROR_CODES).items() if count > 1] == []


@pytest.mark.parametrize("error", ERROR_CODES, ids=lambda error: error.code)
def test_a_code_is_snake_case_and_its_meaning_a_sentence(error):
    assert re.fullmatch("[a-z][a-z0-9_]*", error.code)
    assert error.meaning.endswith(".")


def test_the_page_of_errors_explains_each_of_them(db):
    page = Client().get("/api/v1/docs/errors").content.decode()
    assert [error.code for error in ERROR_CODES if f'id="{error.code}"' not in page] == []


def test_every_status_has_a_title_and_none_else():
    assert {error.status for error in ERROR_CODES} == set(TITLES)
