"""Pages of allauth that do more here, or that we draw ourselves, under allauth's own names; they stand before its own."""

from allauth.account import views as account
from allauth.mfa.recovery_codes import views as recovery_codes
from allauth.mfa.totp import views as totp
from allauth.mfa.webauthn import views as webauthn
from django.urls import path
from django.views.generic import RedirectView

from accounts import email_views, person_views
from accounts.access import asks_again
from accounts.factors import factor_page

urlpatterns = [
    path("email/", email_views.email_page, name="account_email"),
    path("password/change/", asks_again(account.password_change), name="account_change_password"),
    path("2fa/totp/activate/", factor_page(totp.activate_totp), name="mfa_activate_totp"),
    path("2fa/totp/deactivate/", factor_page(totp.deactivate_totp), name="mfa_deactivate_totp"),
    path("2fa/webauthn/", RedirectView.as_view(pattern_name="mfa_index"), name="mfa_list_webauthn"),
    path("2fa/webauthn/add/", factor_page(webauthn.add_webauthn), name="mfa_add_webauthn"),
    path("2fa/webauthn/keys/<int:pk>/edit/", factor_page(webauthn.edit_webauthn), name="mfa_edit_webauthn"),
    path(
        "2fa/webauthn/keys/<int:pk>/remove/",
        factor_page(webauthn.remove_webauthn),
        name="mfa_remove_webauthn",
    ),
    path("2fa/recovery-codes/", person_views.recovery_codes, name="mfa_view_recovery_codes"),
    path(
        "2fa/recovery-codes/generate/",
        factor_page(recovery_codes.generate_recovery_codes),
        name="mfa_generate_recovery_codes",
    ),
    path(
        "2fa/recovery-codes/download/",
        person_views.recovery_codes_download,
        name="mfa_download_recovery_codes",
    ),
    path("sessions/", person_views.session_list, name="usersessions_list"),
]
