"""Placing an order: one transaction makes the customer, its owner, the order and everything it asks for."""

import re
import secrets
import unicodedata
from collections.abc import Iterator
from typing import Any

from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.utils import timezone

from accounts import audit, notices
from accounts.models import Customer, Role, User
from billing.models import FraudCheck, Order, OrderDraft, Plan
from billing.models.billing_details import ADDRESS, change_details
from billing.models.coupon import use_coupon
from billing.models.sold import decided
from billing.own_signals import keep_traits
from billing.submissions import Submission
from billing.tasks import check_order
from billing.tax import BuyerTax
from billing.taxing import decide
from foundation.unit_of_work import unit_of_work

USERNAME_LENGTH = 10


def place_order(details: dict[str, Any], *, by: User, client_address: str, submission: Submission) -> Order:
    """Place an order with the cleaned fields of its form; the same submission again returns the same order.

    Raises ValidationError by field: a username that is taken, a form that was sent before with other details.
    """
    with unit_of_work():
        # One person's submissions come one after the other, so a double click finds what its twin made.
        if not User.objects.select_for_update(no_key=True).get(pk=by.pk).is_active:
            raise ValidationError("This account is closed, so it cannot order.", code="gone")
        if earlier := submission.earlier(by.orders.all(), at="placed_at"):
            return earlier
        customer = _open_customer(details, by=by)
        order = _write_order(details, customer, by=by, client_address=client_address, submission=submission)
        if vat_id := details.get("vat_id"):
            address = {field: details[field] for field in ADDRESS}
            change_details(customer, {**address, "vat_id": vat_id}, by=by)
        after = {"plan": order.plan.slug, "period": order.period, "price": order.price}
        if order.discount:
            after |= {"discount": order.discount}
        if order.taxed:
            after |= {"tax": order.taxed.decision.words, "total": order.total}
        audit.record("order.place", by=by, customer=customer, subject=order.number, after=after)
        OrderDraft.objects.filter(user=by).delete()
        notices.send_notice("order.received", order.pk)
        check_order.delay_on_commit(str(order.pk))
        return order


def taken(username: str) -> ValidationError:
    """What is said about a wish for the username of somebody else."""
    text = f"{username} is taken. Choose another username, or leave it empty and we choose one."
    return ValidationError(text, code="taken")


def _open_customer(details: dict[str, Any], *, by: User) -> Customer:
    name = details["company"] or details["name"]
    wished = details["username"]
    for username in [wished] if wished else _usernames(details["domain"], details["name"]):
        try:
            with transaction.atomic():
                customer = Customer.objects.create(username=username, name=name)
        except IntegrityError:
            continue
        customer.add_member(by, Role.OWNER, by=by)
        return customer
    raise ValidationError({"username": taken(wished)})


def _write_order(
    details: dict[str, Any], customer: Customer, *, by: User, client_address: str, submission: Submission
) -> Order:
    plan: Plan = details["plan"]
    version = plan.present_version()
    price = version.price(details["period"])
    if price is None:
        raise ValidationError({"period": f"{plan.name} is not sold by this period. Choose the other one."})
    use = None
    if code := details.get("coupon"):
        use = use_coupon(
            code,
            plan=plan,
            price_minor=price,
            currency=plan.currency,
            first_period=0,
            customer=customer,
            by=by,
        )
    off = use.off(price, plan.currency) if use else 0
    buyer = BuyerTax(details["country"], details["postcode"], bool(details.get("vat_id")))
    order = Order.objects.create(
        customer=customer,
        placed_by=by,
        plan=plan,
        version=version,
        period=details["period"],
        amount_minor=price - off,
        discount_minor=off,
        coupon_use=use,
        currency=version.currency,
        email=by.email,
        domain=details["domain"],
        client_address=client_address,
        terms_accepted_at=timezone.now(),
        began_at=details.get("began"),
        submission=submission.token,
        fingerprint=submission.fingerprint,
        **{field: details[field] for field in (*ADDRESS, "phone")},
        **decided(price - off, decide(buyer)),
    )
    FraudCheck.objects.create(order=order)
    keep_traits(order)
    return order


def _usernames(domain: str, name: str) -> Iterator[str]:
    """Usernames to try: from the domain's first label or the person's name, then with ever more digits."""
    base = _letters(domain.split(".")[0]) if not domain.startswith("xn--") else ""
    base = (base or _letters(name) or "customer")[:USERNAME_LENGTH]
    yield base
    for digits in (1, 2, 2, 4, 4, 6, 6, 8, 8):
        number = secrets.randbelow(9 * 10 ** (digits - 1)) + 10 ** (digits - 1)
        yield f"{base[: USERNAME_LENGTH - digits]}{number}"


def _letters(text: str) -> str:
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9_]", "", plain)
