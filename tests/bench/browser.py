"""A signed-in person, without a browser: forms are filled in over HTTP as a page would send them."""

import re

import requests

TOKEN = re.compile(r'name="csrfmiddlewaretoken" value="([^"]+)"')


class Browser:
    """One session at the panel `url`, with its connection kept."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.session = requests.Session()
        self.session.trust_env = False
        self._token = ""

    def get(self, path: str) -> requests.Response:
        reply = self.session.get(self.url + path, allow_redirects=False, timeout=30)
        if found := TOKEN.search(reply.text):
            self._token = found[1]
        return reply

    def post(self, path: str, **fields: str) -> requests.Response:
        """Send a form with the token of the last page that had one. RuntimeError if the answer is not 302."""
        data = {"csrfmiddlewaretoken": self._token, **fields}
        reply = self.session.post(self.url + path, data=data, allow_redirects=False, timeout=30)
        if reply.status_code != 302:
            raise RuntimeError(f"POST {path} was answered {reply.status_code}: {reply.text[:500]}")
        return reply

    def sign_in(self, email: str, password: str) -> None:
        self.get("/accounts/login/")
        self.post("/accounts/login/", login=email, password=password)
