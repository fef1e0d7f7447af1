"""What tax a sale bears: facts in, a decision out. Nothing here reads a database, a setting or a clock.

Mail hosting is a service that is supplied electronically. In the European Union it is taxed where the customer is
(Council Directive 2006/112/EC: Article 44 for businesses, Article 58 for consumers), by the seller, unless the customer
is a business of another member state, who then owes the tax (Article 196).

Plan prices are net, for everybody; tax is added.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from decimal import ROUND_HALF_UP, Decimal

from django.db.models import TextChoices

from billing.money import format_money

_EU = "AT BE BG CY CZ DE DK EE ES FI FR GR HR HU IE IT LT LU LV MT NL PL PT RO SE SI SK"
EU = frozenset(_EU.split(" "))  # ISO 3166; in VAT ids Greece is EL

# Countries of their own by ISO 3166 that are taxed as another one: Article 7 of the Directive. Since the United Kingdom
# left, the Isle of Man is part of its tax area alone. For services Northern Ireland is as all of the United Kingdom: its
# protocol, and the prefix XI of VAT ids, are about goods.
_TAXED_AS = {"MC": "FR", "IM": "GB"}
# Parts of member states in which the Directive does not hold: its Article 6, as amended by Directives 2013/61/EU and
# 2019/475. The postcodes are those of Correos, La Poste, Posti, Deutsche Post, Poste Italiane and ELTA. Those that are
# countries of their own by ISO 3166 (Åland, Guadeloupe, Réunion …) are outside by their code already.
_OUTSIDE = {
    "ES": re.compile(r"(35|38|51|52)\d{3}"),  # Canary Islands; Ceuta, Melilla
    "FR": re.compile(r"97\d{3}|98[4-8]\d{2}"),  # overseas; 980 is Monaco
    "FI": re.compile(r"22\d{3}"),  # Åland
    "DE": re.compile(r"78266|27498"),  # Büsingen, Helgoland
    "IT": re.compile(r"23041|22061"),  # Livigno, Campione d'Italia
    "GR": re.compile(r"63086"),  # Mount Athos
}


class TaxKind(TextChoices):
    """Why a sale bears the tax that it does."""

    OFF = "off", "The operator charges no tax"
    DOMESTIC = "domestic", "Customer in the seller's country"
    DESTINATION = "destination", "Consumer in another member state, taxed there (one-stop shop)"
    ORIGIN = "origin", "Consumer in another member state, taxed at the seller's (below the threshold)"
    REVERSE_CHARGE = "reverse_charge", "Business in another member state, which owes the tax itself"
    OUTSIDE = "outside", "Customer outside the European Union"
    UNREGISTERED = "unregistered", "Consumer in the European Union, of a seller who collects no tax there"


# What has to stand on an invoice: Article 226 (11a) of the Directive wants the words "Reverse charge".
_NOTES = {
    TaxKind.REVERSE_CHARGE: "Reverse charge: the customer owes the VAT (Articles 44 and 196 of Directive 2006/112/EC).",
    TaxKind.OUTSIDE: "Outside the scope of VAT: the service is supplied where the customer is.",
}


class NoRate(LookupError):
    """No rate is known for the country on that day. The text is for staff."""


@dataclass(frozen=True)
class Rate:
    """`rate` in per cent; it holds from `from_on` until the next of its country begins."""

    country: str
    rate: Decimal
    label: str
    from_on: date


@dataclass(frozen=True)
class SellerTax:
    """`uses_oss`: the seller declares sales to consumers of other member states in their countries (one-stop shop)."""

    is_on: bool
    country: str
    postcode: str = ""
    uses_oss: bool = True


@dataclass(frozen=True)
class BuyerTax:
    """`is_business`: a VAT id counts (`BillingDetails.counts_as_business`), which is one of the customer's country."""

    country: str
    postcode: str = ""
    is_business: bool = False


@dataclass(frozen=True)
class TaxDecision:
    """`rate` in per cent; `label` what the tax is called, and `country` whose it is; empty where there is none."""

    kind: TaxKind
    rate: Decimal = Decimal(0)
    label: str = ""
    country: str = ""

    @property
    def note(self) -> str:
        """What must stand on an invoice beside the sums; often nothing."""
        return _NOTES.get(self.kind, "")

    @property
    def words(self) -> str:
        """`VAT 25.5%`; the word for none is `No VAT`."""
        return f"{self.label} {self.rate.normalize():f}%" if self.rate else "No VAT"


@dataclass(frozen=True)
class Split:
    """An amount in its minor unit: net, the tax on it, and both."""

    net: int
    tax: int

    @property
    def total(self) -> int:
        return self.net + self.tax


@dataclass(frozen=True)
class TaxedPrice:
    """A price as people read it: what it is net, the tax on it and the total, each with its currency."""

    amounts: Split
    currency: str
    decision: TaxDecision

    @property
    def net(self) -> str:
        return format_money(self.amounts.net, self.currency)

    @property
    def tax(self) -> str:
        return format_money(self.amounts.tax, self.currency)

    @property
    def total(self) -> str:
        return format_money(self.amounts.total, self.currency)


def tax_for(seller: SellerTax, buyer: BuyerTax, on: date, rates: Iterable[Rate]) -> TaxDecision:
    """What tax a sale on that day bears. NoRate where a rate is needed and not among `rates`."""
    if not seller.is_on:
        return TaxDecision(TaxKind.OFF)
    home, theirs = tax_area(seller.country, seller.postcode), tax_area(buyer.country, buyer.postcode)
    if home and home == theirs:
        return _at(home, TaxKind.DOMESTIC, on, rates)
    if theirs not in EU:
        return TaxDecision(TaxKind.OUTSIDE)
    if buyer.is_business:
        return TaxDecision(TaxKind.REVERSE_CHARGE, country=theirs)
    if seller.uses_oss:
        return _at(theirs, TaxKind.DESTINATION, on, rates)
    if home in EU:
        return _at(home, TaxKind.ORIGIN, on, rates)
    return TaxDecision(TaxKind.UNREGISTERED)


def tax_area(country: str, postcode: str = "") -> str:
    """The country (ISO 3166) whose VAT holds at an address, as far as its postcode tells; empty in a part of a member
    state where none does.
    """
    country = _TAXED_AS.get(country, country)
    outside = _OUTSIDE.get(country)
    if outside and outside.fullmatch(re.sub(r"\D", "", postcode)):
        return ""
    return country


def split(net: int, rate: Decimal) -> Split:
    """The tax on a net amount (its minor unit; negative for a credit) at `rate` per cent, rounded half up: away from zero,
    so that a credit takes back exactly what was charged.
    """
    return Split(net, int((net * rate / 100).quantize(Decimal(1), ROUND_HALF_UP)))


def split_lines(nets: Iterable[int], rate: Decimal) -> list[Split]:
    """The lines of one rate. Their taxes sum up to the tax on their sum: each line has what that grows by with it."""
    lines, before = [], Split(0, 0)
    for net in nets:
        after = split(before.net + net, rate)
        lines.append(Split(net, after.tax - before.tax))
        before = after
    return lines


def _at(country: str, kind: TaxKind, on: date, rates: Iterable[Rate]) -> TaxDecision:
    held = [each for each in rates if each.country == country and each.from_on <= on]
    if not held:
        raise NoRate(
            f"No tax rate of {country} is known for {on}. Add it in the staff site, under tax rates."
        )
    rate = max(held, key=lambda each: each.from_on)
    return TaxDecision(kind, rate.rate, rate.label, country)
