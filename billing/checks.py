"""What is wrong with the settings, said before anything starts."""

from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, Warning, register

from billing.countries import COUNTRIES


@register()
def countries_are_known(**_: Any) -> list[CheckMessage]:
    """A country that is misspelt would be asked about, although the operator believes that it is switched off."""
    unknown = sorted(set(settings.FRAUDRECORD_OFF_COUNTRIES) - set(dict(COUNTRIES)))
    if not unknown:
        return []
    text = f"FRAUDRECORD_OFF_COUNTRIES names no country: {', '.join(unknown)}."
    return [Error(text, hint="Use two letters of ISO 3166 for each, such as GB.", id="billing.E001")]


@register(Tags.security, deploy=True)
def stripe_is_whole(**_: Any) -> list[CheckMessage]:
    """Without the secret of the webhook nothing that Stripe tells is taken; a live key goes over no plain line."""
    found: list[CheckMessage] = []
    key = settings.STRIPE_SECRET_KEY
    if key and not settings.STRIPE_WEBHOOK_SECRET:
        text = "STRIPE_SECRET_KEY is set and STRIPE_WEBHOOK_SECRET is not, so no event of Stripe is taken."
        found.append(
            Warning(text, hint="Take it from the endpoint in Stripe's dashboard.", id="billing.W001")
        )
    if key.startswith(("sk_live_", "rk_live_")) and not settings.STRIPE_API_BASE.startswith("https://"):
        text = "STRIPE_SECRET_KEY is a live key, and STRIPE_API_BASE is not https."
        found.append(Warning(text, hint="Leave STRIPE_API_BASE out.", id="billing.W002"))
    return found
