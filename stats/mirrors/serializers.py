"""Requests and answers of the endpoints for mirrors."""

import re
from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from stats.parameters import SymbolList, SymbolsField
from store.protocol import NO_COMMIT, CommitId

_COMMIT = re.compile(r"([1-9][0-9]{0,17})-([0-9a-f]{64})", re.ASCII)
_SEEN = re.compile(r"[0-9a-f]{64}", re.ASCII)


@extend_schema_field({"type": "string", "minLength": 1, "examples": ["AAPL,MSFT"]})
class LogSymbolsField(SymbolsField):
    """Distinct symbols, separated by commas."""

    default_error_messages = {"invalid_parameter": "names symbols, not a universe"}

    def to_internal_value(self, data: str) -> SymbolList:
        symbols = super().to_internal_value(data)
        if symbols.universe is not None:
            self.fail("invalid_parameter")
        return symbols


@extend_schema_field({"type": "string", "pattern": "^[0-9a-f]{64}$"})
class SeenField(serializers.Field[str, str, str, Any]):
    """The member `seen` of an earlier answer."""

    default_error_messages = {"invalid_parameter": "is the member `seen` of an earlier answer"}

    def to_internal_value(self, data: str) -> str:
        if _SEEN.fullmatch(data) is None:
            self.fail("invalid_parameter")
        return data


@extend_schema_field({"type": "string", "pattern": "^(0|[1-9][0-9]*-[0-9a-f]{64})$"})
class CommitField(serializers.Field[CommitId, str, str, Any]):
    """A commit's number and whole hash, such as `17-9f3a…`; `0` is before the first one."""

    default_error_messages = {"invalid_parameter": "is 0, or a commit's number and its whole hash: 17-9f3a…"}

    def to_internal_value(self, data: str) -> CommitId:
        if data == "0":
            return NO_COMMIT
        found = _COMMIT.fullmatch(data)
        if found is None:
            self.fail("invalid_parameter")
        return CommitId(int(found[1]), found[2])


class LogsQuerySerializer(serializers.Serializer[Any]):
    """The parameters of the list of logs."""

    symbols = LogSymbolsField(help_text="Symbols, separated by commas; not aliases.")
    seen = SeenField(
        required=False,
        help_text="With `Prefer: wait=N`: wait for another answer than the one with this `seen`.",
    )


class LogCopyQuerySerializer(serializers.Serializer[Any]):
    """The parameters of a copy."""

    after = CommitField(
        required=False, help_text="Commits after this one: number and whole hash. By default from the first."
    )


class LogStateSerializer(serializers.Serializer[Any]):
    """The newest commit of a log."""

    dataset = serializers.CharField()
    symbol = serializers.CharField()
    number = serializers.IntegerField()
    hash = serializers.CharField(help_text="SHA-256 over this and all earlier commits, in hex.")
    committed_at = serializers.DateTimeField()


class LogsSerializer(serializers.Serializer[Any]):
    """What there is to copy."""

    seen = serializers.CharField(help_text="Changes with every other member.")
    logs = LogStateSerializer(many=True)
