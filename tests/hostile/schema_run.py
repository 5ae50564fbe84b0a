"""A run of schemathesis over what an installation serves: its cases, their answers, and what its checks have to say."""

import random
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import Any

import schemathesis
from schemathesis import Case, HookContext
from schemathesis.config import SchemathesisConfig
from schemathesis.engine import events, from_schema
from schemathesis.engine.recorder import CheckFailureInfo, ScenarioRecorder

from tests.hostile.operations import JSON, SCHEMA, Operation, valid_call
from tests.hostile.real_values import real_body, real_query

# What says something about this API and not about a convention that it does not follow.
CHECKS = (
    "not_a_server_error", "content_type_conformance", "response_schema_conformance", "ignored_auth",
    "unsupported_method", "allow_header_conformance", "missing_required_header",
)  # fmt: skip
# The schema does not say all that a value must be: dates of a calendar, parameters that exclude each other.
ACCEPTED = ["2xx", "400", "404", "409"]


@dataclass
class Found:
    """Answers by operation and status, and failed checks with a request that shows each."""

    statuses: dict[str, Counter[int]] = field(default_factory=lambda: defaultdict(Counter))
    failures: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    @property
    def cases(self) -> int:
        return sum(counts.total() for counts in self.statuses.values())

    def successes(self, label: str) -> float:
        """The share of an operation's cases that were answered 2xx."""
        return _share(self.statuses[label])

    def all_successes(self) -> float:
        """The share of all cases that were answered 2xx."""
        return _share(sum(self.statuses.values(), Counter()))

    def add(self, other: "Found") -> None:
        """Take in the cases of another run."""
        for label, counts in other.statuses.items():
            self.statuses[label] += counts
        self.failures += other.failures
        self.errors += other.errors


def _share(counts: Counter[int]) -> float:
    return sum(count for status, count in counts.items() if 200 <= status < 300) / counts.total()


def configuration(
    key: str, *, seed: int, phases: tuple[str, ...], mode: str, examples: int
) -> SchemathesisConfig:
    checks: dict[str, Any] = {name: {"enabled": True} for name in CHECKS}
    return SchemathesisConfig.from_dict(
        {
            "seed": seed,
            "headers": {"X-API-Key": key},
            "continue-on-failure": True,
            "generation": {
                "deterministic": True,
                "max-examples": examples,
                "mode": mode,
                "with-security-parameters": False,
            },
            "phases": {
                name: {"enabled": name in phases} for name in ("examples", "coverage", "fuzzing", "stateful")
            },
            "checks": {
                "enabled": False,
                **checks,
                "positive_data_acceptance": {"enabled": True, "expected-statuses": ACCEPTED},
            },
        }
    )


def run(port: int, config: SchemathesisConfig, operations: list[Operation]) -> Found:
    """All cases that a configuration makes of these operations."""
    served = schemathesis.openapi.from_url(f"http://127.0.0.1:{port}{SCHEMA}", config=config)
    schema = served.include(operation_id=[each.name for each in operations])
    by_label = {f"{each.method} {each.path}": each for each in operations}

    @schema.hook
    def map_case(context: HookContext, case: Case[Any]) -> Case[Any]:
        return _made_real(by_label[case.operation.label], case)

    found = Found()
    for event in from_schema(schema).execute():
        if isinstance(event, events.ScenarioFinished):
            _note(found, event)
        elif isinstance(event, events.NonFatalError | events.FatalError):
            found.errors.append(f"{event!r:.2000}")
    return found


def _made_real(operation: Operation, case: Case[Any]) -> Case[Any]:
    """A valid case with values that the store knows; one that is meant to be wrong stays so."""
    rng = random.Random(repr((case.query, case.body, case.media_type)))
    call = valid_call(operation, rng)
    if operation.method in ("PUT", "DELETE"):
        # What other cases are answered from, or asked with, is not changed.
        case.path_parameters = dict(call.path_values)
    if case.meta is None or not case.meta.generation.mode.is_positive:
        return case
    if "Idempotency-Key" in (case.headers or {}):
        # One key for each body.
        case.headers["Idempotency-Key"] = f"{rng.getrandbits(64):x}"
    case.path_parameters = dict(call.path_values)
    case.query = real_query(operation, case.query or {}, call)
    if operation.example is not None:
        case.body = real_body(operation, case.body, case.media_type or JSON, call, rng)
    return case


def _note(found: Found, event: events.ScenarioFinished) -> None:
    recorder = event.recorder
    for number, interaction in recorder.interactions.items():
        # A check's own request, such as one without the key, is no case.
        is_case = recorder.cases[number].parent_id is None
        if is_case and interaction.response is not None:
            found.statuses[recorder.label][interaction.response.status_code] += 1
    for number, nodes in recorder.checks.items():
        for node in nodes:
            if node.failure_info is not None and not _is_of_the_state(recorder, number, node.name):
                found.failures.append(_told(recorder, number, node.name, node.failure_info))


def _is_of_the_state(recorder: ScenarioRecorder, number: str, check: str) -> bool:
    """Whether a call of right form was refused for what no schema knows: its password or token, the account's risk, or a link."""
    response = recorder.interactions[number].response
    if check != "positive_data_acceptance" or response is None:
        return False
    is_login = any(part in recorder.label for part in ("/auth/", "/oauth/"))
    codes = (b'"code":"risk_refused"', b'"code":"invalid_link"', b'"code":"export_expired"')
    is_of_code = any(code in (response.content or b"") for code in codes)
    return (is_login and response.status_code == 401) or is_of_code


def _told(recorder: ScenarioRecorder, number: str, check: str, failed: CheckFailureInfo) -> str:
    response = recorder.interactions[number].response
    answer = (
        ""
        if response is None or response.content is None
        else response.content[:600].decode(errors="replace")
    )
    return f"{recorder.label}: {check}: {failed.failure}\n{failed.code_sample[:600]}\n{answer}"
