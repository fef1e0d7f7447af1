"""Sessions end, and what visitors entered goes with them."""

from datetime import timedelta

from django.contrib.sessions.models import Session
from django.test import Client
from django.utils import timezone

from accounts.tasks import sweep_sessions
from tests.billing.conftest import FIELDS


def test_the_order_of_a_visitor_who_never_came_back_is_forgotten(client: Client, db: None) -> None:
    client.post("/order/", FIELDS)
    sweep_sessions()
    assert Session.objects.count() == 1
    Session.objects.update(expire_date=timezone.now() - timedelta(seconds=1))
    sweep_sessions()
    assert Session.objects.count() == 0
