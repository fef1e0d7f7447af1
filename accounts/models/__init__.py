from accounts.models.account_deletion import AccountDeletion
from accounts.models.api_key import ApiKey, ApiRequest, KeptReply
from accounts.models.audit import AuditEntry
from accounts.models.customer import Customer, CustomerSuspension
from accounts.models.data_export import DataExport, DataExportPart
from accounts.models.delivery import Attempt, Delivery, EventCounter, WebhookEvent
from accounts.models.email_change import EmailChange
from accounts.models.factor import FactorLift, FactorRule
from accounts.models.invitation import Invitation
from accounts.models.membership import Membership, Role
from accounts.models.notice import Notice
from accounts.models.ownership import OwnershipOffer
from accounts.models.suspension import Stop, SuspensionBase, SuspensionCause
from accounts.models.user import User
from accounts.models.webhook import Webhook

__all__ = [
    "AccountDeletion",
    "ApiKey",
    "ApiRequest",
    "Attempt",
    "AuditEntry",
    "Customer",
    "CustomerSuspension",
    "DataExport",
    "DataExportPart",
    "Delivery",
    "EmailChange",
    "EventCounter",
    "FactorLift",
    "FactorRule",
    "Invitation",
    "KeptReply",
    "Membership",
    "Notice",
    "OwnershipOffer",
    "Role",
    "Stop",
    "SuspensionBase",
    "SuspensionCause",
    "User",
    "Webhook",
    "WebhookEvent",
]
