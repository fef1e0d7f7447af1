"""Stand-in for Stripe: its HTTP API at the version that the pinned library speaks, the hosted Checkout page, webhooks.

It holds customers, payment methods, payment and setup intents, Checkout Sessions (`payment` and `setup`), charges,
refunds, disputes and events, and moves no money. Parameters are checked against the library's own types, replies have the
fields of its objects. What Stripe has and this has not is refused, never passed over. Nothing of a request but its method,
path and status is logged.

Cards on the Checkout page, with any date to come and any three digits (a page that saves one refuses those that are
declined, too):

| Number | What happens |
|---|---|
| 4242 4242 4242 4242 | paid |
| 4000 0000 0000 0002 | declined |
| 4000 0000 0000 9995 | declined: not enough money |
| 4000 0000 0000 0069 | declined: the card has expired |
| 4000 0000 0000 0341 | can be saved, and is declined later |
| 4000 0027 6000 3184 | 3-D Secure, each time |
| 4000 0025 0000 3155 | 3-D Secure, until it was saved with it |
| 4000 0000 0000 7726 | paid; a refund is pending for a minute |
| 4000 0000 0000 5126 | paid; a refund fails after a minute |
| 4000 0000 0000 0259 | paid, and disputed at once |

Faults are switched on with POSTs of JSON, with the secret key, to:

| Path | What it takes |
|---|---|
| `/stand-in/faults` | `[{"on": "POST /v1/refunds", "fault": "lost", "times": 2}]`: for calls that begin so |
| `/stand-in/webhooks` | `{"copies": 2, "delay": 3600, "hold": true, "lose": 1}`; `{"release": "shuffled"}` |
| `/stand-in/clock` | `{"advance": 86400}` seconds |
| `/stand-in/cards` | `{"method": "pm_…", "number": "4000…"}`: it does as that card does; or its successor's `exp_year` … |
| `/stand-in/disputes` | `{"status": "lost"}`, `won` or `under_review`, of the `dispute` named or the last open one |

Faults: `lost` (done, no reply), `unreached` (not done, no reply), `409`, `429`, `500` (not done), `500-after` (done), `503`
(not begun, and not kept under the key, whoever else is under way with it), `slow` (with `seconds`), `refused` (with `code`).
Webhooks are released as `sent`, `reversed` or `shuffled`. `GET /stand-in/sums` says what is charged and refunded in each
currency.
"""
