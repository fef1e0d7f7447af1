"""Somebody who goes on sending mail while things die, and who knows afterwards what became of each message."""

import contextlib
import itertools
import re
import smtplib
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from secrets import token_hex

from tests.mailnode.clients import message
from tests.mailnode.server import Server

TIMEOUT = 30
HEADER = "X-Message-Number"


@dataclass
class Postman:
    """Sends from `sender` to `recipients` in turn, each message with a number of its own."""

    server: Server
    sender: str
    recipients: Sequence[str]
    sent: set[str] = field(default_factory=set)
    accepted: set[str] = field(
        default_factory=set
    )  # answered with 250, so that the server is answerable for them
    answers: Counter[int] = field(default_factory=Counter)  # to RCPT and to the end of DATA; 0: none
    refusals: set[str] = field(default_factory=set)  # answers for good

    @contextlib.contextmanager
    def at_work(self, hands: int = 1) -> Iterator[None]:
        """Send one message after the other, with so many hands, until the end of the block."""
        over = threading.Event()
        with ThreadPoolExecutor(hands) as pool:
            working = [pool.submit(self._work, over) for _ in range(hands)]
            try:
                yield
            finally:
                over.set()
                for each in working:
                    each.result()

    def _work(self, over: threading.Event) -> None:
        recipients = itertools.cycle(self.recipients)
        while not over.is_set():
            try:
                with smtplib.SMTP("127.0.0.1", self.server.ports["smtp"], timeout=TIMEOUT) as client:
                    client.ehlo("mail.stranger.example")
                    for recipient in itertools.islice(recipients, 5):
                        self._send(client, recipient)
            except (OSError, smtplib.SMTPException):
                self.answers[0] += 1
                time.sleep(0.05)

    def _send(self, client: smtplib.SMTP, recipient: str) -> None:
        number = token_hex(12)
        text = message("Somebody <somebody@stranger.example>", recipient, X_Message_Number=number)
        client.mail(self.sender)
        code, said = client.rcpt(recipient)
        self._note(code, said)
        if code == 250:
            self.sent.add(number)
            code, said = client.data(text)
            self._note(code, said)
            if code == 250:
                self.accepted.add(number)
        client.rset()

    def _note(self, code: int, said: bytes) -> None:
        self.answers[code] += 1
        if code >= 500:
            self.refusals.add(f"{code} {said.decode(errors='replace')}")


def numbers_in(files: Iterable[Path]) -> Counter[str]:
    """The numbers of the messages in files of mail or of Postfix's queue, with how many files hold each."""
    found: Counter[str] = Counter()
    for path in files:
        with contextlib.suppress(FileNotFoundError):  # it was moved on meanwhile
            found.update(set(re.findall(rf"{HEADER}: ([0-9a-f]{{24}})", path.read_text(errors="replace"))))
    return found
