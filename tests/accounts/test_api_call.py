"""What every call of the API goes through, whatever it is about."""

import re
import threading
from datetime import timedelta

import pytest
import time_machine
from allauth.mfa.totp.internal.auth import TOTP
from django.db import OperationalError, connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts.key_lookup import find_key
from accounts.models import ApiKey, ApiRequest, Customer, FactorRule, KeptReply, Role
from accounts.models.api_key import forget_old_replies, forget_old_requests
from tests.conftest import TOTP_SECRET
from tests.program import Program, data, error


class TestKeys:
    def test_bearer(self, program):
        assert data(program.get("members"))["members"]

    def test_headers_of_mxroute(self, program):
        """The customer is on no server yet, so no server is the right one."""
        headers = {"X-API-Key": program.key, "X-Username": "acme", "X-Server": ""}
        assert Client().get("/api/members", headers=headers).status_code == 200
        for wrong in ({"X-Username": "other"}, {"X-Server": "mx1.mxpanel.test"}, {"X-API-Key": "x"}):
            error(Client().get("/api/members", headers={**headers, **wrong}), 401, "UNAUTHORIZED")

    def test_none(self):
        answer = Client().get("/api/members")
        assert error(answer, 401, "UNAUTHORIZED")["message"].startswith("Send a key")
        assert answer["WWW-Authenticate"] == "Bearer"

    @pytest.mark.parametrize("key", ["", "x", "mxp_aaaaaaaa_x", "mxp_\0", "é", "x" * 100_000])
    def test_wrong(self, db, key):
        headers = {"Authorization": f"Bearer {key}"}
        error(Client().get("/api/members", headers=headers), 401, "UNAUTHORIZED")

    def test_nearly_right(self, program):
        headers = {"Authorization": f"Bearer {program.key[:-1]}{'A' if program.key[-1] != 'A' else 'B'}"}
        error(Client().get("/api/members", headers=headers), 401, "UNAUTHORIZED")

    def test_expired(self, program):
        ApiKey.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
        error(program.get("members"), 401, "UNAUTHORIZED")

    def test_its_person_is_gone(self, program, alice):
        alice.is_active = False
        alice.save()
        error(program.get("members"), 401, "UNAUTHORIZED")

    def test_from_another_network(self, acme, alice):
        far = Program(acme, alice, networks=["192.0.2.0/24"])
        error(far.get("members"), 403, "FORBIDDEN")
        near = Program(acme, alice, networks=["127.0.0.0/8"])
        data(near.get("members"))
        mapped = {"headers": near.headers, "REMOTE_ADDR": "::ffff:127.0.0.1"}
        assert Client().get("/api/members", **mapped).status_code == 200

    def test_never_more_than_the_person_may(self, acme, dave):
        program = Program(acme, dave)
        assert program.delete("members/0").status_code == 404
        acme.memberships.filter(user=dave).update(role=Role.READER)
        assert "members:edit" in error(program.delete("members/0"), 403, "FORBIDDEN")["message"]

    def test_never_what_the_person_may_for_another_customer(self, acme, bob, other):
        other.memberships.create(user=bob, role=Role.OWNER)
        everything = Program(other, bob)
        ApiKey.objects.filter(pk=everything.api_key.pk).update(customer=acme)
        error(everything.delete("members/0"), 403, "FORBIDDEN")

    def test_whoever_is_no_member_any_more(self, acme, bob, other):
        other.memberships.create(user=bob, role=Role.OWNER)
        program = Program(acme, bob)
        acme.memberships.filter(user=bob).delete()
        error(program.get("members"), 401, "UNAUTHORIZED")

    def test_a_member_without_the_second_factor_that_is_asked_for(self, acme, alice, other, program):
        rule = FactorRule.objects.create(customer=other, by=alice)
        data(program.get("members"))  # it is asked for elsewhere
        FactorRule.objects.filter(pk=rule.pk).update(customer=acme)
        error(program.get("members"), 403, "FORBIDDEN")
        TOTP.activate(alice, TOTP_SECRET)
        data(program.get("members"))

    def test_one_query_looks_it_up(self, program, django_assert_num_queries):
        with django_assert_num_queries(1):
            assert find_key(program.key) == program.api_key

    def test_another_customer_s_suspension_costs_nothing(
        self, program, other, sam, django_assert_num_queries
    ):
        with CaptureQueriesContext(connection) as before:
            program.delete("members/0")
        other.suspend(reason="Spam was sent.", by=sam)
        with django_assert_num_queries(len(before)):
            program.delete("members/0")

    def test_too_many_wrong_ones_from_a_network(self, program, monkeypatch):
        monkeypatch.setattr("foundation.limits.WRONG_KEYS", 3)
        monkeypatch.setattr("foundation.limits.time", lambda: 0)
        wrong = {"Authorization": "Bearer wrong"}
        codes = [Client().get("/api/members", headers=wrong).status_code for _ in range(5)]
        assert codes == [401, 401, 401, 429, 429]
        data(program.get("members"))  # a good key is not shut out


class TestManners:
    @pytest.mark.parametrize("path", ["no/such/path", "", "domains/x.test/no", "members/x"])
    def test_an_unknown_path(self, program, path):
        answer = program.get(path)
        assert error(answer, 404, "NOT_FOUND") == {
            "code": "NOT_FOUND", "message": "There is nothing of this name here."
        }  # fmt: skip

    def test_a_slash_at_the_end(self, program):
        assert program.get("members/").json() == program.get("members").json()

    @pytest.mark.parametrize("method", ["PUT", "DELETE", "OPTIONS", "TRACE"])
    def test_another_method(self, program, method):
        error(program.call(method, "members"), 405, "METHOD_NOT_ALLOWED")

    def test_head(self, program):
        answer = program.call("HEAD", "members")
        assert (answer.status_code, answer.content) == (200, b"")

    def test_another_type_of_body(self, program):
        answer = program.post("members", "email=x", content_type="application/x-www-form-urlencoded")
        error(answer, 415, "UNSUPPORTED_MEDIA_TYPE")

    @pytest.mark.parametrize(
        "body",
        [
            "", "{", "[]", "1", "null", '"x"', '{"email": NaN}', '{"email": "a", "email": "b"}', b"\xff\xfe",
            "[" * 100_000, '{"email": ' + "9" * 5_000 + "}",
        ],
    )  # fmt: skip
    def test_a_broken_body(self, program, body):
        answer = program.post("members", body or " ")
        assert error(answer, 400, "VALIDATION_ERROR")

    def test_too_large_a_body(self, program):
        error(program.post("members", '{"email": "' + "x" * 2**20 + '"}'), 413, "PAYLOAD_TOO_LARGE")

    @pytest.mark.parametrize("name", ["rôle", "x\ud800", "__proto__", "x" * 10_000])
    def test_an_unknown_field(self, program, name):
        body = {"email": "x@example.test", "role": "reader", name: 1}
        assert error(program.post("members", body), 400, "VALIDATION_ERROR")["field"]

    @pytest.mark.parametrize("value", ["a\0b", "a\ud800b", {"x": 1}, [], None, True])
    def test_hostile_values(self, program, value):
        for field in ("email", "role"):
            body = {"email": "new@example.test", "role": "reader", field: value}
            answer = program.post("members", body, **{"Idempotency-Key": "k"})
            assert error(answer, 400, "VALIDATION_ERROR")["field"] == field

    def test_a_failure_of_ours(self, program, monkeypatch):
        monkeypatch.setattr("accounts.api.resources.page_of", lambda *a, **k: 1 / 0)
        answer = program.get("members")
        assert error(answer, 500, "SERVER_ERROR")["message"]
        assert "ZeroDivision" not in answer.content.decode()
        assert ApiRequest.objects.get().status == 500

    def test_the_database_away(self, program, monkeypatch):
        def away(*a, **k):
            raise OperationalError("no connection to 10.0.0.7")

        monkeypatch.setattr("accounts.api.resources.page_of", away)
        answer = program.get("members")
        assert "10.0.0.7" not in error(answer, 503, "SERVER_ERROR")["message"]
        assert answer["Retry-After"] == "5"

    @pytest.mark.parametrize("path", ["domains/%00", "domains/a.test/email-accounts/%00", "orders/%00"])
    def test_nul_in_the_path(self, program, path):
        error(program.get(path), 400, "VALIDATION_ERROR")

    def test_request_id(self, program):
        assert program.get("members", **{"X-Request-Id": "abc-1"})["X-Request-Id"] == "abc-1"
        made = program.get("members", **{"X-Request-Id": "<script>"})["X-Request-Id"]
        assert re.fullmatch(r"[0-9a-f-]{36}", made)

    def test_etag(self, program):
        first = program.get("members")
        again = program.get("members", **{"If-None-Match": first["ETag"]})
        assert (again.status_code, again.content) == (304, b"")
        assert first["Cache-Control"] == "private, no-cache"

    def test_the_calls_are_noted_for_7_days(self, program):
        program.get("members?cursor=x")
        call = ApiRequest.objects.get()
        assert (call.method, call.path, call.status, call.address) == (
            "GET",
            "/api/members",
            400,
            "127.0.0.1",
        )
        program.api_key.refresh_from_db()
        assert program.api_key.last_used_from == "127.0.0.1"
        assert forget_old_requests() == 0
        ApiRequest.objects.update(at=timezone.now() - timedelta(days=7, seconds=1))
        assert forget_old_requests() == 1

    def test_before_activation_nothing_is_changed(self, alice):
        pending = Customer.objects.create(username="pending", name="Pending")
        pending.memberships.create(user=alice, role=Role.OWNER)
        program = Program(pending, alice)
        data(program.get("members"))
        answer = program.post("members", {"email": "x@example.test", "role": "reader"})
        assert "not active yet" in error(answer, 403, "FORBIDDEN")["message"]

    def test_pages(self, program):
        first = data(program.get("members?limit=3"))
        rest = data(program.get(f"members?limit=3&cursor={first['next_cursor']}"))
        assert len(first["members"]) == 3
        assert rest["next_cursor"] is None
        ids = [member["id"] for member in first["members"] + rest["members"]]
        assert ids == sorted(set(ids), reverse=True)

    @pytest.mark.parametrize(
        "query", ["limit=0", "limit=201", "limit=x", "limit=-1", "cursor=x", "cursor=%F0"]
    )
    def test_wrong_pages(self, program, query):
        error(program.get(f"members?{query}"), 400, "VALIDATION_ERROR")


class TestLimits:
    @pytest.fixture(autouse=True)
    def within_one_minute(self):
        """Calls are counted by the minute of the clock; none ends here between two of them."""
        with time_machine.travel(timezone.now().replace(second=5), tick=True):
            yield

    def test_reads_and_writes_are_counted_apart(self, program, settings):
        settings.API_READS, settings.API_WRITES = 3, 2
        left = [program.get("members")["X-RateLimit-Remaining"] for _ in range(3)]
        over = program.get("members")
        assert left == ["2", "1", "0"]
        error(over, 429, "RATE_LIMITED")
        assert 1 <= int(over["Retry-After"]) <= 60
        assert over["X-RateLimit-Limit"] == "3"
        assert int(over["X-RateLimit-Reset"]) % 60 == 0
        assert program.delete("members/0").status_code == 404
        ApiKey.objects.update(minute=timezone.now() - timedelta(minutes=2))
        data(program.get("members"))

    def test_more_keys_are_not_more_calls_without_end(self, acme, alice, settings):
        settings.API_READS = 1
        codes = [Program(acme, alice).get("members").status_code for _ in range(4)]
        assert codes == [200, 200, 200, 429]

    def test_what_is_beyond_the_limit_is_not_noted(self, program, settings):
        settings.API_READS = 1
        for _ in range(3):
            program.get("members")
        assert ApiRequest.objects.count() == 1


class TestOnce:
    """`Idempotency-Key`"""

    BODY = {"email": "new@example.test", "role": "reader"}

    def test_the_same_again_gets_the_same_answer(self, program, acme):
        first = program.post("members", self.BODY, **{"Idempotency-Key": "k1"})
        acme.invitations.all().delete()
        again = program.post("members", self.BODY, **{"Idempotency-Key": "k1"})
        assert data(again, 201) == data(first, 201)
        assert again["Idempotent-Replayed"] == "true"
        assert not acme.invitations.exists()

    def test_another_body(self, program):
        program.post("members", self.BODY, **{"Idempotency-Key": "k1"})
        other = {**self.BODY, "role": "admin"}
        error(program.post("members", other, **{"Idempotency-Key": "k1"}), 422, "BUSINESS_ERROR")

    def test_a_refusal_is_not_kept_for_it_may_be_over(self, program, acme):
        body = {"email": "bob@example.test", "role": "reader"}  # a member already
        error(program.post("members", body, **{"Idempotency-Key": "k1"}), 409, "CONFLICT")
        acme.memberships.filter(user__email="bob@example.test").delete()
        data(program.post("members", body, **{"Idempotency-Key": "k1"}), 201)

    def test_a_crash_leaves_nothing_and_is_repeated(self, program, acme, monkeypatch):
        with monkeypatch.context() as patch:
            patch.setattr(KeptReply, "save", lambda *args, **more: 1 / 0)
            error(program.post("members", self.BODY, **{"Idempotency-Key": "k1"}), 500, "SERVER_ERROR")
        assert not acme.invitations.exists()
        data(program.post("members", self.BODY, **{"Idempotency-Key": "k1"}), 201)
        assert acme.invitations.count() == 1

    def test_it_is_kept_encrypted(self, program):
        answer = program.post("members", self.BODY, **{"Idempotency-Key": "k1"})
        kept = KeptReply.objects.get()
        assert "new@example.test" in answer.content.decode()
        assert "new@example.test" not in str(kept.body)

    def test_of_another_key_it_is_another(self, program, acme, alice):
        program.post("members", self.BODY, **{"Idempotency-Key": "k1"})
        second = Program(acme, alice)
        again = second.post(
            "members", {**self.BODY, "email": "two@example.test"}, **{"Idempotency-Key": "k1"}
        )
        assert again.status_code == 201

    @pytest.mark.parametrize("name", ["", "x" * 256, "a b"])
    def test_wrong_names(self, program, name):
        error(program.post("members", self.BODY, **{"Idempotency-Key": name}), 400, "VALIDATION_ERROR")

    def test_it_is_kept_for_a_day(self, program, acme):
        program.post("members", self.BODY, **{"Idempotency-Key": "k1"})
        assert forget_old_replies() == 0
        KeptReply.objects.update(at=timezone.now() - timedelta(hours=24, seconds=1))
        program.post("members", {**self.BODY, "email": "two@example.test"}, **{"Idempotency-Key": "k1"})
        assert acme.invitations.count() == 2
        KeptReply.objects.update(at=timezone.now() - timedelta(hours=24, seconds=1))
        assert forget_old_replies() == 1

    def test_no_password_can_be_guessed_from_what_is_kept(self, program):
        from hashlib import sha256

        program.post("members", self.BODY, **{"Idempotency-Key": "k1"})
        kept = KeptReply.objects.get()
        said = f"/api/members\n{sorted(self.BODY.items())!r}"
        assert kept.digest != sha256(said.encode()).hexdigest()

    @pytest.mark.django_db(transaction=True, serialized_rollback=True)
    def test_while_the_first_is_at_work(self, acme, alice, monkeypatch):
        program, inside, go = Program(acme, alice), threading.Event(), threading.Event()
        real = Customer.invite_member

        def slow(*args, **kwargs):
            inside.set()
            assert go.wait(20)
            return real(*args, **kwargs)

        monkeypatch.setattr(Customer, "invite_member", slow)
        answers = []

        def call():
            answers.append(program.post("members", self.BODY, **{"Idempotency-Key": "k1"}))
            connection.close()

        first = threading.Thread(target=call)
        first.start()
        assert inside.wait(20)
        second = program.post("members", self.BODY, **{"Idempotency-Key": "k1"})
        go.set()
        first.join(20)
        error(second, 409, "CONFLICT")
        assert data(answers[0], 201)["email"] == "new@example.test"
        assert acme.invitations.count() == 1
