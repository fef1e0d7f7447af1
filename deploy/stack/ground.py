"""The ground the panel stands on: PostgreSQL and Redis, and the stand-ins for FraudRecord, Stripe and VIES."""

import os
import shutil
import signal
import socket
from pathlib import Path

import psycopg
from psycopg import sql

from deploy.stack.component import Component, answers
from deploy.stack.keys import write_private
from deploy.stack.layout import Layout, StackError
from deploy.stack.steps import directory, owned_by, run_step

# Small enough that the whole stack fits beside a browser; the logs never carry a statement or its values.
POSTGRES_SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "max_connections": "120",  # tests of 50 at once run beside other tests
    "shared_buffers": "48MB",
    "jit": "off",
    "max_wal_size": "256MB",
    "max_parallel_workers_per_gather": "0",
    "autovacuum_max_workers": "1",
    "log_min_error_statement": "panic",
    "log_parameter_max_length_on_error": "0",
    "log_checkpoints": "off",
    "cluster_name": "mxpanel",
}


def components(layout: Layout, secrets: dict[str, str]) -> list[Component]:
    return [
        postgres(layout, secrets),
        redis(layout, secrets),
        fraudrecord(layout, secrets),
        stripe(layout, secrets),
        vies(layout),
    ]


def postgres(layout: Layout, secrets: dict[str, str]) -> Component:
    """A private cluster under `var/postgres`, reached by password over TCP on loopback."""
    binaries, cluster = postgres_binaries(), layout.var / "postgres"
    sockets = layout.run / "postgres"
    settings = {
        **POSTGRES_SETTINGS,
        "port": str(layout.port("postgres")),
        "unix_socket_directories": str(sockets),
    }

    def prepare() -> None:
        directory(sockets, "postgres", 0o700)
        if not (cluster / "PG_VERSION").exists():
            make_cluster(binaries, cluster, secrets["postgres_password"])

    def ready() -> bool:
        try:
            make_database(layout, secrets)
        except psycopg.OperationalError:
            return False
        return True

    options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
    return Component(
        "postgres",
        [str(binaries / "postgres"), "-D", str(cluster), *options],
        user="postgres",
        cwd=layout.run,
        prepare=prepare,
        ready=ready,
        stop_signal=signal.SIGINT,  # fast: open sessions are ended
    )


def postgres_binaries() -> Path:
    """The newest PostgreSQL that Debian has installed."""
    versions = [path for path in Path("/usr/lib/postgresql").glob("*/bin") if path.parent.name.isdecimal()]
    if not versions:
        raise StackError("PostgreSQL is not installed; run `make install`.")
    return max(versions, key=lambda path: int(path.parent.name))


def make_cluster(binaries: Path, cluster: Path, password: str) -> None:
    """initdb beside the final place, then one rename, so that a broken-off start leaves no half cluster."""
    fresh = cluster.with_name("postgres.new")
    shutil.rmtree(fresh, ignore_errors=True)
    directory(fresh, "postgres", 0o700)
    password_file = cluster.with_name("postgres.password")
    write_private(password_file, password + "\n")
    owned_by(password_file, "postgres")
    options = [
        "--auth-local",
        "peer",
        "--auth-host",
        "scram-sha-256",
        "--encoding",
        "UTF8",
        "--locale",
        "C.UTF-8",
    ]
    files = ["--pgdata", str(fresh), "--pwfile", str(password_file)]
    try:
        run_step([str(binaries / "initdb"), "--username", "postgres", *files, *options], user="postgres")
    finally:
        password_file.unlink()
    fresh.rename(cluster)


def make_database(layout: Layout, secrets: dict[str, str]) -> None:
    """Make the panel's role and database where missing. Raises OperationalError until PostgreSQL answers."""
    password, port = secrets["postgres_password"], layout.port("postgres")
    address = (
        f"host=127.0.0.1 port={port} user=postgres password={password} dbname=postgres connect_timeout=2"
    )
    with psycopg.connect(address, autocommit=True) as connection:
        if not connection.execute("SELECT 1 FROM pg_roles WHERE rolname = 'mxpanel'").fetchone():
            own = sql.Literal(secrets["database_password"])
            connection.execute(sql.SQL("CREATE ROLE mxpanel LOGIN CREATEDB PASSWORD {}").format(own))
        if not connection.execute("SELECT 1 FROM pg_database WHERE datname = 'mxpanel'").fetchone():
            connection.execute("CREATE DATABASE mxpanel OWNER mxpanel")


def redis(layout: Layout, secrets: dict[str, str]) -> Component:
    """Redis with an append-only file under `var/redis`."""
    home, port = layout.var / "redis", layout.port("redis")

    def prepare() -> None:
        directory(home, "redis", 0o750)
        lines = [
            "bind 127.0.0.1",
            f"port {port}",
            f"dir {home}",
            "appendonly yes",
            'save ""',
            f"requirepass {secrets['redis_password']}",
            "maxmemory-policy noeviction",
        ]
        write_private(home / "redis.conf", "\n".join(lines) + "\n")
        owned_by(home / "redis.conf", "redis")

    def ready() -> bool:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=2) as connection:
                connection.sendall(f"AUTH {secrets['redis_password']}\r\nPING\r\n".encode())
                replies = connection.makefile("rb")
                return replies.readline().startswith(b"+OK") and replies.readline().startswith(b"+PONG")
        except OSError:
            return False

    return Component(
        "redis", ["redis-server", str(home / "redis.conf")], user="redis", prepare=prepare, ready=ready
    )


def fraudrecord(layout: Layout, secrets: dict[str, str]) -> Component:
    """The stand-in for FraudRecord, for the key the panel is given."""
    port = layout.port("fraudrecord")
    return Component(
        "fraudrecord",
        [layout.python, "-m", "deploy.fraudrecord", "--port", str(port)],
        env={"FRAUDRECORD_API_KEY": os.environ.get("FRAUDRECORD_API_KEY") or secrets["fraudrecord_key"]},
        user="mxpanel",
        cwd=layout.code,
        ready=answers(port),
    )


def stripe(layout: Layout, secrets: dict[str, str]) -> Component:
    """The stand-in for Stripe, for the keys the panel is given; a restart of the stack forgets nothing."""
    port, home = layout.port("stripe"), layout.var / "stripe"
    webhook = f"http://127.0.0.1:{layout.port('web')}/stripe/webhook/"
    arguments = ["--port", str(port), "--file", str(home / "books.json"), "--webhook", webhook]
    return Component(
        "stripe",
        [layout.python, "-m", "deploy.stripe_stand_in", *arguments],
        env={
            "STRIPE_SECRET_KEY": os.environ.get("STRIPE_SECRET_KEY") or secrets["stripe_key"],
            "STRIPE_WEBHOOK_SECRET": os.environ.get("STRIPE_WEBHOOK_SECRET")
            or secrets["stripe_webhook_secret"],
        },
        user="mxpanel",
        cwd=layout.code,
        prepare=lambda: directory(home, "mxpanel", 0o700),
        ready=answers(port),
    )


def vies(layout: Layout) -> Component:
    """The stand-in for VIES, which knows no keys."""
    port = layout.port("vies")
    return Component(
        "vies",
        [layout.python, "-m", "deploy.vies", "--port", str(port)],
        user="mxpanel",
        cwd=layout.code,
        ready=answers(port),
    )
