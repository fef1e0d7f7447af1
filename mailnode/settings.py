"""Settings of one mail server: `node.toml` in its directory, every key with a default except the name.

    name = "mx1.mxpanel.test"        # host name: HELO, banner, certificate
    listen = ["127.0.0.1"]           # addresses of every service for clients
    exchange = "127.25.31.64"        # also listen on its port 25, and send from it
    dns = ["127.53.31.64"]           # resolvers that Rspamd asks, "address" or "address:port"
    internet = false                 # no look-ups at services on the internet (block lists, fuzzy hashes)
    sends_abroad = true              # false: mail to domains of other servers waits, none leaves the machine
    test_patterns = true             # Rspamd obeys the YJS... test pattern (GTUBE is refused anyway)
    delay_failed_sign_ins = false    # Dovecot's delay after failures
    hs_cache = "/var/cache/hs"       # compiled patterns of Rspamd, shared by servers on one machine

    panel_url = "https://panel.example.com"  # where a sender who has reached a limit reads more

    [limits]                         # recipients that may be sent to, see Limits
    server_hour = 50_000

    [agent]
    address = "127.0.0.1"
    port = 8400

    [ports]
    smtp = 8025                      # and so on, see Ports

The directory is always the one given with --dir, exactly as given (never resolved: it may be a bind mount),
and must be short: paths of sockets below it have 108 bytes at most."""

import ipaddress
import tomllib
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

MAX_DIRECTORY = 70  # the longest socket path below it has 36 characters

Port = Annotated[int, Meta(ge=1, le=65_535)]
HostName = Annotated[str, Meta(max_length=253, pattern=r"\A[a-z0-9-]+(?:\.[a-z0-9-]+)+\Z")]
UserName = Annotated[str, Meta(pattern=r"\A[a-z_][a-z0-9_-]{0,31}\Z")]


class Ports(Struct, frozen=True, kw_only=True):
    """TCP ports of the services for mail clients and other mail servers, and of the loopback listeners where
    Dovecot hands in what Sieve sends (`reinject`), and Postfix what goes to a role address (`roles`)."""

    smtp: Port = 25
    submission: Port = 587
    submission_alt: Port = 2525
    submissions: Port = 465
    imap: Port = 143
    imaps: Port = 993
    pop3: Port = 110
    pop3s: Port = 995
    sieve: Port = 4190
    reinject: Port = 10_026
    roles: Port = 10_027


class Agent(Struct, frozen=True, kw_only=True):
    """Where the agent listens to the panel."""

    address: str = "0.0.0.0"  # noqa: S104 the panel is another machine; TLS and a bearer key stand in front
    port: Port = 8_443


class Limits(Struct, frozen=True, kw_only=True):
    """How many recipients whoever is signed in may send to, in an hour and in a day that roll; 0 = no limit. A mailbox
    has what the panel says of it (9,600 a day by default); `mailbox_hour` goes with that, and grows where the limit of
    a day is raised."""

    mailbox_hour: Annotated[int, Meta(ge=1, le=10**9)] = 400
    customer_hour: Annotated[int, Meta(ge=0, le=10**9)] = 0
    server_hour: Annotated[int, Meta(ge=0, le=10**9)] = 0
    server_day: Annotated[int, Meta(ge=0, le=10**9)] = 0


class Users(Struct, frozen=True, kw_only=True):
    """System users and groups; those that a Debian package makes have that package's name."""

    vmail: UserName = "vmail"
    agent: UserName = "mxagent"
    lookup: UserName = "mxlookup"
    database_group: UserName = "maildb"
    postfix: UserName = "postfix"
    dovecot: UserName = "dovecot"
    rspamd: UserName = "_rspamd"


class Settings(Struct, frozen=True, kw_only=True):
    """Everything in node.toml; `directory` is filled in by `load`."""

    name: HostName
    directory: Path = Path()
    listen: Annotated[list[str], Meta(min_length=1, max_length=16)] = msgspec.field(
        default_factory=lambda: ["0.0.0.0", "::"]  # noqa: S104 a mail server is there for everybody
    )
    exchange: str | None = None
    dns: Annotated[list[str], Meta(max_length=8)] = msgspec.field(default_factory=list)
    internet: bool = True
    sends_abroad: bool = True
    test_patterns: bool = False
    delay_failed_sign_ins: bool = True
    hs_cache: str | None = None
    message_size_limit: Annotated[int, Meta(ge=65_536, le=2**31 - 1)] = 50 * 2**20
    connections_per_address: Annotated[int, Meta(ge=1, le=10_000)] = 50
    deleted_home_days: Annotated[int, Meta(ge=0, le=3_650)] = 30
    panel_url: Annotated[str, Meta(pattern=r"\A(?:https?://[A-Za-z0-9.:\[\]-]{1,200})?/?\Z")] = ""
    limits: Limits = msgspec.field(default_factory=Limits)
    agent: Agent = msgspec.field(default_factory=Agent)
    ports: Ports = msgspec.field(default_factory=Ports)
    users: Users = msgspec.field(default_factory=Users)

    # Where things are. `/` on a Path keeps the directory as it was given.
    @property
    def database(self) -> Path:
        """node.db, in a directory that its readers can write (SQLite's WAL demands it)."""
        return self.directory / "db" / "node.db"

    @property
    def secrets(self) -> Path:
        """secrets.db: password hashes, for the agent and Dovecot alone."""
        return self.directory / "secrets" / "secrets.db"

    @property
    def usage(self) -> Path:
        """usage.db: written by Dovecot's dict process."""
        return self.directory / "usage" / "usage.db"

    @property
    def sends(self) -> Path:
        """sends.db: what the look-up service has counted."""
        return self.directory / "sends" / "sends.db"

    @property
    def mail_log(self) -> Path:
        """Postfix's log."""
        return self.directory / "log" / "mail.log"

    @property
    def key_file(self) -> Path:
        """The bearer key in clear, for enrolling the server in the panel once; root only."""
        return self.directory / "enrol" / "agent.key"

    @property
    def agent_directory(self) -> Path:
        """The agent's own files: hash of the bearer key, its certificate, Dovecot's API key."""
        return self.directory / "agent"

    @property
    def key_hashes(self) -> Path:
        """SHA-256 (hex) of each bearer key that the agent takes, a line each."""
        return self.agent_directory / "key.sha256"

    @property
    def agent_certificate(self) -> Path:
        """The agent's key and certificate, which the panel pins."""
        return self.agent_directory / "agent.pem"

    @property
    def dkim(self) -> Path:
        """Key files of Rspamd and its selector map."""
        return self.directory / "dkim"

    @property
    def mail(self) -> Path:
        """All mail: <first two digits of the id>/<id>/."""
        return self.directory / "mail"

    @property
    def tls(self) -> Path:
        """Certificate, key and authority of the mail services."""
        return self.directory / "tls"

    @property
    def keeper_socket(self) -> Path:
        """Where the keeper listens to the agent."""
        return self.directory / "run" / "keeper.sock"

    @property
    def lookup_socket(self) -> Path:
        """Where the look-up service answers Postfix's policy questions."""
        return self.directory / "run" / "lookup.sock"

    @property
    def doveadm_socket(self) -> Path:
        """Dovecot's HTTP API, restricted to kick and who. Its last part must be "http": Dovecot goes by
        it."""
        return self.directory / "run" / "doveadm" / "http"


class SettingsError(Exception):
    """node.toml is missing or wrong; the text says where and what to do."""


def load(directory: str | Path) -> Settings:
    """The settings of the mail server in `directory`; raises SettingsError."""
    path = Path(directory)
    if not path.is_absolute() or len(str(path)) > MAX_DIRECTORY:
        raise SettingsError(f"--dir must be an absolute path of at most {MAX_DIRECTORY} characters: {path}")
    file = path / "node.toml"
    try:
        settings = msgspec.convert(tomllib.loads(file.read_text()), Settings)
    except FileNotFoundError:
        raise SettingsError(f'{file} is missing: write one with at least name = "<host name>"') from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, msgspec.ValidationError) as error:
        raise SettingsError(f"{file}: {error}") from None
    settings = msgspec.structs.replace(settings, directory=path)
    _check(settings, file)
    return settings


def _check(settings: Settings, file: Path) -> None:
    """Addresses become lines of configuration: nothing but an address may pass."""
    addresses = [*settings.listen, settings.agent.address]
    addresses += [settings.exchange] if settings.exchange is not None else []
    addresses += [entry.rpartition(":")[0] if entry.count(":") == 1 else entry for entry in settings.dns]
    for address in addresses:
        try:
            ipaddress.ip_address(address)
        except ValueError:
            raise SettingsError(f"{file}: not an IP address: {address!r}") from None
    for text in (str(settings.directory), settings.hs_cache or "/"):
        if not text.startswith("/") or any(c.isspace() or c in "\"'$%{}\\;#," for c in text):
            raise SettingsError(f"{file}: a path must be absolute and plain: {text!r}")
