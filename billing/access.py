"""The scope of an order's own pages, which carry the order's number instead of the customer's name."""

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.contrib.auth.decorators import login_required
from django.http import HttpResponseBase
from django.shortcuts import get_object_or_404

from accounts.access import Permission, enter
from billing.models import Order


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

        return login_required(page)

    return decorate


def find_order(number: str, *, with_people: bool = False) -> Order:
    """The order of that number with its facts; Http404."""
    orders = Order.objects.with_people() if with_people else Order.objects.with_facts()
    return get_object_or_404(orders, number=number)
