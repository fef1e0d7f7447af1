from django.urls import path

from accounts import views

app_name = "accounts"

urlpatterns = [
    path("accounts/home/", views.home, name="home"),
    path("c/<slug:customer>/", views.customer_overview, name="customer-overview"),
    path("c/<slug:customer>/members/", views.member_list, name="member-list"),
]
