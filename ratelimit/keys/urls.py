from django.urls import re_path

from ratelimit.keys.views import KeysViewSet

urlpatterns = [
    re_path(r"^keys/?\Z", KeysViewSet.as_view({"get": "list", "post": "create"}), name="keys"),
    re_path(r"^keys/(?P<key>[^/]+)/rotate/?\Z", KeysViewSet.as_view({"post": "rotate"}), name="key-rotate"),
    re_path(
        r"^keys/(?P<key>[^/]+)/?\Z",
        KeysViewSet.as_view({"get": "retrieve", "delete": "destroy"}),
        name="key",
    ),
]
