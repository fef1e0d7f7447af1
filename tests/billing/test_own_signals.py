"""Signals of our own: each kind, which of them send a clean order to staff, and what they never do."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core import signing
from django.test import Client
from django.utils import timezone

from accounts.models import Notice, SuspensionCause, User
from billing import own_signals, screening
from billing.models import FraudCheck, Order, OrderTrait, Plan
from billing.ordering import place_order
from billing.reserved_names import reserved_reason
from billing.submissions import Submission, new_token
from billing.traits import network, payment_trait, traits_of
from deploy.fraudrecord import Server
from tests.billing.conftest import FIELDS, fresh, pay
from tests.billing.mmdb import write_countries

Make = Callable[..., Order]
LOOK_ALIKE = "xn--" + "mxp\u0430nel".encode("punycode").decode() + ".example"
ELSEWHERE = {
    "name": "Zoe Zander", "company": "Zander Tools", "street": "9 Other Lane", "postcode": "99999",
    "phone": "+44 20 7946 0000",
}  # fmt: skip


def order_of(user: User, *, address: str = "81.2.69.142", **changes: Any) -> Order:
    details = FIELDS | {"company": "Example Works GmbH"} | changes
    details["plan"] = Plan.objects.get(slug=details["plan"])
    return place_order(
        details, by=user, client_address=address, submission=Submission(new_token(), "", is_given=True)
    )


def checked(order: Order) -> Order:
    screening.check_order(order.pk)
    return fresh(order)


def signals(order: Order) -> dict[str, str]:
    return {signal.kind: signal.text for signal in order.signals.all()}


@pytest.fixture
def rejected(alice: User, sam: User, fraudrecord: Server) -> Order:
    order = order_of(alice)
    FraudCheck.objects.filter(order=order).update(
        outcome="reported", value=1, count=1, reliability=1, next_ask_at=None
    )
    fresh(order).reject("no", by=sam)
    return fresh(order)


@pytest.mark.parametrize(
    ("kind", "same"),
    [
        ("network", {"address": "81.2.69.9"}),
        ("phone", {"phone": "030-123 45 67"}),
        ("address", {"street": "1, LONG street", "postcode": "12 345".replace(" ", "")}),
        ("company", {"company": "example works"}),
    ],
)
def test_what_a_rejected_customer_had_sends_a_clean_order_to_staff(
    rejected: Order, mallory: User, kind: str, same: dict[str, str]
) -> None:
    order = checked(order_of(mallory, **({"address": "9.9.9.9"} | ELSEWHERE | same)))
    assert set(signals(order)) == {kind}
    assert rejected.number in signals(order)[kind]
    assert "rejected" in signals(order)[kind]
    assert (order.fraud_check.outcome, order.status) == ("clean", "review")
    assert Order.objects.with_status().get(pk=order.pk).status_now == "review"
    assert not Notice.objects.filter(kind="order.approved", subject_id=str(order.pk)).exists()


def test_what_a_suspended_customer_had_does_too_until_that_ends(
    alice: User, mallory: User, sam: User, fraudrecord: Server
) -> None:
    earlier = checked(order_of(alice))
    assert (earlier.status, signals(earlier)) == ("unpaid", {})
    earlier.customer.suspend(reason="Spam", by=sam)
    order = checked(order_of(mallory, address="9.9.9.9", **ELSEWHERE | {"phone": FIELDS["phone"]}))
    assert order.status == "review"
    assert "suspended" in signals(order)["phone"]
    earlier.customer.lift_suspension(by=sam)
    assert (
        checked(order_of(mallory, address="9.9.9.9", **ELSEWHERE | {"phone": FIELDS["phone"]})).status
        == "unpaid"
    )


def test_who_owes_money_is_no_fraud(alice: User, mallory: User, sam: User, fraudrecord: Server) -> None:
    earlier = checked(order_of(alice))
    earlier.customer.suspend(reason="Unpaid", by=None, stops=["send"], cause=SuspensionCause.UNPAID)
    order = checked(order_of(mallory, address="9.9.9.9", **ELSEWHERE | {"phone": FIELDS["phone"]}))
    assert (signals(order), order.status) == ({}, "unpaid")


def test_what_good_customers_share_means_nothing(alice: User, mallory: User, fraudrecord: Server) -> None:
    checked(order_of(alice))
    order = checked(order_of(mallory))
    assert (signals(order), order.status) == ({}, "unpaid")


def test_staff_approve_what_signals_sent_to_them(rejected: Order, mallory: User, sam: User) -> None:
    order = checked(order_of(mallory))
    assert set(signals(order)) == {"network", "phone", "address", "company"}
    order.approve("", by=sam)
    assert fresh(order).status == "unpaid"


def test_disposable_mail(person: Callable[..., User], fraudrecord: Server) -> None:
    order = checked(order_of(person("x@mail.mailinator.com")))
    assert (order.status, set(signals(order))) == ("review", {"disposable"})


@pytest.mark.parametrize(
    ("names", "domain"),
    [
        (["admin"], ""), (["Post Master"], ""), (["adm1n"], ""), (["\u0430dmin"], ""), (["Abuse"], ""),
        (["x", "mxpanel"], ""), (["mxpane1"], ""), (["MX Panel Support"], ""), (["rnxpanel"], ""),
        (["mxpnael"], ""), (["mxpanl"], ""),
        (["x"], "mxpanell.example"), (["x"], LOOK_ALIKE),
    ],
)  # fmt: skip
def test_reserved_names(names: list[str], domain: str) -> None:
    assert reserved_reason(names, domain)


@pytest.mark.parametrize(
    "name", ["acme", "Anna Example", "Administration Services", "panel", "maxpanels", "", "x"]
)
def test_ordinary_names(name: str) -> None:
    assert reserved_reason([name], f"{name.replace(' ', '-') or 'y'}.example") == ""


def test_a_reserved_username_is_looked_at_and_not_refused(alice: User, fraudrecord: Server) -> None:
    order = checked(order_of(alice, username="postmaster"))
    assert (order.status, set(signals(order))) == ("review", {"reserved"})


def test_a_domain_known_here_is_shown_and_decides_nothing(
    alice: User, mallory: User, fraudrecord: Server
) -> None:
    earlier = checked(order_of(alice, domain="known.example"))
    assert signals(earlier) == {}
    order = checked(order_of(mallory, domain="known.example"))
    assert earlier.number in signals(order)["domain"]
    earlier.customer.domains.create(name="known.example")
    later = checked(order_of(mallory, domain="known.example"))
    assert f"hosted here, for {earlier.customer.username}" in signals(later)["domain"]
    assert order.status == later.status == "unpaid"


def test_country_of_the_network_by_the_operators_own_file(
    alice: User, fraudrecord: Server, settings: Any, tmp_path: Path
) -> None:
    settings.GEOIP_FILE = str(tmp_path / "countries.mmdb")
    write_countries(tmp_path / "countries.mmdb", {"81.2.69.0/24": "GB"})
    order = checked(order_of(alice))
    assert signals(order) == {"country": "The network address is in GB, the postal address in DE."}
    assert order.status == "unpaid"
    assert signals(checked(order_of(alice, address="81.2.69.142", country="GB"))) == {}
    assert signals(checked(order_of(alice, address="8.8.8.8"))) == {}


@pytest.mark.parametrize("content", [None, b"", b"no database"])
def test_without_a_whole_file_no_country_is_known(
    alice: User, fraudrecord: Server, settings: Any, tmp_path: Path, content: bytes | None
) -> None:
    settings.GEOIP_FILE = str(tmp_path / "countries.mmdb")
    if content is not None:
        (tmp_path / "countries.mmdb").write_bytes(content)
    assert checked(order_of(alice)).status == "unpaid"


@pytest.mark.parametrize(("seconds", "kinds"), [(2, {"speed"}), (60, set())])
def test_speed_of_the_form(alice: User, fraudrecord: Server, seconds: int, kinds: set[str]) -> None:
    order = checked(order_of(alice, began=timezone.now() - timedelta(seconds=seconds)))
    assert (set(signals(order)), order.status) == (kinds, "unpaid")


def test_the_form_says_when_it_was_first_shown(
    as_: Callable[[User], Client], alice: User, fields: dict[str, str]
) -> None:
    began = signing.dumps(int(timezone.now().timestamp() * 10) - 900, salt="billing.began")
    client = as_(alice)
    again = client.post("/order/", fields | {"began": began, "phone": ""}).content.decode()
    assert f'name="began" value="{began}"' in again
    client.post("/order/", fields | {"began": began})
    taken = Order.objects.get().placed_at - Order.objects.get().began_at
    assert timedelta(seconds=89) < taken < timedelta(seconds=95)


@pytest.mark.parametrize("began", ["", "x", "x" * 9999, signing.dumps(10**30, salt="billing.began")])
def test_a_damaged_time_is_none(
    as_: Callable[[User], Client], alice: User, fields: dict[str, str], began: str
) -> None:
    assert as_(alice).post("/order/", fields | {"began": began}).status_code == 302
    assert Order.objects.get().began_at is None


def test_a_payment_under_the_reference_of_a_suspended_customer_is_looked_at_before_it_starts_anything(
    alice: User, mallory: User, sam: User, fraudrecord: Server
) -> None:
    earlier = checked(order_of(alice))
    pay(earlier, "59.00", by=sam, reference="DE89 3704 0044")
    assert fresh(earlier).status == "active"
    earlier.customer.suspend(reason="Spam", by=sam)
    order = checked(order_of(mallory, address="9.9.9.9", **ELSEWHERE))
    pay(order, "59.00", by=sam, reference="de89-37040044")
    order = fresh(order)
    assert (order.status, order.paid_minor, set(signals(order))) == ("review", 5900, {"payment"})
    order.approve("Their book-keeper pays for both.", by=sam)
    assert fresh(order).status == "active"
    assert not Notice.objects.filter(
        kind="order.approved", subject_id=str(order.pk), created_at__gt=fresh(order).decision.at
    ).exists()


def test_an_order_that_staff_approved_starts_whatever_the_reference(
    alice: User, mallory: User, sam: User, fraudrecord: Server
) -> None:
    earlier = checked(order_of(alice))
    pay(earlier, "59.00", by=sam, reference="DE89 3704 0044")
    earlier.customer.suspend(reason="Spam", by=sam)
    order = checked(order_of(mallory))
    order.approve("", by=sam)
    pay(fresh(order), "59.00", by=sam, reference="DE89 3704 0044")
    assert fresh(order).status == "active"


def test_twice_keeps_one_of_a_kind(rejected: Order, mallory: User) -> None:
    order = checked(order_of(mallory))
    own_signals.keep_signals(order, own_signals.find_signals(order))
    assert order.signals.count() == 4


def test_signals_that_break_send_the_order_to_staff(
    alice: User, fraudrecord: Server, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(screening, "find_signals", lambda order: 1 / 0)
    order = checked(order_of(alice))
    assert (order.status, order.fraud_check.outcome) == ("review", "outage")
    assert "ZeroDivisionError" in caplog.text
    assert "Long Street" not in caplog.text


def test_the_review_page_explains_each(
    rejected: Order, mallory: User, sam: User, as_: Callable[[User], Client]
) -> None:
    order = checked(order_of(mallory, company="<b>Example Works</b>"))
    html = as_(sam).get(f"/admin/review/{order.number}/").content.decode()
    for kind, text in signals(order).items():
        assert f'data-signal="{kind}"' in html
        assert text in html
    assert "<b>Example" not in html


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("81.2.69.142", "81.2.69.0/24"), ("2a00:1450:4001:81b::200e", "2a00:1450:4001::/48"),
        ("::ffff:81.2.69.142", "81.2.69.0/24"),
        ("127.0.0.1", ""), ("10.1.2.3", ""), ("fe80::1", ""), (None, ""),
    ],
)  # fmt: skip
def test_networks(address: str | None, expected: str) -> None:
    assert network(address) == expected


def test_what_is_too_short_to_mean_somebody_is_no_trait() -> None:
    order = Order(street="-", postcode="", phone="+1 23", company="Ltd.", client_address=None, country="DE")
    assert list(traits_of(order)) == []
    assert list(payment_trait("R1")) == list(payment_trait("")) == []


def test_an_erased_order_is_recognised_by_nothing(alice: User) -> None:
    from accounts import privacy
    from foundation.unit_of_work import unit_of_work

    order_of(alice)
    assert OrderTrait.objects.exists()
    with unit_of_work():
        privacy.erase_person(alice)
    assert not OrderTrait.objects.exists()
