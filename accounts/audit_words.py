"""What an audit entry says to people: who did what, what it was before and after, and why."""

from typing import Any

from accounts.models import AuditEntry

# Action -> what was done; the subject follows.
WORDS = {
    "bulk.start": "changed many mailboxes of",
    "bulk.undo": "undid the change of many mailboxes of",
    "customer.activate": "activated the service",
    "customer.change": "changed by hand",
    "customer.limit": "limited what all mailboxes together may send of",
    "customer.place": "chose the mail server of",
    "customer.suspend": "suspended",
    "customer.unsuspend": "lifted the suspension of",
    "dkim.change": "changed the DKIM key",
    "domain.add": "added the domain",
    "domain.delete": "deleted the domain",
    "domain.give": "decided who gets the domain: the claimant, for",
    "domain.keep": "decided who gets the domain: the holder, for",
    "domain.restore": "restored the domain",
    "factor_rule.set": "required a second factor of all members of",
    "factor_rule.waive": "stopped requiring a second factor of",
    "import.add": "imported mailboxes to",
    "invitation.resend": "sent the invitation again to",
    "invitation.revoke": "revoked the invitation of",
    "invitation.send": "invited",
    "mailbox.add": "added the mailbox",
    "mailbox.change": "changed the mailbox",
    "mailbox.delete": "deleted the mailbox",
    "mailbox.invite": "invited the owner to set the password of",
    "mailbox.invitation_accept": "set, as its owner, the password of",
    "mailbox.invitation_revoke": "revoked the invitation to set the password of",
    "mailbox.limit": "changed the send limit of",
    "mailbox.password": "changed the password of",
    "mailbox.raise": "raised for a time the send limit of",
    "mailbox.raise_end": "ended the raised send limit of",
    "mailbox.restore": "restored the mailbox",
    "mailbox.suspend": "suspended the mailbox",
    "mailbox.unsuspend": "lifted the suspension of the mailbox",
    "member.add": "made a member:",
    "member.change": "changed the role of",
    "member.leave": "left:",
    "member.remove": "removed the member",
    "order.activate": "activated the order",
    "order.answer": "answered the question about the order",
    "order.approve": "approved the order",
    "order.ask": "asked about the order",
    "order.cancel": "cancelled the order",
    "order.check": "checked the order",
    "order.check_again": "asked FraudRecord again about the order",
    "order.place": "placed the order",
    "order.reject": "rejected the order",
    "ownership.decline": "declined the ownership offered to",
    "ownership.offer": "offered the ownership to",
    "ownership.transfer": "took over the ownership:",
    "ownership.withdraw": "ended the offer of the ownership to",
    "order.erase": "erased what the order said of a person:",
    "report.file": "reported to FraudRecord the order",
    "report.withdraw": "withdrew a report to FraudRecord about the order",
    "fraud_exemption.add": "exempted from FraudRecord",
    "fraud_exemption.end": "ended the exemption from FraudRecord of",
    "payment.record": "recorded a payment for the order",
}
# Of the review of orders, members see what is meant for them; what it found stays with staff.
REVIEW = ("order.", "report.", "review.", "fraud")
MEANT_FOR_MEMBERS = {"order.place", "order.ask", "order.reject", "order.cancel"}
REASONS = ("reason", "text")


def act(entry: AuditEntry) -> str:
    """What was done, without who did it."""
    words = WORDS.get(entry.action) or entry.action.replace(".", ": ").replace("_", " ")
    return f"{words} {entry.subject}".strip()


def who(entry: AuditEntry, members: set[int]) -> str:
    """Who did it, as members may know it: of staff only that it was staff."""
    if entry.by is None:
        return "the system"
    return "our staff" if is_by_staff(entry, members) else entry.by.email


def is_by_staff(entry: AuditEntry, members: set[int]) -> bool:
    return entry.by is not None and entry.by.is_staff and entry.by_id not in members


def changes(entry: AuditEntry) -> list[tuple[str, str, str]]:
    """(name, before, after) of each value that the entry names; a reason is told apart."""
    if _is_internal(entry):
        return []
    before, after = _values(entry.before), _values(entry.after)
    names = [
        name for name in {**before, **after} if name not in REASONS and before.get(name) != after.get(name)
    ]
    return [(name.replace("_", " "), _text(before.get(name)), _text(after.get(name))) for name in names]


def reason(entry: AuditEntry) -> str:
    values = {} if _is_internal(entry) else _values(entry.after)
    return next((str(values[name]) for name in REASONS if values.get(name)), "")


def _is_internal(entry: AuditEntry) -> bool:
    return entry.action.startswith(REVIEW) and entry.action not in MEANT_FOR_MEMBERS


def _values(values: Any) -> dict[str, Any]:
    return values if isinstance(values, dict) else {}


def _text(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(str(each) for each in value)
    return "" if value is None else str(value)
