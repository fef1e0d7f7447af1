"""HTTP to services that are not ours: bounded in time and size, whatever the other side does."""

import logging
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.cookiejar import DefaultCookiePolicy
from ipaddress import ip_address, ip_network
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from requests_hardened.ip_filter import InvalidIPAddress, filter_host
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import HTTPError

logger = logging.getLogger(__name__)

GLOBAL_UNICAST = ip_network("2000::/3")  # all of IPv6 that is given out (IANA)
LOOK_UP = 10.0  # seconds for the resolver outside of `fetch`


class OutboundError(Exception):
    """The call gave no usable reply. `retry` tells whether the same call may succeed later."""

    def __init__(self, message: str, *, retry: bool) -> None:
        super().__init__(message)
        self.retry = retry


class UntrustedError(OutboundError):
    """The server shows another certificate than the pinned one; nothing was said to it."""

    def __init__(self) -> None:
        super().__init__("It shows another certificate than the one it is known by.", retry=True)


class NotPublicError(OutboundError):
    """The host leads to no address that everybody on the internet reaches; nothing was connected."""

    def __init__(self) -> None:
        super().__init__("Its name leads to no public address.", retry=True)


@dataclass(frozen=True)
class Reply:
    """What came back: status code, headers (names lower-case) and at most `max_bytes` of body."""

    status: int
    headers: dict[str, str]
    body: bytes


def fetch(
    method: str,
    url: str,
    *,
    deadline: float,
    max_bytes: int,
    session: requests.Session | None = None,
    cut: bool = False,
    **options: Any,
) -> Reply:
    """Make one call that ends within `deadline` seconds in all, also against one byte a second.

    Redirects are not followed; proxies and .netrc of the environment are not used. `options` are those
    of requests' `Session.request` (`data`, `json`, `headers` …). Raises OutboundError: `retry` is true for time-outs,
    refused or broken connections and overlong bodies, unless `cut` asks for their beginning alone. UntrustedError where
    a pin does not fit, NotPublicError where the session wants public addresses.
    """
    own = session or new_session()
    ends_at = time.monotonic() + deadline
    try:
        with (
            _guard(ends_at) as guard,
            own.request(
                method, url, timeout=deadline, allow_redirects=False, stream=True, **options
            ) as response,
        ):
            body = _read(response, max_bytes, cut)
            if guard.expired and not cut:
                raise OutboundError(f"No complete answer within {deadline:g} s.", retry=True)
            headers = {name.lower(): value for name, value in response.headers.items()}
            return Reply(response.status_code, headers, body)
    except (requests.RequestException, HTTPError, OSError) as error:
        if isinstance(error, requests.exceptions.SSLError) and "Fingerprints did not match" in str(error):
            raise UntrustedError from error
        late = time.monotonic() >= ends_at
        reason = f"No complete answer within {deadline:g} s." if late else f"{type(error).__name__}."
        raise OutboundError(reason, retry=True) from error
    finally:
        if session is None:
            own.close()


def new_session(*, fingerprint: str | None = None, public_only: bool = False) -> requests.Session:
    """A session whose connections `fetch` can end; `fingerprint` (SHA-256, hex) pins the server's certificate. With
    `public_only` it connects to public addresses alone, whatever a name leads to at that moment.
    """
    session = _Session()
    session.trust_env = False
    session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))  # none is kept: they would heap up
    adapter = _GuardedAdapter(fingerprint, public_only)
    session.mount("https://", adapter)
    session.mount("http://", adapter)
    if fingerprint:
        session.verify = False  # the pin decides, not a public authority
    return session


class _Session(requests.Session):
    def get_redirect_target(self, resp: requests.Response) -> None:
        """Never anywhere: to prepare the next request, requests would read the whole body first, however long it is."""


def is_public_address(address: str) -> bool:
    """Whether an IP address is reached from the whole internet, and no NAT64, 6to4 or the like of one that is not."""
    try:
        filter_host(address, 443, allow_loopback=False)
        parsed = ip_address(address)
    except (InvalidIPAddress, OSError, ValueError):
        return False
    return parsed.is_global and (parsed.version == 4 or parsed in GLOBAL_UNICAST)


def _read(response: requests.Response, max_bytes: int, cut: bool) -> bytes:
    """The body; of one that is cut what came of it, be it complete or not."""
    body = bytearray()
    try:
        _read_into(body, response, max_bytes, cut)
    except (requests.RequestException, HTTPError, OSError):
        if not cut:
            raise
    return bytes(body)


def _read_into(body: bytearray, response: requests.Response, max_bytes: int, cut: bool) -> None:
    for chunk in response.iter_content(min(16 * 1024, max_bytes + 1)):
        body += chunk
        if len(body) > max_bytes:
            if not cut:
                raise OutboundError(f"The answer is longer than {max_bytes} bytes.", retry=True)
            del body[max_bytes:]
            return


@dataclass
class _Guard:
    """Ends the sockets of one call when its time is up."""

    ends_at: float
    expired: bool = False
    sockets: list[socket.socket] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def watch(self, sock: socket.socket) -> None:
        # A duplicate of the descriptor reaches the connection also after TLS has taken over the original.
        with self.lock:
            self.sockets.append(socket.socket(fileno=os.dup(sock.fileno())))
        if self.expired:
            self.expire()

    def expire(self) -> None:
        self.expired = True
        with self.lock:
            for sock in self.sockets:
                try:
                    sock.shutdown(socket.SHUT_RDWR)
                except OSError:
                    logger.debug("connection was closed already")

    def close(self) -> None:
        with self.lock:
            for sock in self.sockets:
                sock.close()
            self.sockets.clear()


_active = threading.local()


@contextmanager
def _guard(ends_at: float) -> Iterator[_Guard]:
    guard = _Guard(ends_at)
    timer = threading.Timer(max(0.0, ends_at - time.monotonic()), guard.expire)
    timer.daemon = True
    _active.guard = guard
    timer.start()
    try:
        yield guard
    finally:
        timer.cancel()
        _active.guard = None
        guard.close()


def _watch(sock: Any) -> None:
    guard: _Guard | None = getattr(_active, "guard", None)
    if guard is not None and sock is not None:
        guard.watch(sock)


def _addresses(host: str, port: int, within: float) -> list[str]:
    """The addresses of a host in the order in which to try them; none where there are none. TimeoutError after so many
    seconds: the system's resolver knows no deadline, so it is left behind in a thread of its own.
    """
    found: list[str] = []

    def look_up() -> None:
        try:
            entries = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError):
            return
        found.extend(dict.fromkeys(str(entry[4][0]) for entry in entries))

    thread = threading.Thread(target=look_up, daemon=True)
    thread.start()
    thread.join(within)
    if thread.is_alive():
        raise TimeoutError
    return found


class _GuardedConnection(HTTPConnection):
    public_only = False

    def _new_conn(self) -> socket.socket:
        sock = self._reach()
        _watch(sock)
        return sock

    def _reach(self) -> socket.socket:
        """Try one address of the host after the other, all of them together within what is left of the time."""
        guard: _Guard | None = getattr(_active, "guard", None)
        left = guard.ends_at - time.monotonic() if guard is not None else self.timeout or LOOK_UP
        name, addresses = self.host, _addresses(self.host, self.port, max(0.05, left))
        if self.public_only:
            if not addresses:
                raise OutboundError("Its name was not found.", retry=True)
            addresses = [address for address in addresses if is_public_address(address)]
            if not addresses:
                raise NotPublicError
        try:
            for number, address in enumerate(addresses, 1):
                self.host = address
                if guard is not None:
                    self.timeout = max(0.05, guard.ends_at - time.monotonic())
                try:
                    return super()._new_conn()
                except HTTPError:
                    if number == len(addresses) or (guard is not None and guard.expired):
                        raise
        finally:
            self.host = name
        return super()._new_conn()  # which says why the name has no address

    def request(self, *args: Any, **kwargs: Any) -> None:
        _watch(self.sock)  # kept alive from an earlier call
        super().request(*args, **kwargs)


class _GuardedTLSConnection(_GuardedConnection, HTTPSConnection):
    pass


class _GuardedPool(HTTPConnectionPool):
    ConnectionCls = _GuardedConnection


class _GuardedTLSPool(HTTPSConnectionPool):
    ConnectionCls = _GuardedTLSConnection


class _PublicConnection(_GuardedConnection):
    public_only = True


class _PublicTLSConnection(_GuardedTLSConnection):
    public_only = True


class _PublicPool(HTTPConnectionPool):
    ConnectionCls = _PublicConnection


class _PublicTLSPool(HTTPSConnectionPool):
    ConnectionCls = _PublicTLSConnection


class _GuardedAdapter(HTTPAdapter):
    def __init__(self, fingerprint: str | None, public_only: bool) -> None:
        self._fingerprint = fingerprint
        self._pools = (_PublicPool, _PublicTLSPool) if public_only else (_GuardedPool, _GuardedTLSPool)
        super().__init__(max_retries=0)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        if self._fingerprint:
            kwargs["assert_fingerprint"] = self._fingerprint
            kwargs["assert_hostname"] = False
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = dict(zip(("http", "https"), self._pools, strict=True))
