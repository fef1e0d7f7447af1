from domains.models.dns import DkimKey, DnsAlert, DnsCheck, OwnershipKey
from domains.models.incident import (
    Incident,
    IncidentKind,
    IncidentReport,
    Pulse,
    close_incident,
    note_end,
    note_failure,
    on_one_line,
    open_incident,
)
from domains.models.server import (
    Difference,
    Kind,
    MailServer,
    Placement,
    ServerMark,
    ServerRow,
    ServerSync,
    ServiceStop,
)

from domains.models.sending import CustomerSending  # isort: skip
from domains.models.domain import Domain, add_domain, holder_of  # isort: skip
from domains.models.claim import DomainClaim, open_claim  # isort: skip
from domains.models.mailbox import Mailbox  # isort: skip  needs the two above
from domains.models.mailbox_invitation import MailboxInvitation  # isort: skip
from domains.models.mailbox_suspension import MailboxSuspension  # isort: skip
from domains.models.send_raise import SendRaise  # isort: skip
from domains.models.bulk import BulkChange, BulkItem, BulkVerb  # isort: skip
from domains.models.mailbox_import import ImportChunk, MailboxImport  # isort: skip
from domains.models.quota_warning import QuotaSummary, QuotaWarning  # isort: skip

__all__ = [
    "BulkChange",
    "BulkItem",
    "BulkVerb",
    "CustomerSending",
    "Difference",
    "DkimKey",
    "DnsAlert",
    "DnsCheck",
    "Domain",
    "DomainClaim",
    "ImportChunk",
    "Incident",
    "IncidentKind",
    "IncidentReport",
    "Kind",
    "MailServer",
    "Mailbox",
    "MailboxImport",
    "MailboxInvitation",
    "MailboxSuspension",
    "OwnershipKey",
    "Placement",
    "Pulse",
    "QuotaSummary",
    "QuotaWarning",
    "SendRaise",
    "ServerMark",
    "ServerRow",
    "ServerSync",
    "ServiceStop",
    "add_domain",
    "close_incident",
    "holder_of",
    "note_end",
    "note_failure",
    "on_one_line",
    "open_claim",
    "open_incident",
]
