import pytest
from django.core.exceptions import ValidationError

from foundation.names import normalise_domain, normalise_local_part


@pytest.mark.parametrize(
    ("typed", "stored"),
    [
        ("Example.COM", "example.com"),
        ("example.com.", "example.com"),
        ("  example.com ", "example.com"),
        ("bücher.example", "xn--bcher-kva.example"),
        ("XN--bcher-kva.example", "xn--bcher-kva.example"),
        ("a-b.c-d.test", "a-b.c-d.test"),
    ],
)
def test_a_domain_has_one_form(typed, stored):
    assert normalise_domain(typed) == stored


@pytest.mark.parametrize(
    "typed",
    [
        "",
        "com",
        ".",
        "..",
        "a..b",
        "-a.test",
        "a-.test",
        "a b.test",
        "a\nb.test",
        "a\0b.test",
        "a/b.test",
        "../etc.test",
        "a'b.test",
        "$x.test",
        "%s.test",
        "1.2.3.4",
        "a" * 64 + ".test",
        ".".join(["a" * 60] * 5),
        "x" * 70_000,
        "_dmarc.a.test",
        "a.test..",
        "xn--a.test",
        "a@b.test",
        "ex＠mple.test",
        "*.a.test",
    ],
)
def test_what_is_no_domain_is_refused(typed):
    with pytest.raises(ValidationError):
        normalise_domain(typed)


@pytest.mark.parametrize(
    ("typed", "stored"), [("Anna", "anna"), ("a", "a"), ("a.b-c_d9", "a.b-c_d9"), ("a" * 64, "a" * 64)]
)
def test_a_local_part_has_one_form(typed, stored):
    assert normalise_local_part(typed) == stored


@pytest.mark.parametrize(
    "typed", ["", ".a", "a.", "-a", "a..b", "a+b", "a b", "a\nb", "ä", "a@b", "a" * 65, "a\0", "../a", "a'"]
)
def test_what_is_no_local_part_is_refused(typed):
    with pytest.raises(ValidationError):
        normalise_local_part(typed)
