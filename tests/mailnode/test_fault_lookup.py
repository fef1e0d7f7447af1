"""Agent and look-up service are killed while rows change and mail comes in: nobody is refused for good who would not
be, and no change is lost."""

import random
import signal
import time

import pytest

from tests.faults import SOAK, Dice, kills, report
from tests.mailnode.clients import until
from tests.mailnode.conftest import peopled
from tests.mailnode.panel import Panel
from tests.mailnode.postman import Postman
from tests.mailnode.server import Server

mail_server = pytest.fixture(scope="module", name="mail_server")(peopled)  # what is killed is nobody else's
pytestmark = [pytest.mark.soak, pytest.mark.timeout(0 if SOAK else 120)]


@pytest.mark.parametrize("name", ["agent", "lookup"])
def test_kills(mail_server: Server, name: str, rng: Dice, private_keys: list[str]) -> None:
    times = kills(3, 200)
    panel = Panel(mail_server, random.Random(rng.randrange(2**32)), private_keys)
    panel.adopt()
    postman = Postman(mail_server, "friend@stranger.example", ["anna@acme.test", "bob@acme.test"])
    with panel.streaming(), postman.at_work():
        for _ in range(times):
            time.sleep(rng.uniform(0, 0.5))
            mail_server.stop(name, with_signal=signal.SIGKILL)
            time.sleep(rng.choice([0, 0, rng.uniform(0, 0.5)]))
            mail_server.start(name)
        accepted = len(postman.accepted)
        until(lambda: len(postman.accepted) > accepted)  # all is well again
    panel.go_on()
    panel.assert_in_step()
    panel.leave()
    answers = {str(code): count for code, count in postman.answers.items()}
    report(
        f"{name} killed", rng, kills=times, pages=len(panel.sent), accepted=len(postman.accepted), **answers
    )
    assert postman.refusals == set()
    assert postman.answers.keys() <= {250, 451}
