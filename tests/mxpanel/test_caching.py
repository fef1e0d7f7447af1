"""What a signed-in person sees stays out of caches."""


def test_private_pages_are_not_kept(as_, acme, alice):
    assert as_(alice).get("/c/acme/")["Cache-Control"] == "private, no-store"


def test_public_pages_may_be(client, db):
    assert not client.get("/privacy/").has_header("Cache-Control")
