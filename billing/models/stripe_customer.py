"""Customers as Stripe knows them, and the pages there on which they save a card."""

from typing import TYPE_CHECKING, Any
from uuid import uuid4

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F, Q
from django.utils import timezone

from accounts.models import Customer
from billing.models.card import Checkout
from billing.models.hosted_page import HostedPage
from billing.models.kept_card import CardOnFile, blank_cards
from billing.models.of_sale import of_customer
from foundation.unit_of_work import unit_of_work

if TYPE_CHECKING:
    from accounts.models import User
    from billing.stripe_cards import CardFacts

MOST_FORMER = 10


class StripeCustomer(models.Model):
    """A customer as Stripe knows them; made there when a card is first wanted."""

    id = models.UUIDField(primary_key=True, default=uuid4, editable=False)
    customer = models.OneToOneField("accounts.Customer", models.PROTECT, related_name="at_stripe")
    stripe_id = models.CharField(max_length=100, blank=True, help_text="Empty until Stripe answered.")
    former = ArrayField(
        models.CharField(max_length=100),
        default=list,
        help_text="Its ids in other accounts of Stripe, whose keys were in use before.",
    )
    email = models.CharField(
        max_length=254,
        blank=True,
        editable=False,
        help_text="The address it is asked for with, until Stripe answered.",
    )
    asked_at = models.DateTimeField(default=timezone.now, help_text="When it was first asked for.")
    keys_spent = models.PositiveSmallIntegerField(default=0)
    attempts = models.PositiveSmallIntegerField(default=0)
    next_try_at = models.DateTimeField(null=True, help_text="When Stripe is told to delete it.")

    class Meta:
        indexes = [
            models.Index(
                fields=["next_try_at"],
                name="stripe_customer_to_delete",
                condition=Q(next_try_at__isnull=False),
            )
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["stripe_id"], condition=~Q(stripe_id=""), name="stripe_customer_id_once"
            )
        ]

    def __str__(self) -> str:
        return f"{self.customer} at Stripe"

    def keep_card(
        self, facts: "CardFacts", *, by: "User | None", wanted: bool = True, paid_on: Checkout | None = None
    ) -> CardOnFile | None:
        """Note a card that Stripe keeps for this customer; None where it does not, or where it was taken off here.

        One that is not `wanted` is noted as removed, so that Stripe forgets it, and those of before stay as they are. What
        was `paid_on` a page is kept for that alone until somebody wants it for more. The first is the default, and one
        that takes the place of a default that ends; one that was saved before, under another id, gives it its place.
        """
        with unit_of_work():
            fresh = self._lock()
            if not fresh.stripe_id or facts.customer != fresh.stripe_id:
                return None
            wanted = wanted and not fresh.customer.ended_at
            if known := fresh.customer.cards.filter(method=facts.method).first():
                return known.want_more(paid_on) if wanted else None
            card = CardOnFile(
                customer=fresh.customer, stripe_customer=facts.customer, method=facts.method, brand=facts.brand,
                last4=facts.last4, exp_month=facts.exp_month, exp_year=facts.exp_year, fingerprint=facts.fingerprint,
                added_by=by, paid_on=paid_on,
            )  # fmt: skip
            if not wanted:
                card.add_removed()
                return None
            card.add(by=by)
            return card

    def forget(self) -> bool:
        """Stripe has no such customer any more, nor their cards; the next card makes a new one. One mail says so."""
        with unit_of_work():
            fresh = self._lock()
            if not self.stripe_id or fresh.stripe_id != self.stripe_id:
                return False
            # The default comes last, so that no other card takes its place for a moment.
            for card in self._kept().filter(stripe_customer=fresh.stripe_id).order_by("is_default"):
                card.note_gone()
            self._drop_pages()
            self._begin_anew(former=fresh.former, next_try_at=None)
            return True

    def move(self, known: str) -> None:
        """Our key is that of another account, where this customer is `known` so; empty: not at all, so another is made.
        The cards of before are left: the key of before finds them again. Whoever is to be deleted there has come back.
        """
        with unit_of_work():
            fresh = self._lock()
            if not self.stripe_id or fresh.stripe_id != self.stripe_id:
                return
            former = [*(each for each in fresh.former if each != known), fresh.stripe_id][-MOST_FORMER:]
            self._begin_anew(stripe_id=known, former=former, next_try_at=None)

    def leave(self) -> None:
        """Have Stripe delete the customer with their cards; here nothing is left by which a card is known."""
        from billing.tasks import delete_at_stripe

        with unit_of_work():
            self._lock()
            for card in self._kept().order_by("is_default"):
                card.remove(by=None)
            blank_cards(self.customer.cards.all())
            self._drop_pages()
            StripeCustomer.objects.filter(pk=self.pk).update(next_try_at=timezone.now(), attempts=0)
            delete_at_stripe.delay_on_commit(str(self.pk))

    def _lock(self) -> "StripeCustomer":
        """Cards of a customer change one after the other."""
        return StripeCustomer.objects.select_for_update(no_key=True).get(pk=self.pk)

    def _kept(self) -> models.QuerySet[CardOnFile]:
        return CardOnFile.objects.filter(customer=self.customer_id, removed_at=None)

    def _drop_pages(self) -> None:
        """Those that are open are for nobody any more; the sweep ends them at Stripe, and learns what was done there."""
        theirs: tuple[models.QuerySet[Any], ...] = (
            CardSetup.objects.filter(customer=self.customer_id),
            Checkout.objects.filter(of_customer(self.customer_id)),
        )
        now = timezone.now()
        for pages in theirs:
            pages.filter(ended_at=None, session="").update(ended_at=now, next_look_at=None)
            pages.filter(ended_at=None).update(is_dropped=True, next_look_at=now)

    def _begin_anew(self, *, stripe_id: str = "", **more: object) -> None:
        StripeCustomer.objects.filter(pk=self.pk).update(
            stripe_id=stripe_id, email="", asked_at=timezone.now(), keys_spent=F("keys_spent") + 1, **more
        )


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
