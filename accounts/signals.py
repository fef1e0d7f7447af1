"""What accounts tells the apps above it, inside the transaction of the change."""

from django.dispatch import Signal

suspension_changed = Signal()
"""A customer was suspended or its suspension lifted. Argument: customer."""
