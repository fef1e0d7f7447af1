"""What files of mailboxes are read, which are refused, and what is written."""

import io
import shutil
import subprocess
import unicodedata

import msgspec
import pytest
from django.core.exceptions import ValidationError
from hypothesis import given
from hypothesis import strategies as st

from domains.mailbox_csv import reading
from domains.mailbox_csv.comparing import compare
from domains.mailbox_csv.reading import read
from domains.mailbox_csv.writing import export
from domains.mailbox_password import READY_HASHES, accept_hash, verifies
from mailnode.wire import PasswordHash
from tests.domains.conftest import BASE, HASH

TEXT = f'username,name,quota_mb,password\nanna,Änna,5,"{HASH}"\n'


def lines(text: str | bytes) -> list[reading.Line]:
    found, faults = read(io.BytesIO(text if isinstance(text, bytes) else text.encode()), "acme.test")
    assert not faults
    return found


def fault(line: str, header: str = "username,name,quota_mb,password,password_hash") -> str:
    found, faults = read(io.BytesIO(f"{header}\n{line}\n".encode()), "acme.test")
    assert not found
    return faults[0].text


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_encodings(encoding):
    assert lines(TEXT.encode(encoding)) == [reading.Line(2, "anna", "Änna", 5, "", HASH)]


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_separators_and_ends_of_lines(separator, end):
    rows = [["Name", " Username "], ['"A, B; C"', "anna"], ['"She said ""hi"""', "ben@ACME.test"], []]
    found = lines(end.join(separator.join(row) for row in rows) + end)
    assert [(line.username, line.name) for line in found] == [("anna", "A, B; C"), ("ben", 'She said "hi"')]


def test_what_the_file_does_not_say_is_none():
    assert lines("username\nanna\n") == [reading.Line(2, "anna", None, None, "", "")]


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "first line names the columns"),
        (b"anna,5\n", "first line names the columns"),
        (b"username,colour\n", "Unknown columns: colour"),
        (b"username,username\n", "twice"),
        (b"username" + b",name" * 30, "more than 20 columns"),
        (b"username\nanna\0\n", "NUL"),
        (b"username,name\nanna,\xe4\n", "not UTF-8"),
        ("username\nanna\n".encode("utf-32"), "NUL"),
        (b"username\n" + b"x" * 5000, "longer than"),
        (b"username\n" + b"," * 5000, "longer than"),
        (b"\x1f\x8b\x08\x00" + b"\x80" * 50, "not UTF-8"),
        (b"PK\x03\x04\x14\x00\x00\x00", "NUL"),
    ],
)
def test_files_that_are_refused(content, why):
    with pytest.raises(ValidationError, match=why):
        lines(content)


def test_too_many_lines(monkeypatch):
    monkeypatch.setattr(reading, "MOST_LINES", 3)
    assert len(lines("username\na\nb\n\nc\n")) == 3
    with pytest.raises(ValidationError, match="at most 3 lines"):
        lines("username\na\nb\nc\nd\n")


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("anna,,5", "3 cells; the first line names 5"),
        ("anna,,5,,,", "6 cells"),
        ('anna,"open,5,,', "does not end with it on its line"),
        ("an na,,5,,", "Use 1 to 64 letters"),
        ("../x,,5,,", "Use 1 to 64 letters"),
        ("anna@other.test,,5,,", "no address of acme.test"),
        ("anna@@acme.test,,5,,", "not a domain name"),
        ("anna,,-5,,", "whole number"),
        ("anna,,1e3,,", "whole number"),
        ("anna,,9999999999,,", "whole number"),
        ("anna,,٣,,", "whole number"),
        ("anna," + "x" * 121 + ",,,", "at most 120"),
        ("anna,a\x1bb,,,", "one line"),
        ("anna,,,short,", "8 to 128"),
        ("anna,,,password,", "lists that attackers try"),
        ("anna,,,{PLAIN}secret,", "begin with one of"),
        ("anna,,,,secret", "begin with one of"),
        (f'anna,,,a clear password,"{HASH}"', "not both"),
    ],
)
def test_lines_that_are_refused(line, why):
    text = fault(line)
    assert why in text
    assert "secret" not in text


def test_a_line_says_all_that_is_wrong():
    text = fault("a b,,x,short,")
    assert "Use 1 to 64" in text
    assert "whole number" in text
    assert "8 to 128" in text


def test_the_second_of_two_is_refused():
    found, faults = read(io.BytesIO(b"username\nanna\nANNA@acme.test\n"), "acme.test")
    assert [line.username for line in found] == ["anna"]
    assert faults == [reading.Fault(3, "anna stands in line 2 already.")]


HASHES = {
    "ARGON2ID": HASH.removeprefix("{ARGON2ID}"),
    "BLF-CRYPT": "$2b$12$" + "./Zz9" * 10 + "abc",
    "SHA512-CRYPT": "$6$rounds=200000$saltsalt$" + "a" * 86,
    "SHA256-CRYPT": "$5$saltsalt$" + "a" * 43,
}


@pytest.mark.parametrize("scheme", sorted(HASHES))
def test_ready_hashes(scheme):
    assert accept_hash(f"{{{scheme}}}{HASHES[scheme]}")
    for wrong in ("", HASHES[scheme][:-1], HASHES[scheme] + "\n", HASHES[scheme] + ":x", "$1$salt$hash"):
        if scheme == "ARGON2ID" and wrong == HASHES[scheme][:-1]:
            continue  # any length of hash is one
        with pytest.raises(ValidationError):
            accept_hash(f"{{{scheme}}}{wrong}")


@pytest.mark.parametrize(
    "dear",
    [
        "{ARGON2ID}" + HASHES["ARGON2ID"].replace("m=19456", "m=65537"),
        "{ARGON2ID}" + HASHES["ARGON2ID"].replace("t=2", "t=5"),
        "{BLF-CRYPT}" + HASHES["BLF-CRYPT"].replace("$12$", "$13$"),
        "{SHA512-CRYPT}" + HASHES["SHA512-CRYPT"].replace("200000", "200001"),
        "{SHA256-CRYPT}$5$rounds=9999999$saltsalt$" + "a" * 43,
    ],
)
def test_hashes_that_cost_too_much(dear):
    with pytest.raises(ValidationError, match="costs a mail server too much"):
        accept_hash(dear)


@st.composite
def nearly_hashes(draw: st.DrawFn) -> str:
    """Ready hashes, and what is one but for a character or for digits of another script."""
    scheme = draw(st.sampled_from(sorted(HASHES)))
    ready = draw(st.sampled_from([HASHES[scheme], draw(st.from_regex(READY_HASHES[scheme], fullmatch=True))]))
    if draw(st.booleans()):
        zero = draw(st.sampled_from("٠०０𝟎"))
        ready = "".join(
            chr(ord(zero) + int(c)) if c in "0123456789" and draw(st.booleans()) else c for c in ready
        )
    if draw(st.booleans()):
        at = draw(st.integers(0, len(ready)))
        ready = ready[:at] + draw(st.text(max_size=2)) + ready[at + draw(st.integers(0, 1)) :]
    return f"{{{scheme}}}{ready}"


@given(nearly_hashes())
def test_what_is_accepted_is_taken_by_mail_servers(ready):
    """One row that its mail server refuses would hold up all others."""
    try:
        accepted = accept_hash(ready)
    except ValidationError:
        return
    assert msgspec.convert(accepted, PasswordHash) == ready
    assert ready.isascii()


@pytest.mark.parametrize("cost", ["m=１９４５６,", "m=19456,t=٢", "$1२$", "rounds=２00000"])
def test_digits_of_other_scripts_are_none(cost):
    plain = unicodedata.normalize("NFKC", cost).translate({ord("٢"): "2", ord("२"): "2"})
    scheme = next(name for name, ready in HASHES.items() if plain in ready)
    with pytest.raises(ValidationError, match="no complete"):
        accept_hash(f"{{{scheme}}}{HASHES[scheme].replace(plain, cost)}")


def test_a_hash_that_is_none_belongs_to_no_password():
    assert not verifies("a clear password", f"{HASH[:-43]}é")


@pytest.mark.skipif(not shutil.which("doveadm"), reason="needs Dovecot")
@pytest.mark.parametrize("scheme", sorted(HASHES))
def test_dovecot_makes_and_knows_what_is_accepted(scheme):
    def doveadm(*arguments: str) -> str:
        command = ["doveadm", "-O", "pw", *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    cost = ["-r", "5"] if scheme == "BLF-CRYPT" else []
    made = doveadm("-s", scheme, "-p", "a clear password", *cost)
    if scheme != "ARGON2ID":  # Dovecot's own choice of memory is beyond what we let a sign-in cost
        assert accept_hash(made) == made
    assert "verified" in doveadm("-t", made, "-p", "a clear password")


NAMES = ["=1+1", "+1", "-1", "@SUM(A1)", "'=quoted", "plain", 'with "quotes", and more', "Ünï"]


def test_exports_run_nothing_and_come_back_as_they_were(domain):
    for number, name in enumerate(NAMES):
        domain.mailboxes.create(local_part=f"m{number}", name=name, password_hash=HASH)
    text = "".join(export(domain))
    for line in text.splitlines()[1:]:
        for cell in line.split(","):
            assert cell.strip('"')[:1] not in ("=", "+", "-", "@")
    found = compare(domain, io.BytesIO(text.encode()), by=None)
    assert (found.total, found.unchanged, found.refused) == (0, len(NAMES), 0)


def test_export_page(as_, bob, mallory, other, anna, domain):
    response = as_(bob).get(f"{BASE}acme.test/mailboxes.csv")
    assert response["Content-Disposition"] == 'attachment; filename="acme.test-mailboxes.csv"'
    text = b"".join(response.streaming_content).decode("utf-8-sig")
    assert text == "username,name,quota_mb,used_mb,last_sign_in_at\r\nanna,Anna,1024,0,\r\n"
    assert as_(mallory).get(f"{BASE}acme.test/mailboxes.csv").status_code == 404


def test_export_costs_the_same_for_many(domain, django_assert_max_num_queries):
    from domains.models import Mailbox

    Mailbox.objects.bulk_create(
        Mailbox(domain=domain, local_part=f"m{number}", password_hash=HASH) for number in range(2_000)
    )
    with django_assert_max_num_queries(1):
        assert len(list(export(domain))) == 2_001
