"""What answers people and programs starts from what they may see, such as `request.customer.mailboxes`: it never asks a
model for everybody's rows.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PLACES = ("accounts", "billing", "delivery", "domains", "mxpanel")
MANAGERS = {"objects", "_default_manager", "_base_manager"}


def answers(path: Path) -> bool:
    """Whether this is a module of views or of the API."""
    *folders, name = path.relative_to(ROOT).with_suffix("").parts
    return name.endswith("views") or name == "api" or not {"views", "api"}.isdisjoint(folders)


MODULES = [
    path.relative_to(ROOT)
    for place in PLACES
    for path in sorted((ROOT / place).rglob("*.py"))
    if answers(path)
]


def everybodys(tree: ast.AST) -> Iterator[int]:
    """The lines that name a manager of a model."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr in MANAGERS:
            yield node.lineno


@pytest.mark.parametrize("module", MODULES, ids=str)
def test_no_view_asks_for_everybodys_rows(module: Path) -> None:
    assert not list(everybodys(ast.parse((ROOT / module).read_text())))


def test_they_are_found():
    assert {
        "accounts/member_views.py",
        "accounts/api/view.py",
        "billing/api.py",
        "domains/views/mailboxes.py",
    } <= {str(module) for module in MODULES}
    assert list(everybodys(ast.parse("Mailbox.objects.get(pk=1)"))) == [1]
