"""Mailboxes from a CSV file, as a job: send the file, read what would change, confirm, follow the progress."""

from io import BytesIO
from typing import Any, ClassVar

from rest_framework import serializers
from rest_framework.parsers import BaseParser
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.access import Permission
from accounts.api.once import answered_once
from accounts.api.view import ApiView
from domains.api.finding import domain_named, import_numbered
from domains.mailbox_csv.comparing import compare
from domains.mailbox_csv.reading import MOST_BYTES
from domains.models import MailboxImport
from foundation.api import TooLarge
from foundation.api_schema import described

FAULTS_SHOWN = 200
EXAMPLE = {
    "id": 7, "status": "ready", "new": 500, "changed": 0, "unchanged": 0, "refused": 0, "done": 0, "live": False,
    "stopped": "", "faults": [],
}  # fmt: skip


class Fault(serializers.Serializer):
    line = serializers.IntegerField()
    message = serializers.CharField()


class ImportFacts(serializers.Serializer):
    id = serializers.IntegerField()
    status = serializers.CharField(help_text="`comparing`, `ready`, `importing`, `stopped` or `done`.")
    new = serializers.IntegerField()
    changed = serializers.IntegerField()
    unchanged = serializers.IntegerField()
    refused = serializers.IntegerField()
    done = serializers.IntegerField(help_text="Lines that are made true.")
    live = serializers.BooleanField(help_text="Whether the mail server has all of it.")
    stopped = serializers.CharField(allow_blank=True, help_text="What holds it up; confirm again to go on.")
    faults = Fault(many=True, help_text=f"Why lines are refused, the first {FAULTS_SHOWN}.")


class CsvParser(BaseParser):
    """The file itself as the body."""

    media_type = "text/csv"

    def parse(self, stream: Any, media_type: Any = None, parser_context: Any = None) -> dict[str, bytes]:
        raw = stream.read(MOST_BYTES + 1)
        if len(raw) > MOST_BYTES:
            raise TooLarge(f"A file has at most {MOST_BYTES >> 20} MB.")
        return {"file": raw}


class ImportsView(ApiView):
    permissions: ClassVar = {"POST": Permission.MAILBOXES_EDIT}
    parser_classes = (CsvParser,)

    @described(
        "Send a CSV file of mailboxes; nothing changes until it is confirmed",
        body={"text/csv": {"type": "string"}},
        data=ImportFacts,
        example=EXAMPLE,
        status=202,
        errors=(409, 422),
        tag="imports",
    )
    @answered_once
    def post(self, request: Request, domain: str) -> Response:
        found = domain_named(self.customer, domain)
        sent: Any = request.data
        made = compare(found, BytesIO(sent.get("file", b"")), by=self.person)
        return Response(_facts(made), status=202)


class ImportView(ApiView):
    permissions: ClassVar = {"GET": Permission.MAILBOXES_EDIT, "DELETE": Permission.MAILBOXES_EDIT}

    @described("How far an import is", data=ImportFacts, example=EXAMPLE, tag="imports")
    def get(self, request: Request, domain: str, number: int) -> Response:
        return Response(_facts(import_numbered(domain_named(self.customer, domain), number)))

    @described("Forget the lines that are not done yet", status=204, tag="imports")
    def delete(self, request: Request, domain: str, number: int) -> Response:
        import_numbered(domain_named(self.customer, domain), number).discard(by=self.person)
        return Response(status=204)


class ImportConfirmView(ApiView):
    permissions: ClassVar = {"POST": Permission.MAILBOXES_EDIT}

    @described(
        "Make the changes of an import, or go on where it stopped",
        data=ImportFacts,
        example={**EXAMPLE, "status": "importing"},
        status=202,
        errors=(422,),
        tag="imports",
    )
    @answered_once
    def post(self, request: Request, domain: str, number: int) -> Response:
        found = import_numbered(domain_named(self.customer, domain), number)
        found.confirm(by=self.person)
        return Response(_facts(found), status=202)


def _facts(found: MailboxImport) -> dict[str, Any]:
    names = ("status", "new", "changed", "unchanged", "refused", "done", "stopped")
    faults = [{"line": line, "message": message} for line, message in found.faults[:FAULTS_SHOWN]]
    return {"id": found.pk, **{name: getattr(found, name) for name in names}} | {
        "live": found.is_live,
        "faults": faults,
    }
