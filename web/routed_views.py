"""Viewsets whose routes differ by an argument of `as_view`, such as `as_view({...}, dataset=TRADES)`."""

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework.viewsets import ViewSet

from web.schema import ApiSchema


class RouteSchema(ApiSchema):
    """Describes each route of a `RoutedViewSet`. `@extend_schema` at its action would describe all alike."""

    def get_operation(self, *arguments: Any) -> Any:
        """Return the operation of the view's route."""
        view: Any = self.view
        return view.route_schema().get_operation(*arguments)


class RoutedViewSet(ViewSet):
    """The base of these viewsets."""

    schema = RouteSchema()

    def described(self) -> dict[str, Any]:
        """Return the arguments of `extend_schema` for the view's route."""
        raise NotImplementedError

    def route_schema(self) -> Any:
        """Return drf-spectacular's schema of the view's route."""

        def action() -> None: ...

        described: Any = extend_schema(**self.described())(action)
        schema = described.kwargs["schema"]()
        schema.view = self
        return schema
