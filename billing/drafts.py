"""An order that is not sent yet. A visitor's is kept in the session until they signed up or in; then it is the person's,
in the database, and waits for them on every device.
"""

from typing import Any
from urllib.parse import urlencode

from django.contrib.auth.signals import user_logged_in
from django.dispatch import receiver
from django.http import HttpRequest, HttpResponseRedirect
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone

from billing.models import OrderDraft
from billing.place_form import OrderPlaceForm

REVIEW = "step=review"
_KEY = "order_draft"
_PRESET = ("plan", "period", "domain", "coupon")


def keep_draft(request: Any, form: OrderPlaceForm) -> None:
    """Keep what is right of a form that was sent."""
    if request.user.is_authenticated:
        _keep(request.user, form.draft())
    else:
        request.session[_KEY] = form.draft()


def lead_to_sign_up(form: OrderPlaceForm) -> HttpResponseRedirect:
    """That page links to signing in; either comes back: to the review where the form is whole, else to the form."""
    back = reverse("billing:order-place") + (f"?{REVIEW}" if form.is_valid() else "")
    return redirect(f"{reverse('account_signup')}?{urlencode({'next': back})}")


def draft_of(request: Any) -> dict[str, str]:
    """What was kept, by the names of the form's fields."""
    if not request.user.is_authenticated:
        return request.session.get(_KEY, {})
    draft = OrderDraft.objects.filter(user=request.user).first()
    return draft.fields if draft else {}


def first_values(request: Any, draft: dict[str, str]) -> dict[str, str]:
    """What the form begins with: what we know of the person, over it a draft, over that what a link presets."""
    preset = {name: request.GET[name] for name in _PRESET if name in request.GET}
    return {"name": getattr(request.user, "name", ""), **draft, **preset}


def drop_draft(request: Any) -> None:
    request.session.pop(_KEY, None)
    if request.user.is_authenticated:
        OrderDraft.objects.filter(user=request.user).delete()


@receiver(user_logged_in)
def adopt_draft(sender: object, request: HttpRequest, user: Any, **kwargs: object) -> None:
    """What was entered in this browser before signing in is the person's from now on; it is newer than what they had."""
    if draft := request.session.pop(_KEY, None):
        _keep(user, draft)


def _keep(user: Any, fields: dict[str, str]) -> None:
    OrderDraft.objects.update_or_create(user=user, defaults={"fields": fields, "saved_at": timezone.now()})
