"""What billing tells the apps above it. Sent inside the transaction that makes it true; `key_answered` outside of any."""

from django.dispatch import Signal

# customer: accounts.models.Customer
service_started = Signal()
service_ended = Signal()
# refusal: the error of FraudRecord's protocol with which it refused our key; empty where it was taken
key_answered = Signal()
# customer: accounts.models.Customer, whose limits are others now
plan_changed = Signal()
