"""Another bearer key and another certificate for a mail server's agent, while everything goes on.

Each step is committed or may come again, so whatever dies on the way: the same call completes it. From the first step
to the last the server takes both keys, and every call of the panel tries both certificates (`Agent`).
"""

from copy import copy

from accounts import audit
from accounts.models import User
from domains.driver.agent import Agent
from domains.driver.alone import RENEW, alone
from domains.models import MailServer
from foundation.unit_of_work import unit_of_work


class RenewalError(Exception):
    """The renewal did not come to its end; the message says what is left to do."""


def renew(server: MailServer, *, by: User | None) -> None:
    """Renew both, or complete a renewal that was cut off. RenewalError; AgentError when the server fails."""
    with alone(RENEW, server.pk) as mine:
        if not mine:
            raise RenewalError(f"Another process renews {server} just now.")
        server.refresh_from_db()
        if server.next_agent_key or _begin(server, by=by):
            _switch(server, by=by)
        Agent(server).renew("end")


def _begin(server: MailServer, *, by: User | None) -> bool:
    """Have the next ones made and note them; false when the panel uses them already, and the end alone is missing."""
    made = Agent(server).renew("begin")
    if made.key is None:
        raise RenewalError(f"{server} made no key. Look at the keeper's log there.")
    if made.key == server.agent_key:
        return False
    with unit_of_work():
        server.next_agent_key, server.next_certificate_sha256 = made.key, made.certificate_sha256
        server.save(update_fields=["next_agent_key", "next_certificate_sha256"])
        audit.record("server.renew", by=by, subject=server.name, after={"step": "begun"})
    return True


def _switch(server: MailServer, *, by: User | None) -> None:
    """Have the next certificate shown, see that it is, and use both from now on."""
    shown = Agent(server).renew("switch").certificate_sha256
    if shown != server.next_certificate_sha256:
        raise RenewalError(
            f"{server} shows a certificate ({shown}) that it did not announce. Compare it with agent/agent.pem there, "
            "then enrol the server again."
        )
    renewed = copy(server)
    renewed.agent_key, renewed.certificate_sha256 = server.next_agent_key, server.next_certificate_sha256
    Agent(renewed).status()
    with unit_of_work():
        server.agent_key, server.certificate_sha256 = renewed.agent_key, renewed.certificate_sha256
        server.next_agent_key = server.next_certificate_sha256 = ""
        server.save(
            update_fields=["agent_key", "certificate_sha256", "next_agent_key", "next_certificate_sha256"]
        )
        audit.record("server.renew", by=by, subject=server.name, after={"step": "switched"})
