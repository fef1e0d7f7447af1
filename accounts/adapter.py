"""Our manners for django-allauth."""

import time
from typing import Any
from urllib.parse import urljoin

from allauth.account.adapter import DefaultAccountAdapter
from allauth.account.authentication import get_authentication_records
from allauth.mfa.adapter import DefaultMFAAdapter
from django.conf import settings
from django.http import HttpRequest
from django.urls import reverse

from accounts.factors import has_factor
from foundation.client_address import client_address
from foundation.encryption import decrypt, encrypt


class SecondFactorAdapter(DefaultMFAAdapter):
    """Secrets of second factors stand encrypted in the database."""

    def encrypt(self, text: str) -> str:
        return encrypt(text)

    def decrypt(self, encrypted_text: str) -> str:
        return decrypt(encrypted_text)


class AccountAdapter(DefaultAccountAdapter):
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
        return [method for method in methods if method["id"] != "reauthenticate"]

    def get_email_confirmation_url(self, request: HttpRequest, emailconfirmation: Any) -> str:
        """Built from the configured address, whatever the request's Host header says."""
        return urljoin(settings.PANEL_URL, reverse("account_confirm_email", args=[emailconfirmation.key]))

    def get_reset_password_from_key_url(self, key: str) -> str:
        path = reverse("account_reset_password_from_key", kwargs={"uidb36": "UID", "key": "KEY"})
        return urljoin(settings.PANEL_URL, path.replace("UID-KEY", key))

    def send_mail(self, template_prefix: str, email: str, context: dict[str, Any]) -> None:
        links = {"product_name": settings.PRODUCT_NAME, "panel_url": settings.PANEL_URL}
        super().send_mail(template_prefix, email, {**links, **context})
