"""Command line of the local stack, behind the Makefile: `python -m deploy.stack COMMAND [-- ARGUMENTS]`.

    run       start everything and keep it running until Ctrl-C or SIGTERM
    test      start a stack of its own (two mail servers), run pytest in it, stop it; pytest's exit code
    soak      the same with the full counts of the fault and property tests
    mutants   the tests of the boundaries against sources that lack one of them
    bench     the benchmarks on a fresh stack, with its start times and memory
    stop      end the stack of VAR, also what a killed one left; `stop test` and `stop bench` end those
    exec      run a command inside the running stack's namespace with the panel's settings

Variables: VAR (directory, `var`), PORT_BASE (8000), MAIL_SERVERS (1).
"""

import os
import shutil
import sys
import time
from collections.abc import Callable, Sequence

from deploy.stack import bench, inside, namespace, session
from deploy.stack.layout import Layout, StackError
from deploy.stack.supervisor import Supervisor

STARTED = time.monotonic()


def main(arguments: list[str]) -> int:
    command, rest = arguments[0] if arguments else "", arguments[1:]
    rest = rest[1:] if rest[:1] == ["--"] else rest
    commands: dict[str, Callable[[Sequence[str]], int]] = {
        "run": run,
        "stop": stop,
        "test": inside.pytest,
        "soak": inside.soak,
        "mutants": inside.mutants,
        "bench": bench.main,
        "measure": bench.measure,
        "exec": inside.execute,
    }
    if command not in commands:
        print(__doc__, file=sys.stderr)
        return 2
    try:
        become_root(arguments)
        return commands[command](rest)
    except StackError as error:
        print(f"\n{error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def become_root(arguments: Sequence[str]) -> None:
    """Go on as root, through sudo, as the installation does. Raises StackError where there is no sudo."""
    if os.geteuid() == 0:
        return
    sudo = shutil.which("sudo")
    if sudo is None:
        raise StackError(
            "Postfix, Dovecot and the keeper of a mail server start as root. Run this as root, or install sudo."
        )
    command = [sudo, "--preserve-env", sys.executable, "-m", "deploy.stack", *arguments]
    os.execv(sudo, command)  # noqa: S606 (arguments of who typed the command)


def stop(parts: Sequence[str]) -> int:
    return session.stop(Layout.from_environment(part=parts[0] if parts else ""))


def run(_: Sequence[str]) -> int:
    async def until_stopped(supervisor: Supervisor, env: dict[str, str]) -> int:
        await supervisor.stopping.wait()
        return 0 if supervisor.failure is None else 1

    layout = Layout.from_environment()
    namespace.check_python(layout)
    return session.run(layout, until_stopped, started=STARTED)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
