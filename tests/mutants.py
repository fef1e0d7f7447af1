"""`make mutants`: takes away each tenant filter, permission and ownership check, one at a time, and runs the tests that
guard the boundaries, those of people or those of programs, first those that run the lines in question. Each of these
mutants has to be caught; the list of survivors is empty.

The sources are changed in copies, one for each core, by what their syntax trees show (`mutants_of`).
"""

import ast
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from urllib.parse import urlsplit

from coverage import CoverageData

ROOT = Path(__file__).resolve().parent.parent
GUARDS = (
    "tests/accounts/test_access.py",
    "tests/accounts/test_member_change.py",
    "tests/accounts/test_member_list.py",
    "tests/accounts/test_member_remove.py",
    "tests/accounts/test_invitation_accept.py",
    "tests/accounts/test_invitation_revoke.py",
    "tests/accounts/test_ownership_transfer.py",
    "tests/domains/test_incident_admin.py",
    "tests/accounts/test_email_change.py",
    "tests/accounts/test_factor_require.py",
    "tests/accounts/test_recovery_codes.py",
    "tests/accounts/test_session_end.py",
    "tests/accounts/test_reauthenticate.py",
    "tests/accounts/test_audit_page.py",
    "tests/accounts/test_factor_lift.py",
    "tests/domains/test_mailbox_invite.py",
    "tests/domains/test_owner_password.py",
    "tests/domains/test_bulk_start.py",
    "tests/domains/test_bulk_undo.py",
    "tests/accounts/test_account_delete.py",
    "tests/accounts/test_data_export.py",
    "tests/billing/test_review_desk.py",
    "tests/billing/test_books.py",
    "tests/billing/test_card_add.py",
    "tests/billing/test_card_remove.py",
    "tests/billing/test_coupon_use.py",
    "tests/billing/test_credit_grant.py",
    "tests/billing/test_free_months_give.py",
    "tests/billing/test_invoice_show.py",
    "tests/billing/test_neighbour.py",
    "tests/billing/test_order_place.py",
    "tests/billing/test_period_change.py",
    "tests/billing/test_plan_change.py",
    "tests/billing/test_question_answer.py",
    "tests/billing/test_refund_give.py",
    "tests/billing/test_renewal_standing.py",
    "tests/billing/test_subscription_cancel.py",
    "tests/billing/test_subscription_come_back.py",
    "tests/accounts/test_webhook_add.py",
    "tests/accounts/test_webhook_change.py",
    "tests/accounts/test_webhook_page.py",
    "tests/accounts/test_webhook_rotate.py",
    "tests/accounts/test_webhook_switch.py",
    "tests/accounts/test_webhook_test.py",
    "tests/test_grave_pages.py",
    "tests/test_foreign_references.py",
    "tests/test_census.py",
)
GUARDS_OF_PROGRAMS = (
    "tests/test_api.py",
    "tests/accounts/test_api_call.py",
    "tests/accounts/test_api_members.py",
    "tests/accounts/test_api_audit.py",
    "tests/accounts/test_api_webhooks.py",
    "tests/accounts/test_key_add.py",
    "tests/accounts/test_key_revoke.py",
    "tests/billing/test_api_orders.py",
    "tests/domains/test_api_domains.py",
    "tests/domains/test_api_mailboxes.py",
)
PLACES = ("accounts", "billing", "domains", "mxpanel")
# In the name of a module, or its folder's.
FACING = ("access", "adapter", "forms", "views", "staff", "public")
API = ("api",)
OF_PROGRAMS = (*API, "keys", "key_forms", "key_lookup", "key_views")
OWNERS = {"customer", "user", "person", "domain", "mailbox", "membership", "order", "placed_by"}
LOOKUPS = {"filter", "exclude", "get", "get_object_or_404", "get_list_or_404", "first", "named", "to_restore"}
REFUSALS = {
    "AuthenticationFailed", "Http404", "HttpResponseForbidden", "HttpResponseNotFound", "PermissionDenied",
}  # fmt: skip
CHECKS = {
    "_place": "(Role.OWNER, False)",
    "compare_digest": "True",
    "has_perm": "True",
    "has_second_factor": "True",
    "may": "True",
    "refuse_owners": "None",
}
# What decides about a key: here each part of each condition goes, and each filter.
GATES = {
    "_keys", "_statement", "add_key", "authenticate", "find_key", "is_good_from", "is_meant", "live", "rights_of",
    "rights_to_give",
}  # fmt: skip
DOORS = {"staff_page", "asks_again"}
EVERYWHERE = "django.contrib.auth.middleware.LoginRequiredMiddleware"
PYTEST = [sys.executable, "-m", "pytest", "-x", "-q", "--reuse-db", "-p", "no:cacheprovider"]
GRAVE_PAGES = "tests/test_grave_pages.py"
OF_EACH_PAGE = (GRAVE_PAGES, "tests/test_foreign_references.py", "tests/test_census.py")
CAUGHT, SURVIVED, BROKEN = "caught", "SURVIVED", "DOES NOT RUN"


@dataclass(frozen=True)
class Mutant:
    """`path` with the text from `start` to `end` (bytes) replaced by `text`."""

    path: str
    line: int
    lines: range  # those that run where it matters: of a decorator, the body that it guards
    start: int
    end: int
    text: str
    what: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.what}"

    def applied_to(self, source: bytes) -> bytes:
        return source[: self.start] + self.text.encode() + source[self.end :]


def mutants() -> list[Mutant]:
    paths = [ROOT / "mxpanel" / "settings.py"]
    paths += [path for place in PLACES for path in sorted((ROOT / place).rglob("*.py")) if is_a_wall(path)]
    return [mutant for path in paths for mutant in mutants_of(path)]


def is_a_wall(path: Path) -> bool:
    """Whether people or programs come in here."""
    return "migrations" not in path.parts and (
        named(path, FACING) or is_of_programs(str(path.relative_to(ROOT)))
    )


def is_of_programs(path: str) -> bool:
    return named(ROOT / path, OF_PROGRAMS)


def named(path: Path, words: Sequence[str]) -> bool:
    relative = path.relative_to(ROOT)
    return any(word in part for part in (*relative.parts[1:-1], relative.stem) for word in words)


def mutants_of(path: Path) -> Iterator[Mutant]:
    """One mutant for each check that stands in this file."""
    source = path.read_bytes()
    starts = [0]
    for line in source.splitlines(keepends=True):
        starts.append(starts[-1] + len(line))

    related = related_names()

    def mutant(node: ast.expr | ast.stmt | ast.keyword, text: str, what: str) -> Mutant:
        start, end = (
            starts[node.lineno - 1] + node.col_offset,
            starts[node.end_lineno - 1] + node.end_col_offset,
        )
        lines = bodies.get(node.lineno, range(node.lineno, node.end_lineno + 1))
        return Mutant(str(path.relative_to(ROOT)), node.lineno, lines, start, end, text, what)

    is_api, of_programs = named(path, API), named(path, OF_PROGRAMS)
    tree = ast.parse(source)
    bodies = {
        decorator.lineno: range(node.body[0].lineno, node.end_lineno + 1)
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef)
        for decorator in node.decorator_list
    }
    for node in ast.walk(tree):
        match node:
            case ast.Attribute(value=owner, attr=name, ctx=ast.Load()) if name in related and whose(owner):
                everybodys = f"type({ast.unparse(owner)}).{name}.rel.related_model._default_manager"
                yield mutant(node, everybodys, f"{ast.unparse(node)} is everybody's")
            case ast.Call(keywords=keywords) if called(node) in LOOKUPS:
                for keyword in keywords:
                    if keyword.arg and keyword.arg.split("__")[0] in OWNERS:
                        yield mutant(keyword, "**{}", f"{called(node)}() without {keyword.arg}")
            case ast.Call() if called(node) in CHECKS:
                yield mutant(node, CHECKS[called(node)], f"{ast.unparse(node)} is {CHECKS[called(node)]}")
            case ast.Call(func=ast.Name(door), args=[view]) if door in DOORS:
                yield mutant(node, ast.unparse(view), f"no {door}")
            case ast.Constant(value) if value == EVERYWHERE:
                yield mutant(node, "*()", f"no {value}")
            case ast.Attribute(value=ast.Name("Permission"), attr=name) if is_api or name.endswith("_EDIT"):
                lesser = "CUSTOMER_READ" if name != "CUSTOMER_READ" else "DOMAINS_READ"
                yield mutant(node, f"Permission.{lesser}", f"{ast.unparse(node)} not needed")
            case ast.Subscript(value=ast.Name("RIGHTS"), slice=role, ctx=ast.Load()):
                yield mutant(node, "set(Permission)", f"every right for {ast.unparse(role)}")
            case ast.If(body=[only], orelse=[]) if refuses(only):
                yield mutant(node, "pass", f"no refusal if {ast.unparse(node.test)}")
            case ast.FunctionDef(decorator_list=decorators):
                for decorator in decorators:
                    door = decorator.func if isinstance(decorator, ast.Call) else decorator
                    if isinstance(door, ast.Name) and door.id in DOORS:
                        yield mutant(decorator, "(lambda view: view)", f"{node.name} without {door.id}")
            case ast.keyword(arg="right", value=ast.Constant(value)) if value:
                yield mutant(node, 'right=""', f"right {value} not needed")
    for gate in ast.walk(tree) if of_programs else ():
        if isinstance(gate, ast.FunctionDef) and gate.name in GATES:
            for part, text in parts_of(gate):
                yield mutant(part, text, f"{gate.name}() with {text} for {ast.unparse(part)}")


def parts_of(gate: ast.FunctionDef) -> Iterator[tuple[ast.expr | ast.keyword, str]]:
    """Each part of a condition or of a filter in this function, and what stands for it where it is taken away."""
    for node in ast.walk(gate):
        match node:
            case ast.BoolOp(op=ast.And(), values=parts):
                yield from ((part, "True") for part in parts)
            case ast.BoolOp(op=ast.Or(), values=parts):
                yield from ((part, "False") for part in parts)
            case ast.comprehension(ifs=conditions):
                yield from ((each, "True") for each in conditions)
            case ast.Call(args=arguments, keywords=keywords) if called(node) == "filter":
                yield from ((each, "*()") for each in arguments)
                yield from ((each, "**{}") for each in keywords if each.arg not in OWNERS)
            case ast.Call(func=ast.Attribute(attr="live") as method):
                yield node, f"{ast.unparse(method.value)}.all()"


def related_names() -> set[str]:
    """What the rows of a customer, a person, a key, a webhook, a domain or a mailbox are called on it."""
    from accounts.models import ApiKey, Customer, User, Webhook
    from domains.models import Domain, Mailbox

    return {
        str(relation.get_accessor_name())
        for model in (Customer, User, ApiKey, Webhook, Domain, Mailbox)
        for relation in model._meta.related_objects
        if relation.one_to_many and not relation.hidden
    }


def whose(owner: ast.expr) -> bool:
    """Whether this is one object, as `request.customer` or `found`, and not a model or a module."""
    match owner:
        case ast.Name(name) | ast.Attribute(attr=name):
            return name.islower()
    return False


def called(node: ast.Call) -> str:
    """The name of what is called: of a function or of a method."""
    match node.func:
        case ast.Name(name) | ast.Attribute(attr=name):
            return name
    return ""


def refuses(statement: ast.stmt) -> bool:
    match statement:
        case ast.Raise(exc=ast.Name(name) | ast.Call(func=ast.Name(name))):
            return name in REFUSALS
        case ast.Return(value=ast.Call(func=ast.Name(name))):
            return name in REFUSALS
    return False


class Copy:
    """A copy of the sources with a database and a Redis database of its own, in which one mutant lives at a time."""

    def __init__(self, number: int, folder: Path) -> None:
        self.folder = folder
        listed = ["git", "ls-files", "-z"]
        names = subprocess.run(listed, cwd=ROOT, check=True, capture_output=True, text=True).stdout
        for name in filter(None, names.split("\0")):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, folder / name)
        database, redis = urlsplit(os.environ["DATABASE_URL"]), urlsplit(os.environ["REDIS_URL"])
        own = {
            "DATABASE_URL": database._replace(path=f"{database.path}_mutant{number}").geturl(),
            "REDIS_URL": redis._replace(path=f"/{12 + number}").geturl(),
        }
        self.environment = {**os.environ, **own, "PYTHONDONTWRITEBYTECODE": "1"}

    def outcome(self, mutant: Mutant, tests: Sequence[str]) -> str:
        """What these tests say of the sources with this mutant."""
        path = self.folder / mutant.path
        original = path.read_bytes()
        path.write_bytes(mutant.applied_to(original))
        try:
            done = self._run(*tests)
        finally:
            path.write_bytes(original)
        if b"Failed: Timeout" in done.stdout:
            return BROKEN
        return {0: SURVIVED, 1: CAUGHT}.get(done.returncode, BROKEN)

    def runs_of(self, guards: Sequence[str]) -> CoverageData:
        """Which of these tests run which line of the sources as they are."""
        places = (f"--cov={place}" for place in PLACES)
        done = self._run(*places, "--cov-context=test", "--cov-report=", *guards)
        if done.returncode:
            raise SystemExit(f"The guards fail without any mutant:\n{done.stdout.decode()[-3000:]}")
        found = CoverageData(str(self.folder / ".coverage"))
        found.read()
        return found

    def _run(self, *arguments: str) -> subprocess.CompletedProcess[bytes]:
        command = [*PYTEST, *arguments]
        return subprocess.run(command, cwd=self.folder, env=self.environment, capture_output=True)


def main(arguments: list[str]) -> int:
    """Try the mutants, or those whose line contains one of the arguments."""
    import django

    django.setup()
    chosen = [m for m in mutants() if not arguments or any(word in str(m) for word in arguments)]
    started, counts = time.monotonic(), dict.fromkeys((CAUGHT, SURVIVED, BROKEN), 0)
    with tempfile.TemporaryDirectory() as folder:
        copies: SimpleQueue[Copy] = SimpleQueue()
        cores = os.cpu_count() or 1
        for number in range(cores):
            copies.put(Copy(number, Path(folder) / str(number)))

        def runs_of(guards: Sequence[str]) -> CoverageData:
            copy = copies.get()
            try:
                return copy.runs_of(guards)
            finally:
                copies.put(copy)

        def attempt(mutant: Mutant) -> str:
            copy, first = copies.get(), tests_of(mutant, runs)
            try:
                is_caught = first and copy.outcome(mutant, first) == CAUGHT
                return CAUGHT if is_caught else copy.outcome(mutant, guards_of(mutant))
            finally:
                copies.put(copy)

        with ThreadPoolExecutor(cores) as pool:
            runs = list(pool.map(runs_of, (GUARDS, GUARDS_OF_PROGRAMS)))
            for mutant, outcome in zip(chosen, pool.map(attempt, chosen), strict=True):
                counts[outcome] += 1
                print(f"{outcome:12} {mutant}", flush=True)
    seconds = time.monotonic() - started
    print(
        f"{len(chosen)} mutants in {seconds:.0f} s: " + ", ".join(f"{n} {name}" for name, n in counts.items())
    )
    return 1 if counts[SURVIVED] or counts[BROKEN] else 0


def tests_of(mutant: Mutant, runs: Sequence[CoverageData]) -> list[str]:
    """The tests that most likely notice: those that run the mutant's lines, of all pages last. None where only reading the
    module runs them.
    """
    if mutant.what.endswith("asks_again"):
        return [GRAVE_PAGES]
    found = set()
    for data in runs:
        for line, contexts in data.contexts_by_lineno(mutant.path).items():
            if line in mutant.lines:
                found |= {context.rpartition("|")[0] for context in contexts if context}
    return sorted(found, key=lambda test: (test.startswith(OF_EACH_PAGE), test))


def guards_of(mutant: Mutant) -> tuple[str, ...]:
    """The tests that guard this place, first those that are called like it, then those of its own package."""
    guards, own = GUARDS_OF_PROGRAMS if is_of_programs(mutant.path) else GUARDS, Path(mutant.path).parts[0]
    words = words_of(mutant.path) - {own}
    return tuple(
        sorted(guards, key=lambda test: (-len(words & words_of(test)), not test.startswith(f"tests/{own}/")))
    )


def words_of(path: str) -> set[str]:
    """Those of a file's name and folders, without the plural's s."""
    return {word.removesuffix("s") for word in re.split(r"[/_.]", path)} - {"py", "test", ""}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
