"""Where one stack lives: its directories, addresses and ports. Nothing here touches the machine."""

import hashlib
import os
import sys
from dataclasses import dataclass, field
from pathlib import Path

CLONE = Path(__file__).resolve().parents[2]

PANEL_PORTS = {
    "web": 0,
    "dns": 53,
    "redis": 379,
    "postgres": 432,
    "fraudrecord": 500,
    "webhook": 501,
    "stripe": 510,
    "vies": 511,
}
MAIL_PORTS = {
    "smtp": 25,
    "reinject": 26,
    "roles": 27,
    "pop3": 110,
    "imap": 143,
    "sieve": 190,
    "agent": 400,
    "submissions": 465,
    "doveadm": 480,
    "submission_alt": 525,
    "submission": 587,
    "imaps": 993,
    "pop3s": 995,
}
SECOND_SERVER = 1000
MAX_SERVERS = 9


class StackError(Exception):
    """Something the person at the terminal must put right; the text says what happened and what to do."""


@dataclass(frozen=True)
class MailServer:
    """One mail server of the stack: its number from 1, name, own loopback address, ports and directories."""

    number: int
    name: str
    short: str
    address: str
    ports: dict[str, int]


@dataclass
class Layout:
    """Directories as seen by the stack's own processes, and the same outside its mount namespace.

    `var`, `code`, `venv` and `run` are what components use; they start equal to the real directories and are
    moved to short paths when the stack has a mount namespace of its own. `run` holds sockets and pid files.
    """

    real_var: Path
    port_base: int = 8000
    mail_servers: int = 1
    for_tests: bool = False
    real_code: Path = CLONE
    real_venv: Path = field(default_factory=lambda: Path(sys.prefix))
    namespaced: bool = False
    var: Path = field(init=False)
    code: Path = field(init=False)
    venv: Path = field(init=False)
    run: Path = field(init=False)

    def __post_init__(self) -> None:
        self.var, self.code, self.venv = self.real_var, self.real_code, self.real_venv
        self.run = Path("/run") / self.mark if os.geteuid() == 0 else self.real_var / "run"

    @classmethod
    def from_environment(cls, *, part: str = "", base: int = 8000, servers: int = 1) -> "Layout":
        """The layout that `VAR`, `PORT_BASE` and `MAIL_SERVERS` ask for, with these defaults for the numbers.

        `part` names a stack beside the one of `make run`, in a directory below `VAR`. Raises StackError.
        """
        var = (CLONE / (os.environ.get("VAR") or "var")).resolve()
        return cls(
            var / part if part else var,
            port_base=number_from("PORT_BASE", base, lowest=1024, highest=54_000),
            mail_servers=number_from("MAIL_SERVERS", servers, lowest=1, highest=MAX_SERVERS),
            for_tests=bool(part),
        )

    @property
    def mark(self) -> str:
        """The name by which everything of this stack is known to be its own; one per directory."""
        return "mxpanel-" + hashlib.sha256(bytes(self.real_var)).hexdigest()[:12]

    @property
    def python(self) -> str:
        return str(self.venv / "bin" / "python")

    @property
    def loopback(self) -> str:
        """The last half of the stack's own loopback addresses: PORT_BASE as two octets."""
        return f"{self.port_base >> 8}.{self.port_base & 255}"

    @property
    def dns_address(self) -> str:
        return f"127.53.{self.loopback}"

    def port(self, name: str) -> int:
        return self.port_base + PANEL_PORTS[name]

    @property
    def servers(self) -> list[MailServer]:
        return [
            MailServer(
                number=number,
                name=f"mx{number}.mxpanel.test",
                short=f"mx{number}",
                address=f"127.{24 + number}.{self.loopback}",
                ports={
                    name: self.port_base + offset + SECOND_SERVER * (number - 1)
                    for name, offset in MAIL_PORTS.items()
                },
            )
            for number in range(1, self.mail_servers + 1)
        ]

    def listeners(self) -> dict[tuple[str, int], str]:
        """Every (address, port) the stack listens at, and the component it belongs to."""
        taken = {("127.0.0.1", self.port(name)): name for name in PANEL_PORTS}
        taken[self.dns_address, 53] = "dns"
        for server in self.servers:
            taken |= {("127.0.0.1", port): f"{server.short} {name}" for name, port in server.ports.items()}
            taken[server.address, 25] = f"{server.short} smtp"
        return taken

    def outside(self, path: Path) -> Path:
        """The path under `var` as it is valid outside the stack's mount namespace."""
        return self.real_var / path.relative_to(self.var)


def number_from(name: str, default: int, *, lowest: int, highest: int) -> int:
    """The whole number in the environment variable `name`, within its bounds."""
    text = os.environ.get(name) or str(default)
    if not text.isdecimal() or not lowest <= int(text) <= highest:
        raise StackError(f"{name}={text} is not a number from {lowest} to {highest}.")
    return int(text)
