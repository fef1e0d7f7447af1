"""Cards that Stripe keeps for a customer; renewals are charged to one. We know of a card what its owner knows it by."""

from calendar import monthrange
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from typing import TYPE_CHECKING
from uuid import uuid4

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone

from accounts import audit, notices
from accounts.models import Customer
from billing.models.hosted_page import HostedPage
from foundation.unit_of_work import unit_of_work

if TYPE_CHECKING:
    from accounts.models import User
    from billing.stripe_cards import CardFacts

LOOK_EVERY = timedelta(days=7)  # at a card that Stripe keeps; its events tell the same, if they come
MOST = 20  # cards of a customer who wants to add one
FIRST_WARNING, LAST_WARNING = 30, 7  # days before the end of a card's last month


class StripeCustomer(models.Model):
    """A customer as Stripe knows them; made there when a card is first wanted."""

    id = models.UUIDField(primary_key=True, default=uuid4, editable=False)
    customer = models.OneToOneField("accounts.Customer", models.PROTECT, related_name="at_stripe")
    stripe_id = models.CharField(max_length=100, blank=True, help_text="Empty until Stripe answered.")
    asked_at = models.DateTimeField(default=timezone.now, help_text="When it was first asked for.")
    keys_spent = models.PositiveSmallIntegerField(default=0)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["stripe_id"], condition=~Q(stripe_id=""), name="stripe_customer_id_once"
            )
        ]

    def __str__(self) -> str:
        return f"{self.customer} at Stripe"

    def keep_card(self, facts: "CardFacts", *, by: "User | None") -> "CardOnFile | None":
        """Note a card that Stripe keeps for this customer; None where it does not, or where it was taken off here.

        The first is the default. One that was saved before, under another of Stripe's ids, gives it its place.
        """
        with unit_of_work():
            self._lock()
            if facts.customer != self.stripe_id or not self.stripe_id:
                return None
            cards = CardOnFile.objects.filter(customer=self.customer)
            if known := cards.filter(method=facts.method).first():
                return None if known.removed_at else known
            kept = cards.filter(removed_at=None)
            same = list(kept.filter(fingerprint=facts.fingerprint)) if facts.fingerprint else []
            is_default = not kept.filter(is_default=True).exists() or any(card.is_default for card in same)
            for card in same:
                card._take_off(by=by)
            if is_default:
                kept.filter(is_default=True).update(is_default=False)
            made = CardOnFile.objects.create(
                customer=self.customer, stripe_customer=facts.customer, method=facts.method, brand=facts.brand,
                last4=facts.last4, exp_month=facts.exp_month, exp_year=facts.exp_year, fingerprint=facts.fingerprint,
                is_default=is_default, added_by=by,
            )  # fmt: skip
            audit.record(
                "card.add", by=by, customer=self.customer, subject=str(made), after={"default": is_default}
            )
            return made

    def forget(self) -> bool:
        """Stripe has no such customer any more, nor their cards; the next card makes a new one."""
        with unit_of_work():
            fresh = self._lock()
            if not self.stripe_id or fresh.stripe_id != self.stripe_id:
                return False
            for card in CardOnFile.objects.filter(customer=self.customer, removed_at=None):
                card.note_gone()
            StripeCustomer.objects.filter(pk=self.pk).update(
                stripe_id="", asked_at=timezone.now(), keys_spent=models.F("keys_spent") + 1
            )
            return True

    def _lock(self) -> "StripeCustomer":
        """Cards of a customer change one after the other."""
        return StripeCustomer.objects.select_for_update(no_key=True).get(pk=self.pk)


class CardSetup(HostedPage):
    """A page at Stripe where a card is saved, without anything being paid. A customer has one at a time that is open."""

    customer = models.ForeignKey("accounts.Customer", models.PROTECT, related_name="card_setups")

    class Meta:
        ordering = ["-at"]
        indexes = [
            models.Index(fields=["next_look_at"], name="card_setup_to_look_at", condition=Q(ended_at=None))
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["customer"], condition=Q(ended_at=None), name="card_setup_one_open"
            ),
            models.UniqueConstraint(
                fields=["session"], condition=~Q(session=""), name="card_setup_session_once"
            ),
        ]

    def __str__(self) -> str:
        return f"Card of {self.customer_id} to be saved"

    @property
    def of(self) -> Customer:
        return self.customer


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
        return f"{self.brand} {self.last4}"

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

    def make_default(self, *, by: "User") -> bool:
        """Charge renewals to this card; false where that is so already, or where it is not kept any more."""
        with self._locked() as card:
            if card.removed_at or card.is_default:
                return False
            former = CardOnFile.objects.filter(customer=card.customer, is_default=True).first()
            card._be_default(former)
            before = {"card": str(former)} if former else None
            audit.record("card.make_default", by=by, customer=card.customer, subject=str(card), before=before)
            return True

    def remove(self, *, by: "User | None") -> bool:
        """Take it off: nothing is charged to it from now on, and Stripe is told to forget it. False where it was before.

        Where it was the default, the one that was added last is from now on.
        """
        with self._locked() as card:
            if card.removed_at:
                return False
            heir = card._take_off(by=by)
            after = {"default": str(heir)} if heir else None
            audit.record("card.remove", by=by, customer=card.customer, subject=str(card), after=after)
            return True

    def note_gone(self) -> bool:
        """Stripe does not keep it any more, by no doing of ours; false where we know."""
        with self._locked() as card:
            if card.removed_at:
                return False
            was_default, heir = card.is_default, card._take_off(by=None)
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
            changed = {name: new for name in names if (new := getattr(facts, name)) != getattr(card, name)}
            if card.removed_at or not changed:
                return False
            before = _known_by(card)
            CardOnFile.objects.filter(pk=card.pk).update(**changed, warned_days=None)
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
        with unit_of_work():
            StripeCustomer.objects.select_for_update(no_key=True).get(customer=self.customer_id)
            yield CardOnFile.objects.select_related("customer").get(pk=self.pk)

    def _be_default(self, former: "CardOnFile | None") -> None:
        if former:
            CardOnFile.objects.filter(pk=former.pk).update(is_default=False)
        CardOnFile.objects.filter(pk=self.pk).update(is_default=True)

    def _take_off(self, *, by: "User | None") -> "CardOnFile | None":
        """Returns the card that is the default from now on in its place."""
        from billing.tasks import look_at_card

        now = timezone.now()
        CardOnFile.objects.filter(pk=self.pk).update(
            removed_at=now, removed_by=by, is_default=False, fingerprint="", looks=0, next_look_at=now
        )
        look_at_card.delay_on_commit(str(self.pk))
        left = CardOnFile.objects.filter(customer=self.customer_id, removed_at=None).order_by("-added_at")
        heir = left.first() if self.is_default else None
        if heir:
            heir._be_default(None)
        return heir


def end_of(year: int, month: int) -> date:
    """The last day of a month."""
    return date(year, month, monthrange(year, month)[1])


def _known_by(card: CardOnFile) -> dict[str, str]:
    return {"card": str(card), "expires": f"{card.exp_month:02}/{card.exp_year}"}
