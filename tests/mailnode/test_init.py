"""`init`: a directory in which everybody can reach what is theirs, and nobody else can."""

import json
import os
import pwd
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from mailnode import settings as node_settings
from tests.mailnode.server import CODE, Server

PUBLIC = {"node.toml", "ca.pem", "cert.pem"}
READABLE = """
import os, pwd, sys
entry = pwd.getpwnam(sys.argv[1])
os.initgroups(sys.argv[1], entry.pw_gid)
os.setgid(entry.pw_gid)
os.setuid(entry.pw_uid)
for path in sys.argv[2:]:
    print(int(os.access(path, os.R_OK)))
"""


def readable(user: str, *paths: Path) -> list[bool]:
    """Whether a user with its groups could read each path."""
    argv = ["python3", "-c", READABLE, user, *map(str, paths)]
    done = subprocess.run(argv, check=True, capture_output=True, text=True, cwd="/")
    return [line == "1" for line in done.stdout.split()]


def test_nothing_secret_is_readable_by_everybody(agent: Server) -> None:
    agent.command("render")
    for folder, _, names in os.walk(agent.directory):
        for name in names:
            path = Path(folder) / name
            mode = path.lstat().st_mode
            if stat.S_ISREG(mode) and mode & stat.S_IROTH and _reachable(path, agent.directory):
                assert name in PUBLIC or path.relative_to(agent.directory).parts[0] in CONFIGURATION, path


CONFIGURATION = {"postfix", "dovecot", "rspamd", "redis", "log"}


def _reachable(path: Path, top: Path) -> bool:
    """Whether everybody may walk down to a path."""
    return all(parent.stat().st_mode & stat.S_IXOTH for parent in path.parents if parent.is_relative_to(top))


def test_each_user_reaches_what_is_its_own(server: Server) -> None:
    settings, users = server.settings, server.settings.users
    paths = {
        "node": settings.database,
        "secrets": settings.secrets,
        "usage": settings.usage,
        "keys": settings.dkim,
        "bearer key": settings.key_file,
        "hashed key": settings.agent_directory / "key.sha256",
        "tls key": settings.tls / "key.pem",
        "mail": settings.mail,
    }
    expected = {
        users.agent: {"node", "secrets", "usage", "keys", "hashed key"},
        users.lookup: {"node", "usage"},
        users.postfix: {"node", "usage"},
        users.dovecot: {"node", "secrets", "usage"},
        users.rspamd: {"keys"},
        users.vmail: {"mail"},
        "nobody": set(),
    }
    for user, own in expected.items():
        seen = dict(zip(paths, readable(user, *paths.values()), strict=True))
        assert {name for name, can in seen.items() if can} == own, user


def test_twice_changes_nothing(server: Server) -> None:
    before = server.settings.key_file.read_text(), (server.settings.tls / "cert.pem").read_text()
    assert json.loads(server.command("init")) == server.made
    assert (server.settings.key_file.read_text(), (server.settings.tls / "cert.pem").read_text()) == before


def test_it_says_what_the_panel_needs(server: Server) -> None:
    assert set(server.made) == {"name", "certificate_sha256", "key_file", "tls_ca"}
    assert len(server.made["certificate_sha256"]) == 64
    assert stat.S_IMODE(Path(server.made["key_file"]).stat().st_mode) == 0o600
    assert pwd.getpwuid(Path(server.made["key_file"]).stat().st_uid).pw_name == "root"


def test_the_agent_cannot_change_what_root_makes_configuration_of(server: Server) -> None:
    for path in (server.settings.agent_directory, *server.settings.agent_directory.iterdir()):
        seen = path.stat()
        assert pwd.getpwuid(seen.st_uid).pw_name == "root", path
        assert not seen.st_mode & (stat.S_IWGRP | stat.S_IRWXO), path


def test_a_link_in_the_way_is_not_followed(server: Server) -> None:
    """An unprivileged owner of a directory may not lead root elsewhere."""
    server.settings.secrets.unlink()
    server.settings.secrets.symlink_to("/etc/passwd")
    with pytest.raises(subprocess.CalledProcessError):
        server.command("init")


@pytest.mark.parametrize(
    "text",
    [
        "",
        'name = "MX 1"',
        'name = "mx1.test\\nuser = root"',
        'name = "mx1.test"\nlisten = ["localhost"]',
        'name = "mx1.test"\nexchange = "1.2.3.4, 5.6.7.8"',
        'name = "mx1.test"\nhs_cache = "/x y"',
        'name = "mx1.test"\n[ports]\nsmtp = 0',
        'name = "mx1.test"\n[users]\nvmail = "a b"',
        'name = "mx1.test',
    ],
)
def test_wrong_settings_say_what_is_wrong(tmp_path: Path, text: str) -> None:
    directory = Path("/tmp") / f"mx-{os.getpid()}"
    directory.mkdir()
    try:
        (directory / "node.toml").write_text(text)
        with pytest.raises(node_settings.SettingsError, match=r"node\.toml"):
            node_settings.load(directory)
    finally:
        (directory / "node.toml").unlink()
        directory.rmdir()


def test_a_missing_file_is_one_line(tmp_path: Path) -> None:
    argv = [sys.executable, "-m", "mailnode", "--dir", "/nowhere", "init"]
    done = subprocess.run(argv, capture_output=True, text=True, cwd=CODE)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "node.toml is missing" in done.stderr
