"""What is wrong with the settings, said before anything starts."""

from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, register

from billing.countries import COUNTRIES


@register()
def countries_are_known(**_: Any) -> list[CheckMessage]:
    """A country that is misspelt would be asked about, although the operator believes that it is switched off."""
    unknown = sorted(set(settings.FRAUDRECORD_OFF_COUNTRIES) - set(dict(COUNTRIES)))
    if not unknown:
        return []
    text = f"FRAUDRECORD_OFF_COUNTRIES names no country: {', '.join(unknown)}."
    return [Error(text, hint="Use two letters of ISO 3166 for each, such as GB.", id="billing.E001")]
