"""Disputes: the owner of a card tells their bank that they did not pay. The money is taken at once, and comes back where the
dispute is won.
"""

import stripe

from deploy.stripe_stand_in.books import Books, Object
from deploy.stripe_stand_in.errors import Refusal
from deploy.stripe_stand_in.shapes import shape

_OPEN = ("needs_response", "under_review")
_STATUSES = ("under_review", "won", "lost")


def dispute(books: Books, charge: Object) -> Object:
    """Open one about all of a charge that was not sent back."""
    charge["disputed"], amount = True, charge["amount"] - charge["amount_refunded"]
    details = shape(
        stripe.Dispute.EvidenceDetails, has_evidence=False, past_due=False, submission_count=0,
        submission_method="not_submitted", enhanced_eligibility={}, due_by=books.now() + 7 * 24 * 3600,
    )  # fmt: skip
    made = books.add(
        stripe.Dispute, "du", amount=amount, currency=charge["currency"], charge=charge["id"],
        payment_intent=charge["payment_intent"], reason="fraudulent", status="needs_response", metadata={},
        balance_transactions=[], enhanced_eligibility_types=[], is_charge_refundable=False,
        evidence=shape(stripe.Dispute.Evidence, enhanced_evidence={}), evidence_details=details,
    )  # fmt: skip
    _move(books, made, -amount)
    books.tell("charge.dispute.created", made)
    books.tell("charge.dispute.funds_withdrawn", made)
    return made


def decide_dispute(books: Books, wish: Object) -> Object:
    """What a bank does, by a switch: the last dispute that is open, or that of this `dispute`, gets the `status`."""
    found = [each for each in books.all("dispute") if each["status"] in _OPEN]
    found = [each for each in found if wish.get("dispute", each["id"]) == each["id"]]
    if not found or wish.get("status") not in _STATUSES:
        raise Refusal(404, "There is no such dispute that is open, or no such status.")
    decided, status = found[0], wish["status"]
    decided["status"] = status
    if status == "under_review":
        decided["evidence_details"].update(has_evidence=True, submission_count=1)
        books.tell("charge.dispute.updated", decided)
        return decided
    if status == "won":
        _move(books, decided, decided["amount"])
        books.tell("charge.dispute.funds_reinstated", decided)
    books.tell("charge.dispute.closed", decided)
    return decided


def _move(books: Books, made: Object, amount: int) -> None:
    """Money leaves the account with us, or comes back to it."""
    back = amount > 0
    moved = shape(
        stripe.BalanceTransaction, id=f"txn_{made['id']}_{len(made['balance_transactions'])}",
        object="balance_transaction", amount=amount, available_on=books.now(), created=books.now(),
        currency=made["currency"], fee=0, fee_details=[], net=amount, source=made["id"], status="available",
        type="adjustment", balance_type="payments", reporting_category="dispute_reversal" if back else "dispute",
    )  # fmt: skip
    made["balance_transactions"].append(moved)
