"""What stands on an invoice or a credit note, as it was issued: the snapshot that page and PDF are drawn from.

It is kept as JSON beside the invoice and read strictly; later changes of names, addresses, texts or rates do not reach it.
Amounts are integers of the currency's minor unit; those of a credit note stand as it was issued, negative or not.
"""

import re
from collections import Counter
from collections.abc import Iterable
from datetime import date
from decimal import Decimal
from typing import Annotated, Any, Literal, Self

import msgspec
from django.utils.dateformat import format as date_format
from msgspec import Meta

from billing.countries import COUNTRIES

_RATE = re.compile(r"[0-9]{1,3}(\.[0-9]{1,4})?")

Kind = Literal["invoice", "credit_note"]
Name = Annotated[str, Meta(max_length=254)]
Text = Annotated[str, Meta(max_length=2000)]
Minor = Annotated[int, Meta(ge=-(10**12), le=10**12)]
MAX_LINES = 200  # the PDF of so many takes a second or two


class Party(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who sells or who buys. `country` is ISO 3166 alpha-2."""

    name: Name
    company: Name = ""
    street: Name
    city: Name
    region: Name = ""
    postcode: Name
    country: Name
    vat_id: Name = ""
    email: Name = ""

    @property
    def address(self) -> str:
        """As it stands on an envelope, line by line, and below it the VAT id and the e-mail address."""
        region = f", {self.region}" if self.region else ""
        place = f"{self.postcode} {self.city}{region}".strip()
        vat_id = self.vat_id and f"VAT id {self.vat_id}"
        parts = (self.company, self.name, self.street, place, country_name(self.country), vat_id, self.email)
        return "\n".join(" ".join(part.split()) for part in parts if part)


class Line(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One thing that was sold, with the days that it covers, the last one included. `tax_rate` is in per cent;
    `net_minor` is that of the whole line, whatever the quantity; a discount is a line below zero.
    """

    text: Text
    from_on: date | None = None
    until_on: date | None = None
    quantity: Annotated[int, Meta(le=10**6)] = 1
    net_minor: Minor
    tax_rate: str
    tax_minor: Minor

    def __post_init__(self) -> None:
        msgspec.structs.force_setattr(self, "tax_rate", plain_rate(self.tax_rate))
        if self.from_on and self.until_on and self.from_on > self.until_on:
            raise ValueError(f"The line {self.text!r} ends before it begins.")
        if self.quantity < 1:
            raise ValueError(f"The line {self.text!r} is about nothing.")

    @property
    def days(self) -> str:
        """The days that it covers, in words: "31 January 2026 to 27 February 2026"; empty where it names none."""
        days = (self.from_on, None if self.until_on == self.from_on else self.until_on)
        return " to ".join(in_words(day) for day in days if day)


class TaxTotal(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The tax on everything of one rate. `label` is what the invoice says: "VAT 19 %"; `rate` is in per cent."""

    label: Name
    rate: str
    net_minor: Minor
    tax_minor: Minor

    def __post_init__(self) -> None:
        msgspec.structs.force_setattr(self, "rate", plain_rate(self.rate))


class InvoiceDocument(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An invoice or a credit note; the latter names in `corrects` the number of its invoice. What is at no tax may
    stand without a total of its own. ValueError where the sums do not add up.
    """

    number: Annotated[str, Meta(pattern=r"^[A-Za-z0-9-]{1,40}\Z")]
    kind: Kind
    corrects: str = ""
    issued_on: date
    due_on: date | None = None
    currency: Annotated[str, Meta(pattern="^[A-Z]{3}\\Z")]
    seller: Party
    buyer: Party
    reference: Name = ""
    lines: Annotated[tuple[Line, ...], Meta(max_length=MAX_LINES)]
    taxes: Annotated[tuple[TaxTotal, ...], Meta(max_length=20)] = ()
    net_minor: Minor
    tax_minor: Minor
    total_minor: Minor
    notes: Annotated[tuple[Text, ...], Meta(max_length=20)] = ()

    def __post_init__(self) -> None:
        if (self.kind == "credit_note") != bool(self.corrects):
            raise ValueError(f"{self.number}: a credit note corrects an invoice, and an invoice none.")
        self._check_sums()

    @classmethod
    def from_json(cls, data: Any) -> Self:
        """What `to_json` gave. ValueError where it is anything else."""
        try:
            return msgspec.convert(data, cls)
        except msgspec.ValidationError as error:
            raise ValueError(f"This is no document of an invoice: {error}") from error

    def to_json(self) -> dict[str, Any]:
        """Plain dicts, lists, texts and integers, for a JSONField. ValueError where a field is of another type than it
        should be, which is seen only here.
        """
        data: dict[str, Any] = msgspec.to_builtins(self, str_keys=True)
        type(self).from_json(data)
        return data

    @property
    def title(self) -> str:
        return f"{'Credit note' if self.kind == 'credit_note' else 'Invoice'} {self.number}"

    @property
    def of_a_line(self) -> str:
        """What the amount of a line is."""
        return f"{'Without tax' if self.taxes else 'Amount'} ({self.currency})"

    @property
    def facts(self) -> list[tuple[str, str]]:
        """Its dates and numbers, each with its name."""
        return [
            ("Date", in_words(self.issued_on)),
            *([("Corrects invoice", self.corrects)] if self.corrects else []),
            *([("Due on", in_words(self.due_on))] if self.due_on else []),
            *([("Your reference", self.reference)] if self.reference else []),
        ]

    def _check_sums(self) -> None:
        if not self.lines:
            raise ValueError(f"{self.number}: there is no line.")
        by_line = _by_rate((line.tax_rate, line.net_minor, line.tax_minor) for line in self.lines)
        by_tax = _by_rate((tax.rate, tax.net_minor, tax.tax_minor) for tax in self.taxes)
        for rate in by_line.keys() | by_tax.keys():
            if by_line.get(rate) != by_tax.get(rate, (by_line[rate][0], 0) if rate == "0" else None):
                raise ValueError(f"{self.number}: the lines at {rate} % are not what stands as their total.")
        sums = (sum(net for net, _ in by_line.values()), sum(tax for _, tax in by_line.values()))
        if sums != (self.net_minor, self.tax_minor):
            raise ValueError(f"{self.number}: the lines do not add up to the sum without tax, or to the tax.")
        if self.net_minor + self.tax_minor != self.total_minor:
            raise ValueError(f"{self.number}: the sum and the tax do not add up to the total.")


def in_words(day: date) -> str:
    """`date(2026, 1, 31)` → "31 January 2026", which nobody reads in another order."""
    return date_format(day, "j F Y")


def country_name(code: str) -> str:
    return dict(COUNTRIES).get(code, code)


def plain_rate(rate: str) -> str:
    """A rate in per cent without needless digits: "19.0" → "19". ValueError unless it lies between 0 and 100."""
    if not _RATE.fullmatch(rate) or Decimal(rate) > 100:
        raise ValueError(f"{rate!r} is no rate in per cent.")
    return f"{Decimal(rate).normalize():f}"


def _by_rate(parts: Iterable[tuple[str, int, int]]) -> dict[str, tuple[int, int]]:
    net: Counter[str] = Counter()
    tax: Counter[str] = Counter()
    for rate, net_minor, tax_minor in parts:
        net[rate] += net_minor
        tax[rate] += tax_minor
    return {rate: (net[rate], tax[rate]) for rate in net}
