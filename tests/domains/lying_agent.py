"""A stand-in for a mail server's agent that may lie, hang, babble or be slow: real TLS on a real port."""

import hashlib
import json
import socket
import ssl
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

Answer = Callable[[str, str, bytes], Iterator[bytes]]

STATUS: dict[str, Any] = {
    "wire": 2, "wires": [1, 2], "version": "1", "revision": 0, "mark": "", "effective": 0, "services": [],
    "disk": {"total": 1, "free": 1}, "queue": 0, "certificate_not_after": 0, "rows": {}, "lag_error": None, "time": 0,
}  # fmt: skip


class LyingAgent:
    """`answer(method, path, body)` yields the bytes of each answer; replace it as a test likes. `asked` are the
    requests so far.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.answer: Answer = self.honest
        self.asked: list[tuple[str, str]] = []
        self.point = (0, "")
        certificate, key = _certificate()
        self.certificate_sha256 = hashlib.sha256(certificate.public_bytes(Encoding.DER)).hexdigest()
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        with tempfile.TemporaryDirectory() as directory:
            chain = Path(directory) / "agent.pem"
            private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
            chain.write_bytes(private + certificate.public_bytes(Encoding.PEM))
            self._context.load_cert_chain(chain)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"https://127.0.0.1:{self._listener.getsockname()[1]}"
        self._over = threading.Event()
        threading.Thread(target=self._listen, daemon=True).start()

    def stop(self) -> None:
        self._over.set()
        self._listener.close()

    def honest(self, method: str, path: str, body: bytes) -> Iterator[bytes]:
        """What an agent answers that applies everything at once."""
        if method == "POST":
            page = json.loads(body)
            self.point = (page["revision"], page["mark"])
            yield reply({"revision": page["revision"], "effective": page["revision"]})
        elif path.startswith("/v1/usage"):
            yield reply({"entries": [], "next": ""})
        else:
            revision, mark = self.point
            yield reply(
                STATUS | {"name": self.name, "revision": revision, "mark": mark, "effective": revision}
            )

    def hang(self, *_: object) -> Iterator[bytes]:
        yield b""
        self._over.wait(60)
        raise ConnectionAbortedError

    def _listen(self) -> None:
        while not self._over.is_set():
            try:
                accepted, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(accepted,), daemon=True).start()

    def _serve(self, accepted: socket.socket) -> None:
        try:
            with self._context.wrap_socket(accepted, server_side=True) as connection:
                while request := _request(connection):
                    self.asked.append(request[:2])
                    for piece in self.answer(*request):
                        connection.sendall(piece)
        except OSError:
            return  # the other side has had enough


def reply(body: object, status: int = 200, **headers: str) -> bytes:
    """A whole answer; `body` as JSON unless it is bytes."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    lines = [f"HTTP/1.1 {status} X", f"Content-Length: {len(content)}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + content


def slowly(whole: bytes, pause: float) -> Iterator[bytes]:
    """One byte after the other."""
    for number in whole:
        yield bytes([number])
        time.sleep(pause)


def _request(connection: ssl.SSLSocket) -> tuple[str, str, bytes] | None:
    """Method, path and body of the next request; None at the end."""
    read = b""
    while b"\r\n\r\n" not in read:
        more = connection.recv(65_536)
        if not more:
            return None
        read += more
    head, _, body = read.partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    length = next((int(line[15:]) for line in lines if line.lower().startswith("content-length:")), 0)
    while len(body) < length:
        body += connection.recv(65_536)
    method, path, _ = lines[0].split(" ")
    return method, path, body


def _certificate() -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "lying agent")])
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(x509.random_serial_number())
    builder = builder.not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=1))
    return builder.sign(key, hashes.SHA256()), key
