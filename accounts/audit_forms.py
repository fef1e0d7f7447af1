"""What a customer's members may read of the audit trail, and the filters by which they find it."""

from datetime import UTC, date, datetime, time, timedelta

from django import forms
from django.db.models import QuerySet

from accounts.audit_words import FOR_MEMBERS
from accounts.models import AuditEntry, Customer


class AuditFilterForm(forms.Form):
    who = forms.CharField(required=False, max_length=254, help_text="Part of an address; or: staff, system")
    what = forms.ChoiceField(
        required=False, choices=[("", "Everything"), *((key, key) for key in sorted(FOR_MEMBERS))]
    )
    subject = forms.CharField(required=False, max_length=254)
    since = forms.DateField(required=False, widget=forms.DateInput(attrs={"type": "date"}))
    until = forms.DateField(required=False, widget=forms.DateInput(attrs={"type": "date"}))

    def entries_of(self, customer: Customer) -> QuerySet[AuditEntry]:
        """The customer's entries that the filters leave, newest first; a filter that makes no sense leaves none."""
        entries = customer.audit_entries.filter(action__in=FOR_MEMBERS)
        entries = entries.select_related("by").order_by("-at", "-pk")
        if not self.is_valid():
            return entries.none()
        wanted = self.cleaned_data
        if wanted["who"] in ("staff", "our staff"):
            entries = entries.filter(by_staff=True)
        elif wanted["who"] in ("system", "the system"):
            entries = entries.filter(by=None)
        elif wanted["who"]:
            entries = entries.filter(by_staff=False, by__email__icontains=wanted["who"])
        for lookup, value in (
            ("action", wanted["what"]),
            ("subject__icontains", wanted["subject"]),
            ("at__gte", wanted["since"] and _midnight(wanted["since"])),
            ("at__lt", wanted["until"] and _midnight(wanted["until"], 1)),
        ):
            if value:
                entries = entries.filter(**{lookup: value})
        return entries


def _midnight(day: date, later: int = 0) -> datetime:
    """The beginning of a day, or so many days `later`; the database finds times by index, and not their days."""
    first = datetime.combine(day, time.min, tzinfo=UTC)
    return first + timedelta(days=later) if day < date.max else datetime.max.replace(tzinfo=UTC)
