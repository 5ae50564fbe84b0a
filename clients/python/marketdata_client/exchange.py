"""Sends a call until it is answered: retries, pauses, errors."""

from itertools import count
from typing import Any

from marketdata_client.bodies import json_in
from marketdata_client.errors import BadAnswer, Refused, Unreachable, refusal_of
from marketdata_client.site import Call, Site
from marketdata_client.steps import Answer, Flow, Open, Send, Sleep


def answered(site: Site, call: Call, *, opened: bool = False) -> Flow[Answer]:
    """Return a successful answer, after retries; if `opened`, its body is read by steps. Raises `MarketDataError`."""
    for attempt in count(1):
        request = site.request(call)
        failure: Refused | Unreachable
        try:
            answer: Answer = yield Open(request) if opened else Send(request)
            if 200 <= answer.status < 300:
                return answer
            failure = _failure(answer)
        except Unreachable as error:
            failure = error
        refused = failure if isinstance(failure, Refused) else None
        pause = site.retries.pause(attempt, refused) if call.is_repeatable else None
        if pause is None:
            raise failure
        site.retries.on_pause(failure, pause)
        yield Sleep(pause)
    raise AssertionError("count() has no end")


def document(site: Site, call: Call) -> Flow[Any]:
    """Return the JSON document of an answer; None without a body."""
    answer = yield from answered(site, call)
    return json_in(answer.body) if answer.body else None


def _failure(answer: Answer) -> Refused:
    if answer.status < 400:
        raise BadAnswer(f"the answer has the status {answer.status}; redirects are not followed")
    return refusal_of(answer.status, answer.headers, answer.body)
