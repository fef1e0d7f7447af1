"""The page of staff about a dispute: how it stands, and the facts with which it can be answered."""

from typing import Any

from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from accounts.access import staff_page
from billing.access import find_dispute_for_staff
from billing.dispute_evidence import evidence_for


@staff_page(right="billing.view_dispute")
@require_safe
def dispute_show(request: Any, dispute: str) -> HttpResponse:
    found = find_dispute_for_staff(dispute)
    sale = found.payment.sale
    context = {"dispute": found, "sale": sale, "invoice": sale.invoice, "evidence": evidence_for(found)}
    return render(request, "billing/dispute_show.html", context)
