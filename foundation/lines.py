"""Text that must stay on one line, because it becomes part of one: a reply of SMTP, a header, a log entry."""

from django.core.validators import RegexValidator

one_line = RegexValidator(
    r"\A[^\x00-\x1f\x7f-\x9f\u2028\u2029]*\Z", "Write this on one line, without control characters."
)
