from domains.models.dns import DkimKey, DnsCheck, OwnershipKey
from domains.models.server import Kind, MailServer, Placement, ServerMark, ServerRow, ServerSync, ServiceStop

from domains.models.domain import Domain, add_domain  # isort: skip
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
