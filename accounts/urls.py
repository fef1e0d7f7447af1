from django.urls import path

from accounts import person_views, views

app_name = "accounts"

urlpatterns = [
    path("accounts/home/", views.home, name="home"),
    path("accounts/sessions/end/", person_views.session_end, name="session-end"),
    path("c/<slug:customer>/", views.customer_overview, name="customer-overview"),
    path("c/<slug:customer>/members/", views.member_list, name="member-list"),
]
