"""Of which days a report is."""

from datetime import date, datetime, time, timedelta
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.utils import timezone

MOST_DAYS = 366
FIRST, LAST = date(2000, 1, 1), date(2999, 12, 31)


class DayField(forms.DateField):
    def __init__(self, **kwargs: Any) -> None:
        text = "Choose a day from 2000 on."
        known = [MinValueValidator(FIRST, text), MaxValueValidator(LAST, text)]
        widget = forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d")
        super().__init__(validators=known, widget=widget, **kwargs)


class ReportForm(forms.Form):
    """Read from the address; what it does not say is as `initial` has it."""

    def __init__(self, asked: Any) -> None:
        super().__init__(initial=self.defaults())
        wanted = {
            name: asked.get(name) or self.get_initial_for_field(field, name)
            for name, field in self.fields.items()
        }
        self.data, self.is_bound = wanted, True

    def defaults(self) -> dict[str, Any]:
        return {}


class DaysForm(ReportForm):
    """A day or some, in the panel's time zone; today where nothing is said."""

    since = DayField(label="From")
    until = DayField(label="To")

    def defaults(self) -> dict[str, Any]:
        return {"since": timezone.localdate(), "until": timezone.localdate()}

    def clean(self) -> dict[str, Any]:
        wanted: dict[str, Any] = super().clean() or {}
        since, until = wanted.get("since"), wanted.get("until")
        if since and until and until < since:
            raise ValidationError("The last day is before the first one.")
        if since and until and (until - since).days >= MOST_DAYS:
            raise ValidationError(f"Choose {MOST_DAYS} days at most.")
        return wanted

    @property
    def words(self) -> dict[str, str]:
        """For the audit trail."""
        return {"since": str(self.cleaned_data["since"]), "until": str(self.cleaned_data["until"])}

    @property
    def at(self) -> dict[str, datetime]:
        """The filter on `at` for these days."""
        return {
            "at__gte": midnight(self.cleaned_data["since"]),
            "at__lt": midnight(self.cleaned_data["until"] + timedelta(days=1)),
        }


class YearForm(DaysForm):
    """The same, and the last 366 days where nothing is said."""

    def defaults(self) -> dict[str, Any]:
        today = timezone.localdate()
        return {"since": today - timedelta(days=MOST_DAYS - 1), "until": today}


class FailuresForm(YearForm):
    standing = forms.ChoiceField(label="Renewals", choices=[("open", "To be paid"), ("all", "All of them")])

    def defaults(self) -> dict[str, Any]:
        return {"standing": "open", **super().defaults()}


class AsOfForm(ReportForm):
    """How it stood at the end of a day that has come; of today as things stand."""

    on = DayField(label="As of")

    def defaults(self) -> dict[str, Any]:
        return {"on": timezone.localdate()}

    def clean_on(self) -> date:
        on: date = self.cleaned_data["on"]
        if on > timezone.localdate():
            raise ValidationError("Choose a day that has come.")
        return on

    @property
    def words(self) -> dict[str, str]:
        return {"on": str(self.cleaned_data["on"])}


def midnight(day: date) -> datetime:
    """When it begins, in the panel's time zone."""
    return timezone.make_aware(datetime.combine(day, time()))
