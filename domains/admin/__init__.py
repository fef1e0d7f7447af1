"""The staff pages of this app, found here by Django."""

from domains.admin import hosting, incidents, sending, servers

__all__ = ["hosting", "incidents", "sending", "servers"]
