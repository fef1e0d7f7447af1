from django.urls import path

from accounts import email_views, person_views, security_views, views

app_name = "accounts"

urlpatterns = [
    path("accounts/home/", views.home, name="home"),
    path("accounts/email/change/", email_views.email_change_ask, name="email-change-ask"),
    path("accounts/email/stop/", email_views.email_change_stop, name="email-change-stop"),
    path("accounts/email/change/<str:token>/", email_views.email_change, name="email-change"),
    path("accounts/sessions/end/", person_views.session_end, name="session-end"),
    path("accounts/second-factor/<str:token>/", person_views.factor_lift, name="factor-lift"),
    path("c/<slug:customer>/", views.customer_overview, name="customer-overview"),
    path("c/<slug:customer>/members/", views.member_list, name="member-list"),
    path("c/<slug:customer>/security/", security_views.security_page, name="security-page"),
    path("c/<slug:customer>/security/require/", security_views.security_require, name="security-require"),
    path("c/<slug:customer>/security/waive/", security_views.security_waive, name="security-waive"),
]
