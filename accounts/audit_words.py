"""What an audit entry says to people: who did what, what it was before and after, and why."""

from collections.abc import Mapping
from enum import Enum
from typing import Any, NamedTuple

from accounts.models import AuditEntry


class Shown(Enum):
    """How much of an entry the members of its customer see; staff see everything."""

    WHOLE = "whole"
    DEED = "deed"  # that it was done, by whom and when; neither what was written nor what it found
    NOTHING = "nothing"


class Act(NamedTuple):
    """What was done, in words that the subject follows."""

    words: str
    shown: Shown = Shown.WHOLE


DEED, NOTHING = Shown.DEED, Shown.NOTHING

# Every action that an entry may name. One that is missing here is shown to nobody but staff, and fails the tests.
ACTS: Mapping[str, Act] = {
    # What concerns a customer
    "billing.change": Act("changed the billing details of"),
    "bulk.start": Act("changed many mailboxes of"),
    "bulk.undo": Act("undid the change of many mailboxes of"),
    "card.add": Act("saved for renewals the card"),
    "card.change": Act("heard of Stripe of a change of the card"),
    "card.lose": Act("heard of Stripe that it does not keep any more the card"),
    "card.make_default": Act("chose for renewals the card"),
    "card.remove": Act("removed the card"),
    "coupon.drop": Act("did without the coupon"),
    "coupon.use": Act("used for renewals the coupon"),
    "customer.activate": Act("activated the service"),
    "customer.change": Act("changed by hand"),
    "customer.limit": Act("limited what all mailboxes together may send of"),
    "customer.place": Act("placed on a mail server:"),
    "customer.come_back": Act("let the service run again of"),
    "customer.end": Act("ended the service of"),
    "customer.suspend": Act("suspended"),
    "customer.unsuspend": Act("lifted the suspension of"),
    "dkim.change": Act("changed the DKIM key"),
    "domain.add": Act("added the domain"),
    "domain.delete": Act("deleted the domain"),
    "domain.give": Act("decided who gets the domain: the claimant, for"),
    "domain.keep": Act("decided who gets the domain: the holder, for"),
    "domain.restore": Act("restored the domain"),
    "factor_rule.set": Act("required a second factor of all members of"),
    "factor_rule.waive": Act("stopped requiring a second factor of"),
    "import.add": Act("uploaded mailboxes for"),
    "import.confirm": Act("confirmed the import of mailboxes to"),
    "import.discard": Act("discarded the import of mailboxes to"),
    "invitation.resend": Act("sent the invitation again to"),
    "invitation.revoke": Act("revoked the invitation of"),
    "invitation.send": Act("invited"),
    "key.add": Act("made the API key"),
    "key.revoke": Act("revoked the API key"),
    "mailbox.add": Act("added the mailbox"),
    "mailbox.change": Act("changed the mailbox"),
    "mailbox.delete": Act("deleted the mailbox"),
    "mailbox.import": Act("changed mailboxes by an import to"),
    "mailbox.invitation_accept": Act("set, as its owner, the password of"),
    "mailbox.invitation_revoke": Act("revoked the invitation to set the password of"),
    "mailbox.invite": Act("invited the owner to set the password of"),
    "mailbox.limit": Act("changed the send limit of"),
    "mailbox.password": Act("changed the password of"),
    "mailbox.raise": Act("raised for a time the send limit of"),
    "mailbox.raise_end": Act("ended the raised send limit of"),
    "mailbox.restore": Act("restored the mailbox"),
    "mailbox.suspend": Act("suspended the mailbox"),
    "mailbox.unsuspend": Act("lifted the suspension of the mailbox"),
    "member.add": Act("made a member:"),
    "member.change": Act("changed the role of"),
    "member.leave": Act("left:"),
    "member.remove": Act("removed the member"),
    "order.activate": Act("activated the order", DEED),
    "order.answer": Act("answered the question about the order", DEED),
    "order.approve": Act("approved the order", DEED),
    "order.ask": Act("asked about the order"),
    "order.cancel": Act("cancelled the order"),
    "order.check": Act("checked the order", NOTHING),
    "order.check_again": Act("asked FraudRecord again about the order", NOTHING),
    "order.erase": Act("erased what the order said of a person:", DEED),
    "order.place": Act("placed the order"),
    "order.reject": Act("rejected the order"),
    "order.tax": Act("decided anew about the tax on", DEED),
    "ownership.decline": Act("declined the ownership offered to"),
    "ownership.offer": Act("offered the ownership to"),
    "ownership.transfer": Act("took over the ownership:"),
    "ownership.withdraw": Act("ended the offer of the ownership to"),
    "payment.decline": Act("could not charge the card for", DEED),
    "payment.dispute": Act("heard at Stripe of a dispute about", NOTHING),
    "payment.receive": Act("received a payment by card for", DEED),
    "invoice.issue": Act("issued the invoice", DEED),
    "invoice.credit": Act("issued the credit note", DEED),
    "payment.record": Act("recorded a payment for", DEED),
    "placement.wish": Act("chose the mail server of"),
    "credit.grant": Act("gave", DEED),
    "credit.take_back": Act("took back what was left of", DEED),
    "credit.use": Act("used credit for", DEED),
    "free_months.give": Act("gave months for nothing of", DEED),
    "free_months.withdraw": Act("withdrew free months of", DEED),
    "refund.fail": Act("could not send money back to a card for", DEED),
    "refund.find": Act("found money sent back at Stripe for", DEED),
    "refund.give": Act("sent money back of", DEED),
    "refund.record": Act("recorded a refund for the order", DEED),
    "refund.send": Act("sent money back to a card for", DEED),
    "renewal.price": Act("sold with another coupon, or without, the renewal"),
    "renewal.dun": Act("acted because this was not paid:"),
    "review.first": Act("decided first about the order", NOTHING),
    "review.note": Act("noted something about the order", NOTHING),
    "report.file": Act("reported to FraudRecord the order", NOTHING),
    "report.withdraw": Act("withdrew a report to FraudRecord about the order", NOTHING),
    "fraud_exemption.add": Act("exempted from FraudRecord", NOTHING),
    "fraud_exemption.end": Act("ended the exemption from FraudRecord of", NOTHING),
    "renewal.lapse": Act("took back, because it was not paid in time:"),
    "subscription.ask_back": Act("asked to have back the service"),
    "subscription.cancel": Act("cancelled the service"),
    "subscription.change_period": Act("planned to pay by another period for"),
    "subscription.change_plan": Act("changed the plan to"),
    "subscription.downgrade": Act("planned a change of plan to"),
    "subscription.drop_change": Act("dropped, because it was too small, the change of plan to"),
    "subscription.go_on": Act("let the service go on:"),
    "subscription.keep_period": Act("took back paying by another period for"),
    "subscription.keep_plan": Act("took back the change of plan to"),
    "subscription.stay_ended": Act("did without having back the service"),
    "subscription.upgrade": Act("asked for a change of plan to"),
    "subscription.renew": Act("renewed the service"),
    "subscription.take_period": Act("changed by which period is paid for"),
    "vat_id.check": Act("had the VAT id checked of"),
    "webhook.add": Act("added the webhook"),
    "webhook.change": Act("changed the webhook"),
    "webhook.remove": Act("removed the webhook"),
    "webhook.rotate": Act("made a new secret for the webhook"),
    "webhook.switch_off": Act("switched off the webhook"),
    "webhook.switch_on": Act("switched on the webhook"),
    # What concerns one person alone, or the house
    "books.download": Act("fetched as a file:", NOTHING),
    "cannedtext.add": Act("added by hand the canned text", NOTHING),
    "cannedtext.change": Act("changed by hand the canned text", NOTHING),
    "cannedtext.delete": Act("deleted the canned text", NOTHING),
    "coupon.add": Act("added by hand the coupon", NOTHING),
    "coupon.change": Act("changed by hand the coupon", NOTHING),
    "account_deletion.ask": Act("asked to delete the account", NOTHING),
    "account_deletion.stop": Act("stopped the deletion of the account", NOTHING),
    "data_export.ask": Act("asked for a copy of the data of", NOTHING),
    "data_export.fetch": Act("fetched the copy of the data of", NOTHING),
    "email.ask_change": Act("asked for another address than", NOTHING),
    "email.change": Act("changed the address, which was", NOTHING),
    "email.stop_change": Act("kept the address", NOTHING),
    "factor_lift.ask": Act("wrote down that the second factor is lost of", NOTHING),
    "factor_lift.carry_out": Act("took off the lost second factor of", NOTHING),
    "factor_lift.stop": Act("kept the second factor of", NOTHING),
    "factors.change": Act("changed the second factor of", NOTHING),
    "factors.guess": Act("shut out wrong codes for", NOTHING),
    "factors.rename": Act("renamed a passkey of", NOTHING),
    "history.compare": Act("compared the lost history of", NOTHING),
    "history.panel_right": Act("decided that the panel is right about", NOTHING),
    "history.server_right": Act("decided that the server is right:", NOTHING),
    "history.taken": Act("took over what was on", NOTHING),
    "mailserver.change": Act("changed by hand the mail server", NOTHING),
    "password.change": Act("changed the password of", NOTHING),
    "password.reset": Act("reset the password of", NOTHING),
    "person.erase": Act("erased the person", NOTHING),
    "plan.add": Act("added by hand the plan", NOTHING),
    "plan.change": Act("changed by hand the plan", NOTHING),
    "server.digest": Act("asked for a digest of", NOTHING),
    "server.enrol": Act("enrolled the mail server", NOTHING),
    "server.rebuild": Act("asked for a rebuild of", NOTHING),
    "server.renew": Act("renewed the key and certificate of", NOTHING),
    "server.resume": Act("let the sync go on of", NOTHING),
    "session.end": Act("signed out other devices of", NOTHING),
    "taxrate.add": Act("added by hand the tax rate", NOTHING),
    "taxrate.change": Act("changed by hand the tax rate", NOTHING),
    "taxrate.delete": Act("deleted the tax rate", NOTHING),
    "user.change": Act("changed by hand the person", NOTHING),
}
FOR_MEMBERS = [action for action, act in ACTS.items() if act.shown is not NOTHING]
REASONS = ("reason", "text")


def act(entry: AuditEntry) -> str:
    """What was done, without who did it."""
    return f"{deed(entry)} {entry.subject}".strip()


def deed(entry: AuditEntry) -> str:
    """The same without to what."""
    known = ACTS.get(entry.action)
    return known.words if known else entry.action.replace(".", ": ").replace("_", " ")


def who(entry: AuditEntry) -> str:
    """Who did it, as members may know it: of staff only that it was staff."""
    if entry.by is None:
        return "the system"
    return "our staff" if entry.by_staff else entry.by.email


def address(entry: AuditEntry) -> str:
    """Where it came from, as members may know it: nothing of staff."""
    return "" if entry.by_staff else entry.address or ""


def changes(entry: AuditEntry) -> list[tuple[str, str, str]]:
    """(name, before, after) of each value that `changed` names."""
    before, after = changed(entry)
    return [
        (name.replace("_", " "), _text(before.get(name)), _text(after.get(name)))
        for name in {**before, **after}
    ]


def changed(entry: AuditEntry) -> tuple[dict[str, Any], dict[str, Any]]:
    """The values before and after, where they differ and members see them; a reason is told apart."""
    if not _is_whole(entry):
        return {}, {}
    before, after = _values(entry.before), _values(entry.after)
    names = [
        name for name in {**before, **after} if name not in REASONS and before.get(name) != after.get(name)
    ]
    return (
        {name: before[name] for name in names if name in before},
        {name: after[name] for name in names if name in after},
    )


def reason(entry: AuditEntry) -> str:
    values = _values(entry.after) if _is_whole(entry) else {}
    return next((str(values[name]) for name in REASONS if values.get(name)), "")


def _is_whole(entry: AuditEntry) -> bool:
    known = ACTS.get(entry.action)
    return known is not None and known.shown is Shown.WHOLE


def _values(values: Any) -> dict[str, Any]:
    return values if isinstance(values, dict) else {}


def _text(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(str(each) for each in value)
    return "" if value is None else str(value)
