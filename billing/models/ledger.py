"""The ledger: each row moves an amount from one account of a customer to another, with its cause. It only grows."""

from typing import Any

from django.db import models
from django.db.models import F, Q
from django.utils import timezone

from billing.money import CurrencyField, format_money


class Account(models.TextChoices):
    """What a customer has with us, each in one currency. Sums are debits less credits."""

    RECEIVABLE = "receivable", "Invoices that are to be paid"
    CREDIT = "credit", "Money that we hold for the customer"
    CARDS = "cards", "Money at Stripe"
    BANK = "bank", "Money that came in otherwise"
    REVENUE = "revenue", "Revenue"
    TAX = "tax", "Tax that we owe"
    DISPUTED = "disputed", "Money that a bank took until a dispute is decided"
    GOODWILL = "goodwill", "Credits that we gave, which lessen revenue"


class EntryKind(models.TextChoices):
    SALE = "sale", "What an invoice or a credit note says, without tax"
    TAX = "tax", "The tax of an invoice or a credit note"
    PAYMENT = "payment", "Money that came in"
    SETTLE = "settle", "Money that we hold pays an invoice"
    RELEASE = "release", "Money that had paid an invoice is the customer's again"
    REFUND = "refund", "Money that went back"
    RETURN = "return", "Money that was to go back and did not arrive"
    GRANT = "grant", "Credit that we gave"
    REVOKE = "revoke", "Credit that we took back"
    DISPUTE = "dispute", "Money that a bank took for a dispute"
    REGAIN = "regain", "Money that came back after a dispute"


CAUSES = ("document", "payment", "card_refund", "refund", "grant", "dispute")


def _one_cause() -> Q:
    """Each entry has one of the causes, and no other."""
    found = Q()
    for cause in CAUSES:
        found |= Q(**{f"{each}__isnull": each != cause for each in CAUSES})
    return found


class LedgerEntry(models.Model):
    """`amount_minor` on the debit side of one account and the credit side of another. Of RECEIVABLE `invoice` says which."""

    id = models.BigAutoField(primary_key=True)
    customer = models.ForeignKey("accounts.Customer", models.PROTECT, related_name="ledger_entries")
    at = models.DateTimeField(default=timezone.now)
    kind = models.CharField(max_length=7, choices=EntryKind.choices)
    debit = models.CharField(max_length=10, choices=Account.choices)
    credit = models.CharField(max_length=10, choices=Account.choices)
    amount_minor = models.PositiveIntegerField()
    currency = CurrencyField()
    invoice = models.ForeignKey("billing.Invoice", models.PROTECT, null=True, related_name="ledger_entries")
    document = models.ForeignKey("billing.Invoice", models.PROTECT, null=True, related_name="+")
    payment = models.ForeignKey("billing.Payment", models.PROTECT, null=True, related_name="ledger_entries")
    card_refund = models.ForeignKey(
        "billing.CardRefund", models.PROTECT, null=True, related_name="ledger_entries"
    )
    refund = models.ForeignKey("billing.Refund", models.PROTECT, null=True, related_name="ledger_entries")
    dispute = models.ForeignKey("billing.Dispute", models.PROTECT, null=True, related_name="ledger_entries")
    grant = models.ForeignKey("billing.CreditGrant", models.PROTECT, null=True, related_name="ledger_entries")

    class Meta:
        verbose_name_plural = "ledger"
        ordering = ["-id"]
        indexes = [
            models.Index(fields=["customer", "currency", "id"], name="ledger_of_customer"),
            models.Index(fields=["at"], name="ledger_by_day"),
        ]
        constraints = [
            models.CheckConstraint(condition=Q(amount_minor__gt=0), name="ledger_amount_positive"),
            models.CheckConstraint(condition=~Q(debit=F("credit")), name="ledger_two_accounts"),
            models.CheckConstraint(
                condition=Q(debit__in=Account.values, credit__in=Account.values), name="ledger_account_known"
            ),
            models.CheckConstraint(condition=Q(kind__in=EntryKind.values), name="ledger_kind_known"),
            models.CheckConstraint(
                condition=Q(invoice=None) ^ (Q(debit=Account.RECEIVABLE) | Q(credit=Account.RECEIVABLE)),
                name="ledger_receivable_of_an_invoice",
            ),
            models.CheckConstraint(
                condition=_one_cause(),
                name="ledger_one_cause",
            ),
            *(
                models.UniqueConstraint(
                    fields=[cause, "kind"], condition=~Q(**{cause: None}), name=f"ledger_{cause}_once"
                )
                for cause in CAUSES
            ),
        ]

    def __str__(self) -> str:
        return f"{self.amount}: {self.get_kind_display()}"

    def save(self, *args: Any, **kwargs: Any) -> None:
        if not self._state.adding:
            raise TypeError("The ledger only grows. Post what corrects it.")
        super().save(*args, **kwargs)

    @property
    def amount(self) -> str:
        return format_money(self.amount_minor, self.currency)
