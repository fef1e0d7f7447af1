"""The staff pages of this app, found here by Django."""

from domains.admin import hosting, servers

__all__ = ["hosting", "servers"]
