"""What endpoints that change accounts share: who calls, for which account, and the answer of a repeated call."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from http import HTTPStatus
from typing import Any, ClassVar, NamedTuple

import msgspec
from django.utils import timezone
from rest_framework.exceptions import AuthenticationFailed, PermissionDenied
from rest_framework.response import Response
from rest_framework.serializers import Serializer
from rest_framework.views import APIView

from audit.recording.audit_first import change_and_record
from jobs.kinds import Run
from jobs.schedules import SCHEDULED
from ratelimit.authorize import check_access
from ratelimit.callers import Caller
from ratelimit.credentials.authentication import caller_again
from ratelimit.credentials.identify import caller_stored
from ratelimit.exceptions import CredentialError
from trading.documents import Document
from trading.exceptions import NoSuchAccount
from trading.journal import state_of
from trading.models import Account
from trading.services.accounts import account_find
from web.documents import AnswerDocument
from web.endpoints import Access
from web.idempotency.answers import REPLAYED, KeyedCall, answer_once, keyed_call
from web.requests.parameters import single_parameters
from web.requests.parsers import request_document

SIGNED = "signature"
# What `require_submitter` raises.
SUBMITTER_REFUSED = (CredentialError, PermissionDenied, NoSuchAccount)


class Done(NamedTuple):
    """What a call did: the answer's document, and the number of the account's event.

    is_repeated: an earlier call did it.
    """

    document: Document | AnswerDocument
    event: int
    is_repeated: bool = False


def trading_answer(
    document: Document | AnswerDocument,
    *,
    event: int,
    status: int = HTTPStatus.OK,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """Return an answer about an account. event: the number of its last event that the document knows."""
    always = {"Cache-Control": "no-store", "X-Account-Event": str(event)}
    return Response(msgspec.to_builtins(document), status=status, headers={**always, **(headers or {})})


class TradingWrites(APIView):
    """The part of an endpoint that changes accounts. bodies: the serializers of its actions' bodies."""

    bodies: ClassVar[Mapping[str, type[Serializer[Any]]]] = {}

    def get_serializer_class(self) -> type[Serializer[Any]]:
        """Return the serializer with the fields of a browser's form."""
        actions: Mapping[str, str] = getattr(self, "action_map", {})
        return self.bodies.get(actions.get(str(self.request.method).lower(), ""), Serializer)

    @property
    def caller(self) -> Caller:
        """The caller, as the request was authenticated."""
        caller = self.request.user
        assert isinstance(caller, Caller)  # noqa: S101 its view's `access` admits nobody else
        return caller

    def body(self, serializer_class: type[Serializer[Any]], **context: Any) -> dict[str, Any]:
        """Return the validated body. Raises ValidationError, MalformedDocument."""
        serializer = serializer_class(data=request_document(self.request), context=context)
        serializer.is_valid(raise_exception=True)
        values: dict[str, Any] = serializer.validated_data
        return values

    def account_named(self, name: str | None, caller: Caller) -> Account:
        """Return the account of a path, else of the parameter `account`, else the caller's only one.

        Raises InvalidParameter, NoSuchAccount, AccountRequired.
        """
        if name is None:
            return account_find(caller=caller, name=self.account_parameter())
        single_parameters(self.request.GET, ("format",))
        return account_find(caller=caller, name=name)

    def account_parameter(self) -> str | None:
        """Return the parameter `account`, if it is given. Raises InvalidParameter, also for any other parameter."""
        return single_parameters(self.request.GET, ("account", "format")).get("account")

    def account_to_change(self, name: str | None) -> tuple[Account, Caller]:
        """Return the account, and the caller as it is stored now.

        Raises also AuthenticationFailed, PermissionDenied.
        """
        caller = caller_again(self)
        account = self.account_named(name, caller)
        require_signed(account, caller)
        return account, caller

    def change(self, make: Callable[[], Done], *, status: int = HTTPStatus.OK) -> Response:
        """Make a change, and record the call in the same transaction."""
        return change_and_record(self, lambda _: _answer(make(), status))

    def change_once(self, deed: str, make: Callable[[], Done], *, status: int = HTTPStatus.OK) -> Response:
        """Do as `change`; calls with the same Idempotency-Key get the answer of the first.

        Its document has the member `event`.

        deed: what is done, and to what, so that a key never gives the answer of another account.
        """
        call = self.keyed_call(deed)
        if call is None:
            return self.change(make, status=status)

        def made() -> Done:
            document, is_replayed = answer_once(
                call, lambda: msgspec.to_builtins(make().document), now=timezone.now()
            )
            return Done(document, document["event"], is_replayed)

        return self.change(made, status=status)

    def keyed_call(self, deed: str) -> KeyedCall | None:
        """Return the call with its Idempotency-Key; None without one.

        Whether the path or the query names the account does not matter: the deed does.
        """
        call = keyed_call(self.request, self.request.data)
        if call is None:
            return None
        query = {name: values for name, values in call.query.items() if name != "account"}
        return replace(call, path=deed, query=query)


def _answer(done: Done, status: int) -> Response:
    headers = REPLAYED if done.is_repeated else {}
    return trading_answer(done.document, event=done.event, status=status, headers=headers)


def require_signed(account: Account, caller: Caller) -> None:
    """Raise AuthenticationFailed if the account demands signed requests and this is none."""
    if state_of(account).preferences.requires_signature and caller.credential != SIGNED:
        raise AuthenticationFailed(
            "the account takes signed requests only, but for cancel, close and stop; sign it",
            code="signature_required",
        )


def require_submitter(run: Run, access: Access) -> None:
    """Raise one of SUBMITTER_REFUSED unless who submitted a job may still do so, as it is stored now.

    access: of the call that submits such jobs. Schedules are settings, so they may.
    """
    if run.created_by.startswith(SCHEDULED):
        return
    caller = caller_stored(run.created_by, now=timezone.now())
    check_access(caller, access)
    account_find(caller=caller, name=run.parameters["account"])
