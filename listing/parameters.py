"""Query parameters, read strictly: a typo never silently changes a result."""

from collections.abc import Collection, Mapping

from django.http import QueryDict

from listing.exceptions import InvalidParameter
from listing.nearest_name import LONGEST_SHOWN, nearest_name


def single_parameters(query: QueryDict, known: Collection[str]) -> dict[str, str]:
    """Each parameter's one value. Raises InvalidParameter for one that is not known, is given twice or is empty."""
    for name in known:
        given = query.getlist(name)
        if len(given) > 1:
            raise InvalidParameter("repeated_parameter", f"the parameter {name} is given {len(given)} times")
        if given and not given[0]:
            raise InvalidParameter("empty_parameter", f"the parameter {name} is empty")
    for name in query:
        if name not in known:
            shown = name[:LONGEST_SHOWN]
            raise InvalidParameter(
                "unknown_parameter", f"the parameter {shown} is not known here{nearest_name(name, known)}"
            )
    return {name: str(query[name]) for name in query}


def is_true(given: Mapping[str, str], name: str) -> bool:
    """Whether a parameter is given as `true`. Raises InvalidParameter where it is neither that nor `false`."""
    text = given.get(name, "false")
    if text not in ("true", "false"):
        raise InvalidParameter("invalid_parameter", f"{name} is true or false, not {text[:LONGEST_SHOWN]!r}")
    return text == "true"
