"""What staff read of the books: day book, receivables, failed payments, revenue by the month, a customer's ledger; as pages
and as files.
"""

import csv
import io
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts.models import AuditEntry, Customer, User
from billing import ledger
from billing.books import receivables
from billing.models import Account, CardOnFile, LedgerEntry, Order, Plan, Subscription
from foundation.csv_lines import csv_lines, harmless
from mxpanel.staff_roles import MANAGER, SUPPORT
from tests.billing.conftest import fresh, pay
from tests.billing.renewed import NEXT, live, newest, on_day
from tests.billing.renewed import pay as pay_sale
from tests.billing.stripe_desk import StripeDesk

AsPerson = Callable[[User], Client]
BOOKS = "/admin/books"
REPORTS = ["days/", "receivables/", "failed-payments/", "recurring-revenue/"]
DECLINED = "4000000000000341"


def read(client: "Client | Desk", path: str) -> str:
    answer = client.get(f"{BOOKS}/{path}")
    assert answer.status_code == 200
    return str(answer.content.decode())


def fetch(client: "Client | Desk", path: str) -> list[dict[str, str]]:
    """The file of a report, by its columns."""
    answer: Any = client.post(f"{BOOKS}/{path}")
    assert answer.status_code == 200
    assert answer["Content-Type"] == "text/csv; charset=utf-8"
    text = b"".join(answer.streaming_content).decode("utf-8-sig")
    return list(csv.DictReader(io.StringIO(text)))


def queries(desk: "Desk", path: str) -> int:
    client = desk.sign_in()
    client.get(f"{BOOKS}/{path}")
    with CaptureQueriesContext(connection) as found:
        read(client, path)
    return len(found)


class Desk:
    """Sam, who signs in anew whenever the clock was moved."""

    def __init__(self, sign_in: Callable[[], Client]) -> None:
        self.sign_in = sign_in

    def get(self, path: str) -> Any:
        return self.sign_in().get(path)

    def post(self, path: str) -> Any:
        return self.sign_in().post(path)


@pytest.fixture
def desk_of_sam(sam: User, as_: AsPerson) -> Desk:
    return Desk(lambda: as_(sam))


class TestDayBook:
    def test_works(self, unpaid: Order, sam: User, desk_of_sam: Desk) -> None:
        pay(unpaid, "59.00", by=sam, reference="Transfer 7")
        html, invoice = read(desk_of_sam, "days/"), fresh(unpaid).invoice
        assert invoice
        payment = fresh(unpaid).payments.get()
        assert f'<a href="/admin/billing/invoice/{invoice.pk}/change/">Invoice {invoice.number}</a>' in html
        assert f'<a href="/admin/billing/payment/{payment.pk}/change/">' in html
        assert "Transfer 7" in html
        assert f'href="/admin/books/ledger/{unpaid.customer.username}/"' in html
        for account in (Account.RECEIVABLE, Account.REVENUE, Account.CREDIT, Account.BANK):
            assert account.label in html

    def test_the_sums_are_those_of_the_days(self, unpaid: Order, sam: User, desk_of_sam: Desk) -> None:
        with on_day(date(2027, 1, 5)):
            pay(unpaid, "20.00", by=sam)
        with on_day(date(2027, 1, 6)):
            pay(unpaid, "39.00", by=sam)
            both = read(desk_of_sam, "days/?since=2027-01-05&until=2027-01-06")
            assert '<td data-label="Debits" class="number">59.00 USD</td>' in both
            second = read(desk_of_sam, "days/?since=2027-01-06&until=2027-01-06")
            assert '<td data-label="Debits" class="number">39.00 USD</td>' in second
            assert "20.00" not in second
            assert "Nothing was posted" in read(desk_of_sam, "days/?since=2027-01-04&until=2027-01-04")

    def test_a_day_ends_at_midnight_of_the_panel(
        self, unpaid: Order, sam: User, desk_of_sam: Desk, settings: Any
    ) -> None:
        settings.TIME_ZONE = "Asia/Tokyo"
        timezone.activate("Asia/Tokyo")
        try:
            with on_day(date(2027, 1, 5), hours=23.9):
                pay(unpaid, "59.00", by=sam)
                assert "Nothing was posted" not in read(
                    desk_of_sam, "days/?since=2027-01-05&until=2027-01-05"
                )
                assert "Nothing was posted" in read(desk_of_sam, "days/?since=2027-01-06&until=2027-01-06")
        finally:
            timezone.deactivate()

    def test_days_that_make_no_sense(self, desk_of_sam: Desk) -> None:
        for days in (
            "since=2027-01-02&until=2027-01-01", "since=2020-01-01&until=2021-01-01", "since=x", "since=0001-01-01",
            "until=9999-12-31", "since=%0d%0a",
        ):  # fmt: skip
            path = f"{BOOKS}/days/?{days}"
            for answer in (desk_of_sam.get(path), desk_of_sam.post(path)):
                assert answer.status_code == 422
                assert "Please look at this once more." in answer.content.decode()
        assert not AuditEntry.objects.filter(action="books.download").exists()

    def test_pages(
        self, unpaid: Order, sam: User, desk_of_sam: Desk, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("billing.books.views.PAGE", 1)
        pay(unpaid, "59.00", by=sam)
        all_of_them = list(LedgerEntry.objects.order_by("at", "id").values_list("pk", flat=True))
        assert len(all_of_them) == 3
        shown, path = [], "days/"
        for pk in all_of_them:
            html = read(desk_of_sam, path)
            shown.append(html.count('data-label="Amount"'))
            more = f"after={pk}"
            assert (more in html) == (pk != all_of_them[-1])
            path = f"days/?{more}"
        assert shown == [1, 1, 1]

    def test_a_page_that_is_not_there_is_the_first(self, unpaid: Order, sam: User, desk_of_sam: Desk) -> None:
        pay(unpaid, "59.00", by=sam)
        for after in ("x", "9" * 40, "-1", "1' OR '1'='1"):
            assert read(desk_of_sam, f"days/?after={after}").count('data-label="Amount"') == 3


class TestReceivables:
    def test_by_age(self, unpaid: Order, desk_of_sam: Desk) -> None:
        today = unpaid.invoice.issued_on
        for days, age in (
            (0, "Not due"), (14, "Not due"), (15, "1 to 30 days"), (44, "1 to 30 days"), (45, "31 to 60 days"),
            (75, "61 to 90 days"), (104, "61 to 90 days"), (105, "Over 90 days"),
        ):  # fmt: skip
            with on_day(today + timedelta(days=days)):
                html, lines = read(desk_of_sam, "receivables/"), fetch(desk_of_sam, "receivables/")
            assert html.count(f'<td data-label="{age}" class="number">59.00</td>') == 2
            assert html.count(">59.00</td>") == 4  # of all, of the customer, and each time together
            assert [(line["customer"], line["age"]) for line in lines] == [(unpaid.customer.username, age)]
            assert (lines[0]["open_minor"], lines[0]["days_late"]) == ("5900", str(max(0, days - 14)))

    def test_as_it_was(self, unpaid: Order, sam: User, desk_of_sam: Desk) -> None:
        """From the ledger alone: what came in later does not matter to a day before."""
        today = unpaid.invoice.issued_on
        with on_day(today + timedelta(days=20)):
            pay(unpaid, "20.00", by=sam)
        with on_day(today + timedelta(days=30)):
            pay(unpaid, "39.00", by=sam)
            assert "Nobody owed anything" in read(desk_of_sam, "receivables/")
            for later, owed in ((19, "59.00"), (20, "39.00"), (29, "39.00"), (30, "")):
                lines = fetch(desk_of_sam, f"receivables/?on={today + timedelta(days=later)}")
                assert [line["open"] for line in lines] == ([owed] if owed else [])

    def test_it_is_what_the_ledger_has(
        self, unpaid: Order, ordered: Callable[..., Order], sam: User, desk_of_sam: Desk
    ) -> None:
        more = [approved(ordered, sam, username=f"more{n}") for n in range(2)]
        pay(more[0], "10.00", by=sam)
        held = [ledger.balances(customer) for customer in Customer.objects.all()]
        due = sum(each["USD"][Account.RECEIVABLE] for each in held if each)
        lines = fetch(desk_of_sam, "receivables/")
        assert due == sum(int(line["open_minor"]) for line in lines) == 3 * 5900 - 1000
        assert "167.00" in read(desk_of_sam, "receivables/")

    def test_what_makes_no_sense(self, unpaid: Order, desk_of_sam: Desk) -> None:
        for on in ("x", "2999-01-01", "1999-12-31"):
            assert desk_of_sam.get(f"{BOOKS}/receivables/?on={on}").status_code == 422
        for after in ("x", "a b c", "' OR 1=1 --"):
            assert unpaid.customer.username in read(desk_of_sam, f"receivables/?after={after}")

    def test_pages(
        self, unpaid: Order, ordered: Callable[..., Order], sam: User, desk_of_sam: Desk, monkeypatch: Any
    ) -> None:
        monkeypatch.setattr("billing.books.views.PAGE", 1)
        other = approved(ordered, sam, username="zebra")
        html = read(desk_of_sam, "receivables/")
        first = f"after={unpaid.customer.username}%20USD"
        assert first in html
        html = read(desk_of_sam, f"receivables/?{first}")
        assert other.customer.username in html
        assert 'rel="next"' not in html


class TestFailedPayments:
    @pytest.fixture
    def declined(self, stripe: StripeDesk, anna: Customer, visa: CardOnFile) -> Iterator[None]:
        stripe.change(visa, number=DECLINED)
        live(anna, NEXT - timedelta(days=7), NEXT + timedelta(days=1))
        with on_day(NEXT + timedelta(days=1)):
            yield

    def test_works(self, declined: None, anna: Customer, desk_of_sam: Desk) -> None:
        html, invoice = read(desk_of_sam, "failed-payments/"), newest(anna).label
        assert html.count(f'<a href="/admin/renewals/{invoice}/">{invoice}</a>') == 2
        assert "We try Visa 4242 again on 18 March 2028 (in 2 days)." in html
        assert newest(anna).charges.all()[0].reason in html
        lines = fetch(desk_of_sam, "failed-payments/")
        assert [(line["attempt"], line["state"], line["amount_minor"]) for line in lines] == [
            ("2", "declined", "5900"), ("1", "declined", "5900")
        ]  # fmt: skip

    def test_what_is_paid_stands_among_all(
        self, declined: None, anna: Customer, sam: User, desk_of_sam: Desk
    ) -> None:
        pay_sale(newest(anna), by=sam)
        assert "No charge failed" in read(desk_of_sam, "failed-payments/")
        assert read(desk_of_sam, "failed-payments/?standing=all").count("Paid meanwhile.") == 2
        assert desk_of_sam.get(f"{BOOKS}/failed-payments/?standing=x").status_code == 422

    def test_as_many_queries_for_many(self, declined: None, anna: Customer, desk_of_sam: Desk) -> None:
        charges = newest(anna).charges
        few = queries(desk_of_sam, "failed-payments/")
        last = charges.get(number=2)
        for number in range(3, 9):
            last.pk, last.number, last._state.adding = None, number, True
            last.save()
        assert queries(desk_of_sam, "failed-payments/") == few <= 16

    def test_so_has_the_list_of_renewals(self, declined: None, anna: Customer, desk_of_sam: Desk) -> None:
        client = desk_of_sam.sign_in()
        with CaptureQueriesContext(connection) as found:
            html = client.get("/admin/billing/renewal/").content.decode()
        assert "We try Visa 4242 again" in html
        assert len(found) <= 17


class TestRecurringRevenue:
    def test_new_and_ended(self, service: Subscription, alice: User, desk_of_sam: Desk) -> None:
        with on_day(date(2027, 5, 20)):
            service.cancel(by=alice, at_once=True)
        with on_day(date(2027, 6, 10)):
            rows = fetch(desk_of_sam, "recurring-revenue/")
            assert "4.91" in read(desk_of_sam, "recurring-revenue/")
        found = {
            row["month"]: (row["services"], row["monthly_minor"], row["new"], row["ended"]) for row in rows
        }
        assert len(rows) == 24
        assert found["2027-06"] == ("0", "0", "0.00", "0.00")
        assert found["2027-05"] == ("0", "0", "0.00", "4.91")
        assert found["2027-04"] == ("1", "491", "0.00", "0.00")  # 59.00 a year
        assert found["2027-03"] == ("1", "491", "4.91", "0.00")
        assert found["2027-02"] == ("0", "0", "0.00", "0.00")

    def test_a_new_price(self, service: Subscription, anna: Customer, sam: User, desk_of_sam: Desk) -> None:
        """It counts from the renewal that is sold at it."""
        Subscription.objects.update(amount_minor=12_000)
        with on_day(date(2028, 3, 1)):
            rows = {row["month"]: row for row in fetch(desk_of_sam, "recurring-revenue/")}
            assert rows["2028-03"]["changed_minor"] == "509"  # agreed, and not sold yet
            assert rows["2028-02"]["monthly_minor"] == "491"
        live(anna, NEXT - timedelta(days=7), NEXT)
        with on_day(NEXT + timedelta(days=60)):
            rows = {row["month"]: row for row in fetch(desk_of_sam, "recurring-revenue/")}
        assert [(rows[month]["monthly_minor"], rows[month]["changed_minor"]) for month in ("2028-02", "2028-03")] == [
            ("491", "0"), ("1000", "509")
        ]  # fmt: skip
        assert rows["2028-05"]["monthly_minor"] == "1000"

    def test_an_upgrade(self, service: Subscription, sam: User, alice: User, desk_of_sam: Desk) -> None:
        """It counts once it is paid, and what it cost for the days left does not matter."""
        dearer = Plan.objects.get(slug="25gb").present_version()
        with on_day(date(2027, 12, 6)):
            total_minor = service.plan_quote(dearer).total_minor
            assert service.change_plan(dearer, total_minor=total_minor, by=alice)
        with on_day(date(2027, 12, 8)):
            pay_sale(newest(service.customer), by=sam)
        with on_day(date(2028, 2, 1)):
            rows = {row["month"]: row for row in fetch(desk_of_sam, "recurring-revenue/")}
        more = dearer.yearly_minor // 12 - 491
        assert [rows[month]["changed_minor"] for month in ("2027-11", "2027-12", "2028-01")] == [
            "0",
            str(more),
            "0",
        ]
        assert rows["2028-02"]["monthly_minor"] == str(491 + more)

    def test_it_adds_up(
        self, service: Subscription, ordered: Callable[..., Order], sam: User, desk_of_sam: Desk
    ) -> None:
        """Against a plain walk over the services, month by month."""
        for number, day in enumerate((date(2027, 2, 3), date(2027, 4, 30), date(2027, 4, 1))):
            period = "monthly" if number else "yearly"
            order = approved(ordered, sam, username=f"more{number}", period=period)
            with on_day(day):
                pay(order, order.due_amount, by=sam)
        assert Plan.objects.get(slug="10gb").monthly_minor == 590
        with on_day(date(2027, 5, 2)):
            rows = fetch(desk_of_sam, "recurring-revenue/")
            ends = {"2027-01": date(2027, 2, 1), "2027-02": date(2027, 3, 1), "2027-03": date(2027, 4, 1),
                    "2027-04": date(2027, 5, 1), "2027-05": date(2027, 6, 1)}  # fmt: skip
            for month, end in ends.items():
                running = [each for each in Subscription.objects.all() if each.started_at.date() < end]
                worth = sum(
                    each.amount_minor if each.period == "monthly" else each.amount_minor // 12
                    for each in running
                )
                row = next(row for row in rows if row["month"] == month)
                assert (row["services"], row["monthly_minor"]) == (str(len(running)), str(worth)), month

    def test_nobody(self, desk_of_sam: Desk) -> None:
        assert "No service was sold" in read(desk_of_sam, "recurring-revenue/")


class TestCustomerLedger:
    def test_works(self, unpaid: Order, sam: User, desk_of_sam: Desk) -> None:
        path = f"ledger/{unpaid.customer.username}/"
        html = read(desk_of_sam, path)
        assert f"Open on {timezone.localdate():%-d %B %Y}" in html
        pay(unpaid, "20.00", by=sam)
        lines = fetch(desk_of_sam, path)
        assert [(line["kind"], line["moved_minor"], line["balance"]) for line in lines] == [
            ("sale", "5900", "59.00"), ("payment", "-2000", "39.00"), ("settle", "0", "39.00")
        ]  # fmt: skip
        html = read(desk_of_sam, path)
        assert '<td data-label="Owed then" class="number">39.00 USD</td>' in html
        admin = desk_of_sam.get(f"/admin/accounts/customer/{unpaid.customer_id}/change/").content.decode()
        assert f'href="{BOOKS}/{path}"' in admin

    def test_a_file_without_entries_has_its_header_alone(self, other: Customer, desk_of_sam: Desk) -> None:
        assert fetch(desk_of_sam, f"ledger/{other.username}/") == []
        assert AuditEntry.objects.get(action="books.download").subject == f"Ledger of {other.username}"

    def test_more_open_invoices_than_fit_are_said(
        self, unpaid: Order, desk_of_sam: Desk, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path, lines = f"ledger/{unpaid.customer.username}/", receivables.open_lines
        monkeypatch.setattr("billing.books.views.MOST_OPEN", 1)
        assert "Only the first" not in read(desk_of_sam, path)
        monkeypatch.setattr(receivables, "open_lines", lambda *args, **of: iter([*lines(*args, **of)] * 2))
        assert "Only the first 1 of the invoices" in read(desk_of_sam, path)

    def test_what_came_before_is_brought_forward(self, unpaid: Order, sam: User, desk_of_sam: Desk) -> None:
        path = f"ledger/{unpaid.customer.username}/"
        day = unpaid.invoice.issued_on + timedelta(days=30)
        after = day + timedelta(days=1)
        with on_day(day):
            pay(unpaid, "20.00", by=sam)
            html = read(desk_of_sam, f"{path}?since={day}&until={day}")
            assert "Before these: 59.00 USD" in html
            lines = fetch(desk_of_sam, f"{path}?since={day}&until={day}")
            assert [line["balance_minor"] for line in lines] == ["3900", "3900"]
            assert "Before these days: 39.00 USD" in read(desk_of_sam, f"{path}?since={after}&until={after}")

    def test_a_later_page_goes_on(
        self, unpaid: Order, sam: User, desk_of_sam: Desk, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("billing.books.views.PAGE", 1)
        pay(unpaid, "20.00", by=sam)
        first = unpaid.customer.ledger_entries.order_by("id")[0]
        html = read(desk_of_sam, f"ledger/{unpaid.customer.username}/?after={first.pk}")
        assert "Before these: 59.00 USD" in html
        assert '<td data-label="Owed then" class="number">39.00 USD</td>' in html

    def test_one_without_entries(self, other: Customer, desk_of_sam: Desk) -> None:
        assert "Nothing was posted" in read(desk_of_sam, f"ledger/{other.username}/")
        assert desk_of_sam.get(f"{BOOKS}/ledger/nobody/").status_code == 404


def test_as_many_queries_for_many(
    unpaid: Order, ordered: Callable[..., Order], sam: User, desk_of_sam: Desk
) -> None:
    pay(unpaid, "20.00", by=sam)
    reports = ["days/", "receivables/", "recurring-revenue/", f"ledger/{unpaid.customer.username}/"]
    few = [queries(desk_of_sam, path) for path in reports]
    for number in range(3):
        pay(approved(ordered, sam, username=f"more{number}"), "59.00", by=sam)
    pay(unpaid, "20.00", by=sam)
    assert [queries(desk_of_sam, path) for path in reports] == few
    assert max(few) <= 12


def test_a_file_is_audited(unpaid: Order, sam: User, desk_of_sam: Desk) -> None:
    fetch(desk_of_sam, "days/?since=2027-01-01&until=2027-01-31")
    entry = AuditEntry.objects.get(action="books.download")
    assert (entry.by, entry.customer, entry.subject) == (sam, None, "Day book")
    assert entry.after == {"since": "2027-01-01", "until": "2027-01-31"}


def test_no_file_runs_in_a_spreadsheet(unpaid: Order, sam: User, desk_of_sam: Desk) -> None:
    pay(unpaid, "59.00", by=sam, reference='=HYPERLINK("http://x.test")')
    assert {line["cause"] for line in fetch(desk_of_sam, "days/") if line["kind"] == "payment"} == {
        'Payment by bank transfer =HYPERLINK("http://x.test")'
    }
    assert harmless("=1+1") == "'=1+1"
    assert harmless("'=1+1") == "''=1+1"
    assert list(csv_lines([["-5.00", Decimal("-5.00"), -5, None]])) == ["'-5.00,-5.00,-5,\r\n"]


def test_who_may_look(as_: AsPerson, staff_of: Callable[[str], User], alice: User) -> None:
    """The census has all of them; here, what the list shows of them."""
    support, manager = as_(staff_of(SUPPORT)), as_(staff_of(MANAGER))
    assert [f"{BOOKS}/{each}" in read(support, "") for each in REPORTS] == [False, False, True, False]
    assert [f"{BOOKS}/{each}" in read(manager, "") for each in REPORTS] == [True] * 4
    assert 'href="/admin/books/"' in support.get("/admin/").content.decode()
    for path in REPORTS:
        assert as_(alice).get(f"{BOOKS}/{path}").status_code == 403
        assert Client().get(f"{BOOKS}/{path}").status_code == 302


def approved(ordered: Callable[..., Order], sam: User, **fields: Any) -> Order:
    """One more order that is to be paid, of a customer of its own."""
    from billing import screening

    order = ordered(**fields)
    screening.check_order(order.pk)
    fresh(order).approve("", by=sam)
    return fresh(order)
