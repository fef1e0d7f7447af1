"""What the review page of an order shows about FraudRecord."""

from typing import Any

from django import forms

from billing import fraudrecord
from billing.fraud_forms import ReportFileForm
from billing.models import Order


def fraud_card(order: Order, sent: forms.Form | None = None) -> dict[str, Any]:
    """Context of `billing/_fraudrecord.html` and `_fraudrecord_reports.html`; `sent` is the form that was wrong, which
    keeps the plain ids of its fields.
    """
    report = sent if isinstance(sent, ReportFileForm) else None
    return {
        "report_form": report or ReportFileForm(order=order, auto_id="id_report_%s"),
        "reports": order.fraud_reports.select_related("by"),
        "fraudrecord_on": fraudrecord.is_on(),
    }
