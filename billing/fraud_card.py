"""What the review page of an order shows about FraudRecord."""

from typing import Any

from django import forms

from billing import fraudrecord
from billing.exempting import exemption_of
from billing.fraud_forms import ExemptForm, ReportFileForm, ReportWithdrawForm
from billing.models import FraudReport, Order
from billing.screening import asked_until

MOST_REPORTS = 50


def fraud_card(order: Order, sent: forms.Form | None = None) -> dict[str, Any]:
    """Context of `billing/_fraudrecord.html` and `_fraudrecord_reports.html`; `sent` is the form that was wrong, which
    keeps the plain ids of its fields.
    """
    report = sent if isinstance(sent, ReportFileForm) else None
    exempt = sent if isinstance(sent, ExemptForm) else None
    reports = order.fraud_reports.select_related("by", "withdrawal__by").order_by("-at")[:MOST_REPORTS]
    return {
        "fraudrecord_off": fraudrecord.why_off(order.country),
        "exemption": exemption_of(order) if getattr(order, "is_exempt", True) else None,
        "exempt_form": exempt or ExemptForm(auto_id="id_exempt_%s"),
        "asked_until": asked_until(order.fraud_check),
        "report_form": report or ReportFileForm(order=order, auto_id="id_report_%s"),
        "reports": [(report, _withdraw_form(report, sent)) for report in reports],
    }


def _withdraw_form(report: FraudReport, sent: forms.Form | None) -> ReportWithdrawForm:
    if isinstance(sent, ReportWithdrawForm) and sent.data.get("which") == str(report.pk):
        return sent
    return ReportWithdrawForm(initial={"which": report.pk}, auto_id=f"id_{report.pk}_%s")
