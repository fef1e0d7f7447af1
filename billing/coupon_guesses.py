"""Codes of coupons that nobody gave away: how many of these one network may try, by whatever form, and in the API."""

from django import forms
from django.http import HttpRequest

from billing.models.coupon import UNKNOWN
from foundation.limits import count_wrong, wrong_so_far

MOST = 20  # a minute from one network
_WHAT = "wrong-coupons"


def is_guessing(request: HttpRequest, form: forms.Form) -> bool:
    """Whether no code is looked up any more for its network, right or wrong; never where the form has none."""
    return bool(form.data.get("coupon")) and wrong_so_far(_WHAT, request) >= MOST


def count_guess(request: HttpRequest, form: forms.Form) -> None:
    """Count the code of a form that was answered, where we do not know it."""
    if form.has_error("coupon", UNKNOWN):
        count_wrong(_WHAT, request)
