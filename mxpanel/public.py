"""Pages that need no sign-in."""

from typing import Any

from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from billing.models import Plan
from mxpanel.health import recent_readiness


def product(request: HttpRequest) -> dict[str, Any]:
    """Context of every template: what this installation is called."""
    return {
        "product_name": settings.PRODUCT_NAME,
        "support_email": settings.SUPPORT_EMAIL,
        "mail_domain": settings.MAIL_DOMAIN,
    }


@login_not_required
@require_safe
def home(request: HttpRequest) -> HttpResponse:
    return render(request, "mxpanel/home.html", _offer())


@login_not_required
@require_safe
def plans(request: HttpRequest) -> HttpResponse:
    return render(request, "mxpanel/plans.html", _offer())


@login_not_required
@require_safe
def status(request: HttpRequest) -> HttpResponse:
    return render(request, "mxpanel/status.html", {"readiness": recent_readiness()})


@login_not_required
@require_safe
def privacy(request: HttpRequest) -> HttpResponse:
    return render(request, "mxpanel/privacy.html")


@login_not_required
@require_safe
def terms(request: HttpRequest) -> HttpResponse:
    return render(request, "mxpanel/terms.html")


@login_not_required
@require_safe
def contact(request: HttpRequest) -> HttpResponse:
    return render(request, "mxpanel/contact.html")


def _offer() -> dict[str, Any]:
    """The plans that are sold; `taxes`: whether tax comes on top of their prices."""
    return {"plans": Plan.objects.filter(is_open=True)[:20], "taxes": settings.TAX}
