"""Having back a service that has ended: at once while what was paid is not over, otherwise from the moment a period from
today on is paid. Days that were used and not paid are paid with it.
"""

from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import models
from django.utils import timezone

from accounts import audit, notices
from accounts.models import Customer
from billing import signals
from billing.models.changing import PriceChanged
from billing.models.lapsing import RenewalKind
from billing.models.sale import EDITIONS
from billing.models.unpaid_days import UnpaidDays, unpaid_days
from billing.periods import period_start
from billing.tax import TaxedPrice, split

if TYPE_CHECKING:
    from accounts.models import User
    from billing.models.renewal import Renewal


@dataclass(frozen=True)
class ReturnQuote:
    """What having the service back costs: nothing while it is paid until `until_on`, the first day that is not. Without tax
    `unpaid` is in it: days that were used before it ended and not paid, None where there are none.
    """

    price: TaxedPrice
    until_on: date
    unpaid: UnpaidDays | None = None

    @property
    def total_minor(self) -> int:
        return self.price.amounts.total


class Returning(models.Model):
    """The part of `Subscription` that is about having it back."""

    class Meta:
        abstract = True

    if TYPE_CHECKING:
        _drop_planned_period: Any
        _locked_to_end: Any
        amount_minor: Any
        cancellations: Any
        currency: Any
        customer: Any
        ended_at: Any
        objects: Any
        open_renewal: Any
        order: Any
        period: Any
        periods: Any
        plan: Any
        price_of: Any
        renewals: Any
        renews_on: Any
        step_soon: Any
        version: Any

    @property
    def kept_until(self) -> date:
        """Of one that has ended: the last day on which its customer can have it back."""
        return timezone.localdate(self.ended_at) + timedelta(days=settings.SERVICE_KEPT_DAYS)

    def return_quote(self) -> ReturnQuote:
        """ValidationError where the tax cannot be decided."""
        from billing.models.billing_details import details_of
        from billing.taxing import decide

        today = timezone.localdate()
        decision = decide(details_of(self.customer).buyer)
        is_paid = today < self.renews_on and not self._was_sent_back
        until_on = self.renews_on if is_paid else period_start(today, self.period, 1)
        if is_paid:
            return ReturnQuote(TaxedPrice(split(0, decision.rate), self.currency, decision), until_on)
        unpaid = unpaid_days(self, self.periods)  # type: ignore[arg-type]
        net = self.price_of(self.periods, self.version)["amount_minor"] + (unpaid.net_minor if unpaid else 0)
        return ReturnQuote(TaxedPrice(split(net, decision.rate), self.currency, decision), until_on, unpaid)

    @property
    def _was_sent_back(self) -> bool:
        """Whether half of what the last period cost, or more, was sent back, or a bank has it: then nobody has the rest for
        nothing.
        """
        from billing.models.dispute import Dispute

        kinds = (RenewalKind.PERIOD, RenewalKind.RETURN)
        last = self.renewals.filter(kind__in=kinds, taken_back_at=None).order_by("-number").first()
        sale = last or self.order
        invoice = sale.invoice
        is_credited = bool(invoice and 2 * invoice.credited_minor >= invoice.total_minor)
        return is_credited or Dispute.objects.under_way().filter(payment__in=sale.payments.all()).exists()

    def why_not_back(self) -> str:
        """Why its customer cannot have it back, in words for them; empty where they can."""
        if self.customer.subscriptions.filter(ended_at=None).exists():
            return "Another service runs."
        if timezone.localdate() > self.kept_until:
            return "It ended too long ago to be had back here. Write to us."
        if self.customer.suspension:
            return f"Our staff have stopped it. The reason: {self.customer.suspension.reason.rstrip('.')}."
        tried = self.renewals.filter(kind=RenewalKind.RETURN, number=self.periods)
        if tried.exclude(taken_back_at=None).count() >= EDITIONS:
            return "That was asked for too often. Write to us to have the service back."
        return ""

    def come_back(self, *, total_minor: int, by: "User") -> bool:
        """Let it run again as it was, or sell a period from today on, with which it does; false where it runs, or that is
        sold already.

        `total_minor` is what the customer was told that it costs: PriceChanged where that is not so. ValidationError with
        `why_not_back`.
        """
        with self._locked_to_end() as own:
            if not own.ended_at or own.open_renewal:
                return False
            if why := own.why_not_back():
                raise ValidationError(why, code="refused")
            quote = own.return_quote()
            if quote.total_minor != total_minor:
                raise PriceChanged
            if quote.total_minor:
                own._sell_return(quote, by=by)
            else:
                own._run_again(by=by)
                notices.send_notice("subscription.back", own.pk)
            own.step_soon()
            return True

    def _sell_return(self, quote: ReturnQuote, *, by: "User") -> None:
        from billing.invoicing import issue_first
        from billing.models.billing_details import details_of
        from billing.models.sold import decided

        price = self.price_of(self.periods, self.version)
        unpaid_minor = quote.unpaid.net_minor if quote.unpaid else 0
        price["amount_minor"] += unpaid_minor
        made = self.renewals.create(
            kind=RenewalKind.RETURN, number=self.periods, plan=self.plan, version=self.version,
            period=self.period, from_on=timezone.localdate(), until_on=quote.until_on, unpaid_minor=unpaid_minor,
            **price, **decided(price["amount_minor"], quote.price.decision),
        )  # fmt: skip
        after = {"total": made.total}
        audit.record(
            "subscription.ask_back", by=by, customer=self.customer, subject=self.plan.name, after=after
        )
        issue_first(made, details_of(self.customer))

    def _run_again(self, *, by: "User | None", renewal: "Renewal | None" = None) -> None:
        """Everything is as it was; with a `renewal`, periods are counted from that one on, and months for nothing that had
        not begun come behind it. What was planned to be paid by another period is not.
        """
        from billing.models.free_months import carry_behind

        anew: dict[str, Any] = {}
        if renewal:
            self._drop_planned_period(by=by)
            anew = {
                "anchor_on": renewal.from_on,
                "anchor_number": renewal.number,
                "anchor_months": 0,
                "coming_period": "",
                "periods": renewal.number + 1,
                "free_months": 0,
            }
        type(self).objects.filter(pk=self.pk).update(ended_at=None, next_step_at=timezone.now(), **anew)
        if renewal:
            renewal.subscription.refresh_from_db(fields=[*anew])
            carry_behind(renewal.subscription, renewal.from_on)
        withdrawn = self.cancellations.filter(withdrawn_at=None)
        withdrawn.update(withdrawn_at=timezone.now(), withdrawn_by=by)
        self.customer.come_back(by=by)
        signals.service_started.send(Customer, customer=self.customer)
