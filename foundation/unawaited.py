"""Writes whose end nobody waits for until the disk has it: what a power failure takes of them is harmless. Never inside a
unit of work, of which then nothing would be waited for.
"""

from django.db.models import TextField
from django.db.models.expressions import RawSQL
from django.db.models.lookups import Exact

UNAWAITED = "set_config('synchronous_commit', 'off', true)"  # for SQL; of the transaction that it is in
unawaited = Exact(RawSQL(UNAWAITED, [], TextField()), "off")  # for `filter`; true of every row  # noqa: S611
