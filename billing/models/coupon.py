"""Coupons: codes that make a plan cheaper, and who used them. What was promised stays as it was when it was used."""

import re
from typing import TYPE_CHECKING, Any, Self
from uuid import uuid4

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator, RegexValidator
from django.db import models
from django.db.models import F, Q
from django.utils import timezone

from billing.invoice_document import in_words
from billing.money import CurrencyField, format_money, part_of

if TYPE_CHECKING:
    from accounts.models import Customer, User
    from billing.models.plan import Plan

_CODE = re.compile(r"[A-Za-z0-9-]{3,40}", re.ASCII)
_A_CODE = RegexValidator(rf"\A{_CODE.pattern}\Z", "Use 3 to 40 letters A to Z, digits and hyphens.")


UNKNOWN = "unknown_coupon"  # the code of the error


class CouponTerms(models.Model):
    """What a coupon takes off a price without tax: per cent of it, or a fixed amount; and of how many periods."""

    percent = models.PositiveSmallIntegerField(
        "per cent", null=True, blank=True, validators=[MinValueValidator(1), MaxValueValidator(99)],
        help_text="1 to 99. Or enter an amount.",
    )  # fmt: skip
    amount_minor = models.PositiveIntegerField(
        "amount", null=True, blank=True, validators=[MinValueValidator(1)],
        help_text="In the minor unit (cents), without tax. Or enter per cent.",
    )  # fmt: skip
    currency = CurrencyField(help_text="Of the amount; a coupon of per cent holds in every currency.")
    periods = models.PositiveSmallIntegerField(
        null=True, blank=True, validators=[MinValueValidator(1)],
        help_text="How many periods it makes cheaper, the one of the order counted. Empty: all.",
    )  # fmt: skip

    class Meta:
        abstract = True
        constraints = [
            models.CheckConstraint(
                condition=Q(percent__isnull=False, percent__gte=1, percent__lte=99, amount_minor=None)
                | Q(percent=None, amount_minor__isnull=False, amount_minor__gt=0),
                name="%(class)s_takes_something",
            ),
            models.CheckConstraint(
                condition=Q(periods=None) | Q(periods__gt=0), name="%(class)s_periods_positive"
            ),
            models.CheckConstraint(
                condition=Q(currency__regex=r"^[A-Z]{3}$"), name="%(class)s_currency_form"
            ),
        ]

    @property
    def value(self) -> str:
        """`20 %` or `5.00 USD`."""
        return f"{self.percent} %" if self.percent else format_money(self.amount_minor or 0, self.currency)

    def off(self, price_minor: int, currency: str) -> int:
        """What it takes off this price, in its minor unit, per cent rounded half up. 0 where it does not fit: the amount is
        of another currency, or nothing would be left to pay, or nothing taken off.
        """
        if self.percent:
            off = part_of(price_minor, self.percent, 100)
        else:
            off = self.amount_minor or 0 if currency == self.currency else 0
        return off if off < price_minor else 0


class Coupon(CouponTerms):
    """A code that staff give away. Its terms may change; those of uses do not."""

    code = models.CharField(
        max_length=40, unique=True, validators=[_A_CODE],
        help_text="3 to 40 letters A to Z, digits and hyphens; small letters count as capitals. Long ones are not guessed.",
    )  # fmt: skip
    most_uses = models.PositiveIntegerField(
        null=True, blank=True, validators=[MinValueValidator(1)], help_text="Empty: unlimited."
    )
    once_each = models.BooleanField(
        "once per customer", default=True, help_text="Nobody uses it twice, for whatever customer."
    )
    valid_from_on = models.DateField("valid from", null=True, blank=True, help_text="Empty: at once.")
    valid_until_on = models.DateField(
        "valid until", null=True, blank=True, help_text="The last day on which it can be used. Empty: always."
    )
    plans = models.ManyToManyField(
        "billing.Plan", blank=True, related_name="+", help_text="For which plans. None: for all."
    )
    is_active = models.BooleanField("active", default=True, help_text="Only then it can be used.")

    class Meta(CouponTerms.Meta):
        ordering = ["code"]
        constraints = [
            *CouponTerms.Meta.constraints,
            models.CheckConstraint(condition=Q(code__regex=r"^[A-Z0-9-]{3,40}$"), name="coupon_code_form"),
            models.CheckConstraint(
                condition=Q(most_uses=None) | Q(most_uses__gt=0), name="coupon_most_uses_positive"
            ),
            models.CheckConstraint(
                condition=Q(valid_from_on=None)
                | Q(valid_until_on=None)
                | Q(valid_until_on__gte=F("valid_from_on")),
                name="coupon_ends_after_start",
            ),
        ]

    def __str__(self) -> str:
        return self.code

    def clean(self) -> None:
        """ValidationError by field."""
        self.code = self.code.upper()
        if (self.percent is None) == (self.amount_minor is None):
            raise ValidationError({"percent": "Enter either per cent or an amount."})
        if self.valid_from_on and self.valid_until_on and self.valid_until_on < self.valid_from_on:
            raise ValidationError({"valid_until_on": "This day is before the first."})

    def refuse_sale(self, plan: "Plan", price_minor: int, currency: str) -> None:
        """ValidationError at `coupon` that says why it is not for this price of the plan today. One that is switched off, or
        has not begun, reads as one that is not there.
        """
        today = timezone.localdate()
        if not self.is_active or (self.valid_from_on and today < self.valid_from_on):
            raise unknown()
        if self.valid_until_on and today > self.valid_until_on:
            raise refused(f"This coupon could be used until {in_words(self.valid_until_on)}.")
        plans = list(self.plans.all())
        if plans and plan not in plans:
            names = ", ".join(each.name for each in plans if each.is_open)
            raise refused(
                f"This coupon is not for the plan {plan.name}." + (names and f" It is for: {names}.")
            )
        if not self.off(price_minor, currency):
            price = format_money(price_minor, currency)
            raise refused(
                f"This coupon takes off {self.value}, which does not fit a price of {price}: something has to "
                "be left to pay, in the same currency."
            )

    def refuse_use(self, *, customer: "Customer | None", by: "User | None") -> None:
        """ValidationError at `coupon` where its uses are over, for all or for these; None where nobody has signed in yet, or
        there is no customer yet. Whoever uses it holds its row.
        """
        used = self.uses.filter(given_back_at=None)
        if by and self.once_each and used.filter(Q(by=by) | Q(customer=customer)).exists():
            raise refused("You have used this coupon before, and it can be used once.")
        if self.most_uses is not None and used.count() >= self.most_uses:
            raise refused("This coupon has been used as often as it can be.")


class CouponUse(CouponTerms):
    """Somebody used a coupon, for an order or for the renewals of a service: what was promised, from which period on."""

    id = models.UUIDField(primary_key=True, default=uuid4, editable=False)
    coupon = models.ForeignKey(Coupon, models.PROTECT, related_name="uses")
    code = models.CharField(max_length=40)
    customer = models.ForeignKey("accounts.Customer", models.PROTECT, related_name="coupon_uses")
    by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="coupon_uses")
    at = models.DateTimeField(default=timezone.now)
    first_period = models.PositiveIntegerField(default=0, help_text="That of the order is 0.")
    plan_ids = ArrayField(models.BigIntegerField(), default=list, help_text="Empty: for all plans.")
    given_back_at = models.DateTimeField(null=True, help_text="When it came to nothing.")

    class Meta(CouponTerms.Meta):
        ordering = ["-at"]
        indexes = [
            models.Index(fields=["coupon"], name="coupon_use_in_force", condition=Q(given_back_at=None))
        ]

    def __str__(self) -> str:
        return f"Coupon {self.code}, {self.value}"

    def holds_for(self, number: int) -> bool:
        """Whether this period, counted from 0, is among those that were promised."""
        return self.first_period <= number and (
            self.periods is None or number < self.first_period + self.periods
        )

    def left_from(self, number: int) -> int | None:
        """For how many periods it holds from this one on; None: for all."""
        return self.periods and max(0, self.first_period + self.periods - max(number, self.first_period))

    def takes_off(self, number: int, plan_id: int, price_minor: int, currency: str) -> int:
        """What it takes off the price of a period, in its minor unit; 0 where it does not hold or does not fit."""
        is_for_it = self.holds_for(number) and (not self.plan_ids or plan_id in self.plan_ids)
        return self.off(price_minor, currency) if is_for_it and not self.given_back_at else 0

    def give_back(self) -> None:
        """What it was used for came to nothing: it does not count any more."""
        type(self).objects.filter(pk=self.pk, given_back_at=None).update(given_back_at=timezone.now())

    @classmethod
    def of(cls, coupon: Coupon, **facts: Any) -> Self:
        """A new one, with the terms of today."""
        plan_ids = sorted(coupon.plans.values_list("pk", flat=True))
        return cls.objects.create(
            coupon=coupon, code=coupon.code, percent=coupon.percent, amount_minor=coupon.amount_minor,
            periods=coupon.periods, plan_ids=plan_ids, **facts,
        )  # fmt: skip


def find_coupon(code: str) -> Coupon:
    """The coupon of this code, in capitals or not, as yet unchecked. ValidationError at `coupon`."""
    return _find(code, Coupon.objects.all())


def use_coupon(
    code: str, *, plan: "Plan", price_minor: int, currency: str, first_period: int, customer: "Customer", by: "User"
) -> CouponUse:  # fmt: skip
    """Use it, counted under a lock of its row, so that the last use is one person's. Call inside a unit of work.
    ValidationError at `coupon`.
    """
    coupon = _find(code, Coupon.objects.select_for_update(no_key=True))
    coupon.refuse_sale(plan, price_minor, currency)
    coupon.refuse_use(customer=customer, by=by)
    return CouponUse.of(coupon, customer=customer, by=by, currency=currency, first_period=first_period)


def unknown() -> ValidationError:
    return refused("We do not know this coupon. Look whether it is written as you got it.", code=UNKNOWN)


def refused(text: str, code: str = "coupon") -> ValidationError:
    return ValidationError({"coupon": ValidationError(text, code=code)})


def _find(code: str, coupons: "models.QuerySet[Coupon]") -> Coupon:
    wanted = code.strip()
    found = coupons.filter(code=wanted.upper()).first() if _CODE.fullmatch(wanted) else None
    if found is None:
        raise unknown()
    return found
