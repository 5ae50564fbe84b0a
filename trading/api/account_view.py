"""The base of endpoints about accounts: who calls, for which account, and the answer of a repeated call."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from http import HTTPStatus
from typing import ClassVar, NamedTuple

import msgspec
from django.utils import timezone
from drf_spectacular.utils import OpenApiParameter
from rest_framework.exceptions import AuthenticationFailed, PermissionDenied
from rest_framework.response import Response

from audit.recording.audit_first import change_and_record
from jobs.kinds import Run
from jobs.schedules import SCHEDULED
from ratelimit.authorize import check_access
from ratelimit.callers import Caller
from ratelimit.credentials.authentication import caller_again
from ratelimit.credentials.identify import caller_stored
from ratelimit.exceptions import CredentialError
from trading.exceptions import NoSuchAccount
from trading.journal import state_of
from trading.models import Account
from trading.services.accounts import account_find
from web.documents import AnswerDocument
from web.endpoints import CLOSING, TRADING, WRITE, Access
from web.idempotency.answers import REPLAYED, KeyedCall, answer_once, keyed_call
from web.requests.conditional import without_proxy_suffix
from web.requests.json_fields import JsonObject
from web.views import DeclaredView

ACCOUNT_READ = Access("trading:read", sensitivity="confidential")
ACCOUNT_PAGE = Access("trading:read", sensitivity="confidential", cost="page")
ACCOUNT_CHANGE = Access("trading:write", sensitivity="confidential", kind=WRITE, audit_class="trading")
ORDER_CHANGE = Access("trading:write", sensitivity="confidential", kind=TRADING, audit_class="trading")
CLOSE = Access(
    "trading:write", sensitivity="confidential", kind=CLOSING, cost="unmetered", audit_class="trading"
)
RISK_CHANGE = Access("risk:write", sensitivity="confidential", kind=WRITE, audit_class="risk")
# Submits a job that computes for long from an account's or the market's past.
REPLAY = Access("trading:read", sensitivity="confidential", kind=WRITE, cost="stream")


ACCOUNT = OpenApiParameter(
    "account",
    {"type": "string", "minLength": 1, "examples": ["main"]},
    OpenApiParameter.QUERY,
    description="The account's id. Default: the only account that the caller may see.",
)
ACCOUNT_ID = OpenApiParameter("account", ACCOUNT.type, OpenApiParameter.PATH, description="The account's id.")
SIGNED = "signature"
# What `require_submitter` raises.
SUBMITTER_REFUSED = (CredentialError, PermissionDenied, NoSuchAccount)


class Done(NamedTuple):
    """What a call did: the answer's document, and the number of the account's event.

    is_repeated: an earlier call did it.
    """

    document: JsonObject | AnswerDocument | None
    event: int
    is_repeated: bool = False


def account_answer(
    document: JsonObject | AnswerDocument | Sequence[JsonObject | AnswerDocument] | None,
    event: int,
    *,
    status: int = HTTPStatus.OK,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """Return an answer about an account. event: the number of its last event that the document knows."""
    always = {"Cache-Control": "no-store", "X-Account-Event": str(event)}
    return Response(msgspec.to_builtins(document), status=status, headers={**always, **(headers or {})})


class AccountView(DeclaredView):
    """An endpoint about an account: that of the path, else of the parameter `account`, else the caller's only one."""

    tag = "trading"
    common_parameters: ClassVar[Sequence[OpenApiParameter]] = (ACCOUNT, ACCOUNT_ID)

    @property
    def caller(self) -> Caller:
        """The caller, as the request was authenticated."""
        caller = self.request.user
        assert isinstance(caller, Caller)  # noqa: S101 its view's `access` admits nobody else
        return caller

    def account(self, caller: Caller | None = None) -> Account:
        """Return the account. caller: as it is stored now. Raises NoSuchAccount, AccountRequired."""
        name = self.kwargs.get("account") or self.query.get("account")
        return account_find(caller=caller or self.caller, name=name)

    def account_to_change(self) -> tuple[Account, Caller]:
        """Return the account, and the caller as it is stored now.

        Raises also AuthenticationFailed, PermissionDenied.
        """
        caller = caller_again(self)
        account = self.account(caller)
        require_signed(account, caller)
        return account, caller

    def if_match(self) -> str | None:
        """Return the entity tag in the call's `If-Match`; None without one."""
        return without_proxy_suffix(self.request.headers.get("If-Match", "").strip()) or None

    def change(self, make: Callable[[], Done], *, status: int = HTTPStatus.OK) -> Response:
        """Make a change, and record the call in the same transaction."""
        return change_and_record(self, lambda _: _answer(make(), status))

    def change_account(
        self, account: Account, make: Callable[[], object], document: Callable[[Account], AnswerDocument]
    ) -> Response:
        """Do as `change`. document: returns the answer's, of the account as it is then."""

        def change() -> Done:
            make()
            account.refresh_from_db()
            return Done(document(account), account.number)

        return self.change(change)

    def change_once(
        self, operation: str, make: Callable[[], Done], *, status: int = HTTPStatus.CREATED
    ) -> Response:
        """Do as `change`; calls with the same Idempotency-Key get the answer of the first.

        Its document has the member `event`.

        operation: what is done, and to what, so that a key never gives the answer of another account.
        """
        call = self.keyed_call(operation)
        if call is None:
            return self.change(make, status=status)

        def made() -> Done:
            done: list[Done] = []

            def first() -> JsonObject:
                done.append(make())
                document: JsonObject = msgspec.to_builtins(done[0].document)
                return document

            # Also a first call with a key may repeat an order, by its client_order_id.
            document, is_replayed = answer_once(call, first, now=timezone.now())
            return Done(document, document["event"], is_replayed or done[0].is_repeated)

        return self.change(made, status=status)

    def keyed_call(self, operation: str) -> KeyedCall | None:
        """Return the call with its Idempotency-Key; None without one.

        Whether the path or the query names the account does not matter: the operation does.
        """
        call = keyed_call(self.request, self.request.data)
        if call is None:
            return None
        query = {name: values for name, values in call.query.items() if name != "account"}
        return replace(call, path=operation, query=query)


def _answer(done: Done, status: int) -> Response:
    headers = REPLAYED if done.is_repeated else {}
    return account_answer(done.document, done.event, status=status, headers=headers)


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
