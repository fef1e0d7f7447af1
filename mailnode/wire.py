"""The wire format between the panel and a mail server's agent: every shape, typed, versioned and bounded.

JSON over HTTPS; the panel calls, the agent answers. Both sides decode with `decode` and encode with `encode`,
so a shape that breaks a bound never gets past this module. Unknown fields are ignored and an unknown kind is
refused whole, so panel and node may be one version apart. Ids are UUIDs as 32 lower-case hex digits, sizes
are bytes, times are seconds since the epoch.

| Call | Body -> answer |
|---|---|
| GET /v1/status | -> Status |
| POST /v1/changes | Changes -> Applied; 409 Point (the node's own); 422 Refusal |
| GET /v1/digest?domain=&after=&limit= | -> Digest |
| GET /v1/digests?after=&limit= | -> Digests (wire 2) |
| GET /v1/rows?after=&limit= | -> RowPage (wire 2) |
| GET /v1/usage?after=&limit= | -> UsagePage |
| GET /v1/events?after=&limit=&wait= | -> EventPage |
| POST /v1/rebuild | Rebuild -> Applied; 409 RebuildState; 422 Refusal (wire 2) |
| POST /v1/commands/<name> | Command -> Done; 422 Refusal |
| POST /v1/renew | Renew -> Renewal; 422 Refusal (wire 2) |

Every error is a Refusal: 400 (not JSON, or a broken bound), 401 (bad key), 404, 413 (too large), 422
(understood and refused), 500, 503 (try again later).
"""

import hashlib
from collections.abc import Iterable
from typing import Annotated, Any, Literal, TypeVar

import msgspec
from msgspec import Meta, Struct

WIRE = 4
WIRES = (1, 4)  # the oldest and the newest version that this code speaks

MAX_ROWS = 1_000  # rows in one page of changes or of a rebuild
MAX_BODY = 16 * 2**20  # bytes of one request or answer: 1,000 rows of the largest kind and some room
MAX_ENTRIES = 1_000  # entries in one page of usage, events or a digest

SENDS_PER_DAY = 9_600  # recipients of a mailbox, where nothing else is said

Id = Annotated[str, Meta(pattern=r"\A[0-9a-f]{32}\Z")]
Count = Annotated[int, Meta(ge=0, le=2**53)]
Mark = Annotated[str, Meta(pattern=r"\A[0-9A-Za-z_-]{0,64}\Z")]
Cursor = Annotated[str, Meta(pattern=r"\A[0-9A-Za-z_.:-]{0,64}\Z")]
Label = Annotated[str, Meta(pattern=r"\A[a-z][a-z0-9_]{0,31}\Z")]
NO_NUL = r"\A[^\x00]*\Z"  # PostgreSQL stores none
Text = Annotated[str, Meta(max_length=500, pattern=NO_NUL)]

_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
DomainName = Annotated[str, Meta(max_length=253, pattern=rf"\A{_LABEL}(?:\.{_LABEL})+\Z")]
LocalPart = Annotated[str, Meta(pattern=r"\A(?!.*\.\.)[a-z0-9](?:[a-z0-9._-]{0,62}[a-z0-9])?\Z")]
Selector = Annotated[str, Meta(pattern=rf"\A{_LABEL}\Z", max_length=32)]
# An outside address that mail is sent on to; nothing that Postfix reads as more than one address.
_TARGET = rf"[A-Za-z0-9](?:[A-Za-z0-9'&=_.+-]{{0,62}}[A-Za-z0-9_-])?@{_LABEL}(?:\.{_LABEL})+"
Target = Annotated[str, Meta(max_length=254, pattern=rf"\A(?:{_TARGET})?\Z")]
# Dovecot's {SCHEME}hash; clear-text schemes are not in the list.
_SCHEMES = "ARGON2ID?|BLF-CRYPT|SHA512-CRYPT|SHA256-CRYPT|CRYPT|PBKDF2|SSHA512|SSHA256"
PasswordHash = Annotated[str, Meta(pattern=rf"\A\{{(?:{_SCHEMES})\}}[0-9A-Za-z$./+=,_-]{{1,400}}\Z")]
PrivateKey = Annotated[
    str,
    Meta(
        max_length=8_192,
        pattern=r"\A-----BEGIN ((?:RSA )?PRIVATE KEY)-----\n[0-9A-Za-z+/=\n]+\n-----END \1-----\n?\Z",
    ),
]

Stop = Literal["sign_in", "send", "receive"]
SubjectKind = Literal["customer", "domain", "mailbox"]


class Wire(Struct, frozen=True, kw_only=True):
    """Base of every shape; unknown fields are ignored by msgspec."""


# What a row says, by kind. A field that is added later needs a default: defaults are left out of the hash, so
# rows that do not use the field keep their hash while panel and node are one version apart.


class Customer(Wire, frozen=True, kw_only=True, omit_defaults=True):
    """Kind `customer`, key = the customer's id. `storage_bytes` is what the plan allows in sum, None =
    unlimited. Since wire 3: `contact`, to whom mail for postmaster@ and abuse@ of its domains goes where no
    mailbox has the name ("": nobody); never such an address itself, so that it leads nowhere else. Since
    wire 4: `sends_per_day`, to how many recipients each of its mailboxes may send in a day (None: SENDS_PER_DAY), and
    `sends_per_day_in_sum`, all of them together (None: no limit of their own)."""

    username: Annotated[str, Meta(pattern=r"\A[a-z0-9_]{1,10}\Z")]
    storage_bytes: Count | None
    contact: Target = ""
    sends_per_day: Count | None = None
    sends_per_day_in_sum: Count | None = None


class Domain(Wire, frozen=True, kw_only=True, omit_defaults=True):
    """Kind `domain`, key = the domain's id. `name` is lower case, A-labels, no trailing dot. Without
    `accepts` this server takes no mail for the domain (its mail is hosted elsewhere), but its mailboxes may
    sign in and send."""

    customer: Id
    name: DomainName
    accepts: bool = True


class Mailbox(Wire, frozen=True, kw_only=True, omit_defaults=True):
    """Kind `mailbox`, key = the mailbox's id, which also names its home. `quota_bytes` 0 = unlimited. Since wire 4:
    `sends_per_day`, a limit of its own that can only be lower than its customer's (None: it has none), and
    `raised_to`, what stands for its customer's until `raised_until` (0: it is not raised)."""

    domain: Id
    local_part: LocalPart
    quota_bytes: Count
    password_hash: PasswordHash
    sends_per_day: Count | None = None
    raised_to: Count = 0
    raised_until: Count = 0


class Dkim(Wire, frozen=True, kw_only=True, omit_defaults=True):
    """Kind `dkim`, key = the DKIM key's id. At most one key of a domain has `signs`; the others are published
    or kept for a rotation. `private_key` is an RSA key in PEM (PKCS#8 or PKCS#1) and stands on the node in
    Rspamd's key file alone."""

    domain: Id
    selector: Selector
    private_key: PrivateKey
    signs: bool = True


class State(Wire, frozen=True, kw_only=True, omit_defaults=True):
    """Kind `state`, key = the suspension's id: what is stopped for the subject, why, and until when (None =
    until it is lifted, which removes the row). States of a mailbox, its domain and its customer add up."""

    subject_kind: SubjectKind
    subject: Id
    stops: Annotated[list[Stop], Meta(min_length=1, max_length=3)]
    reason: Text
    until: Count | None

    def __post_init__(self) -> None:
        msgspec.structs.force_setattr(self, "stops", sorted(set(self.stops)))  # one form, one hash


Data = Customer | Domain | Mailbox | Dkim | State

KINDS: dict[str, type[Customer] | type[Domain] | type[Mailbox] | type[Dkim] | type[State]] = {
    "customer": Customer,
    "domain": Domain,
    "mailbox": Mailbox,
    "dkim": Dkim,
    "state": State,
}


class Row(Wire, frozen=True, kw_only=True):
    """One row of a server as it should be; `data` None = gone. Build with `row`, read with `data_of`."""

    kind: Label
    key: Id
    data: dict[str, Any] | None


Rows = Annotated[list[Row], Meta(max_length=MAX_ROWS)]


class Point(Wire, frozen=True, kw_only=True):
    """A place in a server's history: its revision and the random mark that the panel gave it. A fresh node is
    at (0, ""). Also the body of a 409: where the node really is."""

    revision: Count
    mark: Mark


class Changes(Wire, frozen=True, kw_only=True):
    """Bring a node from `base` to (`revision`, `mark`). Rows are in no particular order; each key stands at
    most once; `revision` is higher than the base's."""

    wire: Count
    base: Point
    revision: Count
    mark: Mark
    rows: Rows


class Applied(Wire, frozen=True, kw_only=True):
    """The node has committed `revision`; everything that follows from rows up to `effective` has come
    about."""

    revision: Count
    effective: Count


class Refusal(Wire, frozen=True, kw_only=True):
    """What was wrong, for the panel's log and its staff; `kind` and `key` name the row where there is one."""

    error: Annotated[str, Meta(max_length=1_000, pattern=NO_NUL)]
    kind: Annotated[str, Meta(max_length=64, pattern=NO_NUL)] | None = None
    key: Annotated[str, Meta(max_length=64, pattern=NO_NUL)] | None = None


class Service(Wire, frozen=True, kw_only=True):
    """One daemon of the mail server. `running` says whether it answered on its own socket just now."""

    name: Annotated[str, Meta(max_length=64, pattern=NO_NUL)]
    running: bool


class Disk(Wire, frozen=True, kw_only=True):
    """The file system that holds the mail, in bytes."""

    total: Count
    free: Count


class Status(Wire, frozen=True, kw_only=True):
    """How a mail server is. `queue` counts queued messages (None: unknown). `lag_error` says why `effective`
    stays behind `revision`. `rows` counts live rows by kind. Since wire 2: `agent_not_after`, the end of the
    agent's own certificate (0: unknown), and `rebuild`, the one that is under way."""

    wire: Count
    wires: Annotated[list[Count], Meta(min_length=2, max_length=2)]
    version: Annotated[str, Meta(max_length=32, pattern=NO_NUL)]
    name: Annotated[str, Meta(max_length=253, pattern=NO_NUL)]
    revision: Count
    mark: Mark
    effective: Count
    services: Annotated[list[Service], Meta(max_length=32)]
    disk: Disk
    queue: Count | None
    certificate_not_after: Count
    rows: Annotated[dict[Label, Count], Meta(max_length=64)]
    lag_error: Annotated[str, Meta(max_length=1_000, pattern=NO_NUL)] | None
    time: Count
    agent_not_after: Count = 0
    rebuild: "RebuildState | None" = None


class DigestRow(Wire, frozen=True, kw_only=True):
    """One row and the hash of what the node really holds for it (see `row_hash`)."""

    kind: Label
    key: Id
    hash: Annotated[str, Meta(pattern=r"\A[0-9a-f]{64}\Z")]


class Digest(Wire, frozen=True, kw_only=True):
    """What a node holds of one domain: its own row, its mailboxes, its DKIM keys, its customer, and the
    states of all of these. `count` and `sha256` (see `digest_hash`) are over all rows; `rows` is one page of
    them, sorted by (kind, key), and `next` (the `after` of the next page, "<kind>:<key>") is None on the
    last."""

    revision: Count
    mark: Mark
    domain: Id
    count: Count
    sha256: Annotated[str, Meta(pattern=r"\A[0-9a-f]{64}\Z")]
    rows: Annotated[list[DigestRow], Meta(max_length=MAX_ENTRIES)]
    next: Cursor | None


class DomainDigest(Wire, frozen=True, kw_only=True):
    """All rows of one domain in one number: `count` and `sha256` as in Digest."""

    domain: Id
    count: Count
    sha256: Annotated[str, Meta(pattern=r"\A[0-9a-f]{64}\Z")]


class Digests(Wire, frozen=True, kw_only=True):
    """The digests of the domains that the node holds anything of, in the order of their ids, from the first
    one after the id `after` on. `next` is the last id here, None on the last page. There `rows` counts all
    live rows of the node by kind, so that a row that belongs to no domain shows, too; it is empty before."""

    revision: Count
    mark: Mark
    domains: Annotated[list[DomainDigest], Meta(max_length=MAX_ENTRIES)]
    next: Cursor | None
    rows: Annotated[dict[Label, Count], Meta(max_length=64)]


class RowPage(Wire, frozen=True, kw_only=True):
    """Everything the node holds, row by row in the order of (kind, key), with passwords' hashes and DKIM keys: for
    a panel that lost its own history. `after` and `next` as in Digest ("<kind>:<key>"); all pages are of one state
    only where `revision` and `mark` stay the same."""

    revision: Count
    mark: Mark
    rows: Rows
    next: Cursor | None


class Usage(Wire, frozen=True, kw_only=True):
    """What a mailbox holds now, and when somebody last signed in to it (IMAP, POP3 or ManageSieve)."""

    mailbox: Id
    bytes: Count
    messages: Count
    last_sign_in: Count | None


class Sent(Wire, frozen=True, kw_only=True):
    """To how many recipients a mailbox, or all of a customer's together, sent in the last hour and the last day, and
    when the oldest of these fall out of it (None: there are none)."""

    subject_kind: Literal["mailbox", "customer"]
    subject: Id
    hour: Count
    day: Count
    hour_rolls_at: Count | None
    day_rolls_at: Count | None


class UsagePage(Wire, frozen=True, kw_only=True):
    """Mailboxes whose usage or last sign-in changed after the cursor, each once with its present values.
    `next` is the cursor to go on from, also when there are no entries; "" is the beginning. Since wire 4: `sent`,
    what was sent, likewise."""

    entries: Annotated[list[Usage], Meta(max_length=MAX_ENTRIES)]
    next: Cursor
    sent: Annotated[list[Sent], Meta(max_length=MAX_ENTRIES)] = []


class Event(Wire, frozen=True, kw_only=True):
    """Something that happened to mail: envelope facts only, never a subject or a body. `data` by kind."""

    id: Count
    at: Count
    kind: Label
    data: dict[str, Any]


class EventPage(Wire, frozen=True, kw_only=True):
    """Events after the cursor, oldest first. `gap`: events between the cursor and the first one here were
    dropped."""

    events: Annotated[list[Event], Meta(max_length=MAX_ENTRIES)]
    next: Cursor
    gap: bool


class Rebuild(Wire, frozen=True, kw_only=True):
    """One page of a rebuild from nothing. All pages of one `rebuild` carry the same target (`revision`,
    `mark`), are numbered by `seq` from 0, and replace everything the node holds once the page with `last` has
    arrived."""

    wire: Count
    rebuild: Id
    revision: Count
    mark: Mark
    seq: Count
    rows: Rows
    last: bool


class RebuildState(Wire, frozen=True, kw_only=True):
    """Answer 409 to a rebuild page: the rebuild that is under way (None: none) and the page that it waits
    for."""

    rebuild: Id | None
    seq: Count


class Command(Wire, frozen=True, kw_only=True):
    """Something to be done once: the same `id` again answers as the first time. Commands: `kick` {mailbox}
    ends the open sessions of a mailbox; `purge` {home} removes the mail of a mailbox that is gone, and is
    refused until the days that the node keeps it are over (a week later the node does it by itself)."""

    wire: Count
    id: Id
    mailbox: Id | None = None
    home: Id | None = None


class Done(Wire, frozen=True, kw_only=True):
    """The command has been carried out; `repeated` if an earlier call with this id did it."""

    id: Id
    repeated: bool


class Renew(Wire, frozen=True, kw_only=True):
    """A step to another bearer key and certificate of the agent; each may come again. `begin` makes the next ones,
    `switch` shows the next certificate, `end` lets the former key go and must be asked for with the next one."""

    wire: Count
    step: Literal["begin", "switch", "end"]


class Renewal(Wire, frozen=True, kw_only=True):
    """The next bearer key (after `begin`), and the pin of the certificate that is shown from `switch` on."""

    key: Annotated[str, Meta(pattern=r"\A[0-9A-Za-z_-]{20,100}\Z")] | None
    certificate_sha256: Annotated[str, Meta(pattern=r"\A[0-9a-f]{64}\Z")]


T = TypeVar("T")


class WireError(ValueError):
    """What came is not the shape that was expected, or a row of it is not. `kind` and `key` name the row."""

    def __init__(self, message: str, kind: str | None = None, key: str | None = None) -> None:
        super().__init__(message)
        self.kind = kind
        self.key = key


def encode(value: Wire) -> bytes:
    """The JSON of a shape."""
    return msgspec.json.encode(value)


def decode(body: bytes, shape: type[T]) -> T:
    """The shape in `body`; raises WireError if it is too large, not JSON, or breaks a bound. The message
    names the place but quotes nothing of the body, which may hold secrets."""
    if len(body) > MAX_BODY:
        raise WireError(f"larger than {MAX_BODY} bytes")
    try:
        return msgspec.json.decode(body, type=shape)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise WireError(str(error)[:500]) from None


def row(kind: str, key: str, data: Data | None) -> Row:
    """The row of `kind` with this content; raises WireError where content and kind do not fit or a bound
    breaks."""
    fields = None if data is None else msgspec.to_builtins(data)
    made = Row(kind=kind, key=key, data=fields)
    data_of(made)
    return made


def data_of(row: Row) -> Data | None:
    """What a row says, checked; raises WireError for an unknown kind or a broken bound, naming kind and
    key."""
    shape = KINDS.get(row.kind)
    if shape is None:
        raise WireError(f"unknown kind {row.kind[:64]}", row.kind[:64], row.key[:64])
    try:
        msgspec.convert(row.key, Id)
        return None if row.data is None else msgspec.convert(row.data, shape)
    except msgspec.ValidationError as error:
        raise WireError(str(error)[:500], row.kind, row.key[:64]) from None


def row_hash(kind: str, key: str, data: Data) -> str:
    """SHA-256 (hex) of a live row: what both sides compare in a digest. Gone rows have none."""
    content = msgspec.json.encode([kind, key, data], order="deterministic")
    return hashlib.sha256(content).hexdigest()


def digest_hash(hashes: Iterable[tuple[str, str, str]]) -> str:
    """SHA-256 (hex) over (kind, key, row hash) in any order: one number for all rows of a digest."""
    whole = hashlib.sha256()
    for kind, key, value in sorted(hashes):
        whole.update(f"{kind}:{key}:{value}\n".encode())
    return whole.hexdigest()
