"""The panel's own processes: preparation of its database, web, Celery workers, beat and watch."""

import json
from collections.abc import Callable, Mapping

from deploy.stack.component import Component, answers
from deploy.stack.layout import Layout
from deploy.stack.steps import directory

WEB_WORKERS, WEB_THREADS = 2, 4
QUEUES = {
    "panel": 2,
    "servers": 2,
    "slow": 4,
    "dns": 2,
    "bulk": 3,
    "webhooks": 16,
}  # threads: this work waits for networks and databases, not for a CPU

MIGRATED = "mxpanel_migrated"  # the database, as it was before anything but migrations wrote into it

# Of the environment of whoever typed `make run` these are theirs, not the panel's.
PERSONAL = frozenset(
    {"PATH", "HOME", "USER", "LOGNAME", "SHELL", "MAIL", "TERM", "PWD", "OLDPWD", "SHLVL", "_"}
)
PERSONAL_PREFIXES = ("PYTHON", "MAKE", "MFLAGS", "VIRTUAL_ENV", "LC_", "LANG")


def settings(layout: Layout, secrets: dict[str, str], environment: Mapping[str, str]) -> dict[str, str]:
    """What the local stack sets for the panel; what stands in `environment` wins over it."""
    redis = f"redis://:{secrets['redis_password']}@127.0.0.1:{layout.port('redis')}/0"
    database = f"mxpanel:{secrets['database_password']}@127.0.0.1:{layout.port('postgres')}/mxpanel"
    ours = {
        "PANEL_URL": f"http://localhost:{layout.port('web')}",
        "SECRET_KEY": secrets["secret_key"],
        "ENCRYPTION_KEYS": secrets["encryption_key"],
        "DATABASE_URL": f"postgresql://{database}",
        "REDIS_URL": redis,
        "EMAIL_URL": f"outbox:{layout.var / 'outbox'}",
        "STATIC_ROOT": str(layout.var / "static"),
        "DNS_NAMESERVERS": f"127.0.0.1@{layout.port('dns')}",
        "DEMO_DNS": f"127.0.0.1@{layout.port('dns')}",
        "FRAUDRECORD_URL": f"http://127.0.0.1:{layout.port('fraudrecord')}/api/",
        "FRAUDRECORD_API_KEY": secrets["fraudrecord_key"],
        "STRIPE_API_BASE": f"http://127.0.0.1:{layout.port('stripe')}",
        "STRIPE_SECRET_KEY": secrets["stripe_key"],
        "STRIPE_WEBHOOK_SECRET": secrets["stripe_webhook_secret"],
        "VIES": "true",
        "VIES_URL": f"http://127.0.0.1:{layout.port('vies')}/rest-api",
        "WEBHOOK_TEST_TARGETS": f"127.0.0.1:{layout.port('webhook')}",
        "DJANGO_SETTINGS_MODULE": "mxpanel.settings",
    }
    theirs = {name: value for name, value in environment.items() if not personal(name)}
    chosen = {**ours, **theirs}
    return {**chosen, "CELERY_BROKER_URL": theirs.get("CELERY_BROKER_URL", chosen["REDIS_URL"])}


def personal(name: str) -> bool:
    return name in PERSONAL or name.startswith(PERSONAL_PREFIXES)


def components(
    layout: Layout, env: dict[str, str], enrolments: Callable[[], list[list[str]]]
) -> list[Component]:
    """`enrolments` tells, once the agents answer, how each mail server is enrolled."""
    return [
        prepared(layout, env, enrolments),
        web(layout, env),
        *(worker(layout, env, queue, threads) for queue, threads in QUEUES.items()),
        beat(layout, env),
        watch(layout, env),
        demo_mail(layout, env),
    ]


def prepared(layout: Layout, env: dict[str, str], enrolments: Callable[[], list[list[str]]]) -> Component:
    """Migrations, static files, enrolment and demo data in one process, because Django starts slowly.

    It runs as root where the stack does: the key of a mail server's agent is readable to root alone.
    """

    def prepare() -> None:
        for name in ("outbox", "static", "beat"):
            directory(layout.var / name, "mxpanel", 0o750)

    def command() -> list[str]:
        module = ["-m", "deploy.stack.prepare_panel"]
        copy = [MIGRATED] if layout.for_tests else []
        return [layout.python, *module, str(layout.var / "demo.json"), json.dumps(enrolments()), *copy]

    return Component(
        "panel",
        command,
        needs=(
            "postgres",
            "redis",
            "dns",
            "fraudrecord",
            "stripe",
            "vies",
            *(server.short for server in layout.servers),
        ),
        env=env,
        cwd=layout.code,
        prepare=prepare,
        once=True,
    )


def web(layout: Layout, env: dict[str, str]) -> Component:
    """gunicorn; the application is loaded once and shared by its workers."""
    port = layout.port("web")
    arguments = [
        "--bind", f"127.0.0.1:{port}",
        "--workers", str(WEB_WORKERS),
        "--threads", str(WEB_THREADS),
        "--preload",
        "--no-control-socket",
        "--worker-tmp-dir", "/dev/shm",  # noqa: S108 (gunicorn's heartbeat file, opened privately)
        "--graceful-timeout", "5",
    ]  # fmt: skip
    command = [layout.python, "-m", "gunicorn", *arguments, "mxpanel.wsgi"]
    return panel_process(layout, env, "web", command, ready=answers(port))


def worker(layout: Layout, env: dict[str, str], queue: str, threads: int) -> Component:
    """A Celery worker of one queue, so that a slow mail server never delays the panel's own work."""
    arguments = ["--queues", queue, "--hostname", f"{queue}@mxpanel", "--pool", "threads"]
    arguments += [
        "--concurrency",
        str(threads),
        "--without-gossip",
        "--without-mingle",
        "--loglevel",
        "WARNING",
    ]
    command = [layout.python, "-m", "celery", "--app", "mxpanel.celery", "worker", *arguments]
    return panel_process(layout, env, f"worker-{queue}", command)


def beat(layout: Layout, env: dict[str, str]) -> Component:
    schedule = str(layout.var / "beat" / "schedule")
    arguments = ["--schedule", schedule, "--pidfile", "", "--loglevel", "WARNING"]
    return panel_process(
        layout, env, "beat", [layout.python, "-m", "celery", "--app", "mxpanel.celery", "beat", *arguments]
    )


def watch(layout: Layout, env: dict[str, str]) -> Component:
    """Looks at everything every few seconds and tells staff by itself, without workers, beat or broker."""
    return panel_process(layout, env, "watch", [layout.python, "manage.py", "watch"])


def panel_process(
    layout: Layout, env: dict[str, str], name: str, command: list[str], **options: object
) -> Component:
    return Component(
        name, command, needs=("panel",), env=env, user="mxpanel", cwd=layout.code, **options  # type: ignore[arg-type]
    )  # fmt: skip


def demo_mail(layout: Layout, env: dict[str, str]) -> Component:
    """Mail for the demo mailboxes, once in the life of `var`, when the mail servers take it."""
    delivered = layout.var / "demo-mail-delivered"
    deliver = f'"$1" manage.py load_demo --mail && touch {delivered}'
    return Component(
        "demo-mail",
        lambda: ["true"] if delivered.exists() else ["sh", "-c", deliver, "sh", layout.python],
        needs=(
            "panel",
            *(f"{server.short}-{part}" for server in layout.servers for part in ("postfix", "dovecot")),
        ),
        env=env,
        cwd=layout.code,
        once=True,
    )
