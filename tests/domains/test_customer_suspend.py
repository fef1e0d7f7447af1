"""What staff and what money stop of a customer, beside each other on a real agent: together, and each by itself."""

from typing import Any
from uuid import uuid4

import pytest
from django.utils import timezone

from accounts.models import Customer, SuspensionCause, User
from domains.driver.agent import Agent
from domains.driver.digests import digest
from domains.driver.history import compare, token
from domains.driver.outcomes import want_rebuild
from domains.driver.rebuilding import rebuild
from domains.driver.sync import sync
from domains.driver.takeover import take_over
from domains.driver.taking import Taker
from domains.driver.verdict import server_is_right
from domains.models import Difference, Incident, Mailbox, MailServer, ServerSync
from foundation.unit_of_work import unit_of_work
from mailnode import effects, policy, wire
from tests.domains import lost
from tests.domains.conftest import HASH, fresh
from tests.domains.real_agent import RealAgent, held, in_step

pytestmark = [pytest.mark.django_db(transaction=True, serialized_rollback=True)]

UNPAID = SuspensionCause.UNPAID
OWED, SPAM = "Invoice 2026-17 is not paid", "Spam was sent"
NOTHING = (None, None, True)


@pytest.fixture(autouse=True)
def anna(server, hosted):
    return hosted.add_mailbox("anna", password_hash=HASH, by=None)


def on(agent: RealAgent, server: MailServer) -> tuple[str | None, str | None, bool]:
    """Why anna may not send and not receive, in the words of the mail server, and whether she may sign in."""
    sync(server.pk)
    assert in_step(agent, server)
    ((*_, send, receive),) = agent.query(policy.MAILBOX, "acme.test", "anna")
    return send, receive, bool(agent.query(effects.MAY_SIGN_IN, "acme.test", "anna"))


def owes(customer: Customer, *stops: str) -> Any:
    return customer.suspend(reason=OWED, stops=stops, by=None, cause=UNPAID)


def states(agent: RealAgent) -> dict[str, list[str]]:
    return {row.reason: row.stops for row in held(agent).values() if isinstance(row, wire.State)}


def test_money_stops_what_it_names_and_never_signing_in(agent, server, acme):
    owes(acme, "send")
    assert on(agent, server) == (OWED, None, True)
    owes(acme, "send", "receive")
    assert on(agent, server) == (OWED, OWED, True)
    assert states(agent) == {OWED: ["receive", "send"]}
    assert acme.lift_suspension(by=None, cause=UNPAID)
    assert on(agent, server) == NOTHING
    owes(acme, "sign_in")
    assert on(agent, server) == (None, None, False)


def test_two_stop_the_union_and_each_goes_by_itself(agent, server, acme, sam):
    for first, second in (("staff", "unpaid"), ("unpaid", "staff")):
        acme.suspend(reason=SPAM, stops=["receive", "sign_in"], by=sam)
        owes(acme, "send")
        assert on(agent, server) == (OWED, SPAM, False)
        acme.lift_suspension(by=sam, cause=SuspensionCause(first))
        assert on(agent, server) == {"staff": (OWED, None, True), "unpaid": (None, SPAM, False)}[first]
        acme.lift_suspension(by=sam, cause=SuspensionCause(second))
        assert on(agent, server) == NOTHING


def test_what_both_stop_stays_stopped_until_both_are_lifted(agent, server, acme, sam):
    acme.suspend(reason=SPAM, stops=["send"], by=sam)
    owes(acme, "send")
    assert on(agent, server)[0] in (SPAM, OWED)
    acme.lift_suspension(by=None, cause=UNPAID)
    assert on(agent, server) == (SPAM, None, True)


def test_a_step_reaches_the_server_in_one_page(agent, server, acme, monkeypatch):
    """So that there is no moment in which nothing is stopped."""
    first = owes(acme, "send")
    sync(server.pk)
    pages, real = [], Agent.changes

    def changes(self: Agent, page: wire.Changes) -> Any:
        pages.append({row.key: row.data is not None for row in page.rows})
        return real(self, page)

    monkeypatch.setattr(Agent, "changes", changes)
    second = owes(acme, "send", "receive")
    assert on(agent, server) == (OWED, OWED, True)
    assert pages == [{first.pk.hex: False, second.pk.hex: True}]


def test_two_are_as_before_after_a_rebuild_and_a_digest(agent, server, acme, sam):
    acme.suspend(reason=SPAM, stops=["receive"], by=sam)
    owes(acme, "send")
    assert on(agent, server) == (OWED, SPAM, True)
    agent.kill()
    agent.wipe()
    agent.start()
    want_rebuild(server, "Wiped.")
    rebuild(server.pk)
    assert on(agent, server) == (OWED, SPAM, True)
    acme.lift_suspension(by=sam)
    assert on(agent, server) == (OWED, None, True)
    ServerSync.objects.filter(server=server).update(digest_wanted_at=timezone.now())
    digest(server.pk)
    assert fresh(server).sync.digest_at
    assert not Incident.objects.filter(kind="different").exists()


@pytest.fixture
def kept(transactional_db):
    yield
    lost.forget()


def test_two_that_the_panel_forgot_come_back_as_one_of_staffs(kept, agent, server, acme, sam):
    """Their causes are not on the server; nothing that was stopped goes on, and staff can lift it."""
    sync(server.pk)
    lost.keep()
    acme.suspend(reason=SPAM, stops=["receive", "sign_in"], by=sam)
    owes(acme, "send")
    taken_back(server, sam)
    acme = Customer.objects.get()
    reason = acme.suspension.reason
    assert reason in (f"{SPAM}. {OWED}", f"{OWED}. {SPAM}")
    assert on(agent, server) == (reason, reason, False)
    assert states(agent) == {reason: ["receive", "send", "sign_in"]}
    assert (acme.status, acme.restriction) == ("suspended", None)
    assert acme.lift_suspension(by=sam)
    assert on(agent, server) == NOTHING


def test_one_that_the_panel_knows_keeps_its_cause(kept, agent, server, acme, sam):
    owed = owes(acme, "send")
    sync(server.pk)
    lost.keep()
    acme.suspend(reason=SPAM, stops=["receive"], by=sam)
    taken_back(server, sam)
    assert on(agent, server) == (OWED, SPAM, True)
    assert Customer.objects.get().restriction == owed


def taken_back(server: MailServer, staff: User) -> None:
    """The panel forgets what it did since `lost.keep`, and staff decide that the server is right."""
    sync(server.pk)
    lost.bring_back()
    Mailbox.objects.get().change(3, "", by=None)
    sync(server.pk)
    compare(server.pk)
    server_is_right(server, token(fresh(server).sync), by=staff)
    take_over(server.pk)
    assert not Difference.objects.exclude(refused="").exists()


def test_taking_one_twice_is_harmless(server, acme, sam):
    standing, key = acme.suspend(reason=SPAM, stops=["receive"], by=sam), uuid4()
    subject = acme.pk.hex
    forgotten = wire.State(subject_kind="customer", subject=subject, stops=["send"], reason=OWED, until=None)
    for _ in range(2):
        with unit_of_work():
            assert Taker(server, sam).take(key, forgotten)
        kept = acme.suspensions.get()
        assert (kept.pk, kept.stops, kept.reason) == (standing.pk, ["receive", "send"], f"{SPAM}. {OWED}")
