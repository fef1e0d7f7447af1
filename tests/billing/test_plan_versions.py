"""What was sold stays as sold, whatever staff change about its plan."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import IntegrityError, transaction
from django.test import Client

from accounts.models import Customer, User
from billing.entitlements import Feature, limits, storage
from billing.models import Order, Plan, PlanVersion, Subscription
from tests.billing.renewed import NEXT, live, newest

pytestmark = pytest.mark.django_db
AsPerson = Callable[[User], Client]


def form_of(plan: Plan, **changes: Any) -> dict[str, Any]:
    """What staff send, where they change these fields alone."""
    kept = {"slug": plan.slug, "name": plan.name, "description": plan.description, "is_open": "on"}
    sent = {**kept, "position": plan.position, **plan.terms, **changes}
    return {name: "" if value is None else value for name, value in sent.items()}


@pytest.fixture
def ten() -> Plan:
    return Plan.objects.get(slug="10gb")


@pytest.fixture
def change(as_: AsPerson, sam: User, ten: Plan) -> Callable[..., None]:
    """Staff change the plan of 10 GB."""

    def send(**changes: Any) -> None:
        path = f"/admin/billing/plan/{ten.pk}/change/"
        assert as_(sam).post(path, form_of(ten, **changes)).status_code == 302

    return send


def test_what_was_sold_stays(change: Callable[..., None], service: Subscription, anna: Customer) -> None:
    change(storage_mb=1024, mailboxes=1, sends_per_day=5, yearly_minor=9900)
    assert limits(anna, Feature.STORAGE_MB, Feature.MAILBOXES, Feature.SENDS_PER_DAY) == (10240, None, 9600)
    full = storage(anna)
    assert full
    assert full.limit == 10240 << 20
    live(anna, NEXT - timedelta(days=8), NEXT - timedelta(days=7))
    renewal = newest(anna)
    assert (renewal.amount_minor, renewal.version) == (5900, service.version)


def test_what_is_sold_from_now_on_is_the_new_version(
    change: Callable[..., None], ten: Plan, ordered: Callable[..., Order]
) -> None:
    before = ordered()
    change(mailboxes=5, yearly_minor=9900)
    after = ordered()
    assert (before.amount_minor, after.amount_minor) == (5900, 9900)
    assert (before.version.number, before.version.mailboxes) == (1, None)
    assert (after.version.number, after.version.mailboxes) == (2, 5)


def test_small_letters_of_a_currency_count_as_capitals(change: Callable[..., None], ten: Plan) -> None:
    change(currency="usd")
    ten.refresh_from_db()
    assert (ten.currency, ten.versions.count()) == ("USD", 1)


def test_a_name_is_no_term(change: Callable[..., None], ten: Plan) -> None:
    change(name="Ten", description="New words.", position=7)
    assert ten.versions.count() == 1
    change(storage_mb=1)
    change(storage_mb=1)
    assert ten.versions.count() == 2
    change(storage_mb=10240)  # as it once was: a version of its own, for the times differ
    assert [version.storage_mb for version in ten.versions.all()] == [10240, 1, 10240]


def test_what_a_query_changed_is_seen_when_it_is_sold(ten: Plan, ordered: Callable[..., Order]) -> None:
    Plan.objects.filter(pk=ten.pk).update(mailboxes=3)
    assert ordered().version.mailboxes == 3


def test_a_version_is_never_changed(service: Subscription) -> None:
    version = service.version
    version.storage_mb = 1
    with pytest.raises(TypeError):
        version.save()
    for change in (
        lambda: PlanVersion.objects.update(storage_mb=1),
        lambda: PlanVersion.objects.filter(subscriptions=None, orders=None).delete(),
    ):
        with pytest.raises(IntegrityError), transaction.atomic():
            change()


def test_it_is_of_the_plan_that_was_sold(service: Subscription) -> None:
    other = Plan.objects.get(slug="25gb").present_version()
    with pytest.raises(IntegrityError), transaction.atomic():
        Subscription.objects.update(version=other)


def test_what_a_program_of_before_sells_is_of_the_newest(ordered: Callable[..., Order], ten: Plan) -> None:
    order = ordered()
    ten.mailboxes = 3
    ten.save()
    order.pk, order.number, order.version_id, order.submission = None, "OLD", None, "old"  # type: ignore[assignment]
    order._state.adding = True
    order.save()
    assert Order.objects.get(number="OLD").version.mailboxes == 3
    Order.objects.filter(number="OLD").delete()


def test_staff_see_how_many_run_on_each(
    as_: AsPerson, sam: User, change: Callable[..., None], service: Subscription
) -> None:
    change(storage_mb=20480)
    page = as_(sam).get("/admin/billing/plan/").content.decode()
    assert f"/admin/billing/planversion/?plan__id__exact={service.plan_id}" in page
    page = as_(sam).get(f"/admin/billing/planversion/?plan__id__exact={service.plan_id}")
    assert [(version.number, version.running) for version in page.context["cl"].result_list] == [
        (2, 0),
        (1, 1),
    ]
