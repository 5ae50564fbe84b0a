"""`/schema`: the OpenAPI document of a version. Each process makes it once, because that takes as long as a thousand answers."""

import hashlib
from dataclasses import dataclass
from functools import cache
from typing import Any

import msgspec
from django.http import HttpResponse
from django.http.response import HttpResponseBase
from django.utils.cache import get_conditional_response
from drf_spectacular.renderers import OpenApiYamlRenderer
from drf_spectacular.utils import extend_schema
from drf_spectacular.views import SpectacularAPIView
from rest_framework.request import Request

from marketdata_project.openapi import VersionGenerator
from web.requests.compression import Encoding, accepted_encoding, compressed
from web.requests.parameters import single_parameters


@dataclass(frozen=True, slots=True)
class SchemaDocument:
    """The document, ready to send."""

    body: bytes
    etag: str
    encoding: Encoding | None


class SchemaView(SpectacularAPIView):
    """The OpenAPI document of a version, the same for every caller. Of a route: api_version."""

    api_version: str = "v1"
    authentication_classes: list[Any] = []
    permission_classes: list[Any] = []
    throttle_classes: list[Any] = []

    @extend_schema(exclude=True)
    def get(self, request: Request, *_: Any, **__: Any) -> HttpResponseBase:
        """Answer with the document in YAML or JSON, or 304. Raises InvalidParameter."""
        single_parameters(request.GET, ("format",))
        renderer = request.accepted_renderer
        encoding = accepted_encoding(request.META.get("HTTP_ACCEPT_ENCODING"))
        document = schema_document(renderer.format, encoding, self.api_version)
        response = HttpResponse(
            document.body,
            content_type=renderer.media_type,
            headers={
                "ETag": document.etag,
                "Cache-Control": "no-cache",
                "Vary": "Accept, Accept-Encoding",
                "Content-Disposition": f'inline; filename="openapi.{renderer.format}"',
                **({"Content-Encoding": document.encoding} if document.encoding else {}),
            },
        )
        # Django's function needs Django's request, not DRF's.
        return get_conditional_response(request._request, etag=document.etag, response=response) or response  # noqa: SLF001


@cache
def schema_document(name: str, encoding: Encoding | None = None, version: str = "v1") -> SchemaDocument:
    """Return a version's document in the format `name` (`json` or `yaml`) and a content encoding. Each is made once."""
    if encoding is not None:
        plain = schema_document(name, version=version)
        encoded = compressed(plain.body, encoding)
        return SchemaDocument(encoded.body, f'{plain.etag[:-1]}-{encoding}"', encoded.encoding)
    # Without indentation, which would double its size.
    body = _json(version) if name == "json" else _yaml(version)
    return SchemaDocument(body, f'"{hashlib.sha256(body).hexdigest()[:32]}"', None)


def _json(version: str) -> bytes:
    generator: Any = VersionGenerator(api_version=version)
    return msgspec.json.encode(generator.get_schema(request=None, public=True))


def _yaml(version: str) -> bytes:
    # Made from the other text, because the document itself takes 23 MB and is not kept.
    renderer: Any = OpenApiYamlRenderer()
    document = msgspec.json.decode(schema_document("json", version=version).body)
    body: bytes = renderer.render(document, renderer.media_type, {})
    return body
