from billing.models.billing_details import BillingDetails, VatState
from billing.models.cancellation import SubscriptionCancellation
from billing.models.card import CardRefund, Checkout, EventOutcome, ReturnReason, StripeEvent
from billing.models.changing import PriceChanged
from billing.models.changing_period import PeriodQuote
from billing.models.coupon import Coupon, CouponUse
from billing.models.credit_grant import CreditGrant
from billing.models.desk import CannedText, ReviewNote, ReviewPresence
from billing.models.dispute import Dispute
from billing.models.draft import OrderDraft
from billing.models.dunning_step import DunningKind, DunningStep
from billing.models.fraud import CLEARING, VERDICTS, FraudCheck, FraudExemption, Outcome
from billing.models.fraud_report import FraudReport, ReportState, ReportWithdrawal
from billing.models.free_months import FreeMonths
from billing.models.invoice import Invoice, InvoiceKind, InvoiceSeries, InvoiceStatus
from billing.models.kept_card import CardOnFile
from billing.models.lapsing import RenewalKind
from billing.models.ledger import Account, EntryKind, LedgerEntry
from billing.models.order import ERASED_EMAIL, Order, OrderConflict
from billing.models.payment import BY_HAND, Payment, PaymentMethod
from billing.models.plan import Period, Plan, PlanVersion
from billing.models.plan_change import ChangeOutcome, PlanChange
from billing.models.question import QuestionLink
from billing.models.refund import Refund, RefundWay
from billing.models.renewal import Renewal
from billing.models.renewal_charge import ChargeState, RenewalCharge
from billing.models.returning import ReturnQuote
from billing.models.review import Decision, MessageKind, OrderCancellation, OrderMessage, ReviewDecision
from billing.models.risk import Risk
from billing.models.sale import Sale
from billing.models.signal import DECIDING, OrderSignal, OrderTrait, SignalKind
from billing.models.sold import SaleConflict
from billing.models.status import OrderStatus
from billing.models.stripe_customer import CardSetup, StripeCustomer
from billing.models.subscription import Subscription
from billing.models.tax import TaxRate
from billing.models.usage import StorageUsage

__all__ = [
    "BY_HAND",
    "CLEARING",
    "DECIDING",
    "ERASED_EMAIL",
    "VERDICTS",
    "Account",
    "BillingDetails",
    "CannedText",
    "CardOnFile",
    "CardRefund",
    "CardSetup",
    "ChangeOutcome",
    "ChargeState",
    "Checkout",
    "Coupon",
    "CouponUse",
    "CreditGrant",
    "Decision",
    "Dispute",
    "DunningKind",
    "DunningStep",
    "EntryKind",
    "EventOutcome",
    "FraudCheck",
    "FraudExemption",
    "FraudReport",
    "FreeMonths",
    "Invoice",
    "InvoiceKind",
    "InvoiceSeries",
    "InvoiceStatus",
    "LedgerEntry",
    "MessageKind",
    "Order",
    "OrderCancellation",
    "OrderConflict",
    "OrderDraft",
    "OrderMessage",
    "OrderSignal",
    "OrderStatus",
    "OrderTrait",
    "Outcome",
    "Payment",
    "PaymentMethod",
    "Period",
    "PeriodQuote",
    "Plan",
    "PlanChange",
    "PlanVersion",
    "PriceChanged",
    "QuestionLink",
    "Refund",
    "RefundWay",
    "Renewal",
    "RenewalCharge",
    "RenewalKind",
    "ReportState",
    "ReportWithdrawal",
    "ReturnQuote",
    "ReturnReason",
    "ReviewDecision",
    "ReviewNote",
    "ReviewPresence",
    "Risk",
    "Sale",
    "SaleConflict",
    "SignalKind",
    "StorageUsage",
    "StripeCustomer",
    "StripeEvent",
    "Subscription",
    "SubscriptionCancellation",
    "TaxRate",
    "VatState",
]
