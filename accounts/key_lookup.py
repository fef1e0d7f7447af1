"""Finding the key that a program sends, in one indexed read by its beginning.

Every call of the API does this, and the ORM would need five times as long to put the question together as PostgreSQL to
answer it; so it does that once for each process.
"""

import hmac
from collections.abc import Mapping
from datetime import datetime
from functools import lru_cache
from typing import Any

from django.db import connection, models
from django.db.models import Exists, OuterRef, Subquery
from django.utils import timezone

from accounts.models import ApiKey, Customer, CustomerSuspension, FactorRule, Membership, User
from accounts.models.mailed_link import hash_of

PREFIX_LENGTH = ApiKey._meta.get_field("prefix").max_length
NOBODY = hash_of("no such key")
PREFIX = "the beginning of a key"  # stands for it in the parameters of the statement
ROWS: Mapping[str, type[models.Model]] = {"": ApiKey, "customer__": Customer, "person__": User}

Extra = tuple[tuple[str, Any], ...]


def find_key(given: str, extra: Extra = ()) -> Any:
    """The live ApiKey of a member who may sign in, with its customer, its person, that person's `role` and
    `wants_factor`, and what is asked for in `extra` as (name, expression over ApiKey), always the same object; None for a
    wrong key, in the same time.
    """
    sql, params = _statement(extra)
    now, prefix = timezone.now(), given[:PREFIX_LENGTH].replace("\0", "")
    with connection.cursor() as cursor:
        cursor.execute(
            sql, [now if isinstance(one, datetime) else prefix if one == PREFIX else one for one in params]
        )
        row = cursor.fetchone()
    key = _read(iter(row), extra) if row else None
    right = hmac.compare_digest(hash_of(given), key.secret_hash if key else NOBODY)
    good = key is not None and key.person.is_active and key.role is not None
    return key if right and good else None


@lru_cache(maxsize=4)
def _statement(extra: Extra) -> tuple[str, tuple[Any, ...]]:
    membership = Membership.objects.filter(customer=OuterRef("customer"), user=OuterRef("person"))
    suspended = CustomerSuspension.objects.in_force().filter(customer=OuterRef("customer"))
    keys = ApiKey.objects.live().filter(prefix=PREFIX).order_by()
    keys = keys.annotate(
        role=Subquery(membership.values("role")[:1]),
        wants_factor=Exists(FactorRule.objects.filter(customer=OuterRef("customer"))),
        is_suspended=Exists(suspended),
        **dict(extra),
    )
    columns = [f"{path}{name}" for path, model in ROWS.items() for name in _columns(model)]
    columns += ["role", "wants_factor", "is_suspended", *dict(extra)]
    sql, params = keys.values_list(*columns).query.sql_with_params()
    return sql, params


def _columns(model: type[models.Model]) -> list[str]:
    return [field.attname for field in model._meta.concrete_fields]


def _read(values: Any, extra: Extra) -> Any:
    """In the order of the statement's columns."""
    rows = {}
    for path, model in ROWS.items():
        names = _columns(model)
        rows[path] = model.from_db(connection.alias, names, [next(values) for _ in names])
    key: Any = rows[""]
    key.customer, key.person = rows["customer__"], rows["person__"]
    key.role, key.wants_factor, is_suspended = next(values), next(values), next(values)
    if not is_suspended:
        key.customer.suspensions_in_force = {}  # so that nobody asks for it again
    for name, _ in extra:
        setattr(key, name, next(values))
    return key
