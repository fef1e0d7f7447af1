from django import forms

from domains.forms import VerbForm
from domains.mailbox_csv.reading import MOST_BYTES

TOO_LARGE = f"Choose a file of at most {MOST_BYTES >> 20} MB."  # a much larger one does not arrive at all


class MailboxImportForm(VerbForm):
    file = forms.FileField(
        label="CSV file",
        error_messages={"required": TOO_LARGE, "empty": "This file is empty."},
        widget=forms.FileInput(attrs={"accept": ".csv,text/csv,text/plain"}),
        help_text="Nothing changes yet: the next page shows what would.",
    )

    def clean_file(self) -> forms.FileField:
        file = self.cleaned_data["file"]
        if file.size > MOST_BYTES:
            raise forms.ValidationError(TOO_LARGE)
        return file.file  # as it is in memory
