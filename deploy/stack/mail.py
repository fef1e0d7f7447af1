"""The mail servers: what each is told in node.toml, and its processes as mailnode itself lists them."""

import json
import signal
import sys
from dataclasses import dataclass, field
from pathlib import Path

from deploy.stack.component import Check, Component, all_of, answers, answers_at
from deploy.stack.layout import Layout, MailServer
from deploy.stack.steps import directory, run_step
from mailnode import settings as node_settings
from mailnode.processes import Process, processes

PORTS_OF = {
    "postfix": ("smtp", "submission", "submission_alt", "submissions", "reinject", "roles"),
    "dovecot": ("imap", "imaps", "pop3", "pop3s", "sieve"),
}
CLIENT_PORTS = tuple(
    name for names in PORTS_OF.values() for name in names if name not in ("reinject", "roles")
)
EFFECTIVE_WITHIN = 90


@dataclass
class MailServers:
    """The mail servers of one stack; `made` holds what each said of itself when its directory was made."""

    layout: Layout
    made: dict[str, dict[str, str]] = field(default_factory=dict)

    def components(self) -> list[Component]:
        return [component for server in self.layout.servers for component in self.one(server)]

    def enrolments(self) -> list[list[str]]:
        """The arguments of the panel's command `server_enrol`, a list for each server."""
        return [self.enrolment(server) for server in self.layout.servers]

    def enrolment(self, server: MailServer) -> list[str]:
        made = self.made[server.short]
        values = {
            "--name": server.name,
            "--address": server.address,
            "--agent-url": f"https://127.0.0.1:{server.ports['agent']}",
            "--certificate-sha256": made["certificate_sha256"],
            "--key-file": made["key_file"],
        }
        ports = [f"--port={name}={server.ports[name]}" for name in CLIENT_PORTS]
        return [*(word for pair in values.items() for word in pair), *ports]

    def one(self, server: MailServer) -> list[Component]:
        """Preparation, the daemons in mailnode's order, and the wait for the panel's first word."""
        home = self.layout.var / server.short
        mailnode = [self.layout.python, "-m", "mailnode", "--dir", str(home)]

        def prepare() -> None:
            self.make(server, home, mailnode)

        settings = node_settings.Settings(name=server.name, directory=home)
        wait = [*mailnode, "wait-effective", "--timeout", str(EFFECTIVE_WITHIN)]
        needs = ("panel", f"{server.short}-agent", "worker-servers", "beat")
        return [
            Component(server.short, [*mailnode, "render"], cwd=self.layout.code, prepare=prepare, once=True),
            *(self.daemon(server, process) for process in processes(settings)),
            Component(f"{server.short}-live", wait, needs=needs, cwd=self.layout.code, once=True),
        ]

    def make(self, server: MailServer, home: Path, mailnode: list[str]) -> None:
        """Write node.toml and let mailnode make the rest: folders, databases, keys, certificates."""
        home.mkdir(mode=0o755, exist_ok=True)
        cache = self.layout.var / "cache"
        cache.mkdir(mode=0o755, exist_ok=True)
        directory(cache / "rspamd", "_rspamd", 0o755)
        (home / "node.toml").write_text(node_toml(self.layout, server))
        said = run_step([*mailnode, "init"], cwd=str(self.layout.code))
        self.made[server.short] = json.loads(said)
        if len(self.made) == len(self.layout.servers):
            authorities = [Path(made["tls_ca"]).read_text() for made in self.made.values()]
            (self.layout.var / "ca.pem").write_text("".join(authorities))

    def daemon(self, server: MailServer, process: Process) -> Component:
        """One daemon of mailnode's list. Those that take mail wait until a first revision is effective."""
        name, needs = f"{server.short}-{process.name}", [server.short]
        if process.after_effective:
            needs.append(f"{server.short}-live")
        if process.name == "rspamd":
            # The first one compiles its patterns into the shared cache, which takes long and much memory.
            needs += [
                f"{server.short}-redis",
                *([f"mx{server.number - 1}-rspamd"] if server.number > 1 else []),
            ]
        return Component(
            name,
            [self.layout.python if word == sys.executable else word for word in process.argv],
            needs=needs,
            cwd=self.layout.code,
            ready=self.ready(server, process),
            stop_signal=signal.Signals[f"SIG{process.stop}"],
        )

    def ready(self, server: MailServer, process: Process) -> Check:
        """It has made its socket, and listens at every port that is its own."""
        if process.name == "agent":
            return answers(server.ports["agent"])
        checks = [answers_at(Path(process.ready))]
        checks += [answers(server.ports[port]) for port in PORTS_OF.get(process.name, ())]
        if process.name == "postfix":
            checks.append(answers(25, server.address))
        return all_of(*checks)


def node_toml(layout: Layout, server: MailServer) -> str:
    """The settings of one mail server of the local stack, as mailnode/settings.py describes them."""
    lines = [
        f'name = "{server.name}"',
        'listen = ["127.0.0.1"]',
        f'exchange = "{server.address}"',
        f'dns = ["{layout.dns_address}"]',
        "internet = false",
        f"sends_abroad = {str(layout.namespaced).lower()}",
        "test_patterns = true",
        "delay_failed_sign_ins = false",
        f'hs_cache = "{layout.var / "cache" / "rspamd"}"',
        f'panel_url = "http://localhost:{layout.port("web")}"',
        "",
        "[agent]",
        'address = "127.0.0.1"',
        f"port = {server.ports['agent']}",
        "",
        "[ports]",
        *(f"{name} = {server.ports[name]}" for names in PORTS_OF.values() for name in names),
    ]
    return "\n".join(lines) + "\n"
