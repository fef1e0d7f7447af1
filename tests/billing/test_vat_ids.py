"""VAT ids: how they are read, and that VIES is asked until it answers."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.utils import timezone

from accounts.models import AuditEntry, Customer, User
from billing import tasks, vat_ids
from billing import vies as gateway
from billing.models import BillingDetails, Order
from billing.models.billing_details import change_details
from billing.vat_ids import read_vat_id
from deploy.vies import Server
from tests.billing.conftest import fresh
from tests.billing.stripe_desk import mails

ADDRESS = {
    "name": "Anna Example", "company": "Acme", "street": "1 Road", "city": "Town", "region": "", "postcode": "12345",
    "country": "DE",
}  # fmt: skip
VALID, INVALID, AWAY, OUR_FAULT = "DE100000008", "DE200000005", "DE301000004", "DE202000009"


@pytest.mark.parametrize(
    ("text", "country", "kept"),
    [
        ("", "DE", ""), ("  - ", "US", ""), ("DE136695976", "DE", "DE136695976"), ("de 136.695-976", "DE", "DE136695976"),
        ("136695976", "DE", "DE136695976"), ("EL094259216", "GR", "EL094259216"), ("GR 094259216", "GR", "EL094259216"),
        ("094259216", "GR", "EL094259216"), ("ATU57194903", "AT", "ATU57194903"), ("U57194903", "AT", "ATU57194903"),
        ("FR61954506077", "FR", "FR61954506077"), ("FR61954506077", "MC", "FR61954506077"),
        ("NL004495445B01", "NL", "NL004495445B01"), ("B58378431", "ES", "ESB58378431"),
    ],
)  # fmt: skip
def test_it_is_kept_in_its_usual_form(text: str, country: str, kept: str) -> None:
    assert read_vat_id(text, country, "12345") == kept


@pytest.mark.parametrize(
    ("text", "country", "postcode", "said"),
    [
        ("DE136695977", "DE", "", "This is no VAT id of Germany. They begin with DE"),  # a wrong check digit
        ("DE136695976", "FR", "", "of another country. Enter the one of France"),
        ("EL094259216", "DE", "", "of another country"),
        ("XI110305878", "GB", "", "No VAT id of the European Union goes with this address"),
        ("CHE123456788", "CH", "", "No VAT id"),
        ("ESB58378431", "ES", "35001", "No VAT id"),
        ("EU372000063", "DE", "", "This is no VAT id of Germany"),
        ("١٣٦٦٩٥٩٧٦", "DE", "", "This is no VAT id"),
        ("DE136695976\0", "DE", "", "This is no VAT id"),
        ("9" * 40, "GR", "", "They begin with EL"),
    ],
)
def test_what_is_none_gets_a_reason(text: str, country: str, postcode: str, said: str) -> None:
    with pytest.raises(ValidationError) as raised:
        read_vat_id(text, country, postcode)
    assert said in " ".join(raised.value.message_dict["vat_id"])


@pytest.fixture
def enter(acme: Customer, alice: User) -> Callable[[str], BillingDetails]:
    return lambda vat_id: change_details(acme, ADDRESS | {"vat_id": vat_id}, by=alice)


def due(details: BillingDetails) -> BillingDetails:
    """As if the time for the next question had come."""
    BillingDetails.objects.exclude(vat_next_ask_at=None).update(vat_next_ask_at=timezone.now())
    vat_ids.check_vat_id(details.pk)
    details.refresh_from_db()
    return details


@pytest.mark.django_db
class TestChecking:
    def test_works(self, vies: Server, taxed: Any, enter: Callable[[str], BillingDetails]) -> None:
        details = enter(VALID)
        assert (details.vat_state, details.counts_as_business) == ("unchecked", True)
        due(details)
        assert (details.vat_state, details.counts_as_business) == ("valid", True)
        assert details.vat_checked_at
        assert details.vat_consultation.startswith("WAPI")
        entry = AuditEntry.objects.get(action="vat_id.check")
        assert (entry.by, entry.after) == (None, {"state": "valid"})
        assert not mails("billing.vat_id_invalid")

    @pytest.mark.parametrize("vat_id", ["CHE-123.456.788MWST", "GB110305878", "XI110305878"])
    def test_a_seller_outside_the_union_asks_without_a_number_to_prove_it(
        self,
        vat_id: str,
        vies: Server,
        taxed: Any,
        enter: Callable[[str], BillingDetails],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        taxed.SELLER_VAT_ID, asked = vat_id, []
        check = vat_ids.vies.check
        monkeypatch.setattr(
            vat_ids.vies, "check", lambda vat_id, **more: asked.append(more) or check(vat_id, **more)
        )
        details = due(enter(VALID))
        assert (details.vat_state, details.vat_consultation) == ("valid", "")
        assert asked == [{"requester": ""}]

    def test_twice_asks_once(self, vies: Server, enter: Callable[[str], BillingDetails]) -> None:
        details = due(enter(VALID))
        due(details)
        assert vies.asked[VALID] == 1
        assert AuditEntry.objects.filter(action="vat_id.check").count() == 1

    def test_one_that_is_not_valid_is_told(
        self, vies: Server, taxed: Any, enter: Callable[[str], BillingDetails], carol: User, bob: User
    ) -> None:
        details = due(enter(INVALID))
        assert (details.vat_state, details.counts_as_business) == ("invalid", False)
        [mail] = mails("billing.vat_id_invalid")
        assert carol.email in mail.to
        assert bob.email not in mail.to
        assert INVALID in mail.subject
        assert "bear tax as for a private person" in mail.body
        assert "/c/acme/billing/details/" in mail.body

    def test_no_mail_about_one_that_was_corrected_meanwhile(
        self, vies: Server, enter: Callable[[str], BillingDetails]
    ) -> None:
        due(enter(INVALID))
        enter("")
        assert not mails("billing.vat_id_invalid")

    def test_an_outage_leaves_it_counting_and_asks_again_ever_more_rarely(
        self, vies: Server, enter: Callable[[str], BillingDetails]
    ) -> None:
        details, gaps = enter(AWAY), []
        for _ in range(8):
            before = timezone.now()
            due(details)
            assert details.vat_next_ask_at
            gaps.append(round((details.vat_next_ask_at - before).total_seconds() / 60))
        assert gaps == [2, 4, 8, 16, 32, 60, 60, 60]
        assert (details.vat_state, details.counts_as_business) == ("unchecked", True)

    def test_what_is_ours_to_mend_waits_a_day_and_is_an_error_in_the_log(
        self, vies: Server, enter: Callable[[str], BillingDetails], caplog: pytest.LogCaptureFixture
    ) -> None:
        details = due(enter(OUR_FAULT))
        assert details.vat_next_ask_at
        assert details.vat_next_ask_at > timezone.now() + timedelta(hours=23)
        assert [record.levelname for record in caplog.records if "VAT id" in record.message] == ["ERROR"]
        assert OUR_FAULT not in caplog.text

    def test_another_id_begins_anew(self, vies: Server, enter: Callable[[str], BillingDetails]) -> None:
        due(enter(INVALID))
        details = enter(VALID)
        assert (details.vat_state, details.vat_checked_at, details.vat_attempts) == ("unchecked", None, 0)
        assert due(details).vat_state == "valid"

    def test_one_that_is_not_valid_is_asked_about_again_where_it_is_saved_again(
        self,
        vies: Server,
        taxed: Any,
        ordered: Callable[..., Order],
        alice: User,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        order = ordered(country="FR")
        french = ADDRESS | {"country": "FR", "vat_id": "FR40303265045"}
        monkeypatch.setattr(vat_ids.vies, "check", lambda *args, **more: gateway.Answer(False, ""))
        details = due(change_details(order.customer, french, by=alice))
        assert (details.vat_state, fresh(order).tax_kind) == ("invalid", "destination")
        for _ in range(2):
            details = change_details(order.customer, french, by=alice)
            assert details.vat_next_ask_at
            assert (details.vat_state, details.vat_attempts) == ("invalid", 0)
        assert AuditEntry.objects.filter(action="billing.change").count() == 2
        monkeypatch.setattr(vat_ids.vies, "check", lambda *args, **more: gateway.Answer(True, "WAPI1"))
        assert fresh(order).tax_kind == "destination"
        assert due(details).vat_state == "valid"
        assert fresh(order).tax_kind == "reverse_charge"

    def test_one_that_is_not_valid_stays_so_when_taken_out_and_entered_again(
        self, vies: Server, enter: Callable[[str], BillingDetails]
    ) -> None:
        due(enter(INVALID))
        assert enter("").vat_state == "none"
        details = enter(INVALID)
        assert (details.vat_state, details.counts_as_business) == ("invalid", False)
        assert details.vat_next_ask_at
        enter(VALID)
        assert enter(INVALID).vat_state == "invalid"

    def test_one_that_became_valid_counts_when_entered_again(
        self, vies: Server, enter: Callable[[str], BillingDetails]
    ) -> None:
        details = due(enter(INVALID))
        enter(INVALID)
        BillingDetails.objects.update(vat_is_valid=True, vat_checked_at=timezone.now(), vat_next_ask_at=None)
        enter("")
        assert enter(INVALID).vat_state == "unchecked"
        assert due(details).vat_state == "invalid"

    def test_an_answer_about_the_one_before_is_not_taken(
        self, vies: Server, enter: Callable[[str], BillingDetails], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        check = vat_ids.vies.check

        def slow(vat_id: str, **more: Any) -> Any:
            answer = check(vat_id, **more)
            enter(VALID)
            return answer

        monkeypatch.setattr(vat_ids.vies, "check", slow)
        details = due(enter(INVALID))
        assert (details.vat_id, details.vat_state) == (VALID, "unchecked")
        assert not AuditEntry.objects.filter(action="vat_id.check").exists()

    def test_without_leave_nothing_is_asked(
        self, vies: Server, enter: Callable[[str], BillingDetails], settings: Any
    ) -> None:
        settings.VIES = False
        details = due(enter(VALID))
        assert not vies.asked
        assert vat_ids.due_vat_ids() == []
        settings.VIES = True
        assert vat_ids.due_vat_ids() == [details.pk]

    def test_the_sweep_finds_what_a_lost_hint_left(
        self, vies: Server, enter: Callable[[str], BillingDetails], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        details, sent = enter(VALID), []
        monkeypatch.setattr(
            tasks.check_vat_id, "apply_async", lambda args, **options: sent.append((args, options))
        )
        tasks.sweep_vat_ids()
        assert sent == [((details.pk,), {"expires": 10})]
        tasks.check_vat_id(details.pk)
        tasks.sweep_vat_ids()
        assert len(sent) == 1

    def test_an_id_is_asked_about_once_at_a_time(
        self, vies: Server, enter: Callable[[str], BillingDetails], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        details, check, inside = enter(VALID), vat_ids.vies.check, []

        def twin(vat_id: str, **more: Any) -> Any:
            inside.append(vat_ids.check_vat_id(details.pk))
            return check(vat_id, **more)

        monkeypatch.setattr(vat_ids.vies, "check", twin)
        assert vat_ids.check_vat_id(details.pk)
        assert inside == [False]
        assert vies.asked[VALID] == 1
