"""The endpoint that tells a caller how it stands."""

from typing import cast

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import ViewSet

from http_requests.parameters import single_parameters
from ratelimit.callers import Caller
from ratelimit.limits.serializers import LimitsSerializer, limits_document
from ratelimit.limits.standing import limits_report
from ratelimit.wsgi_variables import ADMISSION


class LimitsViewSet(ViewSet):
    """One's own limits."""

    @extend_schema(
        operation_id="limits",
        summary="How the caller stands",
        responses={200: LimitsSerializer},
        tags=["access"],
    )
    def retrieve(self, request: Request) -> Response:
        """Every bucket and quota of the caller. Asking costs a token of `access-read` and none of a quota."""
        single_parameters(request.query_params, ("format",))
        caller = cast("Caller", request.user)
        charged = request.META[ADMISSION]
        document = limits_document(caller, limits_report(caller, charged=charged))
        return Response(document, headers={"Cache-Control": "no-store"})
