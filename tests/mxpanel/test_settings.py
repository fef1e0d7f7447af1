"""What follows from the panel's address: https turns everything on that needs it, and asks for keys of one's own."""

import json
import os
import subprocess
import sys
from typing import Any

from cryptography.fernet import Fernet

SHOWN = (
    "SESSION_COOKIE_SECURE", "CSRF_COOKIE_SECURE", "SECURE_SSL_REDIRECT", "SECURE_HSTS_SECONDS", "ALLOWED_HOSTS",
)  # fmt: skip
PROGRAM = f"import json, mxpanel.settings as s; print(json.dumps({{n: getattr(s, n) for n in {SHOWN}}}))"
OURS = {"SECRET_KEY": "x" * 60, "ENCRYPTION_KEYS": Fernet.generate_key().decode()}


def start(**environment: str) -> "subprocess.CompletedProcess[str]":
    bare = {name: value for name, value in os.environ.items() if name in ("PATH", "HOME")}
    return subprocess.run(
        [sys.executable, "-c", PROGRAM], env=bare | environment, capture_output=True, text=True, check=False
    )


def settings_of(**environment: str) -> dict[str, Any]:
    return json.loads(start(**environment).stdout)


def test_with_https_cookies_are_secure_and_hsts_is_on() -> None:
    found = settings_of(PANEL_URL="https://panel.example.com", **OURS)
    assert [found[name] for name in SHOWN] == [True, True, True, 31_536_000, ["panel.example.com"]]


def test_with_http_they_are_off() -> None:
    found = settings_of(PANEL_URL="http://localhost:8000")
    assert [found[name] for name in SHOWN[:4]] == [False, False, False, 0]


def test_with_https_the_public_default_keys_are_refused() -> None:
    for name in OURS:
        rest = {key: value for key, value in OURS.items() if key != name}
        answer = start(PANEL_URL="https://panel.example.com", **rest)
        assert answer.returncode != 0
        assert "ENCRYPTION_KEYS" in answer.stderr
