"""Our manners for django-allauth."""

import time
from typing import Any
from urllib.parse import urljoin, urlsplit

from allauth.account.adapter import DefaultAccountAdapter
from allauth.account.authentication import get_authentication_records
from allauth.mfa.adapter import DefaultMFAAdapter
from allauth.mfa.models import Authenticator
from django.conf import settings
from django.http import HttpRequest
from django.urls import reverse

from accounts import devices
from accounts.account_changes import tell
from accounts.factors import has_factor
from foundation.client_address import client_address
from foundation.encryption import decrypt, encrypt
from foundation.unit_of_work import unit_of_work


class SecondFactorAdapter(DefaultMFAAdapter):
    """Secrets of second factors stand encrypted in the database; passkeys belong to the configured address."""

    error_messages = {
        **DefaultMFAAdapter.error_messages,
        "incorrect_code": "That code or passkey is not right. Codes change every thirty seconds, and each works once.",
        "unverified_email": "Confirm your e-mail address first.",
    }

    def encrypt(self, text: str) -> str:
        return encrypt(text)

    def decrypt(self, encrypted_text: str) -> str:
        return decrypt(encrypted_text)

    def get_public_key_credential_rp_entity(self) -> dict[str, str]:
        return {"id": urlsplit(settings.PANEL_URL).hostname or "localhost", "name": settings.PRODUCT_NAME}

    def generate_authenticator_name(self, user: Any, type: Any) -> str:
        had = Authenticator.objects.filter(user_id=user.pk, type=type).count()
        return f"Passkey {had + 1}" if had else "Passkey"


class AccountAdapter(DefaultAccountAdapter):
    """Whoever has a second factor is asked for that; changes are told; links name the configured address."""

    def get_client_ip(self, request: HttpRequest) -> str:
        return client_address(request)

    def is_reauthentication_required(self, *, app: str, **kwargs: Any) -> bool:
        """Not within ACCOUNT_REAUTHENTICATION_TIMEOUT of signing in, which allauth itself does not count. Whoever has
        a second factor is asked for that: a stolen password alone must not reach it.
        """
        records = get_authentication_records(self.request, self.request.user)
        since = time.time() - settings.ACCOUNT_REAUTHENTICATION_TIMEOUT
        recent = {record["method"] for record in records if record.get("at", 0) > since}
        if recent and ("mfa" in recent or not has_factor(self.request.user)):
            return False
        return bool(super().is_reauthentication_required(app=app, **kwargs))

    def get_reauthentication_methods(self, user: Any) -> list[dict[str, Any]]:
        """The second factor where there is one, and the password only where there is none."""
        methods: list[dict[str, Any]] = super().get_reauthentication_methods(user)
        if not has_factor(user):
            return methods
        words = {"mfa_reauthenticate": "Use a code", "mfa_reauthenticate:webauthn": "Use a passkey"}
        factors = [{**one, "description": words[one["id"]]} for one in methods if one["id"] in words]
        codes_first = Authenticator.objects.filter(user_id=user.pk, type=Authenticator.Type.TOTP).exists()
        return factors if codes_first else factors[::-1]

    def set_password(self, user: Any, password: str) -> None:
        """In one transaction with what a new password entails; the second factor stays as it is."""
        own = self.request.user.is_authenticated and self.request.user.pk == user.pk
        with unit_of_work():
            super().set_password(user, password)
            tell("password.change" if own else "password.reset", user, request=self.request)
            devices.end_all(user, but=self.request.session.session_key if own else None)
        self.request.session.pop("seen_at", None)  # this session goes on under another key

    def get_email_confirmation_url(self, request: HttpRequest, emailconfirmation: Any) -> str:
        """Built from the configured address, whatever the request's Host header says."""
        return urljoin(settings.PANEL_URL, reverse("account_confirm_email", args=[emailconfirmation.key]))

    def get_reset_password_from_key_url(self, key: str) -> str:
        path = reverse("account_reset_password_from_key", kwargs={"uidb36": "UID", "key": "KEY"})
        return urljoin(settings.PANEL_URL, path.replace("UID-KEY", key))

    def send_mail(self, template_prefix: str, email: str, context: dict[str, Any]) -> None:
        links = {"product_name": settings.PRODUCT_NAME, "panel_url": settings.PANEL_URL}
        super().send_mail(template_prefix, email, {**links, **context})
