"""What is held about a person, as a ZIP for them: asked for, made by a worker, mailed as a link, fetched once."""

from base64 import b85decode, b85encode
from collections.abc import Iterator
from datetime import timedelta
from io import RawIOBase
from typing import Any
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

from django.conf import settings
from django.core.exceptions import ValidationError
from django.http import HttpRequest
from django.template.loader import render_to_string
from django.utils import timezone

from accounts import audit, privacy
from accounts.account_changes import tell
from accounts.models import AuditEntry, DataExport, DataExportPart, User
from accounts.models.mailed_link import hash_of
from accounts.notices import notice_kind, send_notice
from foundation.unit_of_work import unit_of_work

PIECE = 128 * 1024  # bytes of a part
A_DAY = 5  # for one person: each is work, and a mail
FETCHING = timedelta(hours=1)  # a slow line may take so long over the one download
REMEMBERED = timedelta(days=90)  # that there was one


def ask_export(user: User) -> DataExport:
    """Begin, unless one is being made. One that waits to be fetched gives way: its link is dead at once.

    ValidationError (code `limit`) after A_DAY of them within a day.
    """
    from accounts.tasks import make_data_export

    with unit_of_work():
        User.objects.select_for_update(no_key=True).get(pk=user.pk)
        waiting = user.data_exports.filter(fetched_at=None).first()
        if waiting and waiting.made_at is None:
            return waiting
        if _has_asked_enough(user):
            raise ValidationError("You have asked often today. Try again tomorrow.", code="limit")
        if waiting:
            waiting.delete()
        export = DataExport(user=user)
        export.renew_link()
        export.save()
        audit.record("data_export.ask", by=user, subject=user.email)
        make_data_export.delay_on_commit(str(export.pk))
    return export


def make_export(export_id: str) -> bool:
    """Write the ZIP and owe the mail, in one transaction: one that is cut off leaves nothing, and is begun again. False
    when it is made already, or another worker is at it.
    """
    with unit_of_work():
        wanted = DataExport.objects.filter(pk=export_id, made_at=None, user__is_active=True)
        export = wanted.select_for_update(skip_locked=True, of=("self",)).select_related("user").first()
        if export is None:
            return False
        parts = _Parts(export)
        _write(parts, export.user)
        parts.finish()
        export.size, export.made_at = parts.size, timezone.now()
        export.renew_link()
        export.save()
        send_notice("data_export.ready", export.pk)
    return True


def exports_to_make() -> list[str]:
    wanted = DataExport.objects.filter(made_at=None, user__is_active=True).order_by("asked_at")
    return [str(pk) for pk in wanted.values_list("pk", flat=True)[:100]]


def find_export(user: User, secret: str) -> DataExport | None:
    """The person's own, of which the link carries this secret; whatever has become of it."""
    return user.data_exports.filter(secret_hash=hash_of(secret)).exclude(made_at=None).first()


def fetch_export(export: DataExport, *, request: HttpRequest) -> Iterator[bytes] | None:
    """Its bytes, once; None when it was fetched before, or its days are over. The content goes with the last of them."""
    now = timezone.now()
    with unit_of_work():
        ready = DataExport.objects.filter(pk=export.pk, fetched_at=None, expires_at__gt=now)
        if not ready.exclude(made_at=None).update(fetched_at=now):
            return None
        tell("data_export.fetch", export.user, request=request)
    return _bytes(export)


def forget_old_exports() -> None:
    """Delete content that was fetched or that nobody fetched in its days, and in the end that there was any."""
    now = timezone.now()
    DataExportPart.objects.filter(belongs_to__fetched_at__lt=now - FETCHING).delete()
    DataExport.objects.filter(fetched_at=None, expires_at__lt=now).exclude(made_at=None).delete()
    DataExport.objects.filter(fetched_at__lt=now - REMEMBERED).delete()


class _Parts(RawIOBase):
    """Takes a ZIP as it is written and keeps it piece by piece, so that it never stands in memory as a whole."""

    def __init__(self, export: DataExport) -> None:
        self.export = export
        self.size = self.count = 0
        self.waiting = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self.waiting += data
        while len(self.waiting) >= PIECE:
            self._keep()
        return len(data)

    def finish(self) -> None:
        if self.waiting:
            self._keep()

    def _keep(self) -> None:
        piece = bytes(self.waiting[:PIECE])
        del self.waiting[:PIECE]
        self.export.parts.create(number=self.count, content=b85encode(piece).decode())
        self.count += 1
        self.size += len(piece)


def _write(parts: RawIOBase, user: User) -> None:
    now = timezone.now()
    context = {"user": user, "at": now, "held": privacy.held(), "product_name": settings.PRODUCT_NAME}
    with ZipFile(parts, "w", ZIP_DEFLATED) as archive:
        readme = render_to_string("accounts/data_readme.txt", context)
        for name, pieces in [("README.txt", iter([readme])), *_files(user)]:
            member = ZipInfo(name, now.timetuple()[:6])
            member.compress_type = ZIP_DEFLATED
            with archive.open(member, "w") as file:
                for piece in pieces:
                    file.write(piece.encode())


def _files(user: User) -> Iterator[tuple[str, Iterator[str]]]:
    return ((f"{name}.json", pieces) for name, pieces in privacy.export_person(user))


def _bytes(export: DataExport) -> Iterator[bytes]:
    number = 0
    while part := export.parts.filter(number=number).first():
        yield b85decode(part.content)
        number += 1
    export.parts.all().delete()


def _has_asked_enough(user: User) -> bool:
    """Counted in the audit trail, because what gave way leaves no row."""
    since = timezone.now() - timedelta(days=1)
    return AuditEntry.objects.filter(by=user, action="data_export.ask", at__gt=since).count() >= A_DAY


@notice_kind("data_export.ready", template="accounts/emails/data_export_ready")
def _is_ready(export_id: str) -> tuple[list[str], dict[str, Any]]:
    export = DataExport.objects.select_related("user").filter(pk=export_id).first()
    if export is None or export.status != "ready" or not export.user.is_active:
        return [], {}
    return [export.user.email], {"export": export, "url": export.link}
