from django.contrib import admin
from django.urls import include, path

from mxpanel import api_docs, public

urlpatterns = [
    path("", public.home, name="home"),
    path("plans/", public.plans, name="plans"),
    path("status/", public.status, name="status"),
    path("privacy/", public.privacy, name="privacy"),
    path("terms/", public.terms, name="terms"),
    path("contact/", public.contact, name="contact"),
    path("", include("accounts.urls")),
    path("", include("billing.urls")),
    path("", include("domains.urls")),
    path("accounts/", include("accounts.person_urls")),
    path("accounts/", include("allauth.urls")),
    path("admin/", admin.site.urls),
    path("api/docs", api_docs.page, name="api-docs"),
    path("api/", include("mxpanel.api_urls")),
]

handler400 = "mxpanel.failures.bad"
handler403 = "mxpanel.failures.forbidden"
handler404 = "mxpanel.failures.unknown"
handler429 = "foundation.limits.too_many"
handler500 = "mxpanel.failures.failed"
