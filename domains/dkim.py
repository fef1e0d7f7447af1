"""Making DKIM keys (RFC 6376, RFC 8301: RSA with 2048 bits)."""

import base64
from typing import NamedTuple

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from django.core.exceptions import ValidationError

LEAST_BITS = 1024  # what receivers still accept (RFC 8301)


class Pair(NamedTuple):
    private_pem: str
    public_base64: str


def new_pair() -> Pair:
    """A new key: private half as PEM (PKCS#8), public half as base64 DER. Takes a tenth of a second and more:
    never inside a transaction.
    """
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return Pair(private.decode(), _public(key))


def pair_of(private_pem: str) -> Pair:
    """The pair of a ready private key; ValidationError for what is none."""
    try:
        key = load_pem_private_key(private_pem.encode(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise ValidationError("This is no private key.", code="key") from error
    if not isinstance(key, rsa.RSAPrivateKey) or key.key_size < LEAST_BITS:
        raise ValidationError(f"A DKIM key is an RSA key of at least {LEAST_BITS} bits.", code="key")
    return Pair(private_pem, _public(key))


def _public(key: rsa.RSAPrivateKey) -> str:
    public = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return base64.b64encode(public).decode()
