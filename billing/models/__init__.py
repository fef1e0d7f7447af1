from billing.models.fraud import FraudCheck, FraudReport, Outcome
from billing.models.order import Order, OrderConflict
from billing.models.payment import Payment, PaymentMethod, Subscription
from billing.models.plan import Period, Plan
from billing.models.review import Decision, MessageKind, OrderCancellation, OrderMessage, ReviewDecision
from billing.models.signal import DECIDING, OrderSignal, OrderTrait, SignalKind
from billing.models.status import OrderStatus
from billing.models.usage import StorageUsage

__all__ = [
    "DECIDING",
    "Decision",
    "FraudCheck",
    "FraudReport",
    "MessageKind",
    "Order",
    "OrderCancellation",
    "OrderConflict",
    "OrderMessage",
    "OrderSignal",
    "OrderStatus",
    "OrderTrait",
    "Outcome",
    "Payment",
    "PaymentMethod",
    "Period",
    "Plan",
    "ReviewDecision",
    "SignalKind",
    "StorageUsage",
    "Subscription",
]
