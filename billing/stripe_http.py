"""How the calls of Stripe's library leave the house; what they say is `billing.stripe_gateway`'s."""

from collections.abc import Mapping
from typing import Any

import stripe
from django.conf import settings

from foundation import outbound

MAX_ANSWER_BYTES = 1 << 20


class _Outbound(stripe.HTTPClient):
    """The library's calls over our own HTTP: bounded in time and size, no proxy and no .netrc of the environment."""

    name = "outbound"

    def request(
        self, method: str, url: str, headers: Mapping[str, str] | None, post_data: Any = None, *, _usage: Any = None
    ) -> tuple[str, int, Mapping[str, str]]:  # fmt: skip
        try:
            reply = outbound.fetch(
                method.upper(),
                url,
                deadline=settings.STRIPE_DEADLINE,
                max_bytes=MAX_ANSWER_BYTES,
                headers=dict(headers or {}),
                data=post_data,
            )
        except outbound.OutboundError as error:
            raise stripe.APIConnectionError(str(error)) from error
        return reply.body.decode(errors="replace"), reply.status, reply.headers

    def close(self) -> None:
        """Each call has a connection of its own."""


def client() -> stripe.StripeClient:
    return stripe.StripeClient(
        settings.STRIPE_SECRET_KEY,
        base_addresses={"api": settings.STRIPE_API_BASE},
        http_client=_Outbound(),
        max_network_retries=0,
    )
