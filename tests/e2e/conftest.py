"""What the end-to-end tests share: the living stack and the people of its demo data."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from secrets import token_hex

import pytest
from django.db import connections

from tests.e2e.browser import Browser
from tests.e2e.fire import Fire
from tests.e2e.hosting import Tenant
from tests.e2e.mail import Account
from tests.e2e.person import Person
from tests.e2e.stack import Stack
from tests.faults import Dice


@pytest.fixture(scope="session")
def stack() -> Stack:
    """The stack of MXPANEL_STACK. Without one these tests fail, for they prove nothing then."""
    path = Path(os.environ.get("MXPANEL_STACK", "/nonexistent"))
    if not path.exists():
        pytest.fail("No stack: MXPANEL_STACK names no file. Run `make test`, which starts one.")
    found = Stack(path)
    assert len(found.servers) >= 2, "The stack has one mail server; these tests need MAIL_SERVERS=2."
    return found


@pytest.fixture
def browser(stack: Stack, request: pytest.FixtureRequest) -> Iterator[Browser]:
    """Chromium with JavaScript. Its pictures go to a folder of the artifacts that is named as the test's file."""
    pictures = stack.artifacts / request.path.stem.removeprefix("test_").replace("_", "-")
    pictures.mkdir(parents=True, exist_ok=True)
    found = Browser(stack, pictures, request.function.__name__[len("test_") :][:40], javascript=True)
    try:
        yield found
    finally:
        found.close()


@pytest.fixture(scope="session")
def staff(stack: Stack) -> Person:
    """Somebody of the staff, signed in with the second factor."""
    facts = stack.sign_in("staff")
    person = Person(stack)
    person.sign_in(facts["email"], facts["password"], facts["totp_secret"])
    return person


@pytest.fixture(scope="session")
def acme(stack: Stack) -> Tenant:
    """The demo customer, by its owner."""
    return signed_in(stack, "customer")


@pytest.fixture(scope="session")
def globex(stack: Stack, acme: Tenant) -> Tenant:
    """Another customer, on the other mail server, by its owner."""
    other = signed_in(stack, "stranger")
    assert other.server != acme.server, "acme and the stranger are on one mail server"
    return other


def signed_in(stack: Stack, who: str) -> Tenant:
    facts = stack.sign_in(who)
    person = Person(stack)
    person.sign_in(facts["email"], facts["password"])
    return Tenant(stack, person, facts["customer"])


@pytest.fixture(scope="session")
def new_name() -> Callable[[str], str]:
    """Names that no earlier run on the same stack has used."""
    return lambda beginning: f"{beginning}-{token_hex(4)}"


@pytest.fixture(scope="module")
def anna(acme: Tenant, new_name: Callable[[str], str]) -> Account:
    """A fresh mailbox of acme."""
    return acme.add_mailbox("acme.test", new_name("anna"))


@pytest.fixture(scope="module")
def ben(acme: Tenant, new_name: Callable[[str], str]) -> Account:
    """Another fresh mailbox of acme."""
    return acme.add_mailbox("acme.test", new_name("ben"))


@pytest.fixture(scope="module")
def carl(globex: Tenant, new_name: Callable[[str], str]) -> Account:
    """A fresh mailbox of the other customer, on the other mail server."""
    return globex.add_mailbox("globex.test", new_name("carl"))


@pytest.fixture(scope="session")
def domains(
    acme: Tenant, globex: Tenant, new_name: Callable[[str], str]
) -> Iterator[list[tuple[Tenant, str]]]:
    """A domain of each of two customers on two servers, for the fault tests alone."""
    made = [(tenant, new_name("faults") + ".test") for tenant in (acme, globex)]
    for tenant, name in made:
        tenant.add_domain(name)
    yield made
    for tenant, name in made:
        tenant.person.sends(tenant.page(name, "delete"), confirm=name)


@pytest.fixture
def under_fire(stack: Stack, domains: list[tuple[Tenant, str]], rng: Dice) -> Fire:
    return Fire(stack, domains, rng)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What kills things goes last: the database of every other test is killed with them. Alarms before that, for
    what is told for the second time within the hour is told later.
    """
    last = ["tests/e2e/test_alarms", "tests/e2e/test_fault"]
    items.sort(key=lambda item: max(n * item.nodeid.startswith(name) for n, name in enumerate(last, 1)))


@pytest.fixture(scope="module", autouse=True)
def no_connection_is_left() -> Iterator[None]:
    """Some tests end the stack's database; what connections this process has to it are of no use then."""
    yield
    connections.close_all()
