import pytest
from django.core.management import CommandError, call_command

from accounts.models import AuditEntry
from domains.models import MailServer

pytestmark = pytest.mark.django_db


@pytest.fixture
def arguments(tmp_path) -> dict[str, str]:
    key = tmp_path / "agent.key"
    key.write_text("k" * 40 + "\n")
    return {
        "name": "mx1.mxpanel.test", "address": "127.25.31.64", "agent_url": "https://127.0.0.1:8400",
        "certificate_sha256": "ab" * 32, "key_file": str(key),
    }  # fmt: skip


def test_works_and_twice_is_harmless(arguments, capsys):
    call_command("server_enrol", **arguments)
    call_command("server_enrol", **arguments)
    server = MailServer.objects.get()
    assert (server.agent_key, server.revision, server.sync.effective) == ("k" * 40, 1, 0)
    assert server.ports["submission_alt"] == 2525
    assert list(MailServer.objects.behind()) == [server]
    assert "nothing changed" in capsys.readouterr().out
    assert AuditEntry.objects.filter(action="server.enrol").count() == 1


def test_corrects_what_changed_and_leaves_the_counter(arguments):
    call_command("server_enrol", **arguments)
    MailServer.objects.update(revision=77)
    call_command("server_enrol", **{**arguments, "certificate_sha256": "CD" * 32, "ports": ["imaps=8993"]})
    server = MailServer.objects.get()
    assert (server.certificate_sha256, server.revision, server.ports["imaps"]) == ("cd" * 32, 77, 8993)


@pytest.mark.parametrize(
    "wrong",
    [{"name": "mx1"}, {"address": "nowhere"}, {"agent_url": "http://127.0.0.1"}, {"certificate_sha256": "ab"},
     {"key_file": "/nonexistent"}, {"ports": ["imaps"]}, {"ports": ["ftp=21"]}, {"ports": ["imaps=99999"]}],
)  # fmt: skip
def test_wrong_values(arguments, wrong):
    with pytest.raises(CommandError):
        call_command("server_enrol", **{**arguments, **wrong})
    assert not MailServer.objects.exists()


def test_forgets_a_renewal_that_was_cut_off(arguments):
    call_command("server_enrol", **arguments)
    MailServer.objects.update(next_agent_key="n" * 40, next_certificate_sha256="cd" * 32)
    call_command("server_enrol", **arguments)
    server = MailServer.objects.get()
    assert (server.next_agent_key, server.next_certificate_sha256) == ("", "")
