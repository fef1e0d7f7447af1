"""What the copy of a person's data says of an order and of a renewal."""

from typing import Any

from billing.models import Order, Payment, Refund, Renewal

_ADDRESS = ("name", "company", "email", "street", "city", "region", "postcode", "country", "phone", "domain")


def order_copy(order: Order) -> dict[str, Any]:
    check, decision = order.fraud_check, getattr(order, "decision", None)
    return {
        "number": order.number,
        "customer": order.customer.username,
        "placed_at": order.placed_at.isoformat(),
        "status": str(order.status),
        "plan": order.plan.slug,
        "period": order.period,
        "price": order.price,
        "tax": order.taxed.decision.words if order.taxed else "",
        "discount": order.discount,
        "total": order.total,
        "client_address": order.client_address,
        **{field: getattr(order, field) for field in _ADDRESS},
        "fraud_check": {
            "outcome": check.outcome,
            "value": check.value,
            "count": check.count,
            "reliability": check.reliability,
            "report": check.report_url,
        },
        "decision": decision
        and {"decision": decision.decision, "text": decision.text, "at": decision.at.isoformat()},
        "reports_to_fraudrecord": [
            {
                "at": report.at.isoformat(),
                "type": report.kind,
                "severity": report.severity,
                "text": report.text,
                "state": str(report.state),
                "report": report.url,
            }
            for report in order.fraud_reports.all()
        ],
        "signals": [signal.get_kind_display() for signal in order.signals.all()],
        "payments": [_payment(payment) for payment in order.payments.all()],
        "sent_back_by_staff": [_refund(refund) for refund in order.refunds.all()],
        "sent_back_to_cards": [
            {
                "at": refund.at.isoformat(),
                "amount_minor": refund.amount_minor,
                "currency": refund.payment.currency,
                "reason": refund.reason,
                "sent_at": refund.sent_at and refund.sent_at.isoformat(),
            }
            for refund in order.card_refunds
        ],
    }


def renewal_copy(renewal: Renewal) -> dict[str, Any]:
    return {
        "customer": renewal.customer.username,
        "plan": renewal.plan.slug,
        "kind": renewal.kind,
        "from": renewal.from_on.isoformat(),
        "until": renewal.last_on.isoformat(),
        "price": renewal.price,
        "discount": renewal.discount,
        "total": renewal.total,
        "settled_at": renewal.settled_at and renewal.settled_at.isoformat(),
        "charges": [
            {
                "at": charge.at.isoformat(),
                "card": str(charge.card),
                "amount_minor": charge.amount_minor,
                "currency": charge.currency,
                "state": charge.state,
                "reason": charge.reason,
            }
            for charge in renewal.charges.all()
        ],
        "payments": [_payment(payment) for payment in renewal.payments.all()],
        "sent_back_by_staff": [_refund(refund) for refund in renewal.refunds.all()],
        "done_while_unpaid": [
            {"at": step.at.isoformat(), "step": step.get_kind_display()} for step in renewal.steps.all()
        ],
    }


def _refund(refund: Refund) -> dict[str, Any]:
    return {
        "at": refund.at.isoformat(),
        "amount_minor": refund.amount_minor,
        "currency": refund.currency,
        "way": refund.way,
        "reason": refund.reason,
    }


def _payment(payment: Payment) -> dict[str, Any]:
    return {
        "at": payment.at.isoformat(),
        "amount_minor": payment.amount_minor,
        "currency": payment.currency,
        "method": payment.method,
        "card": payment.card,
    }
