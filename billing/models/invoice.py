"""Invoices and credit notes: numbered without gaps, never changed once issued."""

from datetime import date
from typing import Any
from uuid import uuid4

from django.db import connection, models
from django.db.models import F, Func, Q
from django.urls import reverse
from django.utils import timezone
from django.utils.functional import cached_property

from billing.invoice_document import InvoiceDocument, in_words
from billing.models.of_sale import OfSale
from billing.money import CurrencyField, format_money


class InvoiceKind(models.TextChoices):
    INVOICE = "invoice", "Invoice"
    CREDIT_NOTE = "credit_note", "Credit note"


SERIES = {InvoiceKind.INVOICE: "INV", InvoiceKind.CREDIT_NOTE: "CN"}


class InvoiceStatus(models.TextChoices):
    DUE = "due", "Due"
    OVERDUE = "overdue", "Overdue"
    PAID = "paid", "Paid"
    CREDITED = "credited", "Credited"
    NOTE = "note", "Credit note"


class InvoiceSeries(models.Model):
    """How far the numbers of one kind and year have come."""

    name = models.CharField(primary_key=True, max_length=20)
    last = models.PositiveIntegerField()

    def __str__(self) -> str:
        return f"{self.name}-{self.last:05d}"


def next_number(kind: str) -> tuple[str, date]:
    """The next number of its series, `INV-2026-00001`, and its day. The series stays locked until the transaction ends,
    and one that is rolled back gives its number back: there are no gaps, and numbers follow the days.
    """
    prefix, today = SERIES[InvoiceKind(kind)], timezone.localdate()
    with connection.cursor() as cursor:
        while True:
            name = f"{prefix}-{today.year}"
            cursor.execute(_LOCK, [name])
            if not cursor.fetchone():
                cursor.execute(_BEGIN, [name])
                continue
            today = timezone.localdate()  # who had to wait for the series may have waited past midnight
            if name == f"{prefix}-{today.year}":
                cursor.execute(_TAKE, [name])
                return f"{name}-{cursor.fetchone()[0]:05d}", today


_LOCK = "SELECT last FROM billing_invoiceseries WHERE name = %s FOR UPDATE"
_BEGIN = "INSERT INTO billing_invoiceseries (name, last) VALUES (%s, 0) ON CONFLICT (name) DO NOTHING"
_TAKE = "UPDATE billing_invoiceseries SET last = last + 1 WHERE name = %s RETURNING last"


class InvoiceQuerySet(models.QuerySet["Invoice"]):
    def with_standing(self) -> "InvoiceQuerySet":
        """With all that `status` asks."""
        from billing.ledger import open_of_outer

        return self.annotate(open_minor=open_of_outer(), credited_minor=_CREDITED)

    def with_credited(self) -> "InvoiceQuerySet":
        """With what credit notes took back of each."""
        return self.annotate(credited_minor=_CREDITED)

    def with_held(self) -> "InvoiceQuerySet":
        """With what is held for the customer of each, in its currency."""
        from billing.ledger import held_outer

        return self.annotate(held_minor=held_outer())


# As SQL, because every step of a renewal asks it, and building it anew takes longer than all the rest of the query.
_CREDITED = Func(
    F("pk"),
    template="""(SELECT coalesce(sum(note.total_minor), 0) FROM billing_invoice note
        WHERE note.corrects_id = %(expressions)s)""",
    output_field=models.BigIntegerField(),
)


class Invoice(OfSale):
    """What a customer is asked to pay, or, as a credit note, what of an invoice is taken back. `document` is all that it
    says (`billing.invoice_document`); what was paid stands in the ledger.
    """

    id = models.UUIDField(primary_key=True, default=uuid4, editable=False)
    number = models.CharField(max_length=20, unique=True, editable=False)
    kind = models.CharField(max_length=11, choices=InvoiceKind.choices)
    customer = models.ForeignKey("accounts.Customer", models.PROTECT, related_name="invoices")
    edition = models.PositiveSmallIntegerField(
        default=1, help_text="Which of its kind for its sale: one was taken back, and another issued."
    )
    corrects = models.ForeignKey("self", models.PROTECT, null=True, related_name="credit_notes")
    issued_at = models.DateTimeField(default=timezone.now)
    issued_on = models.DateField()
    due_on = models.DateField(null=True)
    currency = CurrencyField()
    net_minor = models.PositiveIntegerField()
    tax_minor = models.PositiveIntegerField()
    total_minor = models.PositiveIntegerField()
    document = models.JSONField(help_text="All that it says.")
    erased_at = models.DateTimeField(null=True, help_text="When the names and addresses in it were erased.")

    objects = InvoiceQuerySet.as_manager()

    class Meta(OfSale.Meta):
        ordering = ["-issued_at"]
        indexes = [
            models.Index(fields=["customer", "-issued_at", "-number"], name="invoice_of_customer"),
            models.Index(fields=["issued_on"], name="invoice_by_day"),
        ]
        constraints = [
            *OfSale.Meta.constraints,
            models.CheckConstraint(
                condition=Q(total_minor=F("net_minor") + F("tax_minor")) & Q(total_minor__gt=0),
                name="invoice_total_is_the_sum",
            ),
            models.CheckConstraint(condition=Q(currency__regex=r"^[A-Z]{3}$"), name="invoice_currency_form"),
            models.CheckConstraint(
                condition=Q(kind=InvoiceKind.INVOICE, corrects=None, due_on__isnull=False)
                | Q(kind=InvoiceKind.CREDIT_NOTE, corrects__isnull=False, due_on=None),
                name="invoice_kind_known",
            ),
            models.UniqueConstraint(fields=["order", "kind", "edition"], name="invoice_of_order_once"),
            models.UniqueConstraint(fields=["renewal", "kind", "edition"], name="invoice_of_renewal_once"),
        ]

    def __str__(self) -> str:
        return self.number

    def save(self, *args: Any, **kwargs: Any) -> None:
        if not self._state.adding:
            raise TypeError("An invoice is never changed. Issue a credit note.")
        super().save(*args, **kwargs)

    def get_absolute_url(self) -> str:
        return reverse("billing:invoice-show", args=[self.customer.username, self.number])

    def delete(self, *args: Any, **kwargs: Any) -> tuple[int, dict[str, int]]:
        raise TypeError("An invoice is never deleted. Issue a credit note.")

    @cached_property
    def said(self) -> InvoiceDocument:
        """All that it says, as it was issued."""
        return InvoiceDocument.from_json(self.document)

    @property
    def total(self) -> str:
        return format_money(self.total_minor, self.currency)

    @cached_property
    def open_minor(self) -> int:
        """What is still to be paid of it, by the ledger; below zero where more was paid than is owed."""
        from billing.ledger import open_of

        return open_of(self.pk)

    @cached_property
    def held_minor(self) -> int:
        """What we hold for its customer, in its currency, by the ledger."""
        from billing.ledger import balances
        from billing.models.ledger import Account

        return -balances(self.customer)[self.currency][Account.CREDIT]

    @cached_property
    def credited_minor(self) -> int:
        """What credit notes took back of it."""
        return sum(note.total_minor for note in self.credit_notes.all())

    @property
    def is_taken_back(self) -> bool:
        return self.credited_minor >= self.total_minor

    @property
    def is_settled(self) -> bool:
        """Whether the ledger says that nothing of it is still to be paid."""
        self.__dict__.pop("open_minor", None)
        return self.open_minor <= 0

    @property
    def open(self) -> str:
        return format_money(max(0, self.open_minor), self.currency)

    @property
    def status(self) -> InvoiceStatus:
        """What the facts mean together."""
        if self.kind == InvoiceKind.CREDIT_NOTE:
            return InvoiceStatus.NOTE
        if self.open_minor > 0:
            is_late = self.due_on is not None and self.due_on < timezone.localdate()
            return InvoiceStatus.OVERDUE if is_late else InvoiceStatus.DUE
        return InvoiceStatus.CREDITED if self.is_taken_back else InvoiceStatus.PAID

    @property
    def status_words(self) -> str:
        """The status with its day: "Due on 7 February 2026"."""
        if self.due_on and self.status == InvoiceStatus.DUE:
            return f"Due on {in_words(self.due_on)}"
        if self.due_on and self.status == InvoiceStatus.OVERDUE:
            return f"Overdue since {in_words(self.due_on)}"
        return str(self.status.label)
