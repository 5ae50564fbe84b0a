"""The declared codes are those that the code uses, each once, each explained."""

import ast
import re
from collections import Counter
from collections.abc import Iterator
from importlib import import_module
from itertools import product
from pathlib import Path

import pytest
from django.conf import settings
from rest_framework.exceptions import PermissionDenied
from rest_framework.serializers import Serializer

from marketdata_project.error_codes import DECLARED, ERROR_CODES, NextStep
from marketdata_project.problems import OWN_ERRORS
from stats.market_data.datasets import MARKET_DATASETS
from stats.market_data.gaps import gaps_serializer
from stats.market_data.query_parameters import RowQuerySerializer
from tests.docs.test_codes_of_fields import codes_of, kinds
from tests.program import OF_PROGRAM, program_nodes
from trades.batches.serializers import _BATCH_CODES, _SPECIFIC_CODES
from web.problem_body import TITLES

pytestmark = OF_PROGRAM
# The calls whose first argument is the code of an answer.
CODED_CALLS = {
    *("Problem", "Refusal", "Denial"),
    *("InvalidParameter", "MalformedDocument", "InvalidValue", "BatchRefused", "JobError"),
}


def program() -> Iterator[ast.AST]:
    """All nodes of the program but for the declarations themselves."""
    for path, nodes in program_nodes().items():
        if path.name != "error_codes.py":
            yield from nodes


def literals() -> set[str]:
    """Every string constant in the program."""
    return {
        node.value for node in program() if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }


def codes_of_calls() -> set[object]:
    """Those that stand where an answer is made, or an error that becomes one."""
    found: set[object] = set()
    for node in program():
        match node:
            case ast.Call(func=ast.Name(name), args=[ast.Constant(code), *_]) if name in CODED_CALLS:
                found.add(code)
    return found


def codes_of_exceptions() -> set[object]:
    """Those of the apps' exception classes."""
    return {kind.code for base in OWN_ERRORS for kind in kinds(base) if hasattr(kind, "code")}


def codes_of_batches() -> set[object]:
    """Those of wrong fields by which a whole batch is refused."""
    return {*_BATCH_CODES, *_SPECIFIC_CODES}


def codes_of_queries() -> set[object]:
    """Those of query parameters that serializers read.

    Of DRF's own: a parameter is a text and never null, and one that is missing has a code of ours.
    """
    import_module(settings.ROOT_URLCONF)
    both = (False, True)
    made = [
        each.serializer(streamed=streamed, several=several)
        for each, streamed, several in product(MARKET_DATASETS.values(), both, both)
    ] + [gaps_serializer(True)]
    names = {kind for kind in kinds(Serializer) if kind.__name__.endswith("QuerySerializer")}
    queries = made + [kind() for kind in names - {RowQuerySerializer}]
    read = [each for each in queries if type(each).__module__.startswith("stats.")]
    found: set[object] = {code for each in read for field in each.fields.values() for code in codes_of(field)}
    return found - {"invalid_type", "null", "required"}


@pytest.mark.parametrize(
    "used",
    [codes_of_calls, codes_of_exceptions, codes_of_batches, codes_of_queries],
    ids=lambda used: used.__name__,
)
def test_every_code_that_is_used_is_declared(used):
    codes = used()
    assert len(codes) > 5
    assert codes - set(DECLARED) == set()


def test_every_declared_code_is_one_that_the_code_can_give():
    of_drf = {PermissionDenied.default_code}  # raised by its session authentication
    template = Path(settings.BASE_DIR, "deploy", "nginx", "marketdata.conf").read_text()
    of_proxy = set(re.findall(r"'(\w+) \[", template))
    assert {error.code for error in ERROR_CODES} - literals() - of_drf - of_proxy == set()


def test_a_code_is_declared_once_with_one_status():
    assert [code for code, count in Counter(error.code for error in ERROR_CODES).items() if count > 1] == []


def test_a_code_is_snake_case_and_its_meaning_a_sentence():
    good = re.compile("[a-z][a-z0-9_]*")
    wrong = {e.code for e in ERROR_CODES if not good.fullmatch(e.code) or not e.meaning.endswith(".")}
    assert wrong == set()


def test_every_status_has_a_title_and_none_else():
    assert {error.status for error in ERROR_CODES} == set(TITLES)


def test_who_is_to_send_it_again_is_told_when_but_for_what_a_limit_computes():
    untold = {e.code for e in ERROR_CODES if e.next_step == NextStep.RETRY and e.retry_seconds is None}
    assert untold == {"rate_limited", "quota_exceeded", "request_timeout"}
