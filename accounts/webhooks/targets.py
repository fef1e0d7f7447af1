"""Which URLs a webhook may have: public HTTPS, so that nobody reaches through us what is not open to everybody."""

from urllib.parse import urlsplit

from django.conf import settings
from django.core.checks import CheckMessage, Tags, Warning, register
from django.core.exceptions import ValidationError

from foundation.names import normalise_domain
from foundation.outbound import is_public_address

LONGEST = 500


def check_target(url: str) -> str:
    """The URL as it is kept; ValidationError for one that nothing will ever be sent to. Names are looked at again at each
    call, for they may lead elsewhere then.
    """
    if len(url) > LONGEST or not url.isascii() or not url.isprintable() or " " in url:
        raise ValidationError(f"Write a URL of at most {LONGEST} characters, without spaces.", code="url")
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError as error:
        raise ValidationError("This is no URL.", code="url") from error
    if is_test_target(url):
        return url
    if parts.scheme != "https":
        raise ValidationError("Only URLs that begin with https:// are told anything.", code="url")
    if parts.username is not None or parts.password is not None or parts.fragment:
        raise ValidationError("Leave out user, password and fragment (#): they are not sent.", code="url")
    if port == 0 or not _is_public(host):
        raise ValidationError("Name a host that is reached from the whole internet.", code="url")
    return url


def is_test_target(url: str) -> bool:
    """Whether the operator lets this one be called although it is not public, and without TLS."""
    parts = urlsplit(url)
    return parts.netloc in settings.WEBHOOK_TEST_TARGETS


def _is_public(host: str) -> bool:
    """What can be said without asking DNS: a name of two labels or more, or an address that is public."""
    if ":" in host or host.replace(".", "").isdecimal():
        return is_public_address(host)
    try:
        return bool(normalise_domain(host))
    except ValidationError:
        return False


@register(Tags.security, deploy=True)
def no_test_targets(**_: object) -> list[CheckMessage]:
    """On a panel that is open to customers everybody could call what stands there."""
    if not settings.WEBHOOK_TEST_TARGETS:
        return []
    text = "WEBHOOK_TEST_TARGETS lets every customer's webhooks call hosts that are not public."
    return [Warning(text, hint="Leave it empty, except on a local stack.", id="accounts.W001")]
