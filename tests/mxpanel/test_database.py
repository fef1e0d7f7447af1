"""The connection to the database ends within a minute when a side of it vanishes, and with it the locks it holds."""

import pytest
from django.db import connection


@pytest.mark.django_db
def test_both_sides_look_whether_the_other_is_there() -> None:
    asked = {"idle": 30, "interval": 10, "count": 3}
    with connection.cursor() as cursor:
        for name, value in asked.items():
            assert connection.get_connection_params()[f"keepalives_{name}"] == value
            cursor.execute(f"SHOW tcp_keepalives_{name}")
            assert cursor.fetchone()[0] == str(value)
