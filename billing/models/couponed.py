"""The coupon by which the periods of a service are cheaper."""

from typing import TYPE_CHECKING, Any

from django.core.exceptions import ValidationError
from django.db import models

from accounts import audit
from billing.models.coupon import CouponUse, refused, use_coupon
from billing.models.lapsing import RenewalKind
from billing.models.sale import EDITIONS
from billing.tax import split

if TYPE_CHECKING:
    from accounts.models import User
    from billing.models.plan import PlanVersion
    from billing.models.renewal import Renewal


class Couponed(models.Model):
    """The part of `Subscription` that is about its coupon."""

    coupon_use = models.OneToOneField(
        CouponUse, models.PROTECT, null=True, related_name="subscription", help_text="The last one."
    )

    class Meta:
        abstract = True

    if TYPE_CHECKING:
        _locked_to_end: Any
        amount_minor: Any
        cancellation: Any
        currency: Any
        customer: Any
        ended_at: Any
        objects: Any
        open_renewal: Any
        periods: Any
        plan: Any
        period: Any
        plan_id: Any
        planned_change: Any
        version_id: Any

    def price_of(self, number: int, version: "PlanVersion", period: str = "") -> dict[str, Any]:
        """What a period of a version that it may be changed to, or of its own as it was sold, costs without tax, by the
        names of a sale's fields; `period`: another than it is paid by.
        """
        full = self._full_price(version, period)
        use = self.coupon_use
        off = use.takes_off(number, version.plan_id, full, self.currency) if use else 0
        return {
            "amount_minor": full - off,
            "discount_minor": off,
            "coupon_use": use if off else None,
            "currency": self.currency,
        }

    def use_coupon(self, code: str, *, by: "User") -> CouponUse:
        """Use a coupon from the next renewal on. One that is announced is issued anew at the lower price, unless it has
        begun or something was paid for it: then the next one is the first. The same coupon again, while it holds, changes
        nothing.

        ValidationError, at `coupon` where it is about the code.
        """
        with self._locked_to_end() as own:
            own._must_be_renewed()
            renewal = own.announced
            number = renewal.number if renewal else own.periods
            held = own.coupon_use
            if held and held.holds_for(number):
                if held.code == code.strip().upper():
                    return held
                raise refused(f"The coupon {held.code} still holds. Another one can be used after it.")
            change = own.planned_change
            version = (renewal or change or own).version
            full = (
                renewal.list_minor if renewal else own._full_price(version, change.period if change else "")
            )
            use = use_coupon(
                code, plan=version.plan, price_minor=full,
                currency=own.currency, first_period=number, customer=own.customer, by=by,
            )  # fmt: skip
            type(own).objects.filter(pk=own.pk).update(coupon_use=use)
            after = {"takes_off": use.value, "periods": use.periods or "all"}
            audit.record("coupon.use", by=by, customer=own.customer, subject=use.code, after=after)
            if renewal:
                _price_anew(renewal, use)
            return use

    def drop_coupon(self, *, by: "User") -> bool:
        """Do without the coupon after all; false where there is none. ValidationError once a period for which it was
        promised was sold; the announced one does not count.
        """
        with self._locked_to_end() as own:
            use, renewal = own.coupon_use, own.announced
            if use is None or own.ended_at:
                return False
            if use.first_period < (renewal.number if renewal else own.periods):
                raise ValidationError("This coupon has been used, so it stays.", code="used")
            type(own).objects.filter(pk=own.pk).update(coupon_use=None)
            use.give_back()
            audit.record("coupon.drop", by=by, customer=own.customer, subject=use.code)
            if renewal and renewal.coupon_use_id == use.pk:
                _price_anew(renewal, None)
            return True

    def _full_price(self, version: "PlanVersion", period: str = "") -> int:
        """Of a period, before any coupon."""
        period = period or self.period
        is_own = version.pk == self.version_id and period == self.period
        return self.amount_minor if is_own else version.price(period) or 0

    def _must_be_renewed(self) -> None:
        if self.ended_at or self.cancellation:
            text = (
                "The service is cancelled, so there is no renewal that could be cheaper. Let it go on first."
            )
            raise ValidationError(text, code="cancelled")

    @property
    def announced(self) -> "Renewal | None":
        """The renewal that is to be paid and can still cost something else."""
        renewal: Renewal | None = self.open_renewal
        return renewal if renewal and is_untouched(renewal) else None


def is_untouched(renewal: "Renewal") -> bool:
    """Whether it is a next period that has not begun, and nobody has paid for it or is about to."""
    if renewal.kind != RenewalKind.PERIOD or not renewal.is_open or renewal.has_begun:
        return False
    return (
        not any(charge.ended_at is None for charge in renewal.charges.all()) and not renewal.payments.exists()
    )


def _price_anew(renewal: "Renewal", use: CouponUse | None) -> None:
    """Sell it with this coupon, or without: its invoice is taken back, and another issued. The tax is decided already.
    ValidationError where that was done too often.
    """
    from billing.invoicing import issue_anew

    with renewal._locked() as sale:
        if not is_untouched(sale):
            text = "The renewal is being paid at this moment. Try again in a few minutes."
            raise ValidationError(text, code="charging")
        if sale.invoice and sale.invoice.edition >= EDITIONS:
            text = f"The invoice of the {sale.called} was issued {EDITIONS} times. Write to us."
            raise ValidationError(text, code="editions")
        full = sale.list_minor
        off = use.takes_off(sale.number, sale.plan_id, full, sale.currency) if use else 0
        type(sale).objects.filter(pk=sale.pk).update(
            amount_minor=full - off, discount_minor=off, coupon_use=use if off else None,
            tax_minor=split(full - off, sale.tax_rate).tax,
        )  # fmt: skip
        sale.refresh_from_db()
        audit.record(
            "renewal.price", by=None, customer=sale.customer, subject=sale.label, after={"total": sale.total}
        )
        issue_anew(sale)
        sale._look_at_checkouts()
