"""What speaks against a message, by its envelope: stopped senders and recipients, full mailboxes and full
plans, send limits."""

import sqlite3
import time
import unicodedata
from collections import OrderedDict

from mailnode import schema
from mailnode.role_mail import RoleMail
from mailnode.sending import Mailbox, Sending, Session
from mailnode.settings import Settings

DUNNO = "DUNNO"
AWAY = "451 4.3.0 The server cannot look this up now, please try again later"
SENDER_GONE = "450 4.7.1 This mailbox can send again when you have signed in again"
NO_RELAY = "554 5.7.1 Relay access denied"
MAILBOX_FULL = "552 5.2.2 Mailbox is full"
PLAN_FULL = "452 4.2.2 The recipient's storage is full, please try again later"

# A mailbox by domain and local part, with its customer's plan, and the reasons of what is stopped (NULL:
# nothing).
_REASON = """(SELECT s.reason FROM states s WHERE s.subject IN (m.id, d.id, d.customer) AND s.{stop} = 1
AND {holds} LIMIT 1)"""
MAILBOX = f"""
SELECT m.id, m.local_part, m.secret, m.quota_bytes, d.accepts, d.name, d.customer, c.username, c.storage_bytes,
    m.sends_per_day, m.raised_to, m.raised_until, c.sends_per_day, c.sends_per_day_in_sum,
    {_REASON.format(stop="send", holds=schema.HOLDS)}, {_REASON.format(stop="receive", holds=schema.HOLDS)}
FROM domains d JOIN mailboxes m ON m.domain = d.id LEFT JOIN customers c ON c.id = d.customer
WHERE d.name = ? AND m.local_part = ?
"""  # noqa: S608 constants
USED = "SELECT bytes FROM usage_file.usage WHERE address = ?"
USED_BY_CUSTOMER = """SELECT coalesce(sum(u.bytes), 0) FROM domains d
JOIN usage_file.domain_usage u ON u.name = d.name WHERE d.customer = ?"""

SESSION_IDLE = 600.0  # seconds; Postfix ends an idle session after 300
REMEMBERED = 10_000  # signed-in SMTP sessions whose password is remembered


class Policy:
    """Answers from read-only connections; raises sqlite3.Error when node.db cannot be read."""

    def __init__(self, settings: Settings, sending: Sending) -> None:
        self.settings = settings
        self.sending = sending
        self.reopen()
        self.role_mail = RoleMail()
        self.signed_in: OrderedDict[tuple[str, str, str, str], tuple[str, float]] = OrderedDict()

    def reopen(self) -> None:
        """Open the files again, for example after an error; failing to is answered at the next question."""
        self.node = sqlite3.connect(":memory:")
        try:
            self.node = schema.connect_read_only(self.settings.database)
            self.node.execute("ATTACH DATABASE ? AS usage_file", (f"file:{self.settings.usage}?mode=rw",))
        except sqlite3.Error:
            self.node = sqlite3.connect(":memory:")

    def action(self, question: dict[str, str], session: Session) -> str:
        """What Postfix shall do. `question` holds the attributes of a policy request."""
        user = question.get("sasl_username", "").lower()
        sender = self._mailbox(user) if user else None
        speaks_against = self._against_sender(user, sender, question) or self._against_recipient(question)
        return speaks_against or self._against_sending(sender, question, session) or DUNNO

    def _against_sending(
        self, mailbox: Mailbox | None, question: dict[str, str], session: Session
    ) -> str | None:
        """The send limits: last of all, so that nobody pays for a recipient who is refused anyway."""
        session.begins(question.get("instance", ""))
        if mailbox is None:
            return None
        if question.get("protocol_state") == "RCPT":
            return self.sending.hold(session, mailbox, question)
        if question.get("protocol_state") == "END-OF-MESSAGE":
            return self.sending.count(session, mailbox, question)
        return None

    def _against_sender(self, user: str, mailbox: Mailbox | None, question: dict[str, str]) -> str | None:
        """A signed-in session goes on while its mailbox may send and keeps its password. Postfix offers
        nothing to end a session with, so a session is known by its client's port from its first message
        on."""
        if not user:
            return None
        if mailbox is None:
            return SENDER_GONE
        if mailbox.send is not None:
            return f"450 4.7.1 Sending is stopped for this mailbox{_because(mailbox.send)}"
        return None if self._first_secret(user, question, mailbox.secret) == mailbox.secret else SENDER_GONE

    def _first_secret(self, user: str, question: dict[str, str], secret: str) -> str:
        """What the mailbox's password was (as node.db tells passwords apart) when this SMTP session first
        asked."""
        process = question.get("instance", "").partition(".")[0]
        session = (user, question.get("client_address", ""), question.get("client_port", ""), process)
        now = time.monotonic()
        first, seen = self.signed_in.pop(session, (secret, now))
        if seen < now - SESSION_IDLE:
            first = secret
        self.signed_in[session] = (first, now)
        if len(self.signed_in) > REMEMBERED:
            self.signed_in.popitem(last=False)
        return first

    def _against_recipient(self, question: dict[str, str]) -> str | None:
        """Nothing for recipients elsewhere; at the end of a message Postfix names the recipient only if it is
        one."""
        local_part, _, domain = question.get("recipient", "").lower().rpartition("@")
        address = f"{local_part.partition('+')[0]}@{domain}"
        mailbox = self._mailbox(address)
        if mailbox is None:
            return self.role_mail.against(self.node, address, question)
        if not mailbox.accepts:  # its mail lives elsewhere; Postfix may remember for a moment that it did not
            return None if question.get("sasl_username") else NO_RELAY
        if mailbox.receive is not None:
            return f"450 4.2.1 Receiving is stopped for this mailbox{_because(mailbox.receive)}"
        size = question.get("size", "")
        arriving = int(size) if size.isdecimal() and len(size) < 16 else 0
        if mailbox.quota and self._used(address) + max(arriving, 1) > mailbox.quota:
            return MAILBOX_FULL
        return PLAN_FULL if self._is_plan_full(mailbox.customer, mailbox.storage) else None

    def _used(self, address: str) -> int:
        """As Dovecot noted at the end of the last session or delivery, at most ten seconds late."""
        row = self.node.execute(USED, (address,)).fetchone()
        return int(row[0]) if row else 0

    def _is_plan_full(self, customer: str, storage: int | None) -> bool:
        if storage is None:
            return False
        return int(self.node.execute(USED_BY_CUSTOMER, (customer,)).fetchone()[0]) >= storage

    def _mailbox(self, address: str) -> Mailbox | None:
        local_part, _, domain = address.rpartition("@")
        found = self.node.execute(MAILBOX, (domain, local_part)).fetchone()
        return Mailbox(*found) if found else None


def _because(reason: str) -> str:
    """The reason as the end of an SMTP reply: printable ASCII on one line, of bounded length."""
    letters = unicodedata.normalize("NFKD", reason)
    plain = "".join(
        letter if " " <= letter <= "~" else " " for letter in letters if not unicodedata.combining(letter)
    )
    text = " ".join(plain.split())[:200]
    return f": {text}" if text else ""
