"""Domains: proving, adding, deleting, restoring, and what their DNS should say and says."""

from typing import Any, ClassVar

from django.core.exceptions import ValidationError
from rest_framework import serializers
from rest_framework.exceptions import Throttled
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.access import Permission
from accounts.api.once import answered_once
from accounts.api.view import ApiView
from domains.api import bodies
from domains.api.finding import domain_named
from domains.dns.ownership import VALUE
from domains.dns_watch import AskedTooOften, count_asking
from domains.forms import DomainAddForm
from domains.models import Domain, OwnershipKey, add_domain, open_claim
from foundation.api import checked, cut
from foundation.api_schema import CUT, described

READ, EDIT = Permission.DOMAINS_READ, Permission.DOMAINS_EDIT
ENTRY = {"type": "TXT", "name": "_da-verify-0123456789abcdef0123456789abcdef.example.com", "value": VALUE}
ADDED = {"domain": "example.com", "ssl_enabled": True}


class VerificationKeyView(ApiView):
    permissions: ClassVar = {"GET": READ}

    @described(
        "The key that proves domains",
        data=bodies.VerificationKey,
        tag="domains",
        example={
            "key": "_da-verify-0123456789abcdef0123456789abcdef",
            "record": ENTRY,
            "description": "Publish this TXT record before you add the domain.",
        },
    )
    def get(self, request: Request) -> Response:
        key = OwnershipKey.of(self.customer).label
        record = {"type": "TXT", "name": f"{key}.<your-domain>", "value": VALUE}
        text = "Publish this TXT record, with your domain's name at the end of its own, before you add the domain."
        return Response({"key": key, "record": record, "description": text})


class DomainsView(ApiView):
    permissions: ClassVar = {"GET": READ, "POST": EDIT}
    proved = ""  # the name that a POST asks for, once it is

    @described(
        "List domains",
        data=serializers.ListField(child=serializers.CharField()),
        example=["example.com", "example.org"],
        parameters=(CUT,),
        tag="domains",
    )
    def get(self, request: Request) -> Response:
        names = self.customer.domains.live().order_by("name").values_list("name", flat=True)
        shown, headers = cut(names)
        return Response(shown, headers=headers)

    @described(
        "Add a domain that is proved",
        body=bodies.DomainBody,
        sent={"domain": "example.com"},
        data=bodies.DomainAdded,
        example=ADDED,
        status=201,
        errors=(409, 422),
        tag="domains",
    )
    def post(self, request: Request) -> Response:
        try:
            return self._add(request)
        except ValidationError as refusal:
            claim = open_claim(self.customer, self.proved) if self.proved else None
            raise (claim.refusal if claim else refusal) from refusal

    def prepare(self, request: Request) -> None:
        """Asks the DNS, for some seconds at most."""
        name = checked(bodies.DomainBody, request.data)["domain"]
        form = DomainAddForm({"domain": name}, customer=self.customer)
        if not form.is_valid():
            raise ValidationError(form.errors.as_data())
        self.proved = form.cleaned_data["domain"]

    @answered_once
    def _add(self, request: Request) -> Response:
        facts = bodies.domain_facts(add_domain(self.customer, self.proved, by=self.person))
        return Response({name: facts[name] for name in ("domain", "ssl_enabled")}, status=201)


class DomainView(ApiView):
    permissions: ClassVar = {"GET": READ, "DELETE": EDIT}

    @described(
        "One domain",
        data=bodies.DomainFacts,
        example={**ADDED, "mail_hosting": True, "pointers": []},
        tag="domains",
    )
    def get(self, request: Request, domain: str) -> Response:
        return Response(bodies.domain_facts(domain_named(self.customer, domain)))

    @described("Delete a domain; it can be restored for 30 days", status=204, tag="domains")
    def delete(self, request: Request, domain: str) -> Response:
        domain_named(self.customer, domain).delete(by=self.person)
        return Response(status=204)


class DomainRestoreView(ApiView):
    permissions: ClassVar = {"POST": EDIT}

    @described(
        "Restore a domain with everything in it",
        data=bodies.DomainFacts,
        example={**ADDED, "mail_hosting": True, "pointers": []},
        errors=(409, 422),
        tag="domains",
    )
    @answered_once
    def post(self, request: Request, domain: str) -> Response:
        found = domain_named(self.customer, domain, deleted=True)
        found.restore(by=self.person)
        return Response(bodies.domain_facts(found))


class DnsView(ApiView):
    permissions: ClassVar = {"GET": READ}

    @described(
        "The DNS records to publish",
        data=bodies.DnsFacts,
        tag="DNS",
        example={
            "mx_records": [{"priority": 10, "hostname": "mx1.example.net", "description": "Incoming mail"}],
            "spf": {"type": "TXT", "name": "example.com", "value": "v=spf1 include:_spf.example.net -all"},
            "dkim": {"type": "TXT", "name": "k1._domainkey.example.com", "value": "v=DKIM1; k=rsa; p=MIIB…"},
            "verification": {**ENTRY, "description": "Proves that the domain is yours"},
        },
    )
    def get(self, request: Request, domain: str) -> Response:
        found = domain_named(self.customer, domain, with_dns=True)
        records = {record.kind: record for record in found.records}
        entry = {
            kind: {"type": record.rdtype, "name": record.name, "value": record.value}
            for kind, record in records.items()
        }
        mx = [
            {"priority": record.priority, "hostname": record.value.rstrip("."), "description": record.why}
            for record in records.values()
            if record.kind == "mx"
        ]
        proof = {"type": "TXT", "name": found.proof_name, "value": VALUE}
        proof["description"] = "Proves that the domain is yours. Leave it there."
        return Response(
            {"mx_records": mx, "spf": entry["spf"], "dkim": entry.get("dkim"), "verification": proof}
        )


class DnsCheckView(ApiView):
    permissions: ClassVar = {"GET": READ, "POST": EDIT}

    @described(
        "What the DNS said at the last look",
        data=bodies.DnsCheckFacts,
        tag="DNS",
        example={"state": "ok", "checked_at": "2026-01-31T12:00:00Z", "records": []},
    )
    def get(self, request: Request, domain: str) -> Response:
        return Response(_checked(domain_named(self.customer, domain, with_dns=True)))

    @described(
        "Look at the DNS now; takes some seconds at most",
        data=bodies.DnsCheckFacts,
        example={"state": "ok", "checked_at": "2026-01-31T12:00:00Z", "records": []},
        tag="DNS",
    )
    def post(self, request: Request, domain: str) -> Response:
        found = domain_named(self.customer, domain, with_dns=True)
        try:
            count_asking(found)
        except AskedTooOften as often:
            raise Throttled(often.wait, str(often)) from often
        found.check_dns(by_hand=True)
        return Response(_checked(found))


def _checked(domain: Domain) -> dict[str, Any]:
    check = getattr(domain, "dns_check", None)
    records = [
        {
            "kind": record.kind,
            "type": record.rdtype,
            "name": record.name,
            "value": record.value,
            "state": record.state,
            "found": list(record.found),
            "note": record.note,
        }
        for record in domain.records
    ]
    return {
        "state": domain.dns_state,
        "checked_at": check.checked_at if check else None,
        "records": records,
    }
