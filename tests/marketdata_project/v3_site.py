"""A URLconf with a `/api/v3`: v1's URLs, of which one has a view of its own, with another document."""

from datetime import date
from typing import Annotated

from django.urls import include, path, re_path
from drf_spectacular.utils import extend_schema

from marketdata_project.urls import below_api_v1
from marketdata_project.versions import Deprecation, Version
from stats.sessions.documents import Phase
from stats.sessions.views import ClockQuerySerializer, ClockViewSet
from web.documents import AnswerDocument, Instant, like

V3 = Version("v3", "The API with another clock.", ("/api/v3/",), date(2030, 1, 1), "/api/v3/schema")
V1_DEPRECATION = Deprecation("/api/v1/", "/api/v3/", since=date(2030, 1, 1), sunset=date(2031, 7, 1))


class ClockV3Document(AnswerDocument):
    """The phase of an exchange: instead of `is_open`."""

    timestamp: Annotated[Instant, like("2024-11-29T12:00:00Z")]
    exchange: Annotated[str | None, like("XNYS")]
    phase: Annotated[Phase, like(Phase.PRE)]


class ClockV3ViewSet(ClockViewSet):
    @extend_schema(parameters=[ClockQuerySerializer], responses={200: ClockV3Document})
    def retrieve(self, request):
        """Which phase an exchange is in."""
        response = super().retrieve(request)
        response.data = {name: response.data[name] for name in ClockV3Document.__struct_fields__}
        return response


urlpatterns = [
    re_path(r"^api/v3/clock/?\Z", ClockV3ViewSet.as_view({"get": "retrieve"}), name="clock"),
    path("api/v3/", include([each for each in below_api_v1 if getattr(each, "name", "") != "clock"])),
    path("", include("marketdata_project.urls")),
]
handler404 = "marketdata_project.problems.not_found"
handler500 = "marketdata_project.problems.server_error"
