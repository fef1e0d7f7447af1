"""Words for the pages about a person's own account: ``{% load account_words %}``."""

from django import template

from accounts.account_changes import sentence
from accounts.browsers import browser_in_words
from accounts.lifting import lift_path, pending_lift

register = template.Library()
register.filter("browser_in_words", browser_in_words)
register.filter("change_in_words", sentence)
register.filter("lift_path", lift_path)
register.filter("pending_lift", pending_lift)
