import pytest

from accounts.models import AuditEntry, Invitation, Role
from tests.program import Program, data, error


class TestList:
    def test_of_one_s_own_customer(self, program, acme, other):
        found = {member["email"] for member in data(program.get("members"))["members"]}
        assert found == {f"{name}@example.test" for name in ("alice", "bob", "carol", "dave")}


class TestInvite:
    def test_works(self, program, alice):
        made = data(program.post("members", {"email": "New@example.test", "role": "reader"}), 201)
        assert (made["email"], made["role"]) == ("new@example.test", "reader")
        assert AuditEntry.objects.get(action="invitation.send").by == alice
        assert "secret" not in made

    def test_an_owner_only_with_that_right(self, acme, alice):
        program = Program(acme, alice, ["members:edit"])
        answer = program.post("members", {"email": "n@example.test", "role": "owner"})
        assert "owners:edit" in error(answer, 403, "FORBIDDEN")["message"]
        assert not Invitation.objects.exists()

    @pytest.mark.parametrize(
        ("field", "value"), [("email", "x"), ("email", "a@b.test\r\nBcc: x"), ("role", "king")]
    )
    def test_wrong_values(self, program, field, value):
        body = {"email": "n@example.test", "role": "reader", field: value}
        assert error(program.post("members", body), 400, "VALIDATION_ERROR")["field"] == field


class TestChange:
    def test_works(self, program, acme, bob):
        member = acme.memberships.get(user=bob)
        assert data(program.patch(f"members/{member.pk}", {"role": "billing"}))["role"] == "billing"
        assert data(program.get(f"members/{member.pk}"))["role"] == "billing"

    def test_the_last_owner_stays(self, program, acme, alice):
        owner = acme.memberships.get(user=alice)
        error(program.patch(f"members/{owner.pk}", {"role": "reader"}), 422, "BUSINESS_ERROR")
        error(program.delete(f"members/{owner.pk}"), 422, "BUSINESS_ERROR")

    def test_an_admin_says_nothing_about_owners(self, acme, alice, dave):
        owner = acme.memberships.get(user=alice)
        program = Program(acme, dave)
        error(program.patch(f"members/{owner.pk}", {"role": "reader"}), 403, "FORBIDDEN")
        error(program.delete(f"members/{owner.pk}"), 403, "FORBIDDEN")

    def test_a_member_of_another_customer(self, program, other, mallory):
        foreign = other.memberships.get(user=mallory)
        for answer in (
            program.get(f"members/{foreign.pk}"),
            program.patch(f"members/{foreign.pk}", {"role": "reader"}),
            program.delete(f"members/{foreign.pk}"),
        ):
            error(answer, 404, "NOT_FOUND")
        foreign.refresh_from_db()
        assert foreign.role == Role.OWNER


class TestRemove:
    def test_works(self, program, acme, bob):
        member = acme.memberships.get(user=bob)
        assert program.delete(f"members/{member.pk}").status_code == 204
        error(program.delete(f"members/{member.pk}"), 404, "NOT_FOUND")
        assert not acme.memberships.filter(user=bob).exists()

    def test_a_reader_may_not(self, acme, bob, carol):
        member = acme.memberships.get(user=carol)
        error(Program(acme, bob).delete(f"members/{member.pk}"), 403, "FORBIDDEN")
