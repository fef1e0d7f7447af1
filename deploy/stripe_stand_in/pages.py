"""The pages that a person sees at Stripe: the card, 3-D Secure, and that a page is over. They need no JavaScript."""

import re
from datetime import UTC, datetime
from html import escape
from urllib.parse import parse_qs

from deploy.stripe_stand_in.books import Books, Object
from deploy.stripe_stand_in.cards import CARDS
from deploy.stripe_stand_in.errors import Refusal
from deploy.stripe_stand_in.sessions import authenticate, enter_card

STYLE = """body{font:16px/1.5 system-ui,sans-serif;max-width:30rem;margin:2rem auto;padding:0 1rem;color:#1a1f36}
label{display:block;margin:1rem 0}input{display:block;width:100%;box-sizing:border-box;padding:.5rem;font:inherit;
border:1px solid #687385}button{padding:.6rem 1.2rem;font:inherit;margin-right:1rem}.error{color:#b3093c}
.note{background:#fff3cd;padding:.5rem 1rem}"""


class Answer:
    """A page, or where the browser is to go on."""

    def __init__(self, status: int, html: str = "", location: str = "") -> None:
        self.status, self.html, self.location = status, html, location


def show(books: Books, which: str) -> Answer:
    session = books.find("checkout.session", which)
    if session["status"] != "open":
        return _page(
            "This page is over", f"<p>It is {escape(session['status'])}. Nothing more can be done here.</p>"
        )
    return _card_page(books, session)


def pay(books: Books, which: str, encoded: str) -> Answer:
    """What was entered on the page of the card, or in the window of 3-D Secure."""
    session = books.find("checkout.session", which)
    fields = {name: values[-1].strip() for name, values in parse_qs(encoded).items()}
    try:
        if "authentication" in fields:
            authenticate(books, session, passed=fields["authentication"] == "complete")
        else:
            number = fields.get("number", "").replace(" ", "")
            if number not in CARDS:
                raise Refusal(402, "Your card number is invalid.")
            entered = {name: fields.get(name, "") for name in ("email", "name")}
            expiry = _expiry(books, fields.get("expiry", ""))
            if not enter_card(books, session, number, **entered, expiry=expiry):
                return _authentication_page(session)
    except Refusal as refusal:
        if session["status"] != "open":
            return show(books, which)
        return _card_page(books, session, str(refusal), fields)
    return Answer(303, location=session["success_url"].replace("{CHECKOUT_SESSION_ID}", session["id"]))


def _expiry(books: Books, text: str) -> tuple[int, int]:
    """Month and year of "12 / 40"; Refusal where it is over."""
    match = re.fullmatch(r"(0?[1-9]|1[0-2]) */ *(?:20)?([0-9]{2})", text)
    if not match:
        raise Refusal(402, "Your card's expiration date is incomplete.", code="invalid_expiry_month")
    month, year = int(match[1]), 2000 + int(match[2])
    today = datetime.fromtimestamp(books.now(), UTC)
    if (year, month) < (today.year, today.month):
        raise Refusal(402, "Your card's expiration year is in the past.", code="invalid_expiry_year")
    return month, year


def _consent(session: Object) -> str:
    """That the card is kept, as Stripe's page says it, and what the programs had it say beside."""
    keeps = session["mode"] == "setup" or session["intent_data"].get("setup_future_usage")
    text = (
        "You allow us to charge your card for future payments in accordance with our terms." if keeps else ""
    )
    said = (session["custom_text"]["submit"] or {}).get("message", "")
    return "".join(f"<p>{escape(each)}</p>" for each in (text, said) if each)


def _card_page(
    books: Books, session: Object, error: str = "", fields: dict[str, str] | None = None
) -> Answer:
    fields = fields or {}
    of_customer = (books.objects.get(session["customer"] or "") or {}).get("email")
    email = fields.get("email") or session["customer_email"] or of_customer or ""
    what = "".join(f"<p>{escape(line['description'])}</p>" for line in session["line_items"])
    sum_ = (
        f"{session['amount_total']} minor units of {session['currency'].upper()}"
        if session["amount_total"]
        else ""
    )
    back = f'<a href="{escape(session["cancel_url"])}">Back</a>' if session["cancel_url"] else ""
    form = f"""{what}<p><strong>{sum_}</strong></p>
{f'<p class="error" role="alert">{escape(error)}</p>' if error else ""}
<form method="post">
<label>Email <input name="email" type="email" value="{escape(email)}" required></label>
<label>Card number <input name="number" inputmode="numeric" value="{escape(fields.get("number", ""))}" required></label>
<label>Expiry <input name="expiry" placeholder="MM / YY" value="{escape(fields.get("expiry", ""))}" required></label>
<label>Security code <input name="cvc" inputmode="numeric" required></label>
<label>Cardholder name <input name="name" value="{escape(fields.get("name", ""))}" required></label>
{_consent(session)}
<button>{"Pay" if session["mode"] == "payment" else "Save card"}</button> {back}
</form>"""
    title = "Pay by card" if session["mode"] == "payment" else "Save your card"
    return _page(title, form, 402 if error else 200)


def _authentication_page(session: Object) -> Answer:
    form = """<p>Your bank asks whether it is you.</p><form method="post">
<button name="authentication" value="complete">Complete</button>
<button name="authentication" value="fail">Fail</button></form>"""
    return _page("3-D Secure", form)


def _page(title: str, body: str, status: int = 200) -> Answer:
    icon = '<link rel="icon" href="data:,">'
    head = f'<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{title}</title>'
    note = '<p class="note">This is a stand-in for Stripe. It moves no money; use test cards alone.</p>'
    return Answer(
        status,
        f'<!doctype html><html lang="en">{head}{icon}<style>{STYLE}</style>{note}<main><h1>{title}</h1>{body}</main></html>',
    )
