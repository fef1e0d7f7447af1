from django.urls import path

from accounts import (
    audit_views,
    data_views,
    email_views,
    key_views,
    member_views,
    ownership_views,
    person_views,
    security_views,
    views,
)
from accounts.webhooks import views as webhook_views

app_name = "accounts"
WEBHOOK = "c/<slug:customer>/webhooks/<uuid:webhook>"

urlpatterns = [
    path("accounts/home/", views.home, name="home"),
    path("accounts/email/change/", email_views.email_change_ask, name="email-change-ask"),
    path("accounts/email/stop/", email_views.email_change_stop, name="email-change-stop"),
    path("accounts/email/change/<str:token>/", email_views.email_change, name="email-change"),
    path("accounts/data/", data_views.data_page, name="data-page"),
    path("accounts/data/export/", data_views.data_export_ask, name="data-export-ask"),
    path("accounts/data/exports/<slug:export>/", data_views.data_export, name="data-export"),
    path("accounts/data/delete/", data_views.account_delete, name="account-delete"),
    path("accounts/data/delete/stop/", data_views.account_delete_stop, name="account-delete-stop"),
    path("accounts/data/deletions/<slug:deletion>/", data_views.account_deletion, name="account-deletion"),
    path("accounts/sessions/end/", person_views.session_end, name="session-end"),
    path("accounts/second-factor/<str:token>/", person_views.factor_lift, name="factor-lift"),
    path("c/<slug:customer>/security/", security_views.security_page, name="security-page"),
    path("c/<slug:customer>/security/require/", security_views.security_require, name="security-require"),
    path("c/<slug:customer>/security/waive/", security_views.security_waive, name="security-waive"),
    path("invitations/<slug:secret>/", member_views.invitation_page, name="invitation-page"),
    path("invitations/<slug:secret>/accept/", member_views.invitation_accept, name="invitation-accept"),
    path("c/<slug:customer>/", views.customer_overview, name="customer-overview"),
    path("c/<slug:customer>/audit/", audit_views.audit_list, name="audit-list"),
    path("c/<slug:customer>/audit/csv/", audit_views.audit_csv, name="audit-csv"),
    path("c/<slug:customer>/keys/", key_views.key_list, name="key-list"),
    path("c/<slug:customer>/keys/add/", key_views.key_add, name="key-add"),
    path("c/<slug:customer>/keys/<uuid:api_key>/", key_views.key_page, name="key-page"),
    path("c/<slug:customer>/keys/<uuid:api_key>/revoke/", key_views.key_revoke, name="key-revoke"),
    path("c/<slug:customer>/webhooks/", webhook_views.webhook_list, name="webhook-list"),
    path("c/<slug:customer>/webhooks/add/", webhook_views.webhook_add, name="webhook-add"),
    path(f"{WEBHOOK}/", webhook_views.webhook_page, name="webhook-page"),
    path(f"{WEBHOOK}/change/", webhook_views.webhook_change, name="webhook-change"),
    path(f"{WEBHOOK}/rotate/", webhook_views.webhook_rotate, name="webhook-rotate"),
    path(f"{WEBHOOK}/switch-on/", webhook_views.webhook_switch_on, name="webhook-switch-on"),
    path(f"{WEBHOOK}/switch-off/", webhook_views.webhook_switch_off, name="webhook-switch-off"),
    path(f"{WEBHOOK}/remove/", webhook_views.webhook_remove, name="webhook-remove"),
    path(f"{WEBHOOK}/test/", webhook_views.webhook_test, name="webhook-test"),
    path(f"{WEBHOOK}/deliveries/<int:delivery>/", webhook_views.delivery_page, name="delivery-page"),
    path(
        f"{WEBHOOK}/deliveries/<int:delivery>/send-again/",
        webhook_views.delivery_send_again,
        name="delivery-send-again",
    ),
    path("c/<slug:customer>/members/", member_views.member_list, name="member-list"),
    path("c/<slug:customer>/members/invite/", member_views.member_invite, name="member-invite"),
    path("c/<slug:customer>/members/leave/", member_views.member_leave, name="member-leave"),
    path("c/<slug:customer>/members/<int:member>/", member_views.member_page, name="member-page"),
    path("c/<slug:customer>/members/<int:member>/change/", member_views.member_change, name="member-change"),
    path("c/<slug:customer>/members/<int:member>/remove/", member_views.member_remove, name="member-remove"),
    path(
        "c/<slug:customer>/members/invitations/<uuid:invitation>/resend/",
        member_views.invitation_resend,
        name="invitation-resend",
    ),
    path(
        "c/<slug:customer>/members/invitations/<uuid:invitation>/revoke/",
        member_views.invitation_revoke,
        name="invitation-revoke",
    ),
    path("c/<slug:customer>/members/ownership/", ownership_views.ownership_page, name="ownership-page"),
    path(
        "c/<slug:customer>/members/ownership/offer/", ownership_views.ownership_offer, name="ownership-offer"
    ),
    path(
        "c/<slug:customer>/members/ownership/withdraw/",
        ownership_views.ownership_withdraw,
        name="ownership-withdraw",
    ),
    path(
        "c/<slug:customer>/members/ownership/accept/",
        ownership_views.ownership_accept,
        name="ownership-accept",
    ),
    path(
        "c/<slug:customer>/members/ownership/decline/",
        ownership_views.ownership_decline,
        name="ownership-decline",
    ),
]
