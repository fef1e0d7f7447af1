import re
from html import unescape

import pytest

from accounts.models import AuditEntry, Webhook
from accounts.models.webhook import MOST
from accounts.webhooks import sending
from accounts.webhooks.events import GROUPS
from tests.accounts.conftest import happens

URL = "/c/acme/webhooks/add/"
FORM = {"url": "https://hooks.example.com/mail", "groups": ["mailboxes", "dns"]}
WHSEC = re.compile(r"whsec_[A-Za-z0-9+/=]{44}")


def test_works(as_, acme, alice):
    client = as_(alice)
    page = client.post(URL, FORM)

    assert page.status_code == 200
    made = Webhook.objects.get()
    assert (made.customer, made.url, made.groups) == (acme, FORM["url"], ["dns", "mailboxes"])
    assert WHSEC.findall(unescape(page.content.decode())) == [made.secret]
    assert page["Cache-Control"].startswith("max-age=0")
    entry = AuditEntry.objects.get(action="webhook.add")
    assert (entry.by, entry.subject) == (alice, str(made))
    assert "whsec_" not in f"{entry.before}{entry.after}"
    assert "/mail" not in f"{entry.subject}{entry.after}"
    for path in (made.get_absolute_url(), "/c/acme/webhooks/", "/c/acme/audit/"):
        shown = client.get(path).content.decode()
        assert "hooks.example.com" in shown
        assert "whsec_" not in shown


def test_the_sample_on_the_page_takes_what_is_sent(as_, acme, alice, target, monkeypatch):
    page = unescape(as_(alice).post(URL, {**FORM, "url": target.url}).content.decode())
    happens(acme)
    sending.call(str(Webhook.objects.get().pk))
    [sample] = re.findall(r"<pre[^>]* data-sample>(.*?)</pre>", page, re.DOTALL)
    monkeypatch.setenv("WEBHOOK_SECRET", WHSEC.findall(page)[0])
    names: dict = {}
    exec(sample, names)  # noqa: S102
    (headers, body), *_ = target.calls
    assert names["event_of"](body, headers)["type"] == "mailbox.add"


def test_stranger_gets_404(as_, acme, mallory):
    assert as_(mallory).post(URL, FORM).status_code == 404


def test_a_reader_gets_403(as_, acme, bob, carol):
    for person in (bob, carol):
        assert as_(person).post(URL, FORM).status_code == 403
    assert not Webhook.objects.exists()


def test_the_form_says_what_each_group_is(as_, acme, alice):
    page = as_(alice).get(URL).content.decode()
    for words, kinds in GROUPS.values():
        assert words in page
        assert ", ".join(kinds) in page


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("url", ""), ("url", "http://hooks.example.com/"), ("url", "https://localhost/"), ("url", "https://10.0.0.7/"),
        ("url", "https://u:p@hooks.example.com/"), ("url", "https://hooks.example.com/" + "x" * 500),
        ("url", "javascript:alert(1)"), ("groups", []), ("groups", ["everything"]),
    ],
)  # fmt: skip
def test_wrong_values(as_, acme, alice, field, value):
    answer = as_(alice).post(URL, FORM | {field: value})
    assert answer.status_code == 422
    assert f'id="id_{field}_error"' in answer.content.decode()
    assert not Webhook.objects.exists()


def test_there_is_a_limit(as_, acme, alice):
    for _ in range(MOST):
        Webhook.objects.create(customer=acme, url=FORM["url"], groups=["dns"])
    answer = as_(alice).post(URL, FORM)
    assert answer.status_code == 422
    assert f"at most {MOST} webhooks" in answer.content.decode()
