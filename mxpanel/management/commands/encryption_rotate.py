"""Encrypt everything that stands encrypted anew with the first of ENCRYPTION_KEYS, while the panel runs."""

from typing import Any

from allauth.mfa.models import Authenticator
from django.apps import apps
from django.core.management.base import BaseCommand
from django.db import models, transaction

from accounts.models import KeptReply
from foundation.encryption import EncryptedTextField, decrypt, encrypt

BATCH = 200


class Command(BaseCommand):
    help = __doc__

    def handle(self, *args: Any, **options: Any) -> None:
        for model in apps.get_models():
            fields = [
                field.attname
                for field in model._meta.concrete_fields
                if isinstance(field, EncryptedTextField)
            ]
            if fields:
                self.stdout.write(f"{model._meta.label}: {rotate(model, fields)} rows")
        self.stdout.write(f"Second factors: {rotate_second_factors()} rows")
        self.stdout.write(f"Replies of the API: {rotate_replies()} rows")


def rotate(model: type[models.Model], fields: list[str]) -> int:
    """Re-encrypt in batches under row locks, so that no change made meanwhile is lost. Returns the rows done."""
    done, last = 0, None
    while True:
        with transaction.atomic():
            rows = model._default_manager.order_by("pk").select_for_update()
            batch = list((rows.filter(pk__gt=last) if last is not None else rows)[:BATCH])
            if not batch:
                return done
            model._default_manager.bulk_update(batch, fields)
            done, last = done + len(batch), batch[-1].pk


def rotate_second_factors() -> int:
    """The same for what django-allauth keeps, encrypted by accounts.adapter, inside a JSON field."""
    done = 0
    for pk in Authenticator.objects.values_list("pk", flat=True).iterator():
        with transaction.atomic():
            authenticator = Authenticator.objects.select_for_update().filter(pk=pk).first()
            if authenticator is not None:
                authenticator.data = {name: _anew(name, value) for name, value in authenticator.data.items()}
                authenticator.save(update_fields=["data"])
                done += 1
    return done


def rotate_replies() -> int:
    """The same for what accounts.api.once keeps for a day, encrypted in a JSON field."""
    done = 0
    for pk in KeptReply.objects.values_list("pk", flat=True).iterator():
        with transaction.atomic():
            reply = KeptReply.objects.select_for_update().filter(pk=pk).first()
            if reply is not None:
                reply.body = encrypt(decrypt(str(reply.body)))
                reply.save(update_fields=["body"])
                done += 1
    return done


def _anew(name: str, value: Any) -> Any:
    if name in ("secret", "seed"):
        return encrypt(decrypt(value))
    return [encrypt(decrypt(code)) for code in value] if name == "migrated_codes" else value
