"""The stack that is measured, as its stack.json describes it."""

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Stack:
    """`var` is its directory under the path by which its own users reach it (MXPANEL_VAR), which in the
    stack's mount namespace is shorter than the one in stack.json.
    """

    var: Path
    facts: dict[str, Any]

    @classmethod
    def from_environment(cls) -> "Stack":
        """The stack of MXPANEL_STACK; KeyError without it."""
        path = Path(os.environ["MXPANEL_STACK"])
        return cls(Path(os.environ.get("MXPANEL_VAR", path.parent)), json.loads(path.read_text()))

    @property
    def panel(self) -> str:
        return str(self.facts["panel"])

    @property
    def customer(self) -> dict[str, str]:
        """E-mail, password and customer of the demo customer's owner."""
        signs_in: dict[str, str] = self.facts["sign_ins"]["customer"]
        return signs_in

    @property
    def server(self) -> dict[str, Any]:
        """The first mail server: host and ports."""
        server: dict[str, Any] = self.facts["servers"][0]
        return server

    @property
    def node(self) -> Path:
        """The first mail server's directory."""
        return self.var / Path(self.server["dir"]).name
