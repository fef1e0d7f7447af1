from django.urls import path, register_converter
from django.urls.converters import StringConverter

from billing import (
    card_views,
    coupon_views,
    desk_views,
    details_views,
    dispute_views,
    fraud_views,
    goodwill_views,
    invoice_views,
    kept_card_views,
    place_views,
    plan_views,
    refund_views,
    renewal_desk_views,
    renewal_views,
    return_views,
    review_views,
    subscription_views,
    views,
)
from billing.books import views as books


class OrderNumberConverter(StringConverter):
    regex = "[A-Za-z0-9-]{1,40}"


class YearConverter(StringConverter):
    regex = "[12][0-9]{3}"


register_converter(OrderNumberConverter, "order")
register_converter(YearConverter, "year")

app_name = "billing"

urlpatterns = [
    path("order/", place_views.order_place, name="order-place"),
    path("order/<order:number>/", views.order_show, name="order-show"),
    path("order/<order:number>/answer/", views.order_answer, name="order-answer"),
    path("order/question/<slug:question>/", views.question_answer, name="question-answer"),
    path("order/<order:number>/pay/", card_views.order_pay, name="order-pay"),
    path("order/<order:number>/paid/", card_views.order_paid, name="order-paid"),
    path("stripe/webhook/", card_views.stripe_webhook, name="stripe-webhook"),
    path("order/<order:number>/cancel/", views.order_cancel, name="order-cancel"),
    path("c/<slug:customer>/orders/", views.order_list, name="order-list"),
    path("c/<slug:customer>/billing/", invoice_views.billing_show, name="billing-show"),
    path(
        "c/<slug:customer>/billing/cancel/",
        subscription_views.subscription_cancel,
        name="subscription-cancel",
    ),
    path(
        "c/<slug:customer>/billing/go-on/", subscription_views.subscription_go_on, name="subscription-go-on"
    ),
    path(
        "c/<slug:customer>/billing/come-back/",
        return_views.subscription_come_back,
        name="subscription-come-back",
    ),
    path("c/<slug:customer>/billing/plan/", plan_views.plan_choose, name="plan-choose"),
    path("c/<slug:customer>/billing/plan/to/<slug:plan>/", plan_views.plan_change, name="plan-change"),
    path(
        "c/<slug:customer>/billing/period/to/<slug:period>/", plan_views.period_change, name="period-change"
    ),
    path("c/<slug:customer>/billing/plan/keep/", plan_views.plan_keep, name="plan-keep"),
    path("c/<slug:customer>/billing/coupon/use/", coupon_views.coupon_use, name="coupon-use"),
    path("c/<slug:customer>/billing/coupon/drop/", coupon_views.coupon_drop, name="coupon-drop"),
    path("c/<slug:customer>/billing/invoices/", invoice_views.invoice_list, name="invoice-list"),
    path(
        "c/<slug:customer>/billing/invoices/<year:year>.zip", invoice_views.invoice_year, name="invoice-year"
    ),
    path(
        "c/<slug:customer>/billing/invoices/<slug:invoice>/", invoice_views.invoice_show, name="invoice-show"
    ),
    path(
        "c/<slug:customer>/billing/invoices/<slug:invoice>/pdf/",
        invoice_views.invoice_pdf,
        name="invoice-pdf",
    ),
    path(
        "c/<slug:customer>/billing/invoices/<slug:invoice>/pay/",
        renewal_views.invoice_pay,
        name="invoice-pay",
    ),
    path(
        "c/<slug:customer>/billing/invoices/<slug:invoice>/paid/",
        renewal_views.invoice_paid,
        name="invoice-paid",
    ),
    path("c/<slug:customer>/billing/details/", details_views.details_change, name="details-change"),
    path("c/<slug:customer>/billing/cards/", kept_card_views.card_list, name="card-list"),
    path("c/<slug:customer>/billing/cards/add/", kept_card_views.card_add, name="card-add"),
    path("c/<slug:customer>/billing/cards/added/", kept_card_views.card_added, name="card-added"),
    path(
        "c/<slug:customer>/billing/cards/<uuid:card>/default/",
        kept_card_views.card_make_default,
        name="card-make-default",
    ),
    path(
        "c/<slug:customer>/billing/cards/<uuid:card>/remove/",
        kept_card_views.card_remove,
        name="card-remove",
    ),
    path(
        "admin/renewals/<slug:invoice>/end/",
        renewal_desk_views.renewal_service_end,
        name="renewal-service-end",
    ),
    path("admin/renewals/<slug:invoice>/", renewal_desk_views.renewal_show, name="renewal-show"),
    path(
        "admin/renewals/<slug:invoice>/payment/",
        renewal_desk_views.renewal_payment_record,
        name="renewal-payment-record",
    ),
    path("admin/customers/<slug:customer>/goodwill/", goodwill_views.goodwill_show, name="goodwill-show"),
    path(
        "admin/customers/<slug:customer>/goodwill/credit/", goodwill_views.credit_grant, name="credit-grant"
    ),
    path(
        "admin/customers/<slug:customer>/goodwill/credit/<int:grant>/take-back/",
        goodwill_views.credit_take_back,
        name="credit-take-back",
    ),
    path(
        "admin/customers/<slug:customer>/goodwill/months/",
        goodwill_views.free_months_give,
        name="free-months-give",
    ),
    path(
        "admin/customers/<slug:customer>/goodwill/months/<int:free>/withdraw/",
        goodwill_views.free_months_withdraw,
        name="free-months-withdraw",
    ),
    path("admin/disputes/<slug:dispute>/", dispute_views.dispute_show, name="dispute-show"),
    path("admin/invoices/<slug:invoice>/refund/", refund_views.refund_give, name="refund-give"),
    path("admin/books/", books.book_list, name="book-list"),
    path("admin/books/days/", books.day_book, name="day-book"),
    path("admin/books/receivables/", books.receivable_list, name="receivable-list"),
    path("admin/books/failed-payments/", books.failed_payment_list, name="failed-payment-list"),
    path("admin/books/recurring-revenue/", books.recurring_revenue, name="recurring-revenue"),
    path("admin/books/ledger/<slug:customer>/", books.customer_ledger, name="customer-ledger"),
    path("admin/review/", review_views.review_list, name="review-list"),
    path("admin/review/<order:number>/", review_views.review_show, name="review-show"),
    path("admin/review/<order:number>/next/", desk_views.review_next, name="review-next"),
    path("admin/review/<order:number>/presence/", desk_views.review_presence, name="review-presence"),
    path("admin/review/<order:number>/note/", desk_views.note_add, name="note-add"),
    path("admin/review/<order:number>/refund/", desk_views.refund_record, name="refund-record"),
    path("admin/review/<order:number>/payment/", review_views.payment_record, name="payment-record"),
    path("admin/review/<order:number>/report/", fraud_views.report_file, name="report-file"),
    path("admin/review/<order:number>/report/withdraw/", fraud_views.report_withdraw, name="report-withdraw"),
    path("admin/review/<order:number>/check/", fraud_views.check_ask, name="check-ask"),
    path("admin/review/<order:number>/exempt/", fraud_views.exemption_add, name="exemption-add"),
    path("admin/review/<order:number>/exempt/end/", fraud_views.exemption_end, name="exemption-end"),
]
