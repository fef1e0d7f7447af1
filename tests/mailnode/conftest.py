"""Mail servers for tests: the agent alone, or all daemons."""

from collections.abc import Iterator

import pytest

from tests.mailnode.server import Server, customer, domain, mailbox, new_private_key, password_hash


@pytest.fixture
def server() -> Iterator[Server]:
    """A mail server's directory, with nothing running."""
    made = Server()
    yield made
    made.remove()


@pytest.fixture
def agent(server: Server) -> Server:
    """A mail server whose agent runs, alone."""
    server.start("agent")
    return server


@pytest.fixture(scope="session")
def private_key() -> str:
    """A DKIM key."""
    return new_private_key()


@pytest.fixture(scope="session")
def private_keys(private_key: str) -> list[str]:
    """Several DKIM keys."""
    return [private_key, new_private_key(), new_private_key()]


def peopled() -> Iterator[Server]:
    """A mail server with every daemon and the mailboxes anna and bob of acme and mallory of another customer."""
    made = Server()
    try:
        made.command("render")
        made.start()
        made.push(
            customer("acme"),
            customer("mal"),
            domain("acme.test"),
            domain("mal.test", "mal"),
            mailbox("anna@acme.test", secret=password_hash("anna-secret")),
            mailbox("bob@acme.test", secret=password_hash("bob-secret")),
            mailbox("mallory@mal.test", 200_000, secret=password_hash("mallory-secret")),
        )
        yield made
    finally:
        made.remove()


# One for all tests, each of which leaves it as it was.
mail_server = pytest.fixture(scope="package", name="mail_server")(peopled)
