"""The endpoint of sale conditions."""

from dataclasses import asdict
from typing import Any

from drf_spectacular.utils import OpenApiExample, extend_schema, extend_schema_serializer
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import ViewSet

from http_requests.parameters import single_parameters
from http_requests.tagged_answer import tagged_answer
from store.bar_policies import BAR_POLICIES, BarPolicy, Effect

EFFECTS = [effect.name.lower() for effect in Effect]


def policy_document(policy: BarPolicy) -> dict[str, Any]:
    """Return the document of a bar policy."""
    return {
        "name": policy.name,
        "fingerprint": policy.fingerprint,
        "conditions": [
            {
                "condition": word,
                **{name: Effect(value).name.lower() for name, value in asdict(effect).items()},
            }
            for word, effect in policy.effects.items()
        ],
        "daily": None if policy.daily is None else asdict(policy.daily),
    }


POLICIES_DOCUMENT = {"bar_policies": [policy_document(policy) for policy in BAR_POLICIES.values()]}


class ConditionSerializer(serializers.Serializer[Any]):
    """The effects of a condition word. If a print has several words, the strongest effect decides."""

    condition = serializers.CharField()
    open_close = serializers.ChoiceField(
        choices=EFFECTS, help_text="Whether a print with the word sets open and close."
    )
    high_low = serializers.ChoiceField(choices=EFFECTS, help_text="Whether it sets high and low.")
    volume = serializers.ChoiceField(choices=EFFECTS, help_text="Whether it counts in volume.")


class DailyTableSerializer(serializers.Serializer[Any]):
    """The condition words that make the daily bar of the regular session."""

    opening = serializers.CharField(help_text="The largest print with it is the open.")
    closing = serializers.CharField(help_text="The largest print with it is the close.")
    official_close = serializers.CharField(
        help_text="The print with it is the close if there is no closing print."
    )
    outside = serializers.CharField(help_text="The word of prints outside the session.")
    distrusted = serializers.CharField(help_text="The word of prints that are ignored.")


class BarPolicySerializer(serializers.Serializer[Any]):
    """A bar policy. Words that it does not name, and prints without words, count everywhere."""

    name = serializers.CharField()
    fingerprint = serializers.CharField(help_text="Changes with the policy.")
    conditions = ConditionSerializer(many=True)
    daily = DailyTableSerializer(allow_null=True)


@extend_schema_serializer(many=False)
class BarPoliciesSerializer(serializers.Serializer[Any]):
    """All bar policies."""

    bar_policies = BarPolicySerializer(many=True)


class ConditionsViewSet(ViewSet):
    """Sale conditions."""

    @extend_schema(
        operation_id="conditions",
        summary="Sale conditions and their effects under each bar policy",
        responses={200: BarPoliciesSerializer},
        examples=[OpenApiExample("Bar policies", value=POLICIES_DOCUMENT, response_only=True)],
    )
    def list(self, request: Request) -> Response:
        """List the condition words of each bar policy: whether a print with one sets prices and counts in volume.

        If a print has several words, the strongest effect decides: `never`, then `always`, then `no`, then `yes`.
        """
        single_parameters(request.GET, ("format",))
        return tagged_answer(request, POLICIES_DOCUMENT)
