"""Encrypt every encrypted field anew with the first of ENCRYPTION_KEYS, while the panel runs."""

from typing import Any

from django.apps import apps
from django.core.management.base import BaseCommand
from django.db import models, transaction

from foundation.encryption import EncryptedTextField

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
