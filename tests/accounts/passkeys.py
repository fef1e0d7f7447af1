"""A passkey in software: real keys and signatures (W3C Web Authentication, sections 6.1 and 6.5), no device."""

import hashlib
import json
import os
from html.parser import HTMLParser
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from fido2 import cbor
from fido2.cose import ES256
from fido2.utils import websafe_decode, websafe_encode

ORIGIN = "http://localhost:8000"
PRESENT, VERIFIED, ATTESTED = 0x01, 0x04, 0x40


class Passkey:
    def __init__(self) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.id = os.urandom(16)
        self.handle = ""
        self.uses = 0

    def create(self, options: dict[str, Any], origin: str = ORIGIN) -> dict[str, Any]:
        """What navigator.credentials.create() answers, as JSON."""
        wanted = options["publicKey"]
        self.handle = wanted["user"]["id"]
        public = cbor.encode(ES256.from_cryptography_key(self.key.public_key()))
        attested = bytes(16) + len(self.id).to_bytes(2, "big") + self.id + public
        data = self._data(wanted["rp"]["id"], PRESENT | VERIFIED | ATTESTED) + attested
        attestation = cbor.encode({"fmt": "none", "attStmt": {}, "authData": data})
        response = {
            "clientDataJSON": _client_data("webauthn.create", wanted["challenge"], origin),
            "attestationObject": attestation,
        }
        return self._answer(response, {"credProps": {"rk": True}})

    def get(self, options: dict[str, Any], origin: str = ORIGIN) -> dict[str, Any]:
        """What navigator.credentials.get() answers, as JSON."""
        wanted = options["publicKey"]
        client_data = _client_data("webauthn.get", wanted["challenge"], origin)
        data = self._data(wanted["rpId"], PRESENT | VERIFIED)
        signature = self.key.sign(data + hashlib.sha256(client_data).digest(), ec.ECDSA(hashes.SHA256()))
        response = {
            "clientDataJSON": client_data,
            "authenticatorData": data,
            "signature": signature,
            "userHandle": websafe_decode(self.handle),
        }
        return self._answer(response, {})

    def _data(self, rp_id: str, flags: int) -> bytes:
        self.uses += 1
        return hashlib.sha256(rp_id.encode()).digest() + bytes([flags]) + self.uses.to_bytes(4, "big")

    def _answer(self, response: dict[str, bytes], extensions: dict[str, Any]) -> dict[str, Any]:
        identity = websafe_encode(self.id)
        return {
            "type": "public-key",
            "id": identity,
            "rawId": identity,
            "response": {name: websafe_encode(value) for name, value in response.items()},
            "clientExtensionResults": extensions,
        }


def _client_data(kind: str, challenge: str, origin: str) -> bytes:
    return json.dumps({"type": kind, "challenge": challenge, "origin": origin, "crossOrigin": False}).encode()


class _Options(HTMLParser):
    found: dict[str, Any] | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        options = dict(attrs).get("data-options")
        if options:
            self.found = json.loads(options)


def options_on(page: str) -> dict[str, Any]:
    """What the page hands to the browser's passkeys."""
    parser = _Options()
    parser.feed(page)
    assert parser.found, page
    return parser.found
