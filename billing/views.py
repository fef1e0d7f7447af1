from typing import Any

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_not_required
from django.core.paginator import Paginator
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts.access import Permission, customer_page, may
from billing import card_payments
from billing.access import find_order, order_page
from billing.forms import OrderAnswerForm
from billing.models import Order, OrderConflict, QuestionLink
from billing.models.question import find_question_link
from billing.standing import standing
from billing.timeline import timeline


@order_page(Permission.ORDERS_READ)
@require_safe
def order_show(request: Any, order: Order) -> HttpResponse:
    return show_order(request, order)


@order_page(Permission.ORDERS_EDIT)
@require_POST
def order_answer(request: Any, order: Order) -> HttpResponse:
    form = OrderAnswerForm(request.POST)
    if not form.is_valid():
        return show_order(request, order, form, status=422)
    try:
        order.answer_question(form.cleaned_data["text"], by=request.user)
    except OrderConflict as conflict:
        return show_order(request, order, status=409, conflict=str(conflict))
    messages.success(request, "Thank you. Your answer is with our staff.")
    return redirect(order)


@order_page(Permission.ORDERS_EDIT)
@require_POST
def order_cancel(request: Any, order: Order) -> HttpResponse:
    try:
        cancelled = order.cancel(by=request.user)
    except OrderConflict as conflict:
        return show_order(request, order, status=409, conflict=str(conflict))
    messages.success(request, "The order is cancelled." if cancelled else "The order was cancelled before.")
    return redirect(order)


@login_not_required
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def question_answer(request: Any, question: str) -> HttpResponse:
    """The link in the mail of a question. It takes a button, because mail filters follow links."""
    link = find_question_link(question)
    if link is None:
        raise Http404
    order = find_order(link.question.order.number)
    form = OrderAnswerForm(request.POST if request.method == "POST" else None)
    if not form.is_valid():
        code = 409 if link.status_in(order) != "question" else 422
        return _question_page(request, link, order, form, status=code if form.is_bound else 200)
    try:
        order.answer_question(form.cleaned_data["text"], by=None, link=link)
    except OrderConflict:
        return _question_page(request, link, find_order(order.number), form, status=409)
    return redirect(request.path)


@customer_page(Permission.ORDERS_READ)
@require_safe
def order_list(request: Any) -> HttpResponse:
    orders = request.customer.orders.with_facts().order_by("-placed_at")
    page = Paginator(orders, 50).get_page(request.GET.get("page"))
    return render(request, "billing/order_list.html", {"page": page})


def show_order(
    request: Any, order: Order, form: OrderAnswerForm | None = None, status: int = 200, conflict: str = ""
) -> HttpResponse:
    """The page of an order; `form` is the answer that was sent, `conflict` why something was not done."""
    takes_cards = card_payments.may_pay(order)
    context = {
        "order": order,
        "form": form or OrderAnswerForm(),
        "conflict": conflict,
        "may_edit": may(request.role, Permission.ORDERS_EDIT),
        "standing": standing(order),
        "steps": timeline(order),
        "invoices": order.invoices.select_related("customer").order_by("issued_at"),
        "takes_cards": takes_cards,
        "payment_instructions": settings.PAYMENT_INSTRUCTIONS,
    }
    answer = render(request, "billing/order_show.html", context, status=status)
    if takes_cards:
        # The answer to the button is a redirect to Stripe, and browsers ask the policy about that, too.
        answer._csp_update = {"form-action": [settings.STRIPE_CHECKOUT_ORIGIN]}  # type: ignore[attr-defined]
    return answer


_WORDS = {"question": "Waiting for your answer", "answered": "Answered", "over": "Over", "expired": "Expired"}


def _question_page(
    request: Any, link: QuestionLink, order: Order, form: OrderAnswerForm, status: int
) -> HttpResponse:
    state = link.status_in(order)
    context = {"link": link, "order": order, "form": form, "status": state, "status_label": _WORDS[state]}
    return render(request, "billing/question_answer.html", context, status=status)
