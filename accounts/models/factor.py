from django.conf import settings
from django.db import models
from django.utils import timezone

from accounts.models.customer import Customer


class FactorRule(models.Model):
    """An owner's wish that all members of the customer have a second factor. While it stands, a member without one
    is led to set it up, and does nothing else with this customer.
    """

    customer = models.OneToOneField(Customer, models.CASCADE, related_name="factor_rule")
    by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    at = models.DateTimeField(default=timezone.now)

    def __str__(self) -> str:
        return f"Second factor for {self.customer}"
