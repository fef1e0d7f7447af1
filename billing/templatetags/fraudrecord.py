"""What public pages say about FraudRecord, from what the code really sends and the settings in force."""

from dataclasses import dataclass

from django import template
from django.conf import settings

from billing import fraudrecord
from billing.countries import COUNTRIES

register = template.Library()


@dataclass(frozen=True)
class Disclosure:
    """`is_on`: whether anything is sent; `fields`: what, in words; `off_countries`: names of the countries for whose
    customers nothing is.
    """

    is_on: bool
    fields: str
    off_countries: str


@register.simple_tag
def fraud_disclosure() -> Disclosure:
    off = [name for code, name in COUNTRIES if code in settings.FRAUDRECORD_OFF_COUNTRIES]
    return Disclosure(fraudrecord.is_on(), _listed([*fraudrecord.FIELDS.values()]), _listed(off))


def _listed(words: list[str]) -> str:
    """a, b and c"""
    return " and ".join(filter(None, [", ".join(words[:-1]), *words[-1:]]))
