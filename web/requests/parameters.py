"""Strict parsing of query parameters, so that a typo never silently changes a result."""

from collections.abc import Collection, Mapping

from django.http import QueryDict

from store.timestamps import InvalidTimestamp, parse_timestamp_or_epoch
from web.requests.exceptions import InvalidParameter
from web.requests.nearest_name import LONGEST_SHOWN, nearest_or_all


def single_parameters(query: QueryDict, known: Collection[str]) -> dict[str, str]:
    """Return the values of the query's parameters, by name.

    Raises InvalidParameter for an unknown name (its message suggests a known one), a repeated parameter, and an empty
    value.
    """
    for name in query:
        if name not in known:
            message = f"the parameter {name[:LONGEST_SHOWN]} is not known here{nearest_or_all(name, known)}"
            raise InvalidParameter("unknown_parameter", message)
    values = {name: query.getlist(name) for name in query}
    for name, texts in values.items():
        if len(texts) > 1:
            raise InvalidParameter(
                "repeated_parameter", f"the parameter {name} is given {len(texts)} times; send it once"
            )
        if not texts[0]:
            raise InvalidParameter(
                "empty_parameter", f"the parameter {name} is empty; give a value or leave it out"
            )
    return {name: str(texts[0]) for name, texts in values.items()}


def choice(values: Mapping[str, str], name: str, choices: Collection[str], default: str) -> str:
    """Return a parameter's value; `default` if it is absent. Raises InvalidParameter if it is not in `choices`."""
    value = values.get(name)
    if value is None:
        return default
    if value not in choices:
        message = f"{name} is one of {', '.join(choices)}, not {value[:LONGEST_SHOWN]!r}"
        raise InvalidParameter("invalid_parameter", message)
    return value


def is_true(values: Mapping[str, str], name: str) -> bool:
    """Return whether a parameter is `true`; False if it is absent. Raises InvalidParameter for any other word."""
    text = values.get(name, "false")
    if text not in ("true", "false"):
        raise InvalidParameter("invalid_parameter", f"{name} is true or false, not {text[:LONGEST_SHOWN]!r}")
    return text == "true"


def instant_parameter(name: str, values: Mapping[str, str]) -> int | None:
    """Return a parameter as an instant; None without it. Raises `InvalidParameter`."""
    text = values.get(name)
    try:
        return None if text is None else parse_timestamp_or_epoch(text)
    except InvalidTimestamp as error:
        raise InvalidParameter(error.code, f"{name}: {text!r:.66}: {error}") from error
