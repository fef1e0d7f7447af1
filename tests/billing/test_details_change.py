"""A customer's billing details: entered on their page, used for billing and nothing else, erased when the law allows it."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from accounts.models import AuditEntry, Customer, User
from billing.models import BillingDetails, Order, TaxRate
from billing.models.billing_details import change_details, details_of
from tests.access_table import TABLE
from tests.at_once import at_once
from tests.billing.conftest import fresh
from tests.test_census import SAMPLES, census_things, named_urls

__all__ = ["census_things"]

pytestmark = pytest.mark.django_db
AsPerson = Callable[[User], Client]
PAGE = "/c/acme/billing/details/"
DETAILS = {
    "name": "Anna Example", "company": "Acme GmbH", "country": "DE", "street": "Weg 1", "city": "Berlin", "region": "",
    "postcode": "10115", "vat_id": "", "reference": "PO 17", "recipients": "books@acme.test\nTax@Advisor.test",
}  # fmt: skip


def save(client: Client, **changes: str) -> Any:
    return client.post(PAGE, DETAILS | changes)


def test_works(acme: Customer, carol: User, as_: AsPerson) -> None:
    client = as_(carol)
    answer = save(client)
    assert (answer.status_code, answer["Location"]) == (302, PAGE)
    details = acme.billing_details
    assert (details.street, details.reference) == ("Weg 1", "PO 17")
    assert details.recipients == ["books@acme.test", "tax@advisor.test"]
    html = client.get(PAGE).content.decode()
    assert "The billing details are saved." in html
    assert "books@acme.test\ntax@advisor.test</textarea>" in html
    assert 'value="PO 17"' in html


def test_the_audit_trail_says_which_fields_and_nothing_of_them(
    acme: Customer, alice: User, as_: AsPerson
) -> None:
    save(as_(alice))
    save(as_(alice), street="Other Street 2", vat_id="DE136695976")
    first, second = AuditEntry.objects.filter(action="billing.change").order_by("at")
    assert (second.by, second.customer, second.after) == (alice, acme, {"fields": ["street", "vat_id"]})
    assert "Anna" not in json.dumps([first.after, second.before, second.after, first.subject])


def test_a_stranger_gets_404(acme: Customer, mallory: User, as_: AsPerson) -> None:
    assert as_(mallory).get(PAGE).status_code == 404
    assert save(as_(mallory)).status_code == 404
    assert not BillingDetails.objects.exists()


def test_a_reader_gets_403(acme: Customer, bob: User, as_: AsPerson) -> None:
    assert as_(bob).get(PAGE).status_code == 403
    assert save(as_(bob)).status_code == 403
    assert "Billing details" not in as_(bob).get("/c/acme/").content.decode()
    assert not BillingDetails.objects.exists()


def test_twice_is_harmless(acme: Customer, alice: User, as_: AsPerson) -> None:
    for _ in range(2):
        assert save(as_(alice)).status_code == 302
    assert BillingDetails.objects.count() == 1
    assert AuditEntry.objects.filter(action="billing.change").count() == 1


@pytest.mark.django_db(transaction=True, serialized_rollback=True)
def test_many_at_the_same_moment_make_one_row(acme: Customer, alice: User) -> None:
    fields = {name: value for name, value in DETAILS.items() if name != "recipients"}
    acts = [lambda: change_details(Customer.objects.get(pk=acme.pk), fields, by=alice)] * 8
    assert {row.pk for row in at_once(*acts)} == {BillingDetails.objects.get().pk}
    assert AuditEntry.objects.filter(action="billing.change").count() == 1


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("name", "", "required"),
        ("country", "XX", "valid choice"),
        ("vat_id", "FR61954506077", "of another country. Enter the one of Germany"),
        ("vat_id", "DE1", "This is no VAT id of Germany"),
        ("recipients", "not an address", "not an address is no mail address"),
        ("recipients", "\n".join(f"a{n}@example.test" for n in range(6)), "at most 5"),
        ("recipients", "a@example.test, b@example.test", "is no mail address"),
        ("recipients", "root@localhost", "root@localhost is no mail address"),
        ("recipients", "root@[127.0.0.1]", "is no mail address"),
        ("recipients", "a@x\u2028y.de", "is no mail address"),
        ("recipients", "a@" + "ü" * 60 + ".de", "is no mail address"),
        ("recipients", "a" * 64 + "@" + "a." * 94 + "test", "is no mail address"),  # 257 characters
        ("reference", "a\u202eb", "one line of ordinary characters"),
    ],
)
def test_what_is_wrong_is_told_at_its_field(
    acme: Customer, alice: User, as_: AsPerson, field: str, value: str, said: str
) -> None:
    answer = save(as_(alice), **{field: value})
    html = answer.content.decode()
    assert answer.status_code == 422
    assert re.search(rf'id="id_{field}_error">\s*<p>[^<]*{re.escape(said)}', html)
    assert 'value="Weg 1"' in html  # what was entered is kept
    assert not BillingDetails.objects.exists()


def test_recipients_are_kept_as_mail_is_sent_to_them(acme: Customer, alice: User, as_: AsPerson) -> None:
    save(as_(alice), recipients="Books@Bücher.example\nbooks@xn--bcher-kva.example")
    assert acme.billing_details.recipients == ["books@xn--bcher-kva.example"]


def test_enter_saves(acme: Customer, alice: User, as_: AsPerson) -> None:
    """A browser presses the first button of the form."""
    html = as_(alice).get(PAGE).content.decode()
    assert (
        re.findall(r"<button[^>]*>", html[html.index('class="form"') :])[0] == '<button type="submit" hidden>'
    )


def test_until_then_the_address_of_the_order_stands_in(
    ordered: Callable[..., Order], alice: User, as_: AsPerson
) -> None:
    order = ordered(company="Long Ltd")
    path = f"/c/{order.customer.username}/billing/details/"
    html = as_(alice).get(path).content.decode()
    assert 'value="1 Long Street"' in html
    assert "This is the address of your order" in html
    assert not BillingDetails.objects.exists()
    assert details_of(order.customer).company == "Long Ltd"
    assert as_(alice).post(path, DETAILS).status_code == 302  # also before anything was paid
    assert "This is the address of your order" not in as_(alice).get(path).content.decode()
    assert fresh(order).street == "1 Long Street"


def test_the_fields_are_named_as_in_the_country_without_javascript_too(
    acme: Customer, alice: User, as_: AsPerson
) -> None:
    html = as_(alice).post(PAGE, DETAILS | {"country": "US", "step": "change"}).content.decode()
    assert "ZIP code" in html
    assert 'value="Weg 1"' in html
    assert not BillingDetails.objects.exists()


def test_the_state_of_the_vat_id_is_shown(acme: Customer, alice: User, as_: AsPerson, settings: Any) -> None:
    settings.VIES, client = False, as_(alice)
    save(client, vat_id="DE136695976")
    assert "Its form is right, so it counts." in client.get(PAGE).content.decode()
    settings.VIES = True
    html = client.get(PAGE).content.decode()
    assert 'data-status="unchecked"' in html
    assert "Until it answers, it counts." in html
    BillingDetails.objects.update(vat_is_valid=False, vat_checked_at=timezone.now(), vat_next_ask_at=None)
    html = client.get(PAGE).content.decode()
    assert 'data-status="invalid"' in html
    assert "then save it again" in html
    assert "tax is charged as to a private person" not in html
    settings.TAX, settings.SELLER_COUNTRY = True, "DE"
    assert "tax is charged as to a private person" in client.get(PAGE).content.decode()
    save(client, vat_id="DE136695976")
    html = client.get(PAGE).content.decode()
    assert 'data-status="invalid"' in html
    assert "It is being asked again." in html
    BillingDetails.objects.update(vat_checked_at=timezone.now())
    BillingDetails.objects.update(vat_is_valid=True, vat_consultation="WAPI123")
    html = client.get(PAGE).content.decode()
    assert 'data-status="valid"' in html
    assert "WAPI123" in html


@pytest.mark.parametrize(
    "wrong",
    [
        {"country": "de"},
        {"vat_id": "DE 1"},
        {"vat_is_valid": True},
        {"vat_next_ask_at": timezone.now()},
        {"vat_id": "DE136695976", "vat_is_valid": True},
        {"recipients": [f"a{n}@example.test" for n in range(6)]},
    ],
)
def test_the_database_refuses_the_impossible(acme: Customer, wrong: dict[str, Any]) -> None:
    fields = {"name": "A", "street": "B", "city": "C", "postcode": "D", "country": "DE"} | wrong
    with pytest.raises(IntegrityError), transaction.atomic():
        BillingDetails.objects.create(customer=acme, **fields)


ROOT = Path(__file__).resolve().parents[2]
OTHERS = ("accounts", "domains", "delivery", "mailnode", "foundation", "mxpanel")
# It shows what each app itself says it keeps of a person (accounts.privacy).
ASK_EVERY_APP = {"accounts:account-delete"}
NAMED = re.compile(r"billing_?details", re.IGNORECASE)


# When the sweep runs, and which staff may look.
ELSEWHERE = re.compile(r"billing\.tasks\.sweep_billing_details|billing\.view_billingdetails")


def test_no_other_app_names_them() -> None:
    """Neither the model nor the way to it from a customer, in code, look-ups or templates."""
    files = [path for app in OTHERS for path in (ROOT / app).rglob("*.py")]
    files += [path for path in (ROOT / "templates").rglob("*.*") if "billing" not in path.parts]
    assert len(files) > 200
    found = [
        f"{path.relative_to(ROOT)}:{number}"
        for path in files
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if NAMED.search(line) and not ELSEWHERE.search(line)
    ]
    assert not found
    assert NAMED.search("customer.billing_details.street")
    assert NAMED.search("from billing.models import BillingDetails")


@pytest.mark.odd_rows
def test_no_page_of_another_app_reads_them(
    acme: Customer, alice: User, as_: AsPerson, census_things: dict[str, Any]
) -> None:
    save(as_(alice))
    client, seen = as_(alice), 0
    for name, keys in named_urls().items():
        if (
            name.startswith(("billing:", "admin:"))
            or name in ASK_EVERY_APP
            or TABLE.get(name, {}).get("GET", {}).get("owner") != "in"
        ):
            continue
        path = reverse(name, kwargs={key: {**SAMPLES, **census_things}[key] for key in keys})
        with CaptureQueriesContext(
            connection,
        ) as queries:
            client.get(path)
        seen += 1
        assert not [each["sql"] for each in queries if "billingdetails" in each["sql"]], path
    assert seen > 30


def test_saving_asks_for_no_rate_where_nothing_is_open(
    acme: Customer, alice: User, as_: AsPerson, taxed: Any
) -> None:
    taxed.SELLER_COUNTRY = "US"  # no rate of it is known
    assert save(as_(alice), country="US", postcode="12345").status_code == 302


def test_what_says_nothing_about_tax_leaves_an_open_order_as_it_was(
    taxed: Any, unpaid: Order, alice: User
) -> None:
    TaxRate.objects.create(country="DE", rate=21, from_on=timezone.now().date())
    change_details(unpaid.customer, {"reference": "PO 1"}, by=alice)
    assert fresh(unpaid).tax_rate == 19
    change_details(unpaid.customer, {"postcode": "10115"}, by=alice)
    assert fresh(unpaid).tax_rate == 21
