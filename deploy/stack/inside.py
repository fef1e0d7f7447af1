"""Running other programs inside a stack: the tests, the soak, a command beside a stack that runs already."""

import asyncio
import contextlib
import itertools
import os
import signal
import sys
import tempfile
from collections.abc import Mapping, Sequence

from deploy.stack import keys, namespace, panel, session
from deploy.stack.layout import Layout, StackError
from deploy.stack.supervisor import Supervisor

# The suite: parts that need no more of the stack than a database and Redis run side by side, each with its own; what works
# on the stack as a whole runs alone, and last. Whatever is named nowhere is in the last of the parts. They are about
# equally long, so that towards the end two of them still run.
WHOLE = ("tests/e2e",)
NAMED = (
    ("tests/domains",),
    ("tests/billing",),
    ("tests/test_census.py", "tests/test_foreign_references.py", "tests/test_hostile_input.py"),
)
PARTS = (*NAMED, ("tests", *(f"--ignore={path}" for part in (*NAMED, WHOLE) for path in part)))
MILLION = ("tests.bench", "million")  # as `make bench` measures it


def modules(*commands: Sequence[str], extra: Mapping[str, str] | None = None) -> int:
    """Run modules with their arguments, one after the other, inside a fresh stack with two mail servers; 0 if all end
    well. Nothing is printed after the last one's last line.
    """
    layout = Layout.from_environment(part="test", base=18_000, servers=2)
    namespace.check_python(layout)
    session.make_fresh(layout)

    async def body(supervisor: Supervisor, env: dict[str, str]) -> int:
        settings, code = {**env, **(extra or {})}, 0
        for command in commands:
            code = await beside(supervisor, [sys.executable, "-m", *command], layout, settings) or code
        return code

    return session.run(layout, body, own_settings=True)


def pytest(arguments: Sequence[str]) -> int:
    """The suite, or what is chosen of it."""
    return modules(["pytest", *arguments]) if arguments else suite()


def suite() -> int:
    """All tests inside a fresh stack with two mail servers: PARTS, printed one after the other once all have ended, then
    WHOLE, whose last line is the last; 0 if all end well.
    """
    layout = Layout.from_environment(part="test", base=18_000, servers=2)
    namespace.check_python(layout)
    session.make_fresh(layout)

    async def body(supervisor: Supervisor, env: dict[str, str]) -> int:
        with contextlib.ExitStack() as files:
            said = [files.enter_context(tempfile.TemporaryFile()) for _ in PARTS]
            ticking = asyncio.create_task(tick())
            codes = await asyncio.gather(
                *(
                    beside(
                        supervisor,
                        [sys.executable, "-m", "pytest", *part],
                        layout,
                        apart(env, number),
                        file.fileno(),
                    )
                    for number, (part, file) in enumerate(zip(PARTS, said, strict=True), start=1)
                )
            )
            ticking.cancel()
            for file in said:
                file.seek(0)
                sys.stdout.write(file.read().decode(errors="replace"))
            sys.stdout.flush()
        return await beside(supervisor, [sys.executable, "-m", "pytest", *WHOLE], layout, env) or max(codes)

    return session.run(layout, body, own_settings=True)


async def tick() -> None:
    """Say each minute that the parts go on, because what they say comes at their end."""
    for minutes in itertools.count(1):
        await asyncio.sleep(60)
        sys.stdout.write(f"  the parts of the suite go on, {minutes} min\n")
        sys.stdout.flush()


def apart(env: Mapping[str, str], number: int) -> dict[str, str]:
    """The settings with a database and a Redis database of this part's own."""
    redis, _, _ = env["REDIS_URL"].rpartition("/")
    return {**env, "DATABASE_URL": f"{env['DATABASE_URL']}_{number}", "REDIS_URL": f"{redis}/{number + 7}"}


def soak(arguments: Sequence[str]) -> int:
    """The fault and property tests with their full counts, and the rebuild of a million rows unless some tests are
    chosen; they print their seed and a JSON line each.
    """
    tests = ["pytest", "-m", "soak", "-s", "--timeout", "0", *arguments]
    return modules(tests, *([] if arguments else [MILLION]), extra={"MXPANEL_SOAK": "1"})


def mutants(arguments: Sequence[str]) -> int:
    """The sources without each of their boundaries in turn, against the tests that guard these."""
    return modules(["tests.mutants", *arguments])


async def beside(
    supervisor: Supervisor,
    command: Sequence[str],
    layout: Layout,
    env: Mapping[str, str],
    stdout: int | None = None,
) -> int:
    """Run a program from the clone beside the components; its exit code. It ends when the stack does."""
    process = await asyncio.create_subprocess_exec(
        *command,
        env={**os.environ, **env, **told(layout)},
        cwd=layout.real_code,
        stdout=stdout,
        start_new_session=True,
    )
    ended, stopping = asyncio.create_task(process.wait()), asyncio.create_task(supervisor.stopping.wait())
    await asyncio.wait({ended, stopping}, return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    if not ended.done():
        for number, patience in ((signal.SIGINT, 15), (signal.SIGKILL, 5)):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, number)
            await asyncio.wait({ended}, timeout=patience)
    return await ended


def told(layout: Layout) -> dict[str, str]:
    """What a program inside the stack needs to find it: its description, `var` as its own users reach it, and the database
    that tests begin with a copy of.
    """
    copy = {"MXPANEL_MIGRATED": panel.MIGRATED} if layout.for_tests else {}
    return {"MXPANEL_STACK": str(layout.real_var / "stack.json"), "MXPANEL_VAR": str(layout.var), **copy}


def execute(arguments: Sequence[str]) -> int:
    """Replace this process by a command inside the running stack, with the panel's settings."""
    layout = Layout.from_environment()
    pid, start = session.owner(layout)
    if not pid or session.processes.start_time(pid) != start:
        raise StackError(f"No stack runs in {layout.real_var}; start it with `make run`.")
    if not arguments:
        raise StackError("Name the command to run.")
    namespace.join(layout, pid)
    env = {
        **os.environ,
        **panel.settings(layout, keys.load(layout.var / "secrets"), os.environ),
        **told(layout),
    }
    os.chdir(layout.code)
    python = layout.python if arguments[0] == "python" else arguments[0]
    os.execvpe(python, [python, *arguments[1:]], env)  # noqa: S606 (arguments of who typed the command)
