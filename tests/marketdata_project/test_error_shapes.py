"""The bodies of errors at the paths of dialects."""

import pytest

from marketdata_project.error_shapes import shape_of
from web.problem_body import problem_body

PROBLEM = problem_body(status=404, code="not_found", message="nothing", correlation_id="c")


@pytest.mark.parametrize(
    ("path", "members"),
    [
        ("/api/v2/stocks/bars", {"code": 40_400_000, "message": "nothing"}),
        ("/api/v1beta3/crypto/us/bars", {"code": 40_400_000, "message": "nothing"}),
        ("/api/v2", {"code": 40_400_000, "message": "nothing"}),
        ("/udf/history", {"s": "error", "errmsg": "nothing"}),
        ("/api/status", {"error": "nothing", "code": 404}),
    ],
)
def test_an_error_has_the_body_of_its_path(path: str, members: dict[str, object]):
    shape = shape_of(path)
    assert shape is not None
    ours = {"reason": "not_found", "correlation_id": "c", "errors": []}
    assert shape(PROBLEM) == members | ours


@pytest.mark.parametrize("path", ["/api/v1/jobs", "/api/v21", "/v2/stocks", "/"])
def test_other_paths_have_the_usual_body(path: str):
    assert shape_of(path) is None
