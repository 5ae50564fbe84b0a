"""The endpoint of sale conditions."""

from dataclasses import asdict
from typing import Any

from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import ViewSet

from store.bar_policies import BAR_POLICIES, BarPolicy, Effect
from trades.conditions import CONDITION_MAPS
from trades.conditions.condition_map import ConditionMap
from web.endpoints import Access
from web.requests.parameters import single_parameters
from web.requests.tagged_answer import tagged_answer

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


def map_document(each: ConditionMap) -> dict[str, Any]:
    """Return the document of a condition map."""
    return {
        "name": each.name,
        "source": each.source,
        "version": each.version,
        "codes": {
            dataset: [
                {"code": code, "meaning": found.meaning, "conditions": [*found.words]}
                for code, found in codes.items()
            ]
            for dataset, codes in each.codes.items()
        },
    }


POLICIES_DOCUMENT = {
    "bar_policies": [policy_document(policy) for policy in BAR_POLICIES.values()],
    "condition_maps": [map_document(each) for each in CONDITION_MAPS.values()],
}


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


class ConditionCodeSerializer(serializers.Serializer[Any]):
    """A vendor's code, and the words that are stored in its place."""

    code = serializers.CharField()
    meaning = serializers.CharField(help_text="Its name in the vendor's list.")
    conditions = serializers.ListField(child=serializers.CharField())


class ConditionMapSerializer(serializers.Serializer[Any]):
    """A vendor's condition codes. Codes that are not listed are stored as they are."""

    name = serializers.CharField(help_text="The value of the parameter `conditions` of an ingest.")
    source = serializers.CharField()  # type: ignore[assignment]  # the field, not the attribute of DRF's Field
    version = serializers.CharField()
    codes = serializers.DictField(
        child=ConditionCodeSerializer(many=True), help_text="The codes of each dataset's rows."
    )


class BarPoliciesSerializer(serializers.Serializer[Any]):
    """All bar policies, and the maps of vendors' codes."""

    bar_policies = BarPolicySerializer(many=True)
    condition_maps = ConditionMapSerializer(many=True)


class ConditionsViewSet(ViewSet):
    """Sale conditions."""

    tag = "instruments"
    access = {"list": Access("market:read", has_rows=False)}

    @extend_schema(
        responses={200: BarPoliciesSerializer},
        examples=[OpenApiExample("Bar policies", value=POLICIES_DOCUMENT, response_only=True)],
    )
    def list(self, request: Request) -> Response:
        """Sale conditions and their effects under each bar policy.

        List the condition words of each bar policy: whether a print with one sets prices and counts in volume.

        Also lists the vendors' codes that an ingest with `conditions=` stores as these words. If a print has several
        words, the strongest effect decides: `never`, then `always`, then `no`, then `yes`.
        """
        single_parameters(request.GET, ("format",))
        return tagged_answer(request, POLICIES_DOCUMENT)
