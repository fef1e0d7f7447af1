"""The send limits as Postfix meets them: which hold for a mailbox, and what a sender reads who has reached one."""

import time
from datetime import UTC, datetime
from typing import NamedTuple

from mailnode.limits import Hold, Limit, Reached, Tally, hour_of
from mailnode.postfix_log import PostfixLog
from mailnode.settings import Settings
from mailnode.windows import HOUR
from mailnode.wire import SENDS_PER_DAY


class Mailbox(NamedTuple):
    """One mailbox as node.db has it. `secret` changes with its password; `storage` is the plan of its
    customer in bytes (None: unlimited); `send` and `receive` are the reasons why these are stopped (None:
    they are not). Of a customer whose row has not come, `username` and the limits are None."""

    id: str
    local_part: str
    secret: str
    quota: int
    accepts: int
    domain: str
    customer: str
    username: str | None
    storage: int | None
    sends: int | None
    raised_to: int
    raised_until: int
    customer_sends: int | None
    customer_sends_in_sum: int | None
    send: str | None
    receive: str | None

    @property
    def address(self) -> str:
        """Under which it is counted: deleted and added again it has sent what it had sent."""
        return f"{self.local_part}@{self.domain}"


class Session:
    """One connection from Postfix, which is one process of it, which has one message on its way in at most
    (SMTPD_POLICY_README: a question with another `instance` says that the message before is over)."""

    def __init__(self, tally: Tally) -> None:
        self.tally = tally
        self.hold: Hold | None = None

    def begins(self, instance: str) -> None:
        """A question about this message has come."""
        if self.hold and self.hold.instance != instance:
            self.ends()

    def ends(self) -> None:
        """The message is over, or the connection is."""
        if self.hold:
            self.tally.release(self.hold)
            self.hold = None


class Sending:
    """Counts what the mailboxes of a server send."""

    def __init__(self, settings: Settings, tally: Tally, log: PostfixLog) -> None:
        self.settings, self.tally, self.log = settings, tally, log

    def hold(self, session: Session, mailbox: Mailbox, question: dict[str, str]) -> str | None:
        """Hold a recipient; the refusal where there is no room for one more."""
        hold = self._hold_of(session, mailbox, question)
        reached = self.tally.hold(hold)
        if reached and self._has_given_back():
            reached = self.tally.hold(hold)
        if reached:  # the panel may know a mailbox that was added again only from now on
            self.tally.changed.add(reached.limit.subject)
        return self._refusal(mailbox, reached) if reached else None

    def count(self, session: Session, mailbox: Mailbox, question: dict[str, str]) -> str | None:
        """Count the recipients of a message that has come; the refusal where they are not held any more, and there is
        no room for them."""
        number = question.get("recipient_count", "")
        recipients = int(number) if number.isdecimal() and len(number) < 9 else 0
        hold = self._hold_of(session, mailbox, question)
        reached = self.tally.count(hold, recipients, question.get("queue_id", ""))
        session.hold = None
        return self._refusal(mailbox, reached) if reached else None

    def read_log(self) -> bool:
        """Give back what Postfix's log says; whether it said anything. Raises OSError where it cannot be read."""
        seen = False
        for news in self.log.news():
            if isinstance(news, str):
                self.tally.take_back(news)
            else:
                self.tally.release_client(news)
            seen = True
        return seen

    def _has_given_back(self) -> bool:
        """Whether the log just now gave something back."""
        try:
            return self.read_log()
        except OSError:
            return False

    def _hold_of(self, session: Session, mailbox: Mailbox, question: dict[str, str]) -> Hold:
        if session.hold is None:
            client = question.get("client_address", ""), question.get("client_port", "")
            session.hold = Hold(question.get("instance", ""), client, self._limits(mailbox))
        return session.hold

    def _limits(self, mailbox: Mailbox) -> list[Limit]:
        """What holds for a mailbox, the narrowest first."""
        given, day = self.settings.limits, day_of(mailbox, time.time())
        return [
            Limit(("mailbox", mailbox.address), hour_of(day, given.mailbox_hour), day),
            Limit(("customer", mailbox.customer), given.customer_hour or None, mailbox.customer_sends_in_sum),
            Limit(("server", ""), given.server_hour or None, given.server_day or None),
        ]

    def _refusal(self, mailbox: Mailbox, reached: Reached) -> str:
        """With the limit, when it lets somebody through again, and the page that says more."""
        whose = {
            "mailbox": "This mailbox",
            "customer": "All mailboxes of this customer together",
            "server": "This mail server",
        }[reached.limit.subject[0]]
        span = "an hour" if reached.seconds == HOUR else "a day"
        text = f"450 4.7.1 {whose} may send to {reached.recipients} recipients {span}"
        if reached.frees_at:
            text += f"; again from {datetime.fromtimestamp(reached.frees_at, UTC):%Y-%m-%d %H:%M:%S} UTC"
        page = (
            f"{self.settings.panel_url.rstrip('/')}/c/{mailbox.username}/domains/{mailbox.domain}/mailboxes/"
        )
        return text + (
            f"; see {page}{mailbox.local_part}/" if self.settings.panel_url and mailbox.username else ""
        )


def day_of(mailbox: Mailbox, now: float) -> int:
    """The limit of a day in force: its customer's, or the raised one until its end, and never more than the mailbox's
    own."""
    plan = SENDS_PER_DAY if mailbox.customer_sends is None else mailbox.customer_sends
    most = max(plan, mailbox.raised_to) if mailbox.raised_until > now else plan
    return most if mailbox.sends is None else min(most, mailbox.sends)
