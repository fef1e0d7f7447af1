"""Cards that Stripe keeps for a customer; renewals are charged to one. We know of a card what its owner knows it by."""

from calendar import monthrange
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import Q
from django.utils import timezone

from accounts import audit, notices
from foundation.unit_of_work import unit_of_work

if TYPE_CHECKING:
    from accounts.models import Customer, User
    from billing.models.card import Checkout
    from billing.stripe_cards import CardFacts

LOOK_EVERY = timedelta(days=7)  # at a card that Stripe keeps; its events tell the same, if they come
MOST = 20  # cards of a customer who wants to add one
MOST_LEFT = 100  # that are looked at for another default
LAST = "It is the only card that is left now."
FIRST_WARNING, LAST_WARNING = 30, 7  # days before the end of a card's last month


class CardOnFile(models.Model):
    """A card that Stripe keeps for a customer, as it was there when we last looked."""

    id = models.UUIDField(primary_key=True, default=uuid4, editable=False)
    customer = models.ForeignKey("accounts.Customer", models.PROTECT, related_name="cards")
    stripe_customer = models.CharField(max_length=100, help_text="Stripe's id of whom it keeps it for.")
    method = models.CharField(max_length=100, unique=True, help_text="Stripe's id of it.")
    brand = models.CharField(max_length=30)
    last4 = models.CharField(max_length=4)
    exp_month = models.PositiveSmallIntegerField()
    exp_year = models.PositiveSmallIntegerField()
    fingerprint = models.CharField(max_length=100, blank=True, editable=False)
    is_default = models.BooleanField(default=False, help_text="Renewals are charged to it.")
    added_at = models.DateTimeField(default=timezone.now)
    paid_on = models.ForeignKey(
        "billing.Checkout",
        models.PROTECT,
        null=True,
        related_name="+",
        help_text="The page of the payment for which alone it is kept; empty: somebody wants it for more.",
    )
    added_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+")
    removed_at = models.DateTimeField(null=True)
    removed_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+")
    warned_days = models.PositiveSmallIntegerField(
        null=True, help_text="How many days before its end its owner was told last."
    )
    looks = models.PositiveSmallIntegerField(default=0)
    next_look_at = models.DateTimeField(
        null=True,
        default=timezone.now,
        help_text="When Stripe is asked about it, or, once it is removed, told to forget it.",
    )

    class Meta:
        ordering = ["-is_default", "-added_at"]
        indexes = [
            models.Index(
                fields=["next_look_at"], name="card_to_look_at", condition=Q(next_look_at__isnull=False)
            ),
            models.Index(
                fields=["exp_year", "exp_month"], name="card_to_warn_of", condition=Q(is_default=True)
            ),
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["customer"], condition=Q(is_default=True), name="card_one_default"
            ),
            models.CheckConstraint(
                condition=Q(is_default=False) | Q(removed_at=None), name="card_default_is_kept"
            ),
            models.CheckConstraint(condition=Q(last4__regex=r"^[0-9]{4}$"), name="card_last4_form"),
            models.CheckConstraint(
                condition=Q(exp_month__gte=1, exp_month__lte=12, exp_year__gte=2000), name="card_expiry_form"
            ),
            models.CheckConstraint(
                condition=Q(removed_by=None) | Q(removed_at__isnull=False), name="card_removed_when"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.brand} {self.last4}" if self.brand else "A card of before"

    @property
    def expires_on(self) -> date:
        """The last day on which it can be charged."""
        return end_of(self.exp_year, self.exp_month)

    @property
    def days_left(self) -> int:
        """How many more days than today it can be charged; negative once it has expired."""
        return (self.expires_on - timezone.now().date()).days

    @property
    def state(self) -> str:
        """`removed`, `expired`, `expiring` or `valid`."""
        if self.removed_at:
            return "removed"
        if self.days_left < 0:
            return "expired"
        return "expiring" if self.days_left <= FIRST_WARNING else "valid"

    @property
    def heir(self) -> "CardOnFile | None":
        """The other card that is the default where this one is not: of those that have not expired, if there are any, the
        one that was added last.
        """
        others = CardOnFile.objects.filter(customer=self.customer_id, removed_at=None).exclude(pk=self.pk)
        newest = others.order_by("-added_at")[:MOST_LEFT]
        return min(newest, key=lambda card: card.days_left < 0, default=None)

    def add(self, *, by: "User | None") -> None:
        """Keep this new one, in the unit of work under way, with the cards of its customer locked."""
        kept = CardOnFile.objects.filter(customer=self.customer_id, removed_at=None)
        same = list(kept.filter(fingerprint=self.fingerprint)) if self.fingerprint else []
        default = kept.filter(is_default=True).first()
        self.is_default = default is None or default in same or default._ends_before(self)
        if same:
            self.paid_on = None
        for card in same:
            card._take_off(by=by, heir=None)
        if self.is_default:
            kept.filter(is_default=True).update(is_default=False)
        self.save()
        after = {"default": self.is_default}
        audit.record("card.add", by=by, customer=self.customer, subject=str(self), after=after)
        if self.is_default:
            _charge_soon(self.customer)

    def add_removed(self) -> None:
        """Have Stripe forget this new one, which nobody wants. Nothing has changed for anybody, so nobody is told, and
        nothing is kept of it.
        """
        self.save()
        self._take_off(by=None, heir=None)
        blank_cards(CardOnFile.objects.filter(pk=self.pk))

    def want_more(self, paid_on: "Checkout | None") -> "CardOnFile | None":
        """It was saved once more: another payment, or its owner, wants it as well. None where it was removed."""
        if self.paid_on_id and (paid_on is None or paid_on.pk != self.paid_on_id):
            CardOnFile.objects.filter(pk=self.pk).update(paid_on=None)
        return None if self.removed_at else self

    def make_default(self, *, by: "User") -> bool:
        """Charge renewals to this card; false where that is so already, or where it is not kept any more."""
        with self._locked() as card:
            if card.removed_at or card.is_default:
                return False
            former = CardOnFile.objects.filter(customer=card.customer, is_default=True).first()
            card._be_default(former)
            CardOnFile.objects.filter(pk=card.pk).update(paid_on=None)
            before = {"card": str(former)} if former else None
            audit.record("card.make_default", by=by, customer=card.customer, subject=str(card), before=before)
            _charge_soon(card.customer)
            return True

    def remove(self, *, by: "User | None", spare_last: bool = False) -> bool:
        """Take it off: nothing is charged to it from now on, and Stripe is told to forget it. False where it was before.

        Where it was the default, its heir is from now on. `spare_last`: ValidationError where there is no other card.
        """
        with self._locked() as card:
            if card.removed_at:
                return False
            other = card.heir
            if spare_last and other is None:
                raise ValidationError(LAST)
            heir = card._take_off(by=by, heir=other)
            after = {"default": str(heir)} if heir else None
            audit.record("card.remove", by=by, customer=card.customer, subject=str(card), after=after)
            return True

    def note_gone(self) -> bool:
        """Stripe does not keep it any more, by no doing of ours; false where we know."""
        with self._locked() as card:
            if card.removed_at:
                return False
            was_default, heir = card.is_default, card._take_off(by=None, heir=card.heir)
            after = {"default": str(heir)} if heir else None
            CardOnFile.objects.filter(pk=card.pk).update(next_look_at=None)
            audit.record("card.lose", by=None, customer=card.customer, subject=str(card), after=after)
            if was_default:
                notices.send_notice("card.gone", card.pk)
            return True

    def note_facts(self, facts: "CardFacts") -> bool:
        """Take over what has changed: a bank gives out a successor under the same id. False where nothing has."""
        names = ("brand", "last4", "exp_month", "exp_year", "fingerprint")
        with self._locked() as card:
            changed: dict[str, Any] = {
                name: new for name in names if (new := getattr(facts, name)) != getattr(card, name)
            }
            if card.removed_at or not changed:
                return False
            before = _known_by(card)
            if {"exp_month", "exp_year"} & changed.keys():
                changed["warned_days"] = None
            CardOnFile.objects.filter(pk=card.pk).update(**changed)
            card.refresh_from_db()
            if before != _known_by(card):
                audit.record(
                    "card.change", by=None, customer=card.customer, subject=str(card), before=before,
                    after=_known_by(card),
                )  # fmt: skip
            return True

    def warn(self, days: int) -> bool:
        """Tell its owner, once for each of `days`, that it expires."""
        with unit_of_work():
            untold = CardOnFile.objects.filter(pk=self.pk, is_default=True).filter(
                Q(warned_days=None) | Q(warned_days__gt=days)
            )
            if not untold.update(warned_days=days):
                return False
            notices.send_notice("card.expiring", self.pk)
            return True

    @contextmanager
    def _locked(self) -> Iterator["CardOnFile"]:
        """The card as it is now, with all cards of its customer locked until the end of the unit of work."""
        from billing.models.stripe_customer import StripeCustomer

        with unit_of_work():
            StripeCustomer.objects.select_for_update(no_key=True).get(customer=self.customer_id)
            yield CardOnFile.objects.select_related("customer").get(pk=self.pk)

    def _be_default(self, former: "CardOnFile | None") -> None:
        if former:
            CardOnFile.objects.filter(pk=former.pk).update(is_default=False)
        CardOnFile.objects.filter(pk=self.pk).update(is_default=True)

    def _ends_before(self, other: "CardOnFile") -> bool:
        """Whether the other takes its place: this one ends within a month, or is another account's."""
        ends = self.days_left <= FIRST_WARNING and other.expires_on > self.expires_on
        return ends or self.stripe_customer != other.stripe_customer

    def _take_off(self, *, by: "User | None", heir: "CardOnFile | None") -> "CardOnFile | None":
        """The heir is the default from now on where this one was, and is returned then."""
        from billing.tasks import look_at_card

        now = timezone.now()
        CardOnFile.objects.filter(pk=self.pk).update(
            removed_at=now, removed_by=by, is_default=False, fingerprint="", looks=0, next_look_at=now
        )
        look_at_card.delay_on_commit(str(self.pk))
        if not self.is_default or heir is None:
            return None
        heir._be_default(None)
        _charge_soon(heir.customer)
        return heir


def blank_cards(cards: models.QuerySet[CardOnFile]) -> int:
    """Of those that were removed, forget what their owners know them by, and who that was. Returns how many."""
    return (
        cards.exclude(removed_at=None)
        .exclude(brand="")
        .update(brand="", last4="0000", exp_month=1, exp_year=2000, added_by=None, removed_by=None)
    )


def end_of(year: int, month: int) -> date:
    """The last day of a month."""
    return date(year, month, monthrange(year, month)[1])


def _charge_soon(customer: "Customer") -> None:
    """What is to be paid, and could not be charged to the former card, is charged to the new one at once."""
    for subscription in customer.subscriptions.filter(ended_at=None):
        subscription.step_soon()


def _known_by(card: CardOnFile) -> dict[str, str]:
    return {"card": str(card), "expires": f"{card.exp_month:02}/{card.exp_year}"}
