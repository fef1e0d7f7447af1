"""A new encryption key takes over while the panel runs, and the old one can then be dropped."""

from typing import Any

from allauth.mfa.adapter import get_adapter
from allauth.mfa.models import Authenticator
from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
from cryptography.fernet import Fernet
from django.core.management import call_command
from django.db import connection

from accounts.models import Customer, User
from domains.models import DkimKey
from tests.conftest import TOTP_SECRET
from tests.program import Program

NEW = Fernet.generate_key().decode()


def stored(key: DkimKey) -> str:
    with connection.cursor() as cursor:
        cursor.execute("SELECT private_key FROM domains_dkimkey WHERE id = %s", [key.pk])
        return str(cursor.fetchone()[0])


def test_every_field_is_encrypted_anew(acme: Customer, settings: Any) -> None:
    domain = acme.domains.create(name="acme.test")
    key = domain.dkim_keys.create(private_key="the private half", public_key="public")
    before = stored(key)
    assert "private half" not in before
    settings.ENCRYPTION_KEYS = [NEW, *settings.ENCRYPTION_KEYS]
    call_command("encryption_rotate", verbosity=0)
    assert stored(key) != before
    settings.ENCRYPTION_KEYS = [NEW]
    assert DkimKey.objects.get(pk=key.pk).private_key == "the private half"
    call_command("encryption_rotate", verbosity=0)  # twice is harmless
    assert DkimKey.objects.get(pk=key.pk).private_key == "the private half"


def test_second_factors_work_on(sam: User, settings: Any) -> None:
    codes = RecoveryCodes.activate(sam).get_unused_codes()
    settings.ENCRYPTION_KEYS = [NEW, *settings.ENCRYPTION_KEYS]
    call_command("encryption_rotate", verbosity=0)
    settings.ENCRYPTION_KEYS = [NEW]
    totp = Authenticator.objects.get(user=sam, type=Authenticator.Type.TOTP)
    assert get_adapter().decrypt(totp.data["secret"]) == TOTP_SECRET
    recovery = Authenticator.objects.get(user=sam, type=Authenticator.Type.RECOVERY_CODES)
    assert recovery.wrap().get_unused_codes() == codes


def test_replies_of_the_api_are_repeated_on(program: Program, settings: Any) -> None:
    body, once = {"email": "new@example.test", "role": "reader"}, {"Idempotency-Key": "k1"}
    first = program.post("members", body, **once)
    settings.ENCRYPTION_KEYS = [NEW, *settings.ENCRYPTION_KEYS]
    call_command("encryption_rotate", verbosity=0)
    settings.ENCRYPTION_KEYS = [NEW]
    assert program.post("members", body, **once).json() == first.json()
