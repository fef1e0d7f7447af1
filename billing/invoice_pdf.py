"""An invoice as PDF: the same document always gives the same bytes.

Tagged as PDF/UA-1 asks (ISO 14289-1), with its fonts embedded: DejaVu Sans (Debian's fonts-dejavu-core), for Chinese,
Japanese and Korean WenQuanYi Micro Hei (fonts-wqy-microhei), and for every other script Unifont (fonts-unifont), which is
plain, but has them all. Nothing is fetched, from nowhere.
"""

from functools import cache
from threading import Lock
from typing import TYPE_CHECKING

from django.template.loader import render_to_string

from billing.invoice_document import InvoiceDocument

if TYPE_CHECKING:
    # Imported with the first PDF: it takes a third of a second and 25 MB, and most processes draw none.
    from weasyprint import CSS
    from weasyprint.text.fonts import FontConfiguration
    from weasyprint.urls import URLFetcher

# Where letters are written on paper of 8.5 by 11 inches (CLDR, territories of paper size US-Letter).
LETTER = frozenset({"BZ", "CA", "CL", "CO", "CR", "GT", "MX", "NI", "PA", "PH", "PR", "SV", "US", "VE"})
_one_at_a_time = Lock()  # Pango's font map, which is kept, may not be used by two threads at once.


def invoice_pdf(document: InvoiceDocument) -> bytes:
    """The PDF of `document`, on the paper of the buyer's country: A4 or letter."""
    html = render_to_string("billing/invoice_pdf.html", {"document": document})
    with _one_at_a_time:
        from weasyprint import HTML

        page = HTML(string=html, url_fetcher=_nowhere())
        pdf: bytes = page.write_pdf(
            stylesheets=[_look("letter" if document.buyer.country in LETTER else "A4")],
            font_config=_fonts(),
            pdf_variant="pdf/ua-1",
            pdf_identifier=document.number.encode(),
        )
    return pdf


def refuse(url: str) -> None:
    """Whatever a text of somebody brought about, neither a file nor the network is read."""
    raise ValueError("An invoice fetches nothing.")


@cache
def _nowhere() -> "URLFetcher":
    from weasyprint.urls import URLFetcher

    class Nowhere(URLFetcher):
        def fetch(self, url: str, headers: object = None) -> None:
            refuse(url)

    return Nowhere()


@cache
def _fonts() -> "FontConfiguration":
    from weasyprint.text.fonts import FontConfiguration

    return FontConfiguration()


@cache
def _look(size: str) -> "CSS":
    from weasyprint import CSS

    css = render_to_string("billing/invoice_pdf.css") + f"@page {{ size: {size}; }}"
    return CSS(string=css, font_config=_fonts(), url_fetcher=_nowhere())
