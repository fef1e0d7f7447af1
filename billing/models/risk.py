"""How risky an order looks to staff, from FraudRecord's verdict and our own signals. It sorts the queue of the review
desk; beside that it decides only whether two people have to (`REVIEW_SECOND_RISK`).
"""

from django.db import models

from billing.models.fraud import CLEARING, Outcome


class Risk(models.IntegerChoices):
    LOW = 0, "Low"
    UNKNOWN = 1, "Unknown"  # FraudRecord said nothing yet, or is off
    ELEVATED = 2, "Elevated"
    HIGH = 3, "High"


def risk_of(outcome: str, deciding: int) -> Risk:
    """`deciding` is how many of our own signals send the order to a person."""
    reported = outcome == Outcome.REPORTED
    if outcome == Outcome.HELD or deciding > 1 or (reported and deciding):
        return Risk.HIGH
    if reported or deciding:
        return Risk.ELEVATED
    return Risk.LOW if outcome in CLEARING else Risk.UNKNOWN
