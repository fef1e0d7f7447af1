"""Names under which strangers register theirs (publicsuffix.org), from the list that the pinned package carries."""

from functools import cache

from publicsuffixlist import PublicSuffixList


@cache
def _known() -> PublicSuffixList:
    return PublicSuffixList(accept_unknown=False)


def organisational(name: str) -> str:
    """The organisational domain of `name`: the one below the public suffix (RFC 7489, 3.2); `name` where there is none."""
    return _known().privatesuffix(name, accept_unknown=True) or name


def is_public(name: str) -> bool:
    """Whether `name` (A-labels, lower case) is itself such a suffix, of a registry (co.uk) or a company (github.io)."""
    return _known().publicsuffix(name) == name
