"""What is wrong with the settings, said before anything starts."""

from itertools import pairwise
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, Warning, register
from stdnum.eu import vat

from billing.countries import COUNTRIES
from billing.tax import EU, tax_area


@register()
def countries_are_known(**_: Any) -> list[CheckMessage]:
    """A country that is misspelt would be asked about, although the operator believes that it is switched off."""
    unknown = sorted(set(settings.FRAUDRECORD_OFF_COUNTRIES) - set(dict(COUNTRIES)))
    if not unknown:
        return []
    text = f"FRAUDRECORD_OFF_COUNTRIES names no country: {', '.join(unknown)}."
    return [Error(text, hint="Use two letters of ISO 3166 for each, such as GB.", id="billing.E001")]


@register()
def seller_is_known(**_: Any) -> list[CheckMessage]:
    """What tax is due depends on where the seller is."""
    found: list[CheckMessage] = []
    country, vat_id = settings.SELLER_COUNTRY, settings.SELLER_VAT_ID
    if settings.TAX and not country:
        text = "TAX is on and SELLER_COUNTRY is not set, so no tax can be worked out."
        found.append(Error(text, hint="Set it to two letters of ISO 3166, such as DE.", id="billing.E002"))
    elif country and country not in dict(COUNTRIES):
        text = f"SELLER_COUNTRY names no country: {country}."
        found.append(Error(text, hint="Use two letters of ISO 3166, such as DE.", id="billing.E003"))
    if vat_id and tax_area(country, settings.SELLER_POSTCODE) in EU and not vat.is_valid(vat_id):
        text = "SELLER_VAT_ID is no VAT id of the European Union."
        found.append(Error(text, hint="Give it with its prefix, such as DE136695976.", id="billing.E004"))
    return found


@register()
def days_are_in_order(**_: Any) -> list[CheckMessage]:
    """A step that comes before the one that announces it would surprise the customer."""
    found: list[CheckMessage] = [
        Error(f"{name} must be from 1 to {most}, and is {days}.", id="billing.E005")
        for name, most in _MOST_DAYS.items()
        if not 1 <= (days := getattr(settings, name)) <= most
    ]
    retries = settings.RENEWAL_RETRY_DAYS
    if any(day < 1 for day in retries) or sorted(set(retries)) != list(retries):
        text = f"RENEWAL_RETRY_DAYS must be days from 1 on, each after the one before, and is {retries}."
        found.append(Error(text, hint="Such as 1,3,5,7.", id="billing.E006"))
    for first, then in pairwise(_IN_ORDER):
        before, after = getattr(settings, first), getattr(settings, then)
        if before >= after:
            text = f"{then} ({after}) must be more than {first} ({before})."
            found.append(Error(text, hint="See docs/payments.md for what happens when.", id="billing.E007"))
    return found


_IN_ORDER = (
    "DUNNING_NOTICE_DAYS", "DUNNING_STOP_SENDING_DAYS", "DUNNING_STOP_RECEIVING_DAYS", "DUNNING_HAND_OVER_DAYS"
)  # fmt: skip
_MOST_DAYS = {
    "RENEWAL_AHEAD_YEARLY": 364, "RENEWAL_AHEAD_MONTHLY": 27,  # within the period before
    **dict.fromkeys((*_IN_ORDER, "CHANGE_DUE_DAYS", "SERVICE_KEPT_DAYS"), 3650),
}  # fmt: skip


@register(Tags.security, deploy=True)
def tax_is_whole(**_: Any) -> list[CheckMessage]:
    """An invoice with tax, or one that leaves it to the customer, names the seller's VAT id."""
    if not settings.TAX or settings.SELLER_VAT_ID:
        return []
    text = "TAX is on and SELLER_VAT_ID is not set: invoices must name it, and VIES proves its checks to its holder."
    return [Warning(text, hint="Set it, with its prefix.", id="billing.W004")]


@register(Tags.security, deploy=True)
def vies_is_asked_over_tls(**_: Any) -> list[CheckMessage]:
    """Its answers decide about tax."""
    if (
        not settings.VIES
        or not settings.PANEL_URL.startswith("https://")
        or settings.VIES_URL.startswith("https://")
    ):
        return []
    return [Warning("VIES is on, and VIES_URL is not https.", hint="Leave VIES_URL out.", id="billing.W006")]


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


@register(deploy=True)
def invoices_can_be_drawn(**_: Any) -> list[CheckMessage]:
    """Otherwise the first invoice that somebody wants as PDF would say so."""
    try:
        import weasyprint  # noqa: F401 (it loads the libraries)
    except OSError as error:
        hint = "Install the Debian packages that docs/invoices.md names."
        return [Warning(f"Invoices cannot be drawn as PDF: {error}", hint=hint, id="billing.W005")]
    return []
