from accounts.models import ApiKey, AuditEntry, Role
from tests.program import Program, error


def url(key: ApiKey) -> str:
    return f"/c/acme/keys/{key.pk}/revoke/"


def test_works(as_, alice, program):
    assert program.get("domains").status_code == 200

    answer = as_(alice).post(url(program.api_key))

    assert answer["Location"] == f"/c/acme/keys/{program.api_key.pk}/"
    assert AuditEntry.objects.get(action="key.revoke").by == alice
    error(program.get("domains"), 401, "UNAUTHORIZED")
    assert 'data-status="revoked"' in as_(alice).get(answer["Location"]).content.decode()


def test_twice_changes_nothing(as_, alice, program):
    for _ in range(2):
        as_(alice).post(url(program.api_key))
    assert AuditEntry.objects.filter(action="key.revoke").count() == 1


def test_stranger_gets_404(as_, mallory, other, program):
    assert as_(mallory).post(url(program.api_key)).status_code == 404
    own = url(program.api_key).replace("/acme/", "/other/")
    assert as_(mallory).post(own).status_code == 404


def test_a_reader_sees_and_revokes_their_own_alone(as_, acme, alice, bob, program):
    of_bob = Program(acme, bob)
    assert as_(bob).post(url(program.api_key)).status_code == 404
    page = as_(bob).get("/c/acme/keys/").content.decode()
    assert of_bob.api_key.prefix in page
    assert program.api_key.prefix not in page
    assert as_(alice).post(url(of_bob.api_key)).status_code == 302
    error(of_bob.get("domains"), 401, "UNAUTHORIZED")


def test_who_is_removed_has_no_key_any_more(acme, alice, bob):
    of_bob = Program(acme, bob)
    acme.memberships.get(user=bob).remove(by=alice)
    error(of_bob.get("domains"), 401, "UNAUTHORIZED")
    acme.memberships.create(user=bob, role=Role.READER)
    error(of_bob.get("domains"), 401, "UNAUTHORIZED")


def test_the_page_shows_the_last_calls_and_no_body(as_, acme, alice, program):
    Program(acme, alice).get("quota")
    program.post("domains?secret=1", {"domain": "not-a-domain-of-mine"})
    page = as_(alice).get(f"/c/acme/keys/{program.api_key.pk}/").content.decode()
    assert "POST /api/domains<" in page
    assert "secret=1" not in page
    assert "not-a-domain-of-mine" not in page
    assert "127.0.0.1" in page
    assert "/api/quota" not in page  # of another key
