"""Reading a file of mailboxes, as people and other panels write it, within bounds.

The csv module and no library around it: one physical line at a time, so that neither an open quote nor a million
separators make one cell or row out of the whole file, and memory stays with what is read.
"""

import codecs
import csv
import io
import re
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO, NamedTuple

from django.core.exceptions import ValidationError

from domains.mailbox_password import SCHEME, accept_hash, normalise
from foundation.csv_lines import FORMULA
from foundation.lines import one_line
from foundation.names import normalise_domain, normalise_local_part

MOST_BYTES = 20 * 2**20
MOST_LINES = 50_000
MOST_CHARACTERS = 4_000  # of one line
MOST_COLUMNS = 20
MOST_NAME = 120

COLUMNS = ("username", "name", "quota_mb", "password", "password_hash")
SHOWN_ONLY = ("used_mb", "last_sign_in_at")  # in our own exports; nothing to import
QUOTA = re.compile(r"[0-9]{1,9}")


class Line(NamedTuple):
    """What one line says of one mailbox; None where the file does not say. `number` counts as an editor does."""

    number: int
    username: str
    name: str | None
    quota_mb: int | None
    password: str
    password_hash: str


class Fault(NamedTuple):
    """Why a line is not taken. `text` quotes no password."""

    number: int
    text: str


def read(upload: BinaryIO, domain: str) -> tuple[list[Line], list[Fault]]:
    """The lines for the mailboxes of `domain`, in the order of the file; ValidationError where the file as a whole
    will not do.
    """
    numbered = _lines(upload)
    separator, columns = _header(next(numbered, (1, ""))[1])
    lines: list[Line] = []
    faults: list[Fault] = []
    seen: dict[str, int] = {}
    for number, text in numbered:
        if len(lines) + len(faults) == MOST_LINES:
            raise ValidationError(f"A file has at most {MOST_LINES:,} lines. Split it into several.")
        try:
            line = _line(number, _cells(text, separator, columns), domain)
            if (first := seen.setdefault(line.username, number)) != number:
                raise ValidationError(f"{line.username} stands in line {first} already.")
            lines.append(line)
        except ValidationError as error:
            faults.append(Fault(number, " ".join(error.messages)))
    return lines, faults


def _lines(upload: BinaryIO) -> Iterator[tuple[int, str]]:
    """Each line that is not empty, with its number; ValidationError for what is no text."""
    start = upload.read(4)
    upload.seek(0)
    utf16 = start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    text = io.TextIOWrapper(upload, "utf-16" if utf16 else "utf-8-sig")
    number = 0
    try:
        while line := text.readline(MOST_CHARACTERS + 1):
            number += 1
            if len(line) > MOST_CHARACTERS:
                raise ValidationError(f"Line {number} is longer than {MOST_CHARACTERS:,} characters.")
            if "\0" in line:
                raise ValidationError(f"Line {number} holds a NUL: this is no text file.")
            if line := line.rstrip("\n"):
                yield number, line
    except UnicodeError as error:
        raise ValidationError(
            f"The text is not UTF-8, somewhere after line {number}. Save it as “CSV UTF-8”."
        ) from error


def _header(line: str) -> tuple[str, list[str]]:
    """The separator and the columns that the first line names."""
    for separator in ",;\t":
        try:
            columns = [cell.strip().lower() for cell in next(csv.reader([line], delimiter=separator))]
        except (csv.Error, StopIteration):
            continue
        if "username" in columns:
            break
    else:
        raise ValidationError(
            "The first line names the columns, username among them, with commas, semicolons or tabs between them: "
            f"{','.join(COLUMNS)}"
        )
    if len(columns) > MOST_COLUMNS:
        raise ValidationError(f"The file has more than {MOST_COLUMNS} columns.")
    if unknown := [column[:40] for column in columns if column not in (*COLUMNS, *SHOWN_ONLY)]:
        raise ValidationError(f"Unknown columns: {', '.join(unknown)}. There are: {', '.join(COLUMNS)}.")
    if len(set(columns)) < len(columns):
        raise ValidationError("A column stands twice in the first line.")
    return separator, columns


def _cells(text: str, separator: str, columns: list[str]) -> dict[str, str]:
    try:
        cells = next(csv.reader([text], delimiter=separator, strict=True))
    except (csv.Error, StopIteration) as error:
        raise ValidationError('A cell begins with " and does not end with it on its line.') from error
    if len(cells) != len(columns):
        raise ValidationError(
            f"This line has {len(cells)} cells; the first line names {len(columns)} columns. "
            'A cell that holds the separator, such as an {ARGON2ID} hash, stands in "…".'
        )
    return dict(zip(columns, cells, strict=True))


def _line(number: int, cells: dict[str, str], domain: str) -> Line:
    """ValidationError with everything that is wrong in the line."""
    wrong: list[str] = []
    username = _checked(wrong, _username, cells["username"], domain)
    name = _checked(wrong, _name, cells["name"]) if "name" in cells else None
    quota_mb = _checked(wrong, _quota, cells.get("quota_mb", ""))
    password, password_hash = _checked(wrong, _secrets, cells) or ("", "")
    if wrong:
        raise ValidationError(wrong)
    return Line(number, username, name, quota_mb, password, password_hash)


def _checked(wrong: list[str], check: Callable[..., Any], *arguments: Any) -> Any:
    try:
        return check(*arguments)
    except ValidationError as error:
        wrong += error.messages
        return None


def _username(text: str, domain: str) -> str:
    """A local part, or a whole address of the domain."""
    local_part, at, of_domain = text.strip().partition("@")
    if at and normalise_domain(of_domain) != domain:
        raise ValidationError(f"This is no address of {domain}.")
    return normalise_local_part(local_part)


def _name(text: str) -> str:
    """Without the ' that our exports put before what a spreadsheet would run."""
    name = text.strip()
    if name.startswith("'") and name.lstrip("'").startswith(FORMULA):
        name = name[1:]
    one_line(name)
    if len(name) > MOST_NAME:
        raise ValidationError(f"A name has at most {MOST_NAME} characters.")
    return name


def _quota(text: str) -> int | None:
    text = text.strip()
    if text and not QUOTA.fullmatch(text):
        raise ValidationError("A quota is a whole number of MB, 0 for all that the plan holds.")
    return int(text) if text else None


def _secrets(cells: dict[str, str]) -> tuple[str, str]:
    """A password, or a ready hash; both empty where the line gives none."""
    password, ready = cells.get("password", ""), cells.get("password_hash", "").strip()
    if password and ready:
        raise ValidationError("Give a password or a ready hash, not both.")
    if SCHEME.match(password):
        password, ready = "", password.strip()
    return (normalise(password) if password else ""), (accept_hash(ready) if ready else "")
