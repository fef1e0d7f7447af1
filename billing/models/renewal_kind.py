from django.db import models


class RenewalKind(models.TextChoices):
    """What is sold by it. The last two somebody asked for, so they come to nothing where they are not paid in time."""

    PERIOD = "period", "Next period"
    UPGRADE = "upgrade", "Change of plan"
    RETURN = "return", "Return"
