"""postmaster@ and abuse@ of a hosted domain (RFC 2142) reach somebody, whatever its customer does."""

from collections.abc import Callable
from email import message_from_bytes, policy

import pytest

from tests.e2e.hosting import Tenant, become_customer
from tests.e2e.mail import Account, arrived, folder, imap, letter, send_as_stranger, stranger
from tests.e2e.person import Person
from tests.e2e.stack import Stack
from tests.e2e.waiting import eventually

pytestmark = pytest.mark.timeout(120)

SENDER = "victim@elsewhere.test"


@pytest.fixture(scope="module")
def tenant(stack: Stack, staff: Person, carl: Account) -> Tenant:
    """A customer whose owner signs in with the address of carl's mailbox, which another customer has."""
    return become_customer(stack, staff, address=carl.address)


@pytest.fixture(scope="module")
def domain(tenant: Tenant, new_name: Callable[[str], str]) -> str:
    name = new_name("roles") + ".test"
    tenant.add_domain(name)
    eventually(lambda: rcpt(tenant, f"postmaster@{name}") == 250, 40)
    return name


def rcpt(tenant: Tenant, address: str) -> int:
    with stranger(tenant.server) as client:
        client.mail(SENDER)
        return int(client.rcpt(address)[0])


def complaint(tenant: Tenant, address: str) -> str:
    """Another mail server writes to this address; the subject."""
    return send_as_stranger(tenant.server, address, letter(SENDER, address))


def assert_unchanged(raw: bytes) -> None:
    assert message_from_bytes(raw, policy=policy.default)["From"] == SENDER


@pytest.mark.parametrize("role", ["postmaster", "abuse"])
def test_they_reach_the_owner(tenant: Tenant, domain: str, carl: Account, role: str) -> None:
    assert_unchanged(arrived(carl, complaint(tenant, f"{role}@{domain}")))


def test_a_mailbox_of_that_name_comes_first_and_the_owner_again_once_it_is_gone(
    tenant: Tenant, domain: str, carl: Account
) -> None:
    abuse = tenant.add_mailbox(domain, "abuse")
    assert_unchanged(arrived(abuse, complaint(tenant, abuse.address)))
    tenant.person.sends(f"{tenant.mailbox_page(abuse)}delete/")
    written: list[str] = []
    assert_unchanged(eventually(lambda: reaches(tenant, abuse.address, carl, written), 60))


def reaches(tenant: Tenant, address: str, account: Account, written: list[str]) -> bytes:
    """One letter more to this address, whose subject joins those `written`; which of them is there within a moment,
    AssertionError while none is.
    """
    written.append(complaint(tenant, address))

    def look() -> bytes | None:
        with imap(account) as client:
            there = folder(client)
        return next((there[subject] for subject in written if subject in there), None)

    return eventually(look, 3, every=0.3) or b""
