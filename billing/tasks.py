"""Hints: each names a row, reads it anew and calls one verb; the sweeps find what a lost hint left behind."""

from celery import shared_task

from billing import (
    card_payments,
    card_refunds,
    card_setups,
    hosted_pages,
    invoicing,
    kept_cards,
    presence,
    renewing,
    reporting,
    screening,
    stripe_customers,
    stripe_events,
    vat_ids,
)
from billing.models import CardSetup, Checkout
from billing.models.billing_details import forget_old_details
from billing.models.draft import forget_old_drafts

SWEEP_SECONDS = 10  # a hint of a sweep is worthless once the next sweep runs


@shared_task
def check_order(order_id: str) -> None:
    screening.check_order(order_id)


@shared_task
def send_report(report_id: str) -> None:
    reporting.send_report(report_id)


@shared_task
def send_withdrawal(withdrawal_id: int) -> None:
    reporting.send_withdrawal(withdrawal_id)


@shared_task
def sweep_checks() -> None:
    for order_id in screening.due_checks():
        check_order.apply_async((str(order_id),), expires=SWEEP_SECONDS)


@shared_task
def sweep_reports() -> None:
    for report_id in reporting.due_reports():
        send_report.apply_async((str(report_id),), expires=SWEEP_SECONDS)
    for withdrawal_id in reporting.due_withdrawals():
        send_withdrawal.apply_async((withdrawal_id,), expires=SWEEP_SECONDS)


@shared_task
def sweep_fraud_records() -> None:
    screening.forget()
    reporting.forget_withdrawn()


@shared_task
def sweep_drafts() -> None:
    forget_old_drafts()


@shared_task
def sweep_presences() -> None:
    presence.forget()


@shared_task
def sweep_invoices() -> None:
    invoicing.catch_up()
    invoicing.forget()


@shared_task
def look_at_checkout(checkout_id: str) -> None:
    card_payments.look_at_checkout(checkout_id)


@shared_task
def look_at_card_setup(setup_id: str) -> None:
    card_setups.look_at_card_setup(setup_id)


@shared_task
def look_at_card(card_id: str) -> None:
    kept_cards.look_at_card(card_id)


@shared_task
def delete_at_stripe(row_id: str) -> None:
    stripe_customers.delete_when_due(row_id)


@shared_task
def work_subscription(subscription_id: str) -> None:
    renewing.work_subscription(subscription_id)


@shared_task
def sweep_subscriptions() -> None:
    for subscription_id in renewing.due_subscriptions():
        work_subscription.apply_async((subscription_id,), expires=SWEEP_SECONDS)


@shared_task
def send_card_refund(refund_id: str) -> None:
    card_refunds.send_card_refund(refund_id)


@shared_task
def work_stripe_event(event_id: str) -> None:
    stripe_events.work_event(event_id)


@shared_task
def sweep_card_payments() -> None:
    for refund_id in card_refunds.due_refunds():
        send_card_refund.apply_async((refund_id,), expires=SWEEP_SECONDS)
    for event_id in stripe_events.due_events():
        work_stripe_event.apply_async((event_id,), expires=SWEEP_SECONDS)
    for checkout_id in hosted_pages.due_pages(Checkout):
        look_at_checkout.apply_async((checkout_id,), expires=SWEEP_SECONDS)
    for setup_id in hosted_pages.due_pages(CardSetup):
        look_at_card_setup.apply_async((setup_id,), expires=SWEEP_SECONDS)
    for card_id in kept_cards.due_cards():
        look_at_card.apply_async((card_id,), expires=SWEEP_SECONDS)
    for row_id in stripe_customers.due_deletions():
        delete_at_stripe.apply_async((row_id,), expires=SWEEP_SECONDS)


@shared_task
def sweep_cards() -> None:
    kept_cards.warn_of_expiry()
    kept_cards.forget_removed()
    stripe_customers.leave_ended()


@shared_task
def sweep_stripe_events() -> None:
    stripe_events.forget_old_events()


@shared_task
def check_vat_id(details_id: int) -> None:
    vat_ids.check_vat_id(details_id)


@shared_task
def sweep_vat_ids() -> None:
    for details_id in vat_ids.due_vat_ids():
        check_vat_id.apply_async((details_id,), expires=SWEEP_SECONDS)


@shared_task
def sweep_billing_details() -> None:
    forget_old_details()
