"""Disputes: the owner of a card tells their bank that they did not pay."""

import stripe

from deploy.stripe_stand_in.books import Books, Object
from deploy.stripe_stand_in.shapes import shape


def dispute(books: Books, charge: Object) -> Object:
    """Open one about all of a charge."""
    charge["disputed"] = True
    details = shape(
        stripe.Dispute.EvidenceDetails, has_evidence=False, past_due=False, submission_count=0,
        submission_method="not_submitted", enhanced_eligibility={}, due_by=books.now() + 7 * 24 * 3600,
    )  # fmt: skip
    made = books.add(
        stripe.Dispute, "du", amount=charge["amount"], currency=charge["currency"], charge=charge["id"],
        payment_intent=charge["payment_intent"], reason="fraudulent", status="needs_response", metadata={},
        balance_transactions=[], enhanced_eligibility_types=[], is_charge_refundable=False,
        evidence=shape(stripe.Dispute.Evidence, enhanced_evidence={}), evidence_details=details,
    )  # fmt: skip
    books.tell("charge.dispute.created", made)
    return made
