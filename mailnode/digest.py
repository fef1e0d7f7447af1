"""What the node really holds, in hashes that the panel can compare with its own wish, or row by row."""

from mailnode import schema, wire
from mailnode.rows import Entry, reading
from mailnode.settings import Settings
from mailnode.store import row_counts

AT_ONCE = 50  # domains that are read together
ENOUGH_ROWS = 20_000  # after which a page of digests ends


def digest(settings: Settings, domain: str, after: str, limit: int) -> wire.Digest:
    """One page of the digest of a domain; a domain that is not here has no rows."""
    with reading(settings) as reader:
        point = schema.point(reader.node)
        hashes = _hashes(reader.of_domains([domain]).get(domain, []))
    later = [entry for entry in hashes if f"{entry[0]}:{entry[1]}" > after]
    page = later[:limit]
    return wire.Digest(
        revision=point.revision,
        mark=point.mark,
        domain=domain,
        count=len(hashes),
        sha256=wire.digest_hash(hashes),
        rows=[wire.DigestRow(kind=kind, key=key, hash=value) for kind, key, value in page],
        next=f"{page[-1][0]}:{page[-1][1]}" if len(later) > limit else None,
    )


def digests(settings: Settings, after: str, limit: int) -> wire.Digests:
    """The digests of the next domains behind the id `after`; fewer than `limit` where they hold many rows."""
    found: list[wire.DomainDigest] = []
    with reading(settings) as reader:
        point = schema.point(reader.node)
        ids = reader.next_domains(after, limit + 1)
        while len(found) < min(len(ids), limit) and sum(domain.count for domain in found) < ENOUGH_ROWS:
            some = ids[len(found) : min(len(found) + AT_ONCE, limit)]
            entries = reader.of_domains(some)
            found += [_summary(domain, entries[domain]) for domain in some]
        is_last = len(ids) == len(found)
        rows = row_counts(reader.node) if is_last else {}
    return wire.Digests(
        revision=point.revision,
        mark=point.mark,
        domains=found,
        next=None if is_last else found[-1].domain,
        rows=rows,
    )


def row_page(settings: Settings, after: str, limit: int) -> wire.RowPage:
    """The next rows behind the place "<kind>:<key>"."""
    kind, _, key = after.partition(":")
    with reading(settings) as reader:
        point = schema.point(reader.node)
        rows = reader.after(kind, key, limit + 1)
    page = rows[:limit]
    return wire.RowPage(
        revision=point.revision,
        mark=point.mark,
        rows=page,
        next=f"{page[-1].kind}:{page[-1].key}" if len(rows) > limit else None,
    )


def _summary(domain: str, entries: list[Entry]) -> wire.DomainDigest:
    hashes = _hashes(entries)
    return wire.DomainDigest(domain=domain, count=len(hashes), sha256=wire.digest_hash(hashes))


def _hashes(entries: list[Entry]) -> list[tuple[str, str, str]]:
    """(kind, key, hash) of each, sorted."""
    return sorted((kind, key, wire.row_hash(kind, key, data)) for kind, key, data in entries)
