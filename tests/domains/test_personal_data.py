from domains import personal_data


def test_export_names_what_is_hosted_and_no_secret(alice, anna):
    data = personal_data.export(alice)
    assert data["domains"][0]["mailboxes"][0]["address"] == "anna@acme.test"
    assert "ARGON2ID" not in str(data)


def test_erase_keeps_what_is_the_customers(alice, mallory, anna):
    assert "belong to the customer" in personal_data.erase(alice)[0]
    assert personal_data.erase(mallory) == []
    anna.refresh_from_db()
