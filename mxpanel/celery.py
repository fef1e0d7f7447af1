"""The Celery app. A task is a hint: it may be lost, doubled or late, and a sweep makes good for it."""

import os

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mxpanel.settings")

app = Celery("mxpanel")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
