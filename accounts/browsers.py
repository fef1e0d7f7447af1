"""What a browser says of itself (RFC 9110, section 10.1.5), in the words that its owner uses."""

# The first that fits counts: many call themselves by others' names as well.
_PROGRAMS = (
    ("Edg", "Edge"),
    ("OPR/", "Opera"),
    ("SamsungBrowser/", "Samsung Internet"),
    ("Firefox/", "Firefox"),
    ("FxiOS/", "Firefox"),
    ("CriOS/", "Chrome"),
    ("Chrome/", "Chrome"),
    ("Safari/", "Safari"),
    ("curl/", "curl"),
)
_SYSTEMS = (
    ("iPhone", "an iPhone"),
    ("iPad", "an iPad"),
    ("Android", "Android"),
    ("Windows", "Windows"),
    ("CrOS", "ChromeOS"),
    ("Macintosh", "a Mac"),
    ("Linux", "Linux"),
)


def browser_in_words(agent: str) -> str:
    """For example "Firefox on Linux"; nothing of the text itself, which anybody may have chosen."""
    program = next((name for mark, name in _PROGRAMS if mark in agent), "An unknown browser")
    system = next((name for mark, name in _SYSTEMS if mark in agent), "")
    return f"{program} on {system}" if system else program
