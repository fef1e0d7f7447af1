"""Every path of the API, without the slash at its end, which mxpanel.api.ApiMiddleware takes away."""

from typing import Any

from django.urls import path, re_path
from rest_framework.exceptions import NotFound
from rest_framework.request import Request

from accounts.api import webhooks
from accounts.api.resources import AuditView, MembersView, MemberView
from accounts.api.view import ApiView
from billing import api as orders
from domains.api import domains, imports, mailboxes
from mxpanel import api_docs


class NothingView(ApiView):
    """Any other path: to a good key the envelope's 404, whatever the method."""

    schema = None

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        raise NotFound


app_name = "api"
ACCOUNT = "domains/<str:domain>/email-accounts/<str:user>"
WEBHOOK = "webhooks/<uuid:webhook>"
DELIVERY = f"{WEBHOOK}/deliveries/<int:delivery>"
urlpatterns = [
    path("verification-key", domains.VerificationKeyView.as_view(), name="verification-key"),
    path("domains", domains.DomainsView.as_view(), name="domains"),
    path("domains/<str:domain>", domains.DomainView.as_view(), name="domain"),
    path("domains/<str:domain>/restore", domains.DomainRestoreView.as_view(), name="domain-restore"),
    path("domains/<str:domain>/dns", domains.DnsView.as_view(), name="dns"),
    path("domains/<str:domain>/dns-check", domains.DnsCheckView.as_view(), name="dns-check"),
    path("domains/<str:domain>/email-accounts", mailboxes.MailboxesView.as_view(), name="email-accounts"),
    path(ACCOUNT, mailboxes.MailboxView.as_view(), name="email-account"),
    path(f"{ACCOUNT}/restore", mailboxes.MailboxRestoreView.as_view(), name="email-account-restore"),
    path(f"{ACCOUNT}/invitation", mailboxes.MailboxInvitationView.as_view(), name="email-account-invitation"),
    path("domains/<str:domain>/imports", imports.ImportsView.as_view(), name="imports"),
    path("domains/<str:domain>/imports/<int:number>", imports.ImportView.as_view(), name="import"),
    path(
        "domains/<str:domain>/imports/<int:number>/confirm",
        imports.ImportConfirmView.as_view(),
        name="import-confirm",
    ),
    path("quota", mailboxes.QuotaView.as_view(), name="quota"),
    path("quota/email", mailboxes.MailboxQuotaView.as_view(), name="quota-email"),
    path("orders", orders.OrdersView.as_view(), name="orders"),
    path("orders/<str:number>", orders.OrderView.as_view(), name="order"),
    path("orders/<str:number>/cancel", orders.OrderCancelView.as_view(), name="order-cancel"),
    path("members", MembersView.as_view(), name="members"),
    path("members/<int:member>", MemberView.as_view(), name="member"),
    path("audit", AuditView.as_view(), name="audit"),
    path("webhooks", webhooks.WebhooksView.as_view(), name="webhooks"),
    path(WEBHOOK, webhooks.WebhookView.as_view(), name="webhook"),
    path(f"{WEBHOOK}/rotate", webhooks.WebhookRotateView.as_view(), name="webhook-rotate"),
    path(f"{WEBHOOK}/test", webhooks.WebhookTestView.as_view(), name="webhook-test"),
    path(f"{WEBHOOK}/deliveries", webhooks.DeliveriesView.as_view(), name="deliveries"),
    path(DELIVERY, webhooks.DeliveryView.as_view(), name="delivery"),
    path(f"{DELIVERY}/send-again", webhooks.DeliverySendAgainView.as_view(), name="delivery-send-again"),
    path("schema", api_docs.schema, name="schema"),
    re_path(r"^.*\Z", NothingView.as_view(), name="nothing"),
]
