"""`python -m deploy.stripe_stand_in --port N [--file PATH] [--webhook URL]`; the keys come from the environment."""

import argparse
import os
from pathlib import Path

from deploy.stripe_stand_in.server import Server


def main() -> None:
    parser = argparse.ArgumentParser(description="Stand-in for Stripe")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--file", type=Path, help="where everything is kept over a restart")
    parser.add_argument("--webhook", default="", help="the address that is told of events")
    options = parser.parse_args()
    keys = os.environ["STRIPE_SECRET_KEY"], os.environ["STRIPE_WEBHOOK_SECRET"]
    Server(options.host, options.port, *keys, options.webhook, options.file).serve_forever()


if __name__ == "__main__":
    main()
