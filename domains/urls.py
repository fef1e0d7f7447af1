from django.urls import include, path, register_converter

from domains.views import bulk, imports
from domains.views import domains as domain
from domains.views import mailboxes as mailbox
from domains.views import owners as owner


class DomainName:
    """A name in its stored form; anything else is a URL of nothing."""

    regex = r"[a-z0-9-]{1,63}(?:\.[a-z0-9-]{1,63})+"

    def to_python(self, value: str) -> str:
        return value

    def to_url(self, value: str) -> str:
        return value


class MailboxName(DomainName):
    """A local part, or a whole address (which also names the mailbox whose local part is that of a page)."""

    regex = r"[a-z0-9._-]{1,64}(?:@[a-z0-9.-]{1,253})?"


class Token(DomainName):
    """What stands in the link of an invitation."""

    regex = r"[A-Za-z0-9_-]{43}"


register_converter(Token, "token")
register_converter(DomainName, "domain")
register_converter(MailboxName, "mailbox")

app_name = "domains"

mailbox_pages = [
    path("", mailbox.mailbox_page, name="mailbox-page"),
    path("change/", mailbox.mailbox_change, name="mailbox-change"),
    path("limit/", mailbox.mailbox_limit, name="mailbox-limit"),
    path("password/", mailbox.mailbox_password, name="mailbox-password"),
    path("invite/", owner.mailbox_invite, name="mailbox-invite"),
    path("uninvite/", owner.mailbox_uninvite, name="mailbox-uninvite"),
    path("suspend/", mailbox.mailbox_suspend, name="mailbox-suspend"),
    path("unsuspend/", mailbox.mailbox_unsuspend, name="mailbox-unsuspend"),
    path("delete/", mailbox.mailbox_delete, name="mailbox-delete"),
    path("restore/", mailbox.mailbox_restore, name="mailbox-restore"),
]
bulk_pages = [
    path("", bulk.bulk_list, name="bulk-list"),
    path("add/", bulk.bulk_add, name="bulk-add"),
    path("<uuid:bulk>/", bulk.bulk_page, name="bulk-page"),
    path("<uuid:bulk>/start/", bulk.bulk_start, name="bulk-start"),
    path("<uuid:bulk>/undo/", bulk.bulk_undo, name="bulk-undo"),
]
domain_pages = [
    path("", domain.domain_page, name="domain-page"),
    path("check/", domain.domain_check, name="domain-check"),
    path("records.zone", domain.domain_zone, name="domain-zone"),
    path("records.csv", domain.domain_csv, name="domain-csv"),
    path("dkim/", domain.domain_dkim, name="domain-dkim"),
    path("delete/", domain.domain_delete, name="domain-delete"),
    path("restore/", domain.domain_restore, name="domain-restore"),
    path("mailboxes/", mailbox.mailbox_list, name="mailbox-list"),
    path("mailboxes/add/", mailbox.mailbox_add, name="mailbox-add"),
    path("mailboxes.csv", imports.mailbox_csv, name="mailbox-csv"),
    path("imports/add/", imports.import_add, name="import-add"),
    path("imports/<int:import_id>/", imports.import_page, name="import-page"),
    path("imports/<int:import_id>/confirm/", imports.import_confirm, name="import-confirm"),
    path("imports/<int:import_id>/discard/", imports.import_discard, name="import-discard"),
    path("mailboxes/<mailbox:username>/", include(mailbox_pages)),
    path("bulk/", include(bulk_pages)),
]
urlpatterns = [
    path("c/<slug:customer>/domains/", domain.domain_list, name="domain-list"),
    path("c/<slug:customer>/domains/add/", domain.domain_add, name="domain-add"),
    path("c/<slug:customer>/domains/<domain:domain>/", include(domain_pages)),
    path("mailbox/password/<token:token>/", owner.owner_password, name="owner-password"),
    path("mailbox/ready/", owner.owner_ready, name="owner-ready"),
]
