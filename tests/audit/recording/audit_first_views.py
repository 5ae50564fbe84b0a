"""Views whose calls are of audit-first classes, with the settings under which they are called."""

from django.http import HttpResponse, StreamingHttpResponse
from django.urls import path
from rest_framework import exceptions
from rest_framework.authentication import BaseAuthentication
from rest_framework.response import Response
from rest_framework.views import APIView, exception_handler
from rest_framework.viewsets import ViewSetMixin

from audit.exceptions import AuditError
from audit.models import SpoolFile
from audit.recording.audit_first import change_and_record, change_outside_and_record
from tests.audit.builders import AT
from web.endpoints import CLOSING, WRITE, Access


def write(name):
    """A change, as a view makes one in the database."""
    SpoolFile.objects.create(name=name, updated_at=AT)


def written():
    return set(SpoolFile.objects.values_list("name", flat=True))


# Two texts with the shape of an API key.
KEYS = tuple(f"md_abcdefgh_{letter * 43}" for letter in "ab")


class Caller:
    identity = "key:12"
    is_authenticated = True


class Authentication(BaseAuthentication):
    """Uses up a nonce, as signatures do."""

    def authenticate(self, request):
        if request.META.get("HTTP_X_NONCE"):
            write("nonce")
        return (Caller(), None) if "HTTP_X_API_KEY" in request.META else None

    def authenticate_header(self, request):
        return "Api-Key"


KEYS_CALL = Access("keys:manage", kind=WRITE, audit_class="keys")
CONFIG_CALL = Access("market:write", kind=WRITE, audit_class="config")
FOLLOWING_CALL = Access("trading:write", kind=CLOSING, audit_class="trading")


class Outcomes(APIView):
    access = {"post": KEYS_CALL}
    authentication_classes = [Authentication]
    permission_classes = []
    throttle_classes = []
    outcomes = {
        "401": exceptions.NotAuthenticated,
        "403": exceptions.PermissionDenied,
        "404": exceptions.NotFound,
        "422": exceptions.ValidationError,
        "429": exceptions.Throttled,
        "500": RuntimeError,
        "0": KeyboardInterrupt,
    }

    def post(self, request, outcome):
        def change(record):
            write("change")
            record(at=AT, actor="key:12", audit_class="keys", event="changed", subject="a", detail={})
            return self.answer(request, outcome)

        return change_and_record(self, change)

    def answer(self, request, outcome):
        if outcome in self.outcomes:
            raise self.outcomes[outcome]
        return Response({"data": request.data}, status=int(outcome))


class Elsewhere(Outcomes):
    """Changes what no rollback takes back."""

    access = {"post": CONFIG_CALL}
    changed: list[str] = []

    def post(self, request, outcome):
        def change():
            if outcome in self.outcomes:
                raise self.outcomes[outcome]
            self.changed.append(outcome)
            return {"tick": 1, "note": KEYS[0]}, {"tick": 2, "note": KEYS[1]}

        return change_outside_and_record(self, Response({"data": request.data}), change)


class Unchanging(Outcomes):
    """Answers without a change, as a read does."""

    def post(self, request, outcome):
        return self.answer(request, outcome)


class Following(Outcomes):
    """Makes its change by itself; its record follows."""

    access = {"post": FOLLOWING_CALL}

    def post(self, request, outcome):
        write("change")
        return self.answer(request, outcome)


class Refusing(Outcomes):
    def initial(self, request, *args, **kwargs):
        super().initial(request, *args, **kwargs)
        raise exceptions.Throttled


class WronglyFollowing(Outcomes):
    access = {"post": FOLLOWING_CALL}


class Easy(Outcomes):
    access = {}


class ForAnybody(APIView):
    authentication_classes = []
    permission_classes = []
    throttle_classes = []


class Unspeakable(ForAnybody):
    access = {"post": KEYS_CALL}

    def post(self, request):
        def change(record):
            write("change")
            return Response({"data": object()})

        return change_and_record(self, change)


class Things(ViewSetMixin, ForAnybody):
    access = {"create": KEYS_CALL}

    def create(self, request):
        def change(record):
            write("change")
            return Response({"made": True}, status=201)

        return change_and_record(self, change)


class Open(ForAnybody):
    access = {"post": CONFIG_CALL}

    def post(self, request):
        def change(record):
            write("change")
            return Response(status=int(request.GET.get("status", "200")))

        return change_and_record(self, change)


class Stream(Open):
    access = {"post": KEYS_CALL}

    def post(self, request):
        return StreamingHttpResponse([b"a", b"b"])


class Plain(Open):
    def get(self, request):
        return HttpResponse(status=409)

    def post(self, request):
        return HttpResponse(status=409)


class EasyRead(Plain):
    access = {}


urlpatterns = [
    path("api/v1/outcome/<outcome>", Elsewhere.as_view()),
    path("api/v1/unchanged/<outcome>", Unchanging.as_view()),
    path("api/v1/keys/<outcome>", Outcomes.as_view()),
    path("api/v1/refused/<outcome>", Refusing.as_view()),
    path("api/v1/unspeakable", Unspeakable.as_view()),
    path("api/v1/things", Things.as_view({"post": "create"})),
    path("api/v1/open", Open.as_view()),
    path("api/v1/plain", Plain.as_view()),
    path("api/v1/stream", Stream.as_view()),
    path("api/v1/following/<outcome>", Following.as_view()),
    path("api/v1/wrongly-following/<outcome>", WronglyFollowing.as_view()),
    path("api/v1/easy/<outcome>", Easy.as_view()),
    path("api/v1/easy-read", EasyRead.as_view()),
    path("page", Plain.as_view()),
]


class AuditProblem:
    def __init__(self, error):
        self.error = error

    def body(self):
        return {"code": self.error.code}

    def response(self, path=""):
        return HttpResponse(self.error.code, status=503)


def refusal(error, context):
    """DRF's hook: what the audit log refuses is answered as the middleware answers it."""
    return (
        AuditProblem(error).response() if isinstance(error, AuditError) else exception_handler(error, context)
    )
