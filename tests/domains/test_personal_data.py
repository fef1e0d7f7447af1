from domains import personal_data


def exported(person):
    """Each part of it as a list of its rows."""
    return {name: list(rows) for name, rows in personal_data.export(person).items()}


def test_export_names_what_is_hosted_and_no_secret(alice, anna):
    data = exported(alice)
    assert data["domains"][0]["name"] == "acme.test"
    assert data["mailboxes"][0]["address"] == "anna@acme.test"
    assert "ARGON2ID" not in str(data)


def test_export_has_nothing_of_other_customers(mallory, other, anna):
    assert exported(mallory) == {"domains": [], "mailboxes": []}


def test_erase_keeps_what_is_the_customers(alice, mallory, anna):
    assert "belong to the services" in personal_data.keeps(alice)[0]
    assert personal_data.keeps(mallory) == []
    personal_data.erase(alice)
    anna.refresh_from_db()
