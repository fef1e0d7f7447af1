"""Credits: what staff give a customer for a reason, to pay what comes."""

from typing import TYPE_CHECKING

from django.conf import settings
from django.db import models
from django.db.models import F, OuterRef, Q, Subquery, Sum
from django.db.models.functions import Coalesce
from django.utils import timezone

from accounts import audit, notices
from accounts.models import Customer
from billing.models.sold import must_not_be_member
from billing.money import CurrencyField, format_money
from foundation.unit_of_work import unit_of_work

if TYPE_CHECKING:
    from accounts.models import User


class CreditGrantQuerySet(models.QuerySet["CreditGrant"]):
    def with_left(self) -> "CreditGrantQuerySet":
        """With `left_now`, what is left of each: it did not pay what stands, and was not taken back."""
        from billing.models.payment import Payment

        paid = Payment.objects.filter(grant=OuterRef("pk"), renewal__taken_back_at=None).order_by()
        used = paid.values("grant").annotate(sum=Sum("amount_minor")).values("sum")
        left = F("amount_minor") - F("taken_back_minor") - Coalesce(Subquery(used), 0)
        return self.annotate(left_now=left)

    def some_left(self) -> "CreditGrantQuerySet":
        """Those of which something is left, with that."""
        return self.with_left().filter(Q(("left_now__gt", 0)))


class CreditGrant(models.Model):
    """Staff gave a customer credit. It pays renewals before a card is charged; what is left can be taken back."""

    customer = models.ForeignKey("accounts.Customer", models.PROTECT, related_name="credit_grants")
    amount_minor = models.PositiveIntegerField()
    currency = CurrencyField()
    reason = models.CharField(max_length=500, help_text="Why; the customer reads it.")
    by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    at = models.DateTimeField(default=timezone.now)
    submission = models.CharField(max_length=64, editable=False)
    fingerprint = models.CharField(max_length=64, editable=False)
    taken_back_minor = models.PositiveIntegerField(default=0)
    taken_back_at = models.DateTimeField(null=True)
    taken_back_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+")

    objects = CreditGrantQuerySet.as_manager()

    if TYPE_CHECKING:
        left_now: int

    class Meta:
        ordering = ["at", "pk"]
        constraints = [
            models.CheckConstraint(condition=Q(amount_minor__gt=0), name="credit_grant_positive"),
            models.CheckConstraint(
                condition=Q(taken_back_minor__lte=F("amount_minor")), name="credit_grant_taken_back_in_part"
            ),
            models.CheckConstraint(
                condition=Q(taken_back_minor=0, taken_back_at=None, taken_back_by=None)
                | Q(taken_back_minor__gt=0, taken_back_at__isnull=False, taken_back_by__isnull=False),
                name="credit_grant_taken_back_by_somebody",
            ),
            models.UniqueConstraint(fields=["customer", "submission"], name="credit_grant_submitted_once"),
        ]

    def __str__(self) -> str:
        return f"Credit of {self.amount}"

    @property
    def amount(self) -> str:
        return format_money(self.amount_minor, self.currency)

    @property
    def left_minor(self) -> int:
        """What did not pay anything yet and was not taken back."""
        return CreditGrant.objects.with_left().get(pk=self.pk).left_now

    def take_back(self, *, by: "User") -> bool:
        """Take back what is left of it; false where nothing is. SaleConflict for a member of the customer."""
        from billing import ledger

        with unit_of_work():
            customer = Customer.objects.select_for_update(no_key=True).get(pk=self.customer_id)
            must_not_be_member(customer, by)
            grant = CreditGrant.objects.get(pk=self.pk)
            left = min(grant.left_minor, max(0, ledger.free_credit(customer, grant.currency)))
            if left <= 0 or grant.taken_back_at:
                return False
            taken = {"taken_back_minor": left, "taken_back_at": timezone.now(), "taken_back_by": by}
            CreditGrant.objects.filter(pk=grant.pk).update(**taken)
            ledger.post_grant_taken_back(grant, left)
            after = {"amount": format_money(left, grant.currency)}
            audit.record("credit.take_back", by=by, customer=customer, subject=str(grant), after=after)
            notices.send_notice("credit.taken_back", grant.pk)
            return True
