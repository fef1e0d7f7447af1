"""Where a stack lives, what reaches its panel, and what it says where it cannot live."""

from pathlib import Path

import pytest

from deploy.stack import keys, namespace, panel, record
from deploy.stack.layout import Layout, StackError

SECRETS = dict.fromkeys(keys.MAKERS, "0123456789abcdef")


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return Layout(tmp_path, port_base=12_000, mail_servers=2)


def test_ports_are_the_base_plus_their_offset(layout: Layout) -> None:
    first, second = layout.servers
    assert (layout.port("web"), layout.port("dns")) == (12_000, 12_053)
    assert (first.ports["smtp"], second.ports["smtp"], second.ports["agent"]) == (12_025, 13_025, 13_400)
    assert (layout.dns_address, first.address, second.address) == (
        "127.53.46.224",
        "127.25.46.224",
        "127.26.46.224",
    )


def test_no_two_components_share_a_port(layout: Layout) -> None:
    own_addresses = {("127.53.46.224", 53), ("127.25.46.224", 25), ("127.26.46.224", 25)}
    ports = [port for address, port in layout.listeners() if (address, port) not in own_addresses]
    assert len(ports) == len(set(ports)) == 8 + 2 * 13


def test_setting_in_the_environment_wins(layout: Layout) -> None:
    theirs = {"FRAUDRECORD_URL": "https://example.test/", "PAYMENT_INSTRUCTIONS": "Cash", "HOME": "/root"}
    theirs["STRIPE_API_BASE"] = "https://api.stripe.com"
    theirs["VIES_URL"] = "https://ec.europa.eu/taxation_customs/vies/rest-api"
    env = panel.settings(layout, SECRETS, theirs)
    assert env["FRAUDRECORD_URL"] == "https://example.test/"
    assert env["PAYMENT_INSTRUCTIONS"] == "Cash"
    assert env["PANEL_URL"] == "http://localhost:12000"
    assert "HOME" not in env
    assert not any("STAND-IN" in line for line in record.stand_ins(layout, env))


def test_banner_names_the_stand_ins(layout: Layout) -> None:
    lines = record.stand_ins(layout, panel.settings(layout, SECRETS, {}))
    assert any("FraudRecord: a STAND-IN" in line for line in lines)
    assert any("VIES: a STAND-IN at http://127.0.0.1:12511" in line for line in lines)
    assert any("Stripe: a STAND-IN at http://127.0.0.1:12510" in line for line in lines)


def test_banner_says_where_mail_programs_connect(layout: Layout) -> None:
    line = record.mail_ports(layout.servers[0])
    assert "mx1.mxpanel.test at 127.0.0.1: SMTP 12025, submission 12587, IMAP 12993" in line


@pytest.mark.parametrize("value", ["80", "eight thousand", "99999"])
def test_port_base_must_be_a_port(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("PORT_BASE", value)
    with pytest.raises(StackError, match=f"PORT_BASE={value} is not a number from"):
        Layout.from_environment()


def test_secrets_are_made_once_and_for_their_owner_alone(tmp_path: Path) -> None:
    made = keys.load(tmp_path / "secrets")
    assert keys.load(tmp_path / "secrets") == made
    assert {file.stat().st_mode & 0o777 for file in (tmp_path / "secrets").iterdir()} == {0o600}


def test_without_a_namespace_a_closed_directory_is_refused(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    with pytest.raises(StackError, match="make run VAR="):
        namespace.do_without(Layout(closed / "var"))


def test_mount_point_hides_nothing_of_ours(layout: Layout) -> None:
    point = namespace.mount_point(Layout(Path("/mnt/somewhere"), real_code=Path("/media/clone")))
    assert point not in (None, Path("/mnt"), Path("/media"))
    assert namespace.mount_point(layout) is not None
