"""Query parameters, read strictly: a typo never silently changes a result."""

from collections.abc import Collection
from difflib import get_close_matches

from django.http import QueryDict

from trades.exceptions import InvalidParameter


def single_parameters(query: QueryDict, known: Collection[str]) -> dict[str, str]:
    """Each parameter's one value.

    Raises `InvalidParameter` for a name that is not known (with the nearest that is), a parameter given twice,
    and an empty one.
    """
    for name in query:
        if name not in known:
            hint = nearest_name(name, known)
            raise InvalidParameter("unknown_parameter", f"the parameter {name[:64]} is not known here{hint}")
    values = {name: query.getlist(name) for name in query}
    for name, given in values.items():
        if len(given) > 1:
            raise InvalidParameter("repeated_parameter", f"the parameter {name} is given {len(given)} times")
        if not given[0]:
            raise InvalidParameter("empty_parameter", f"the parameter {name} is empty")
    return {name: given[0] for name, given in values.items()}


def nearest_name(name: str, known: Collection[str]) -> str:
    """What is said of a name that is not known: the nearest that is, else all that are."""
    nearest = get_close_matches(name, list(known), n=1)
    return f"; did you mean {nearest[0]}?" if nearest else f"; known are {', '.join(sorted(known))}"


def choice(values: dict[str, str], name: str, choices: Collection[str], default: str) -> str:
    """A parameter that is one of a few words. Raises `InvalidParameter`."""
    value = values.get(name, default)
    if value not in choices:
        raise InvalidParameter(
            "invalid_parameter", f"{name} is one of {', '.join(choices)}, not {value[:64]!r}"
        )
    return value
