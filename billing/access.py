"""The scope of an order's own pages, which carry the order's number instead of the customer's name."""

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.http import HttpResponseBase
from django.shortcuts import get_object_or_404

from accounts.access import Permission, enter
from accounts.models import User
from billing import presence
from billing.exempting import has_exemption
from billing.models import Dispute, Invoice, Order


def order_page(permission: Permission) -> Callable[..., Any]:
    """Pass the order of that number to the view if the person is a member of its customer with `permission`.

    Sets `request.customer` and `request.role`. A stranger gets the 404 of an order that does not exist.
    A POST is taken before activation too: answering and cancelling are meant for then.
    """

    def decorate(view: Callable[..., HttpResponseBase]) -> Callable[..., HttpResponseBase]:
        @wraps(view)
        def page(request: Any, number: str) -> HttpResponseBase:
            order = find_order(number)
            enter(request, order.customer, permission)
            return view(request, order)

        return page

    return decorate


def find_order(number: str) -> Order:
    """The order of that number with its facts; Http404."""
    return get_object_or_404(Order.objects.with_facts(), number=number)


def find_order_for_staff(number: str, at: User | None = None) -> Any:
    """The same, with what we noticed ourselves and everybody who had to do with it. `at` is who has its page open: that
    is noted, and `order.others` says who else is there.
    """
    orders = Order.objects.with_facts().select_related("subscription").prefetch_related("signals", "notes")
    orders = orders.annotate(is_exempt=has_exemption())
    order = get_object_or_404(orders, number=number)
    acts: list[Any] = [*order.messages.all(), *order.payments.all(), *order.notes.all()]
    acts += [act for name in ("decision", "cancellation") if (act := getattr(order, name, None))]
    ids = {order.placed_by_id, *(act.by_id for act in acts if act.by_id)}
    if at:
        order.others, people = presence.be_here(order, at, ids)  # type: ignore[attr-defined]
    else:
        people = User.objects.in_bulk(ids)
    order.placed_by = people[order.placed_by_id]
    for act in acts:
        act.by = people.get(act.by_id)
    return order


def find_invoice_for_staff(number: str) -> Invoice:
    """An invoice with what it is of, and what came in and went back for that; Http404 for a credit note."""
    sold = ("customer", "order__plan", "order__customer", "renewal__plan", "renewal__subscription__customer")
    moved = ("payments__card_refunds", "refunds")
    known = [f"{sale}__{what}" for sale in ("order", "renewal") for what in moved]
    found = Invoice.objects.select_related(*sold).prefetch_related(*known)
    return get_object_or_404(found, number=number, corrects=None)


def find_renewal_for_staff(number: str) -> Invoice:
    """The invoice of a renewal, with that; Http404 for one of an order, which has its review page."""
    sold = ("customer", "renewal__plan", "renewal__subscription__customer")
    return get_object_or_404(Invoice.objects.select_related(*sold), number=number, corrects=None, order=None)


def find_dispute_for_staff(dispute: str) -> Dispute:
    """The one of that id at Stripe, with what it is about; Http404."""
    of = ("payment__order__customer", "payment__order__plan", "payment__renewal__subscription__customer")
    more = ("payment__renewal__plan", "payment__renewal__subscription__order__plan", "lost")
    return get_object_or_404(Dispute.objects.select_related(*of, *more), dispute=dispute)
