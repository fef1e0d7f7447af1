import json

import pytest

from accounts.models import ApiRequest, AuditEntry, KeptReply, Webhook
from accounts.models.webhook import MOST, add_webhook
from accounts.webhooks import sending
from tests.accounts.conftest import happens
from tests.program import Program, data, error

BODY = {"url": "https://hooks.example.com/mail", "groups": ["mailboxes", "dns"]}
NOWHERE = "webhooks/00000000-0000-0000-0000-000000000000"


@pytest.fixture
def path(webhook):
    return f"webhooks/{webhook.pk}"


@pytest.fixture
def foreign(other, mallory):
    """Another customer's webhook, with something that it is owed."""
    made = add_webhook(other, BODY["url"], ["mailboxes"], by=mallory)
    happens(other)
    return made


class TestAdd:
    def test_works(self, program, acme, alice):
        made = data(program.post("webhooks", BODY), 201)
        webhook = Webhook.objects.get()
        assert (webhook.customer, made["id"]) == (acme, str(webhook.pk))
        assert made.pop("secret") == webhook.secret
        assert (made["groups"], made["active"], made["status"]) == (["dns", "mailboxes"], True, "active")
        assert data(program.get("webhooks")) == [made] == [data(program.get(f"webhooks/{webhook.pk}"))]
        entry = AuditEntry.objects.get(action="webhook.add")
        assert (entry.by, entry.after["api_key"]) == (alice, program.api_key.prefix)
        assert "whsec_" not in f"{entry.before}{entry.after}{list(ApiRequest.objects.values())}"

    def test_a_list_holds_one_s_own(self, program, webhook, foreign):
        assert [each["id"] for each in data(program.get("webhooks"))] == [str(webhook.pk)]

    def test_twice_with_a_name_is_once_and_the_secret_is_kept_nowhere_in_clear(self, program, webhook):
        once = {"Idempotency-Key": "k1"}
        for call in (("webhooks", BODY), (f"webhooks/{webhook.pk}/rotate", {})):
            first, again = program.post(*call, **once), program.post(*call, **once)
            assert data(again, 201) == data(first, 201)
            assert data(again, 201)["secret"].startswith("whsec_")
            assert "whsec_" not in str(list(KeptReply.objects.values()))
            once = {"Idempotency-Key": "k2"}
        assert Webhook.objects.count() == 2
        assert AuditEntry.objects.filter(action="webhook.rotate").count() == 1

    @pytest.mark.parametrize(
        ("field", "value"),
        [
            ("url", "http://hooks.example.com/"), ("url", "https://10.0.0.7/"), ("url", "x"), ("url", None),
            ("url", "https://h.example.com/" + "x" * 500), ("url", "https://[::1"), ("groups", []),
            ("groups", ["everything"]), ("groups", "dns"), ("groups", {"dns": 1}), ("secret", "whsec_mine"),
        ],
    )  # fmt: skip
    def test_wrong_values(self, program, field, value):
        found = error(program.post("webhooks", {**BODY, field: value}), 400, "VALIDATION_ERROR")
        assert found["field"].strip("'") == field
        assert not Webhook.objects.exists()

    def test_a_group_named_twice_is_one(self, program):
        assert data(program.post("webhooks", {**BODY, "groups": ["dns", "dns"]}), 201)["groups"] == ["dns"]

    def test_there_is_a_limit(self, program, acme):
        for _ in range(MOST):
            Webhook.objects.create(customer=acme, url=BODY["url"], groups=["dns"])
        error(program.post("webhooks", BODY), 422, "BUSINESS_ERROR")


class TestChange:
    def test_works(self, program, webhook, path):
        changed = data(program.patch(path, {"groups": ["orders"], "active": False}))
        assert (changed["groups"], changed["active"], changed["status"]) == (["orders"], False, "off")
        assert changed["url"] == webhook.url
        assert data(program.get(path)) == changed
        assert data(program.patch(path, {"active": True}))["status"] == "active"

    def test_twice_changes_nothing(self, program, path):
        body = {"url": "https://new.example.com/", "active": False}
        assert data(program.patch(path, body)) == data(program.patch(path, body))
        for action in ("webhook.change", "webhook.switch_off"):
            assert AuditEntry.objects.filter(action=action).count() == 1

    @pytest.mark.parametrize(
        "body", [{"url": "ftp://x"}, {"groups": []}, {"active": None}, {"status": "off"}]
    )
    def test_wrong_values(self, program, path, body):
        error(program.patch(path, {"groups": ["dns"], **body}), 400, "VALIDATION_ERROR")
        assert not AuditEntry.objects.filter(action="webhook.change").exists()


class TestRemove:
    def test_works(self, program, path):
        assert program.delete(path).status_code == 204
        error(program.delete(path), 404, "NOT_FOUND")
        assert not Webhook.objects.exists()


class TestRotate:
    def test_works(self, program, webhook, path):
        made = data(program.post(f"{path}/rotate"), 201)
        assert made["secret"] == Webhook.objects.get().secret != webhook.secret
        assert made["former_secret_until"]
        assert "whsec_" not in program.get(path).content.decode()


class TestDeliveries:
    def test_a_test(self, program, webhook, path, target):
        told = data(program.post(f"{path}/test"), 201)
        assert (told["type"], told["status"], told["attempts"]) == ("webhook.test", "waiting", 0)
        assert told["next_at"]
        sending.call(str(webhook.pk))
        found = data(program.get(f"{path}/deliveries/{told['number']}"))
        assert (found["status"], found["last_status"], found["next_at"]) == ("delivered", 204, None)
        assert [call["status"] for call in found["calls"]] == [204]
        headers, body = target.calls[0]
        assert (found["body"], found["webhook_id"]) == (body.decode(), headers["webhook-id"])

    def test_the_log(self, program, acme, webhook, path, target):
        target.answer = lambda path: (503, b"later")
        for name in ("anna", "ben", "carl"):
            happens(acme, subject=f"{name}@acme.test")
        sending.call(str(webhook.pk))
        first = data(program.get(f"{path}/deliveries?limit=2"))
        rest = data(program.get(f"{path}/deliveries?limit=2&cursor={first['next_cursor']}"))
        assert rest["next_cursor"] is None
        told = first["deliveries"] + rest["deliveries"]
        assert [each["id"] for each in told] == ["carl@acme.test", "ben@acme.test", "anna@acme.test"]
        assert [each["last_status"] for each in told] == [None, None, 503]
        assert told[0] == {
            "number": webhook.deliveries.first().pk, "webhook_id": webhook.deliveries.first().event.message_id,
            "type": "mailbox.add", "object": "mailbox", "id": "carl@acme.test", "sequence": 1, "at": told[0]["at"],
            "status": "waiting", "attempts": 0, "next_at": told[0]["next_at"], "last_status": None, "last_failure": "",
        }  # fmt: skip

    def test_the_log_costs_the_same_for_many(self, program, acme, webhook, path, django_assert_num_queries):
        for number in range(30):
            happens(acme, subject=f"{number}@acme.test")
        for limit in (1, 30):
            with django_assert_num_queries(5):
                data(program.get(f"{path}/deliveries?limit={limit}"))

    @pytest.mark.parametrize("query", ["limit=0", "limit=201", "cursor=x", "cursor=-1", f"cursor={9**30}"])
    def test_wrong_pages(self, program, path, query):
        error(program.get(f"{path}/deliveries?{query}"), 400, "VALIDATION_ERROR")

    def test_again(self, program, acme, webhook, path, target):
        happens(acme)
        sending.call(str(webhook.pk))
        again = f"{path}/deliveries/{webhook.deliveries.get().pk}/send-again"
        for _ in range(2):
            assert data(program.post(again), 202)["status"] == "waiting"
        sending.call(str(webhook.pk))
        assert len(target.calls) == 2

    def test_while_it_is_off_nothing_is_sent(self, program, acme, alice, webhook, path):
        happens(acme)
        webhook.switch_off(by=alice)
        for verb in ("test", f"deliveries/{webhook.deliveries.get().pk}/send-again"):
            error(program.post(f"{path}/{verb}"), 422, "BUSINESS_ERROR")


class TestWho:
    def test_what_is_anothers_is_answered_like_nothing(self, program, webhook, foreign, path):
        theirs, delivery = f"webhooks/{foreign.pk}", foreign.deliveries.get().pk
        pairs = [(f"{path}/deliveries/{delivery}", f"{path}/deliveries/0")]
        pairs += [
            (f"{theirs}{end}", f"{NOWHERE}{end}")
            for end in (
                "", "/rotate", "/test", "/deliveries", f"/deliveries/{delivery}", f"/deliveries/{delivery}/send-again"
            )
        ]  # fmt: skip
        for foreign_path, unknown in pairs:
            for method in ("GET", "POST", "PATCH", "DELETE"):
                body = {"active": False} if method == "PATCH" else None
                answers = [program.call(method, each, body) for each in (foreign_path, unknown)]
                assert {answer.status_code for answer in answers} <= {404, 405}
                assert answers[0].content == answers[1].content
        again = f"{path}/deliveries/{delivery}/send-again"
        error(program.post(again), 404, "NOT_FOUND")
        foreign.refresh_from_db()
        assert foreign.status == "active"

    def test_a_reader_sees_and_changes_nothing(self, acme, bob, webhook, path):
        happens(acme)
        reader, delivery = Program(acme, bob), webhook.deliveries.get().pk
        assert data(reader.get(path))["url"] is None
        assert webhook.url not in reader.get("webhooks").content.decode()
        for shown in ("webhooks", path, f"{path}/deliveries", f"{path}/deliveries/{delivery}"):
            assert "whsec_" not in json.dumps(data(reader.get(shown)))
        for call in (
            reader.post("webhooks", BODY), reader.patch(path, {"active": False}), reader.delete(path),
            reader.post(f"{path}/rotate"), reader.post(f"{path}/test"),
            reader.post(f"{path}/deliveries/{delivery}/send-again"),
        ):  # fmt: skip
            error(call, 403, "FORBIDDEN")
        assert Webhook.objects.get().status == "active"
