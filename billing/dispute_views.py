"""The page of staff about a dispute: how it stands, and the facts with which it can be answered."""

from typing import Any

from django.http import HttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_safe

from accounts.access import staff_page
from billing.dispute_evidence import evidence_for
from billing.models import Dispute


@staff_page(right="billing.view_dispute")
@require_safe
def dispute_show(request: Any, dispute: str) -> HttpResponse:
    of = ("payment__order__customer", "payment__order__plan", "payment__renewal__subscription__customer")
    more = ("payment__renewal__plan", "payment__renewal__subscription__order__plan", "lost")
    found = get_object_or_404(Dispute.objects.select_related(*of, *more), dispute=dispute)
    sale = found.payment.sale
    context = {"dispute": found, "sale": sale, "invoice": sale.invoice, "evidence": evidence_for(found)}
    return render(request, "billing/dispute_show.html", context)
