from domains.models.server import Kind, MailServer, Placement, ServerMark, ServerRow, ServerSync, ServiceStop

from domains.models.domain import DkimKey, DnsCheck, Domain, OwnershipKey, add_domain  # isort: skip
from domains.models.mailbox import Mailbox, MailboxSuspension  # isort: skip  needs the two above

__all__ = [
    "DkimKey",
    "DnsCheck",
    "Domain",
    "Kind",
    "MailServer",
    "Mailbox",
    "MailboxSuspension",
    "OwnershipKey",
    "Placement",
    "ServerMark",
    "ServerRow",
    "ServerSync",
    "ServiceStop",
    "add_domain",
]
