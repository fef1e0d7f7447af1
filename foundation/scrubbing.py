"""Keeps secrets out of logs, whoever logs them."""

import logging
import re

_SECRETS = re.compile(
    r"(?i)(\b(?:password\d?|passwd|token|secret|api[_-]?key|_api|authorization|bearer|csrfmiddlewaretoken|sessionid|code)"
    r"['\"]?\s*[:=]\s*['\"]?(?:bearer\s+)?)([^'\"\s&,;}]+)"
)
_URL_CREDENTIALS = re.compile(r"(\b[a-z][a-z0-9+.-]*://[^\s/:@]*:)([^\s/@]+)(@)")
# Paths before a one-time key, as they stand, and quoted in another address (`?next=%2Finvitations%2F…`).
_SLASH = r"(?:/|%(?:25)*2f)"
_LINKS = re.compile(
    rf"(?i)({_SLASH}(?:confirm-email|password{_SLASH}reset{_SLASH}key|mailbox{_SLASH}password|invitations"
    rf"|email{_SLASH}change|second-factor|order{_SLASH}question|data{_SLASH}exports|data{_SLASH}deletions){_SLASH})(?:(?!{_SLASH})[^\s'\"&<>])+"
)
# Hashes of passwords, secrets of webhooks.
_MARKED = re.compile(r"(\{[A-Z0-9.-]+\}\$|\$argon2id\$|\bwhsec_)[^\s'\"]+")


def scrub(text: str) -> str:
    """Replace values of secret-looking names, credentials and one-time keys in URLs, password hashes, webhook secrets."""
    text = _SECRETS.sub(r"\1[removed]", text)
    text = _URL_CREDENTIALS.sub(r"\1[removed]\3", text)
    text = _LINKS.sub(r"\1[removed]", text)
    return _MARKED.sub(r"\1[removed]", text)


class ScrubbingFormatter(logging.Formatter):
    """Formats as usual, tracebacks included, then scrubs the finished line."""

    def format(self, record: logging.LogRecord) -> str:
        return scrub(super().format(record))
