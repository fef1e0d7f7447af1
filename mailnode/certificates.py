"""Certificates that a mail server makes for itself: the agent's, pinned by the panel, and the mail services',
signed by a small authority of the server's own until a public one is installed."""

import datetime
import hashlib
import ipaddress
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from mailnode.files import Place, write
from mailnode.settings import Settings

DAYS = 3_650
PEM = serialization.Encoding.PEM


def ensure_agent(settings: Settings) -> str:
    """The agent's self-signed certificate (key, then certificate); returns its pin."""
    path = settings.agent_certificate
    if not path.exists():
        make_agent(settings, path)
    Place(path, 0o640, "root", settings.users.agent).settle()
    return pin(path)


def make_agent(settings: Settings, path: Path) -> None:
    """Write a new key and self-signed certificate for the agent."""
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = _issue(settings.name, key, None, _addresses(settings))
    write(path, _private(key) + certificate.public_bytes(PEM), mode=0o640, group=settings.users.agent)


def ensure_mail(settings: Settings) -> Path:
    """The certificate of the mail services (tls/cert.pem, tls/key.pem) and the authority that signed it;
    returns the path of the authority's certificate, which mail clients may trust. Its key is thrown away
    after the one use."""
    authority, certificate, private = (settings.tls / name for name in ("ca.pem", "cert.pem", "key.pem"))
    if not (certificate.exists() and private.exists()):
        ca_key = ec.generate_private_key(ec.SECP256R1())
        ca = _issue(f"Mail authority of {settings.name}"[:64], ca_key, None, [], authority=True)
        key = ec.generate_private_key(ec.SECP256R1())
        leaf = _issue(settings.name, key, (ca, ca_key), _addresses(settings))
        write(authority, ca.public_bytes(PEM), mode=0o644)
        write(private, _private(key), mode=0o600)
        write(certificate, leaf.public_bytes(PEM), mode=0o644)
    return authority


def pin(path: Path) -> str:
    """SHA-256 (hex) of the DER form of the first certificate in a PEM file: what a client compares."""
    certificate = x509.load_pem_x509_certificates(path.read_bytes())[0]
    return hashlib.sha256(certificate.public_bytes(serialization.Encoding.DER)).hexdigest()


def not_after(path: Path) -> int:
    """When the first certificate in a PEM file ends, in seconds since the epoch."""
    return int(x509.load_pem_x509_certificates(path.read_bytes())[0].not_valid_after_utc.timestamp())


def _addresses(settings: Settings) -> list[str]:
    addresses = [*settings.listen, settings.agent.address, "127.0.0.1", settings.exchange or "127.0.0.1"]
    return [a for a in dict.fromkeys(addresses) if not ipaddress.ip_address(a).is_unspecified]


def _issue(
    name: str,
    key: ec.EllipticCurvePrivateKey,
    signer: tuple[x509.Certificate, ec.EllipticCurvePrivateKey] | None,
    addresses: list[str],
    authority: bool = False,
) -> x509.Certificate:
    """A certificate for a host name and its addresses, or for an authority; self-signed without a signer. The
    extensions are those of RFC 5280 that OpenSSL's strict checks ask for."""
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name[:64])])
    issuer, issuer_key = (signer[0].subject, signer[1]) if signer else (subject, key)
    now = datetime.datetime.now(datetime.UTC)
    builder = (
        x509.CertificateBuilder(subject_name=subject, issuer_name=issuer, public_key=key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))  # a clock may be off, here or at a client
        .not_valid_after(now + datetime.timedelta(days=DAYS))
        .add_extension(
            x509.BasicConstraints(ca=authority, path_length=0 if authority else None), critical=True
        )
        .add_extension(_usage(authority), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False
        )
    )
    if not authority:
        names: list[x509.GeneralName] = [x509.DNSName(name), x509.DNSName("localhost")]
        names += [x509.IPAddress(ipaddress.ip_address(address)) for address in addresses]
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH])
        builder = builder.add_extension(usage, critical=False)
    return builder.sign(issuer_key, hashes.SHA256())


def _usage(authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not authority,
        key_cert_sign=authority,
        crl_sign=authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _private(key: ec.EllipticCurvePrivateKey) -> bytes:
    encoding = serialization.NoEncryption()
    return key.private_bytes(PEM, serialization.PrivateFormat.PKCS8, encoding)
