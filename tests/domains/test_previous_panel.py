"""A panel of wire 1 speaks to the present agent: pages that were recorded then, and what it reads in the answers."""

import json
from pathlib import Path
from typing import Any

from foundation.outbound import fetch, new_session
from tests.domains.real_agent import RealAgent, held

# {key} stands for a private key.
RECORDED = """
{"wire": 1, "base": {"revision": 0, "mark": ""}, "revision": 4, "mark": "0f3d", "rows": [
  {"kind": "customer", "key": "11111111111111111111111111111111", "data": {"username": "acme", "storage_bytes": null}},
  {"kind": "domain", "key": "22222222222222222222222222222222",
   "data": {"customer": "11111111111111111111111111111111", "name": "acme.test"}},
  {"kind": "dkim", "key": "33333333333333333333333333333333",
   "data": {"domain": "22222222222222222222222222222222", "selector": "k1", "private_key": {key}}},
  {"kind": "mailbox", "key": "44444444444444444444444444444444",
   "data": {"domain": "22222222222222222222222222222222", "local_part": "anna", "quota_bytes": 1048576,
            "password_hash": "{SHA512-CRYPT}$6$saltsalt$abcdefgh"}},
  {"kind": "state", "key": "55555555555555555555555555555555",
   "data": {"subject_kind": "mailbox", "subject": "44444444444444444444444444444444", "stops": ["send"],
            "reason": "Because", "until": null}}]}
"""
FOLLOWING = """
{"wire": 1, "base": {"revision": 4, "mark": "0f3d"}, "revision": 5, "mark": "1a2b", "unheard_of": true, "rows": [
  {"kind": "state", "key": "55555555555555555555555555555555", "data": null},
  {"kind": "domain", "key": "22222222222222222222222222222222", "unheard_of": [1],
   "data": {"customer": "11111111111111111111111111111111", "name": "acme.test", "unheard_of": {"of": 1}}}]}
"""
STATUS_OF_WIRE_1 = {
    "wire", "wires", "version", "name", "revision", "mark", "effective", "services", "disk", "queue",
    "certificate_not_after", "rows", "lag_error", "time",
}  # fmt: skip


def test_a_panel_of_the_previous_version_is_served(agent: RealAgent, dkim_pair: Any) -> None:
    recorded = RECORDED.replace("{key}", json.dumps(dkim_pair.private_pem))
    assert call(agent, "POST", "changes", recorded) == (200, {"revision": 4, "effective": 4})
    assert call(agent, "POST", "changes", recorded) == (409, {"revision": 4, "mark": "0f3d"})
    assert call(agent, "POST", "changes", FOLLOWING) == (200, {"revision": 5, "effective": 5})
    assert {kind for kind, _ in held(agent)} == {"customer", "domain", "dkim", "mailbox"}
    code, status = call(agent, "GET", "status")
    assert code == 200
    assert status.keys() >= STATUS_OF_WIRE_1
    assert (status["wires"][0], status["revision"], status["mark"]) == (1, 5, "1a2b")
    code, digest = call(agent, "GET", f"digest?domain={'2' * 32}")
    assert (code, digest["count"], digest["next"]) == (200, 4, None)
    assert call(agent, "GET", "usage")[1]["entries"] == []


def call(agent: RealAgent, method: str, path: str, body: str = "") -> tuple[int, Any]:
    key = Path(agent.facts["key_file"]).read_text().strip()
    answer = fetch(
        method, f"https://127.0.0.1:{agent.port}/v1/{path}", deadline=10, max_bytes=2**20, data=body,
        session=new_session(fingerprint=agent.facts["certificate_sha256"]),
        headers={"Authorization": f"Bearer {key}"},
    )  # fmt: skip
    return answer.status, json.loads(answer.body)
