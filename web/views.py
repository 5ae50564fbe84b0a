"""The base of views that declare their actions' parameters, bodies and answers."""

from collections.abc import Collection, Mapping, Sequence
from types import MappingProxyType
from typing import Any, ClassVar

from drf_spectacular.drainage import set_override
from drf_spectacular.utils import OpenApiParameter
from rest_framework.request import Request
from rest_framework.serializers import CharField, Serializer
from rest_framework.views import APIView

from web.endpoints import Access
from web.requests.parameters import single_parameters
from web.requests.parsers import request_document


class ShownField(CharField):
    """A parameter in a browser's form, with the schema of its values."""

    def __init__(self, schema: Any, **options: Any) -> None:
        super().__init__(required=False, **options)
        set_override(self, "field", dict(schema))


def id_parameter(name: str, example: str, description: str = "") -> OpenApiParameter:
    """Return the parameter of a path that is an id, by default of what `name` says."""
    schema = {"type": "string", "format": "uuid", "examples": [example]}
    return OpenApiParameter(
        name, schema, OpenApiParameter.PATH, description=description or f"The {name}'s id."
    )


class DeclaredView(APIView):
    """A view that declares its actions. None of them gets a parameter that is unknown, repeated or empty.

    bodies: their serializers. answers: their documents, or documents by status; None: an answer without a body; `list[…]`:
    an array of documents.
    parameters: those of an action; common_parameters: of all. One of a path is for paths that have it, one of a query
    for all others.
    """

    access: ClassVar[Mapping[str, Access]]
    bodies: ClassVar[Mapping[str, type[Serializer[Any]]]] = {}
    answers: ClassVar[Mapping[str, Any]] = {}
    parameters: ClassVar[Mapping[str, Sequence[OpenApiParameter]]] = {}
    common_parameters: ClassVar[Sequence[OpenApiParameter]] = ()
    # The values of the query's parameters, by name.
    query: Mapping[str, str] = MappingProxyType({})

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Refuse what the caller may not do, and wrong parameters."""
        super().initial(request, *args, **kwargs)
        # OPTIONS, and methods that the view lacks, take any.
        is_strict = self.action_name in self.access
        names = (*self.query_names(), "format")
        self.query = single_parameters(request.GET, names) if is_strict else request.GET.dict()

    def query_names(self) -> Sequence[str]:
        """Return the names of the query's parameters, but for `format`."""
        return [each.name for each in self._in_query()]

    def declared_parameters(self, of_path: Collection[str]) -> list[OpenApiParameter]:
        """Return the parameters of the action at a path. of_path: the names of those that the path has."""
        declared = (*self.common_parameters, *self.parameters.get(self.action_name, ()))
        return [
            each for each in declared if (each.name in of_path) == (each.location == OpenApiParameter.PATH)
        ]

    def query_form(self) -> Serializer[Any]:
        """Return a serializer with a field for each parameter of the query, for a browser's form only."""
        form: Serializer[Any] = Serializer()
        for each in self._in_query():
            form.fields[each.name] = ShownField(each.type, help_text=each.description)
        return form

    def get_serializer_class(self) -> type[Serializer[Any]]:
        """Return the serializer with the fields of a browser's form."""
        actions: Mapping[str, str] = getattr(self, "action_map", {})
        return self.bodies.get(actions.get(str(self.request.method).lower(), ""), Serializer)

    def body(self, *, is_optional: bool = False, **context: Any) -> dict[str, Any]:
        """Return the action's validated body. Raises ValidationError, MalformedDocument.

        is_optional: whether a call may have none, which is read as {}.
        """
        data = {} if is_optional and self.request.stream is None else request_document(self.request)
        serializer = self.bodies[self.action_name](data=data, context=context)
        serializer.is_valid(raise_exception=True)
        values: dict[str, Any] = serializer.validated_data
        return values

    @property
    def action_name(self) -> str:
        """The action of the call; "" for a method that the path lacks."""
        return getattr(self, "action", None) or ""

    def _in_query(self) -> list[OpenApiParameter]:
        found = self.declared_parameters(getattr(self, "kwargs", {}))
        return [each for each in found if each.location == OpenApiParameter.QUERY]
