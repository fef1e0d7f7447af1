"""Composition root: settings, URLs, the Celery app and its schedule, the staff site, public pages."""

from mxpanel.celery import app as celery_app

__all__ = ["celery_app"]
