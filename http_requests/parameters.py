"""Query parameters, read strictly: a typo never silently changes a result."""

from collections.abc import Collection, Mapping

from django.http import QueryDict

from http_requests.exceptions import InvalidParameter
from refusals.nearest_name import LONGEST_SHOWN, nearest_or_all


def single_parameters(query: QueryDict, known: Collection[str]) -> dict[str, str]:
    """Each parameter's one value.

    Raises InvalidParameter for a name that is not known (with the nearest that is), a parameter given twice,
    and an empty one.
    """
    for name in query:
        if name not in known:
            told = f"the parameter {name[:LONGEST_SHOWN]} is not known here{nearest_or_all(name, known)}"
            raise InvalidParameter("unknown_parameter", told)
    values = {name: query.getlist(name) for name in query}
    for name, given in values.items():
        if len(given) > 1:
            raise InvalidParameter("repeated_parameter", f"the parameter {name} is given {len(given)} times")
        if not given[0]:
            raise InvalidParameter("empty_parameter", f"the parameter {name} is empty")
    return {name: str(given[0]) for name, given in values.items()}


def choice(values: Mapping[str, str], name: str, choices: Collection[str], default: str) -> str:
    """A parameter that is one of a few words. Raises InvalidParameter."""
    value = values.get(name, default)
    if value not in choices:
        told = f"{name} is one of {', '.join(choices)}, not {value[:LONGEST_SHOWN]!r}"
        raise InvalidParameter("invalid_parameter", told)
    return value


def is_true(given: Mapping[str, str], name: str) -> bool:
    """Whether a parameter is given as `true`.

    Raises InvalidParameter where it is neither that nor `false`.
    """
    text = given.get(name, "false")
    if text not in ("true", "false"):
        raise InvalidParameter("invalid_parameter", f"{name} is true or false, not {text[:LONGEST_SHOWN]!r}")
    return text == "true"
