"""Being alone at one thing of one mail server, among all processes of the panel."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from foundation.alone import alone

# Our classes of advisory locks.
SYNC = 0x6D78_7379  # "mxsy"
PULL = 0x6D78_706C  # "mxpl"
DIGEST = 0x6D78_6467  # "mxdg"
RENEW = 0x6D78_726E  # "mxrn"
REBUILD = 0x6D78_7262  # "mxrb", of turns and not of servers
IMPORT = 0x6D78_696D  # "mxim", of imports and not of servers
IMPORT_TURN = 0x6D78_6974  # "mxit", of turns
WATCH = 0x6D78_7761  # "mxwa", of all servers at once: number 0

__all__ = ["alone", "one_of"]


@contextmanager
def one_of(most: int, at: int) -> Iterator[bool]:
    """Whether this process is now one of at most `most` that are at it, whatever the server."""
    with ExitStack() as turns:
        yield any(turns.enter_context(alone(at, number)) for number in range(most))
