"""Variables of a customer, brought to one form: typed with other case and blanks it is the same customer.

email      blanks and `+` left out, case folded; it must have an `@` with something on both sides
user_name  outer blanks cut, inner ones one blank each, case folded; the sub IDs likewise
ip         canonical: IPv6 shortened, an IPv4 address inside of IPv6 as IPv4

All are brought to Unicode's NFKC first, so that full-width and composed letters are what they look like. A
`+` in an e-mail address that was not percent-encoded arrives as a blank: without both it is the same.
Nothing else is guessed: dots, tags behind a `+` and domains stay as they are.
"""

import ipaddress
import unicodedata


def normal(name: str, text: str) -> str:
    """The variable's one form; empty where the text is none."""
    if name == "ip":
        return _address(text)
    folded = _compatible(_compatible(text).casefold())  # folding may undo what was composed
    if name == "email":
        return _email("".join(folded.split()).replace("+", ""))
    return " ".join(folded.split())


def _compatible(text: str) -> str:
    return unicodedata.normalize("NFKC", text)


def _email(text: str) -> str:
    local, at, domain = text.rpartition("@")
    return text if local and at and domain else ""


def _address(text: str) -> str:
    try:
        found = ipaddress.ip_address(text.strip().partition("%")[0])
    except ValueError:
        return ""
    return str(getattr(found, "ipv4_mapped", None) or found)
