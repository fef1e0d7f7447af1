"""What billing tells the apps above it. Sent inside the transaction that makes it true."""

from django.dispatch import Signal

# customer: accounts.models.Customer
service_started = Signal()
service_ended = Signal()
