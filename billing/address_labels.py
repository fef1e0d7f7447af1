"""What the parts of a postal address are called, by country (ISO 3166-1 alpha-2).

Source: Google's address data as libaddressinput names its fields (`state_name_type`, `zip_name_type`,
`locality_name_type`), with the commonest countries written out here; all others get the general words.
"""

from typing import NamedTuple


class Labels(NamedTuple):
    city: str = "Town or city"
    region: str = "State, province or region"
    postcode: str = "Postcode"


GENERAL = Labels()
_CITY = "City"
_POSTAL = "Postal code"

LABELS: dict[str, Labels] = {
    "AE": Labels(_CITY, "Emirate"),
    "AR": Labels(_CITY, "Province", _POSTAL),
    "AT": Labels(region="Federal state"),
    "AU": Labels("Suburb or town", "State or territory"),
    "BE": Labels(region="Province", postcode=_POSTAL),
    "BR": Labels(_CITY, "State", "Postal code (CEP)"),
    "CA": Labels(_CITY, "Province or territory", _POSTAL),
    "CH": Labels(region="Canton"),
    "CL": Labels("Comuna", "Region", _POSTAL),
    "CN": Labels("City or district", "Province", _POSTAL),
    "CO": Labels(_CITY, "Department", _POSTAL),
    "CZ": Labels(region="Region", postcode=_POSTAL),
    "DE": Labels(region="Federal state"),
    "DK": Labels(region="Region"),
    "ES": Labels(_CITY, "Province", _POSTAL),
    "FI": Labels(region="Region"),
    "FR": Labels(_CITY, "Department or region", _POSTAL),
    "GB": Labels("Post town", "County"),
    "GR": Labels(_CITY, "Region", _POSTAL),
    "HK": Labels("District", "Area"),
    "HU": Labels(_CITY, "County", _POSTAL),
    "ID": Labels("City or regency", "Province", _POSTAL),
    "IE": Labels("Town or city", "County", "Eircode"),
    "IL": Labels(_CITY, "District", _POSTAL),
    "IN": Labels("City or district", "State", "PIN code"),
    "IT": Labels("Town (comune)", "Province", "Postal code (CAP)"),
    "JP": Labels("City or ward", "Prefecture", _POSTAL),
    "KR": Labels("City or district", "Province", _POSTAL),
    "MX": Labels("City or municipality", "State", _POSTAL),
    "MY": Labels(_CITY, "State"),
    "NL": Labels(region="Province", postcode=_POSTAL),
    "NO": Labels("Town", "County"),
    "NZ": Labels("Town or city", "Region"),
    "PH": Labels("City or municipality", "Province", "ZIP code"),
    "PL": Labels(_CITY, "Voivodeship", _POSTAL),
    "PT": Labels(_CITY, "District", _POSTAL),
    "RO": Labels(_CITY, "County", _POSTAL),
    "RU": Labels(_CITY, "Oblast or region", _POSTAL),
    "SE": Labels("Town", "County"),
    "SG": Labels("City", "District", _POSTAL),
    "TH": Labels("District", "Province", _POSTAL),
    "TR": Labels("District", "Province", _POSTAL),
    "TW": Labels("City or county", "District", _POSTAL),
    "UA": Labels(_CITY, "Oblast", _POSTAL),
    "US": Labels(_CITY, "State", "ZIP code"),
    "ZA": Labels("Town or city", "Province", _POSTAL),
}


def labels_of(country: str) -> Labels:
    """The words of this country; the general ones where it has none here."""
    return LABELS.get(country, GENERAL)
