"""Configuration: exactly the golden files, and reloaded only when it changed and passed its check.

After a wanted change: `python -m tests.mailnode.test_render` writes the golden files anew.
"""

import dataclasses
import pwd
import shutil
from pathlib import Path

import pytest

from mailnode import keeper_verbs, render
from mailnode.render import File
from mailnode.settings import Ports, Settings
from tests.mailnode.server import Server

GOLDEN = Path(__file__).parent / "golden"
VARIANTS = {
    "local": {
        "listen": ["127.0.0.1"],
        "exchange": "127.25.31.64",
        "dns": ["127.53.31.64"],
        "internet": False,
        "test_patterns": True,
        "delay_failed_sign_ins": False,
        "ports": Ports(smtp=8025, submission=8587, submission_alt=8525, submissions=8465, imap=8143, imaps=8993,
                       pop3=8110, pop3s=8995, sieve=8190, reinject=8026, roles=8027),
    },
    "internet": {},
}  # fmt: skip


def rendered(variant: str, directory: Path) -> dict[str, str]:
    """Every file of a variant, with what differs between machines taken out."""
    settings = Settings(name="mx1.mxpanel.test", directory=directory, **VARIANTS[variant])
    settings.agent_directory.mkdir(exist_ok=True)
    (settings.agent_directory / "doveadm.key").write_text("the-api-key\n")
    user = f"first_valid_uid = {pwd.getpwnam(settings.users.vmail).pw_uid}"
    return {
        file.path: file.text.replace(str(directory), "/srv/mx1").replace(user, "first_valid_uid = 999")
        for file in render.files(settings)
    }


def golden(variant: str) -> dict[str, str]:
    root = GOLDEN / variant
    return {str(path.relative_to(root)): path.read_text() for path in root.rglob("*") if path.is_file()}


@pytest.mark.parametrize("variant", VARIANTS)
def test_files_are_the_golden_ones(variant: str, tmp_path: Path, server: Server) -> None:
    made, expected = rendered(variant, tmp_path), golden(variant)
    assert sorted(made) == sorted(expected)
    for path, text in made.items():
        assert text == expected[path], path


def test_twice_writes_nothing(server: Server) -> None:
    assert "postfix/etc/main.cf" in server.command("render")
    assert server.command("render").strip() == ""


def test_a_changed_setting_reloads_only_its_daemons(server: Server) -> None:
    server.command("render")
    server.write_settings(message_size_limit="1000000")
    done = keeper_verbs.refresh(server.settings)
    assert done == {"changed": ["postfix/etc/main.cf"], "reloaded": []}  # nothing runs here
    assert keeper_verbs.refresh(server.settings) == {"changed": [], "reloaded": []}


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ("postfix/etc/main.cf", "inet_protocols = carrier-pigeon\n"),
        ("dovecot/dovecot.conf", "no_such_setting = yes\n"),
        ("rspamd/local.d/options.inc", "dns { nameserver = [\n"),
    ],
)
def test_what_fails_its_check_is_put_back(
    server: Server, monkeypatch: pytest.MonkeyPatch, path: str, line: str
) -> None:
    server.command("render")
    before = (server.directory / path).read_text()
    files = render.files

    def with_a_mistake(settings: Settings) -> list[File]:
        return [dataclasses.replace(f, text=f.text + line) if f.path == path else f for f in files(settings)]

    monkeypatch.setattr(render, "files", with_a_mistake)
    with pytest.raises(keeper_verbs.Refusal, match="does not pass its check"):
        keeper_verbs.refresh(server.settings)
    assert (server.directory / path).read_text() == before


def test_every_template_is_used(tmp_path: Path, server: Server) -> None:
    used = {*render.POSTFIX, *render.DOVECOT, *render.OTHERS, "postfix/submission"}
    used |= {f"rspamd/{name}" for name in render._rspamd_templates()}
    there = {str(p.relative_to(render.TEMPLATES)) for p in render.TEMPLATES.rglob("*") if p.is_file()}
    assert there == used


def write_golden(directory: Path) -> None:
    """Write the golden files anew from the templates."""
    for variant in VARIANTS:
        shutil.rmtree(GOLDEN / variant, ignore_errors=True)
        for path, text in rendered(variant, directory).items():
            (GOLDEN / variant / path).parent.mkdir(parents=True, exist_ok=True)
            (GOLDEN / variant / path).write_text(text)


if __name__ == "__main__":
    import tempfile

    with tempfile.TemporaryDirectory() as temporary:
        write_golden(Path(temporary))
