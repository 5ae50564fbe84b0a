"""Samples of every operation for the OpenAPI document: curl, Python and JavaScript, made from the operation itself.

A sample's address is that of `make run`, its symbols are those of the sample data, and its body is the operation's
first example. A symbol of a class that the sample data lacks is one that the examples of other operations store or declare.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any
from urllib.parse import urlencode

ORIGIN = "http://127.0.0.1:8000"
KEY = "md_…"
_METHODS = ("get", "put", "post", "patch", "delete")
_EQUITY = "DEMOA"
_SYMBOLS = {
    "crypto": "DEMO-USD",
    "futures": "ESH26",
    "options": "AAPL250117C00190000",
    "fx": "EUR-USD",
    "rates": "USD",
    "universes": "SP500",
}
# Ids are those of the examples of answers.
_PATH_VALUES = {
    "account": "DEMO",
    "dataset": "trades",
    "order": "0b6f2c1e-3a57-4a52-9a37-5d6b8d2f7c11",
    "execution": "6c1d9a54-8f0e-4b1f-8a51-2f4f0d3e9b22",
    "job": "5f0c1b52-6a37-4a0e-9d0b-0c8d9c5f1f11",
    "key": "12",
}
_QUERY_VALUES = {
    "symbol": _EQUITY,
    "exchange": "XNYS",
    "at": "2025-01-02T14:30:00Z",
    "last": "5",
    "account": _PATH_VALUES["account"],
}
# Optional parameters that a sample gives.
_GIVEN = {"last", "account"}
_OF_PYTHON = {"true": "True", "false": "False", "null": "None"}
# Matches whole strings, too, so that a word such as `true` within one is not replaced.
_OF_JSON = re.compile(r'"(?:[^"\\]|\\.)*"|true|false|null')
_FORM = "application/x-www-form-urlencoded"


class SampleAnswer(Enum):
    """What a sample does with the answer: print one document, each line, the size of a file, or the status."""

    DOCUMENT = auto()
    LINES = auto()
    FILE = auto()
    NOTHING = auto()


_FILE_NAMES = {SampleAnswer.LINES: ".ndjson", SampleAnswer.FILE: ".bin"}
_PRINTED_BY_PYTHON = {
    SampleAnswer.DOCUMENT: "response.json()",
    SampleAnswer.FILE: "len(response.content)",
    SampleAnswer.NOTHING: "response.status_code",
}
_PRINTED_BY_JAVASCRIPT = {
    SampleAnswer.DOCUMENT: "console.log(await response.json());",
    SampleAnswer.FILE: "console.log((await response.arrayBuffer()).byteLength);",
    SampleAnswer.NOTHING: "console.log(response.status);",
    SampleAnswer.LINES: 'for (const line of (await response.text()).split("\\n").filter(Boolean)) '
    "console.log(JSON.parse(line));",
}


@dataclass(frozen=True, slots=True)
class SampleCall:
    """A call of an operation. body: a JSON value, or the fields of a form; None if there is none."""

    name: str
    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: Any
    is_form: bool
    has_key: bool
    answer: SampleAnswer

    @property
    def url(self) -> str:
        """The address with the query."""
        query = urlencode(self.query, safe=",:")
        return f"{ORIGIN}{self.path}" + (f"?{query}" if query else "")


def add_code_samples(result: dict[str, Any], generator: Any, **_: Any) -> dict[str, Any]:
    """Add `x-codeSamples` to each operation (postprocessing hook of drf-spectacular)."""
    for path, item in result["paths"].items():
        for method in [each for each in _METHODS if each in item]:
            call = sample_call(path, method, item[method])
            item[method]["x-codeSamples"] = [
                {"lang": "Shell", "label": "curl", "source": curl(call)},
                {"lang": "Python", "label": "Python", "source": python(call)},
                {"lang": "JavaScript", "label": "JavaScript", "source": javascript(call)},
            ]
    return result


def sample_call(path: str, method: str, operation: Mapping[str, Any]) -> SampleCall:
    """Return the call of an operation with its example body and with values for what it requires."""
    body, is_form = _body(path, operation)
    of_path = {each["name"]: each for each in operation.get("parameters", ()) if each["in"] == "path"}
    values = {name: _value(each, _PATH_VALUES) for name, each in of_path.items()}
    values["symbol"] = _symbol(path, body)
    return SampleCall(
        name=operation["operationId"],
        method=method.upper(),
        path=re.sub(r"\{(\w+)\}", lambda name: values[name[1]], path),
        query=dict(_query(path, operation)),
        headers=dict(_headers(operation)),
        body=body,
        is_form=is_form,
        # Logins have no requirement of security, or an empty one.
        has_key=any(operation.get("security", ())),
        answer=_answer(operation),
    )


def curl(call: SampleCall) -> str:
    """Return the call as a command for a shell."""
    options = [f'-H "{name}: {value}"' for name, value in _all_headers(call, "$KEY").items()]
    if call.body is not None:
        text = urlencode(call.body) if call.is_form else _json(call.body)
        options.append("-d '" + text.replace("'", "'\\''") + "'")
    if call.method != ("GET" if call.body is None else "POST"):
        options.insert(0, f"-X {call.method}")
    if call.answer in _FILE_NAMES:
        options.append(f"-o {call.name}{_FILE_NAMES[call.answer]}")
    key = f"KEY={KEY}\n" if call.has_key else ""
    return f'{key}curl -s "{call.url}"' + "".join(f" \\\n  {option}" for option in options)


def python(call: SampleCall) -> str:
    """Return the call as a Python program that uses httpx."""
    arguments = [f'"{ORIGIN}{call.path}"']
    if call.query:
        arguments.append(f"params={_literal(dict(call.query))}")
    if headers := _all_headers(call, KEY, with_type=False):
        told = {name: value for name, value in headers.items() if name != "X-API-Key"}
        pairs = ['"X-API-Key": key'] * call.has_key + [f"{_json(n)}: {_json(v)}" for n, v in told.items()]
        arguments.append(f"headers={{{', '.join(pairs)}}}")
    if call.body is not None:
        arguments.append(f"{'data' if call.is_form else 'json'}={_literal(call.body)}")
    key = f'key = "{KEY}"\n' if call.has_key else ""
    if call.answer == SampleAnswer.LINES:
        given = "".join(f"    {argument},\n" for argument in (f'"{call.method}"', *arguments))
        return (
            f"import json\n\nimport httpx\n\n{key}with httpx.stream(\n{given}) as response:\n"
            "    response.raise_for_status()\n    for line in response.iter_lines():\n        print(json.loads(line))\n"
        )
    given = "".join(f"    {argument},\n" for argument in arguments)
    printed = _PRINTED_BY_PYTHON[call.answer]
    return (
        f"import httpx\n\n{key}response = httpx.{call.method.lower()}(\n{given})\n"
        f"response.raise_for_status()\nprint({printed})\n"
    )


def javascript(call: SampleCall) -> str:
    """Return the call as a JavaScript module that uses fetch."""
    headers = [
        f"{_json(name)}: {'key' if name == 'X-API-Key' else _json(value)}"
        for name, value in _all_headers(call, KEY, with_type=not call.is_form).items()
    ]
    options = [] if call.method == "GET" else [f'method: "{call.method}"']
    if headers:
        options.append(f"headers: {{{', '.join(headers)}}}")
    if call.is_form:
        options.append(f"body: new URLSearchParams({_json(call.body)})")
    elif call.body is not None:
        body = _json(call.body).replace("\n", "\n  ")
        options.append(f"body: JSON.stringify({body})")
    given = "".join(f"  {option},\n" for option in options)
    told = f", {{\n{given}}}" if options else ""
    printed = _PRINTED_BY_JAVASCRIPT[call.answer]
    return (
        (f'const key = "{KEY}";\n' if call.has_key else "")
        + f"const response = await fetch({_json(call.url)}{told});\n"
        + f"if (!response.ok) throw new Error(await response.text());\n{printed}\n"
    )


def _body(path: str, operation: Mapping[str, Any]) -> tuple[Any, bool]:
    """Return the first example of the body, or None, and whether it is a form."""
    content = operation.get("requestBody", {}).get("content", {})
    for media_type, media in content.items():
        for example in media.get("examples", {}).values():
            value = example["value"]
            is_stored = path.endswith(("/ingest", "/corrections"))
            if not is_stored and isinstance(value, dict) and value.get("symbol") == "AAPL":
                value = {**value, "symbol": _EQUITY}
            return value, media_type == _FORM
    return None, False


def _symbol(path: str, body: Any) -> str:
    market_class = re.match(r"/api/v1/market-data/(\w+)", path)
    if market_class is not None:
        return _SYMBOLS.get(market_class[1], _EQUITY)
    of_body: str | None = body.get("symbol") if isinstance(body, dict) else None
    return of_body or _EQUITY


def _query(path: str, operation: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for parameter in operation.get("parameters", ()):
        name = parameter["name"]
        if parameter["in"] == "query" and name == "symbols":
            symbol = _symbol(path, None)
            yield name, f"{symbol},DEMOB" if symbol == _EQUITY else symbol
        elif parameter["in"] == "query" and (parameter.get("required") or name in _GIVEN):
            yield name, _value(parameter, _QUERY_VALUES)


def _value(parameter: Mapping[str, Any], known: Mapping[str, str]) -> str:
    """Return the value of a parameter that `known` has, else its first example or choice, else its name."""
    name, schema = parameter["name"], parameter.get("schema", {})
    return known.get(name) or str([*schema.get("examples", ()), *schema.get("enum", ()), name][0])


def _headers(operation: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for parameter in operation.get("parameters", ()):
        if parameter["in"] == "header" and parameter["name"] == "Idempotency-Key":
            yield "Idempotency-Key", f"{operation['operationId']}-1"
        elif parameter["in"] == "header" and parameter.get("required"):
            # The only such header is If-Match; `*` matches every state.
            yield parameter["name"], "*"


def _all_headers(call: SampleCall, key: str, *, with_type: bool = True) -> dict[str, str]:
    has_type = with_type and call.body is not None and not call.is_form
    return {
        **({"X-API-Key": key} if call.has_key else {}),
        **({"Content-Type": "application/json"} if has_type else {}),
        **call.headers,
    }


def _answer(operation: Mapping[str, Any]) -> SampleAnswer:
    answers = operation["responses"]
    content = answers[min(status for status in answers if status.startswith("2"))].get("content", {})
    if "application/json" in content:
        return SampleAnswer.DOCUMENT
    if "application/x-ndjson" in content:
        return SampleAnswer.LINES
    return SampleAnswer.FILE if content else SampleAnswer.NOTHING


def _json(value: Any) -> str:
    """Return JSON in one line, or in several if the line would be long."""
    line = json.dumps(value, ensure_ascii=False)
    return line if len(line) <= 80 else json.dumps(value, ensure_ascii=False, indent=2)


def _literal(value: Any) -> str:
    """Return a value as Python writes it, its further lines indented as those of an argument."""
    text = _OF_JSON.sub(lambda found: _OF_PYTHON.get(found[0], found[0]), _json(value))
    return text.replace("\n", "\n    ")
