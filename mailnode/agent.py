"""The agent: the one process of a mail server that listens to the panel.

HTTPS with a certificate of its own (the panel pins it) and a bearer key (kept here as a hash). It runs
without root and can do no more than its files allow: the node's databases, the key directory of Rspamd,
Dovecot's `who` and `kick`, and the keeper's few verbs. Everything it answers is a shape of `mailnode.wire`.
"""

import asyncio
import hashlib
import hmac
import logging
import sqlite3
import ssl
import time
from collections.abc import Awaitable, Callable

from aiohttp import web

from mailnode import __version__, privileges, schema, wire
from mailnode.answers import Refused, answer, body_of, limit_of, parameter
from mailnode.commands import COMMANDS, Commands
from mailnode.digest import digest, digests, row_page
from mailnode.effects import Effects
from mailnode.files import disk_trouble
from mailnode.keeper_client import Keeper, KeeperError
from mailnode.rebuild import Elsewhere, Rebuilding
from mailnode.sessions import Sessions, SessionsError
from mailnode.settings import Settings
from mailnode.status import status
from mailnode.store import BaseMismatch, Store
from mailnode.usage import usage_page

log = logging.getLogger("mailnode.agent")

EFFECTS_DEADLINE = 10.0  # seconds that a page waits for its effects; after that they go on without it
RETRY_AT_LAST = 4.0  # seconds between tries of what is pending: well again means done within 10
SWEEP_EVERY = 3_600.0  # seconds between looks for homes whose days are over
PANEL_DAYS = 7  # more days for the panel, which may have restored a mailbox and not told yet
AFTER_KICK = 2.0  # a sign-in that was under way during the kick is caught by a second one

RETRY_AT_ONCE = 2_000  # recipients in one question to the keeper, whose lines are bounded
AFTER_RESUME = 35.0  # Postfix remembers for 30 seconds where a recipient's mail goes (resolve_clnt.c)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Agent:
    """The routes and what stands behind them. One lock orders everything that writes."""

    def __init__(self, settings: Settings, context: ssl.SSLContext) -> None:
        self.settings = settings
        self.context = context
        self.key_hashes = settings.key_hashes.read_text().split()
        self.store = Store(settings)
        self.reader = schema.connect_read_only(settings.database)
        self.usage_reader = schema.connect_read_only(settings.usage)
        self.sends_reader = schema.connect_read_only(settings.sends)
        self.sessions = Sessions(settings)
        self.effects = Effects(self.store, self.sessions)
        self.rebuilding = Rebuilding(self.store)
        self.keeper = Keeper(settings.keeper_socket)
        self.commands = Commands(self.store, self.sessions, self.keeper)
        self.lock = asyncio.Lock()
        self.lag_error: str | None = None
        self.tasks: set[asyncio.Task[None]] = set()

    def application(self) -> web.Application:
        """The web application with all routes and its background work."""
        application = web.Application(middlewares=[self.guard], client_max_size=wire.MAX_BODY)
        application.add_routes(
            [
                web.get("/v1/status", self.get_status),
                web.post("/v1/changes", self.post_changes),
                web.get("/v1/digest", self.get_digest),
                web.get("/v1/digests", self.get_digests),
                web.get("/v1/rows", self.get_rows),
                web.get("/v1/usage", self.get_usage),
                web.get("/v1/events", self.not_here),
                web.post("/v1/rebuild", self.post_rebuild),
                web.post("/v1/commands/{name}", self.post_command),
                web.post("/v1/renew", self.post_renew),
            ]
        )
        application.on_startup.append(self.start)
        application.on_cleanup.append(self.stop)
        return application

    async def start(self, _: web.Application) -> None:
        """Complete what a crash interrupted, then keep looking after what is pending and what is over."""
        await self._bring_about()
        if not self.effects.lagging() and self.rebuilding.state().rebuild is None:
            rows = self.store.node.execute("SELECT id, fingerprint FROM dkim").fetchall()
            self.store.keys.clear_staging(set(rows))
        self._background(self._retry_effects())
        self._background(self._sweep_homes())

    async def stop(self, _: web.Application) -> None:
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        self.rebuilding.close()
        self.store.close()

    @web.middleware
    async def guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Let in whoever has the key, before anything of the body is read; answer every error as a
        Refusal."""
        if not any(self._is_key(request, key_hash) for key_hash in self.key_hashes):
            return answer(wire.Refusal(error="the key is not this server's"), 401)
        try:
            return await handler(request)
        except Refused as refused:
            return answer(refused.refusal, refused.http_status)
        except wire.WireError as error:
            return answer(wire.Refusal(error=str(error), kind=error.kind, key=error.key), 422)
        except web.HTTPException as error:
            return answer(wire.Refusal(error=error.reason), error.status)
        except KeeperError as error:
            return answer(wire.Refusal(error=str(error)), 503 if error.retry else 422)
        except SessionsError as error:
            return answer(wire.Refusal(error=str(error)), 503)
        except Exception as error:
            log.error("%s %s failed: %s", request.method, request.path, type(error).__name__, exc_info=error)
            if text := disk_trouble(error):
                return answer(wire.Refusal(error=text), 503)
            # The type alone: messages of SQLite and of Python may quote values.
            return answer(wire.Refusal(error=f"the agent failed: {type(error).__name__}"), 500)

    async def post_changes(self, request: web.Request) -> web.Response:
        """POST /v1/changes: apply a page, bring its effects about, answer Applied; 409 with the node's own
        point."""
        changes = body_of(await request.read(), wire.Changes)
        async with self.lock:
            try:
                await asyncio.to_thread(self.store.apply, changes)
            except BaseMismatch as mismatch:
                return answer(mismatch.point, 409)
        await self._bring_about()
        effective = min(schema.effective(self.reader), changes.revision)
        return answer(wire.Applied(revision=changes.revision, effective=effective))

    async def post_rebuild(self, request: web.Request) -> web.Response:
        """POST /v1/rebuild: stage a page; with the last one put all into force and bring its effects about. 409
        with the page that is waited for."""
        page = body_of(await request.read(), wire.Rebuild)
        async with self.lock:
            try:
                await asyncio.to_thread(self.rebuilding.take, page)
            except Elsewhere as elsewhere:
                return answer(elsewhere.state, 409)
        if page.last:
            await self._bring_about()
        point = schema.point(self.reader)
        return answer(wire.Applied(revision=point.revision, effective=schema.effective(self.reader)))

    async def get_status(self, _: web.Request) -> web.Response:
        """GET /v1/status."""
        return answer(await status(self.settings, self.reader, self.keeper, self.lag_error))

    async def get_digest(self, request: web.Request) -> web.Response:
        """GET /v1/digest?domain=&after=&limit=: what the node holds of one domain."""
        domain = parameter(request, "domain", wire.Id)
        after = parameter(request, "after", wire.Cursor)
        return answer(await asyncio.to_thread(digest, self.settings, domain, after, limit_of(request)))

    async def get_digests(self, request: web.Request) -> web.Response:
        """GET /v1/digests?after=&limit=: one number for each domain."""
        after = parameter(request, "after", wire.Cursor)
        return answer(await asyncio.to_thread(digests, self.settings, after, limit_of(request)))

    async def get_rows(self, request: web.Request) -> web.Response:
        """GET /v1/rows?after=&limit=: what the node holds, row by row."""
        after = parameter(request, "after", wire.Cursor)
        return answer(await asyncio.to_thread(row_page, self.settings, after, limit_of(request)))

    async def get_usage(self, request: web.Request) -> web.Response:
        """GET /v1/usage?after=&limit=: what mailboxes hold, changed after the cursor."""
        after = parameter(request, "after", wire.Cursor)
        return answer(usage_page(self.reader, self.usage_reader, self.sends_reader, after, limit_of(request)))

    async def post_command(self, request: web.Request) -> web.Response:
        """POST /v1/commands/<name>: do something once; the same id again is answered as the first time."""
        name = request.match_info["name"]
        if name not in COMMANDS:
            raise Refused(404, wire.Refusal(error=f"no command {name[:64]!r}"))
        command = body_of(await request.read(), wire.Command)
        async with self.lock:
            repeated = await self.commands.run(name, command)
        return answer(wire.Done(id=command.id, repeated=repeated))

    async def post_renew(self, request: web.Request) -> web.Response:
        """POST /v1/renew: have the keeper take a step of a renewal, and take over what it made."""
        renew = body_of(await request.read(), wire.Renew)
        is_last = self._is_key(request, self.key_hashes[-1])
        if renew.step == "end" and not is_last:
            raise Refused(
                422, wire.Refusal(error="the next key ends a renewal, not the one that it replaces")
            )
        async with self.lock:
            # Whoever has stolen the key that is replaced must not be told the next one that the panel uses.
            anew = renew.step == "begin" and not (is_last and len(self.key_hashes) > 1)
            made = await self.keeper.call("renew", step=renew.step, anew=anew)
            self.key_hashes = self.settings.key_hashes.read_text().split()
            self.context.load_cert_chain(self.settings.agent_certificate)
        return answer(wire.Renewal(key=made["key"], certificate_sha256=made["certificate_sha256"]))

    def _is_key(self, request: web.Request, key_hash: str) -> bool:
        """Whether the request presents the bearer key with this hash."""
        scheme, _, key = request.headers.get("Authorization", "").partition(" ")
        hashed = hashlib.sha256(key.encode(errors="replace")).hexdigest()
        return scheme == "Bearer" and hmac.compare_digest(hashed, key_hash)

    async def not_here(self, request: web.Request) -> web.Response:
        """A route whose shape is agreed and that this version does not serve."""
        return answer(wire.Refusal(error=f"mailnode {__version__} does not serve {request.path}"), 501)

    async def _bring_about(self) -> None:
        """Bring about what is pending, for a limited time; what fails stays pending and is tried again."""
        async with self.lock:
            try:
                outcome = await self.effects.bring_about(time.monotonic() + EFFECTS_DEADLINE)
                self.lag_error = (
                    None if outcome.done else "Much follows from the last page, and is under way."
                )
            except (SessionsError, sqlite3.Error, OSError) as error:
                self.lag_error = f"{type(error).__name__}: {error}"[:1_000]
                log.warning("effects are pending: %s", self.lag_error)
                return
            except Exception as error:  # whatever it is, it must not end the trying
                self.lag_error = f"{type(error).__name__}: the agent's log has the rest."
                log.error("effects are pending", exc_info=error)
                return
        if outcome.kicked:
            self._background(self._kick_again(outcome.kicked))
        if outcome.resumed:
            self._background(self._retry_mail(sorted(outcome.resumed)))

    async def _retry_effects(self) -> None:
        """Try again what is pending, at growing intervals."""
        pause = 1.0
        while True:
            await asyncio.sleep(pause)
            # Not by the writer's connection, which a swap keeps busy for seconds: everybody would wait for it here.
            if schema.effective(self.reader) < schema.point(self.reader).revision:
                await self._bring_about()
                pause = min(pause * 2, RETRY_AT_LAST)
            else:
                pause = 1.0

    async def _kick_again(self, addresses: set[str]) -> None:
        await asyncio.sleep(AFTER_KICK)
        for address in addresses:
            try:
                await self.sessions.kick(address)
            except SessionsError as error:
                log.warning("the second kick failed: %s", error)

    async def _retry_mail(self, recipients: list[str]) -> None:
        """What waited in the queue for these recipients is tried now, and once more when Postfix has
        forgotten that they were stopped."""
        for pause in (0.0, AFTER_RESUME):
            await asyncio.sleep(pause)
            for start in range(0, len(recipients), RETRY_AT_ONCE):
                try:
                    await self.keeper.call("retry", recipients=recipients[start : start + RETRY_AT_ONCE])
                except KeeperError as error:
                    log.warning("waiting mail is not tried yet: %s", error)

    async def _sweep_homes(self) -> None:
        """Have the keeper purge homes whose days are over and that the panel has not had purged. Never at once:
        after a backup is restored, or an absence, the panel first says what it wants back. Nor because the clock
        says so: it may be wrong."""
        while True:
            began = time.monotonic()
            await asyncio.sleep(SWEEP_EVERY)
            try:
                await self._sweep(time.monotonic() - began)
            except sqlite3.Error as error:  # a full disk ends no look for good
                log.warning("this look for homes was not to its end: %s", type(error).__name__)

    async def _sweep(self, seconds: float) -> None:
        """Look once, after the agent has run for so long since the last time."""
        async with self.lock:
            self.commands.watch(seconds)
        days = self.settings.deleted_home_days + PANEL_DAYS
        for home in self.commands.due_homes(days, int(time.time())):
            async with self.lock:
                try:
                    await self.commands.purge(home)
                except KeeperError as error:
                    log.warning("home %s is not purged: %s", home, error)

    def _background(self, work: Awaitable[None]) -> None:
        task: asyncio.Task[None] = asyncio.ensure_future(work)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)


def run(settings: Settings) -> None:
    """Run in the foreground until SIGTERM; drops root first."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(levelname)s %(message)s")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(settings.agent_certificate)
    privileges.drop(settings.users.agent)
    web.run_app(
        _application(settings, context),
        host=settings.agent.address,
        port=settings.agent.port,
        ssl_context=context,
        access_log=None,
        print=None,
        shutdown_timeout=5,
    )


async def _application(settings: Settings, context: ssl.SSLContext) -> web.Application:
    """Built inside the event loop that will serve it."""
    return Agent(settings, context).application()
