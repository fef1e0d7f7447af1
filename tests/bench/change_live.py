"""How long after its POST is answered a mailbox is live: effective on its server, and found by Dovecot."""

import imaplib
import ssl
import time
from secrets import token_hex
from statistics import median

from mailnode.schema import connect_read_only
from tests.bench.browser import Browser
from tests.bench.dovecot_auth import DovecotAuth
from tests.bench.figures import figure, percentile
from tests.bench.stack import Stack

MAILBOXES = 200
SIGN_INS = 10
POLL_SECONDS = 0.001
PATIENCE_SECONDS = 30

# `revision` seen together with the row is at or above that of the row.
SEEN = """SELECT meta.revision, meta.effective, EXISTS (
    SELECT 1 FROM mailboxes JOIN domains ON domains.id = mailboxes.domain
    WHERE domains.name = ? AND mailboxes.local_part = ?) FROM meta"""


def run(stack: Stack) -> None:
    signs_in = stack.customer
    domain = stack.facts["mailboxes"][0]["address"].partition("@")[2]
    browser = Browser(stack.panel)
    browser.sign_in(signs_in["email"], signs_in["password"])
    page = f"/c/{signs_in['customer']}/domains/{domain}/mailboxes/add/"
    browser.get(page)
    run_name, password = token_hex(4), token_hex(12)
    waited = Waited(stack, domain)
    with waited.auth:
        for number in range(MAILBOXES + 5):
            name = f"live-{run_name}-{number}"
            browser.post(page, username=name, password=password, quota_mb="100", name="")
            waited.until_live(name)
    times = waited.milliseconds[5:]  # the first ones open connections and start workers
    figure("mailbox live after POST, p95", percentile(times, 95), "ms", n=len(times), goal="<= 60 ms")
    figure("mailbox live after POST, p50", median(times), "ms", n=len(times))
    sign_ins = [sign_in(stack, f"live-{run_name}-{number}@{domain}", password) for number in range(SIGN_INS)]
    figure("IMAP sign-in to a new mailbox, p50", median(sign_ins), "ms", n=len(sign_ins))


class Waited:
    """Polls a mail server's node.db and its Dovecot, and keeps how long each mailbox took."""

    def __init__(self, stack: Stack, domain: str) -> None:
        self.node = connect_read_only(stack.node / "db" / "node.db")
        self.auth = DovecotAuth(stack.node / "dovecot" / "run" / "auth-userdb")
        self.domain = domain
        self.milliseconds: list[float] = []

    def until_live(self, name: str) -> None:
        """Call it as soon as the POST is answered. TimeoutError when the mailbox does not come."""
        answered = time.perf_counter()
        wanted = None
        while True:
            revision, effective, is_there = self.node.execute(SEEN, (self.domain, name)).fetchone()
            if is_there and wanted is None:
                wanted = revision
            if wanted is not None and effective >= wanted and self.auth.passdb_finds(f"{name}@{self.domain}"):
                break
            if time.perf_counter() - answered > PATIENCE_SECONDS:
                raise TimeoutError(f"{name}@{self.domain} does not become live")
            time.sleep(POLL_SECONDS)
        self.milliseconds.append((time.perf_counter() - answered) * 1000)


def sign_in(stack: Stack, address: str, password: str) -> float:
    """Milliseconds from opening a connection to IMAP over TLS until the mailbox is signed in."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE  # loopback; the time is what is asked for
    started = time.perf_counter()
    with imaplib.IMAP4_SSL(
        stack.server["host"], stack.server["imaps"], ssl_context=context, timeout=30
    ) as client:
        client.login(address, password)
        return (time.perf_counter() - started) * 1000
