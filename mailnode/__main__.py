"""Command line of a mail server: `python -m mailnode --dir DIR <command>`.

    users            make the system users and groups that are missing (root); with --print only say how
    init             make the directory's folders, databases, keys and certificates (root); prints JSON
                     {"name", "certificate_sha256", "key_file", "tls_ca"}
    render           write the configuration of all daemons (root); prints the names of the files that changed
    processes        print JSON: a list of {"name", "argv", "ready", "stop", "after_effective"}, in starting order
    keeper, agent, lookup
                     run in the foreground; agent and lookup drop root
    wait-effective   return once the server has an effective revision and may take mail; --timeout seconds

`--dir` names the directory that holds node.toml (see mailnode.settings). Exit codes: 0, 1 with one line on
stderr that says what is wrong, 2 for a wrong command line.
"""

import argparse
import json
import sqlite3
import sys
import time

import msgspec

from mailnode import settings as node_settings
from mailnode.settings import Settings, SettingsError, Users


def main() -> int:
    """Run one command; returns the exit code."""
    arguments = _parser().parse_args()
    try:
        if arguments.command == "users":
            return _users(arguments.print_only)
        if not arguments.dir:
            raise SettingsError("--dir is missing: the directory that holds node.toml")
        return _run(arguments, node_settings.load(arguments.dir))
    except (SettingsError, OSError, LookupError, sqlite3.Error) as error:
        print(f"mailnode: {arguments.command}: {error}", file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m mailnode", description="One mail server of mxpanel.")
    parser.add_argument("--dir", help="the server's directory, which holds node.toml")
    commands = parser.add_subparsers(dest="command", required=True)
    users = commands.add_parser("users", help="make missing system users and groups")
    users.add_argument("--print", dest="print_only", action="store_true", help="only print the commands")
    for name in ("init", "render", "processes", "keeper", "agent", "lookup"):
        commands.add_parser(name)
    wait = commands.add_parser("wait-effective", help="wait until the server may take mail")
    wait.add_argument("--timeout", type=float, default=60.0)
    return parser


def _run(arguments: argparse.Namespace, settings: Settings) -> int:
    """Every command that needs the settings. Modules are imported only for the command that uses them, which
    keeps the small processes small."""
    match arguments.command:
        case "init":
            from mailnode.init import initialise

            print(json.dumps(initialise(settings)))
        case "render":
            from mailnode.render import render

            print("\n".join(render(settings)))
        case "processes":
            from mailnode.processes import processes

            print(msgspec.json.encode(processes(settings)).decode())
        case "keeper":
            from mailnode.keeper import run as run_keeper

            run_keeper(settings)
        case "agent":
            from mailnode.agent import run as run_agent

            run_agent(settings)
        case "lookup":
            from mailnode.lookup import run as run_lookup

            run_lookup(settings)
        case "wait-effective":
            return _wait_effective(settings, arguments.timeout)
    return 0


def _users(print_only: bool) -> int:
    """Make the users of a server with the default names, or print how."""
    from mailnode import users

    commands = users.missing(Users()) if print_only else users.create(Users())
    print("\n".join(" ".join(command) for command in commands) or "nothing is missing")
    return 0


def _wait_effective(settings: Settings, timeout: float) -> int:
    """Look at node.db until a revision is effective; a fresh node has none before the panel's first page."""
    deadline = time.monotonic() + timeout
    while True:
        if settings.database.exists() and settings.database.stat().st_size:
            connection = sqlite3.connect(f"file:{settings.database}?mode=rw", uri=True, timeout=1)
            try:
                if connection.execute("SELECT effective FROM meta").fetchone()[0] > 0:
                    return 0
            finally:
                connection.close()
        if time.monotonic() > deadline:
            print("mailnode: wait-effective: the panel has not sent a revision in time", file=sys.stderr)
            return 1
        time.sleep(0.1)


if __name__ == "__main__":
    sys.exit(main())
