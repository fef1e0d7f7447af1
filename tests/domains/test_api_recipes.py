"""The commands of docs/api.md, as they stand, by curl against a server of HTTP."""

import json
import os
import re
import subprocess
from pathlib import Path

import pytest

from domains.models import OwnershipKey

RECIPES = re.findall(r"```sh\n(.*?)```", Path("docs/api.md").read_text(), re.DOTALL)


@pytest.mark.django_db(transaction=True, serialized_rollback=True)
def test_they_work(live_server, program, served, dns, mx1, tmp_path):
    dns.publish(f"{OwnershipKey.of(served).label}.example.test", "TXT", "domain-verified")
    env = {
        "PATH": os.environ["PATH"], "API": f"{live_server.url}/api", "KEY": program.key, "DOMAIN": "example.test",
        "SERVER": mx1.name, "ACCOUNT": "acme",
    }  # fmt: skip
    assert len(RECIPES) >= 7
    for recipe in RECIPES:
        done = subprocess.run(
            ["bash", "-c", recipe], env=env, cwd=tmp_path, capture_output=True, text=True, timeout=60
        )
        assert done.returncode == 0, done.stderr
        calls = recipe.count("curl ") - recipe.count("-X DELETE") - recipe.count("ID=$(curl")
        answers = [
            json.loads(each)
            for each in re.findall(r"\{\"success\".*?\}(?=\{\"success\"|$)", done.stdout.strip())
        ]
        assert len(answers) == calls, done.stdout
        assert all(answer["success"] for answer in answers), done.stdout
    assert [box.local_part for box in served.domains.get().mailboxes.live()] == ["anna", "ben"]
