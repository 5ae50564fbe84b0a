"""A field of the admin's forms for a list of words."""

from typing import Any

from django import forms


class WordsField(forms.CharField):
    """Words, one a line or separated by spaces or commas."""

    widget = forms.Textarea

    def prepare_value(self, value: Any) -> Any:
        """One a line."""
        return "\n".join(value) if isinstance(value, list) else value

    def clean(self, value: Any) -> Any:
        return super().clean(value).replace(",", " ").split()
