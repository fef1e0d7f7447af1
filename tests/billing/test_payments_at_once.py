"""Many pay one invoice at the same moment, by card and by transfer: one of them has paid it."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier

import pytest
from django.db import connection

from accounts.models import AuditEntry, Customer, Notice, User
from billing.models import CardRefund, Payment, PaymentMethod, SaleConflict
from tests.billing.renewed import NEXT, live, newest, on_day, pay
from tests.faults import kills

AT_ONCE = kills(8, 50)


@pytest.mark.soak
@pytest.mark.django_db(transaction=True, serialized_rollback=True)
def test_one_has_paid(anna: Customer, sam: User, quiet_broker: None) -> None:
    live(anna, NEXT - timedelta(days=7), NEXT - timedelta(days=7))
    renewal, ready = newest(anna), Barrier(AT_ONCE)

    def act(number: int) -> bool:
        try:
            ready.wait(30)
            if number % 2:
                pay(renewal, by=sam)
            else:
                renewal.receive_card_payment(
                    intent=f"pi_{number}", card="Visa 4242", amount_minor=5900, currency="USD"
                )
        except SaleConflict:
            return False
        finally:
            connection.close()
        return True

    with on_day(NEXT - timedelta(days=7)), ThreadPoolExecutor(AT_ONCE) as pool:
        done = list(pool.map(act, range(AT_ONCE)))
    cards = Payment.objects.filter(renewal=renewal, method=PaymentMethod.CARD)
    transfers = Payment.objects.filter(renewal=renewal, method=PaymentMethod.BANK_TRANSFER)
    assert cards.count() == AT_ONCE // 2, "money that Stripe took is noted whoever was first"
    assert done.count(True) == cards.count() + transfers.count()
    assert newest(anna).settled_at
    back = sum(CardRefund.objects.values_list("amount_minor", flat=True))
    came = sum(Payment.objects.filter(renewal=renewal).values_list("amount_minor", flat=True))
    assert came - back == 5900
    assert transfers.count() == (1 if back == 5900 * cards.count() else 0)
    assert Notice.objects.filter(kind="renewal.paid").count() == 1
    assert (
        AuditEntry.objects.filter(action="payment.record", subject=renewal.label).count() == transfers.count()
    )
