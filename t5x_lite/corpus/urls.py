"""URLs: how they are compared, which are on a list, and to which split a page belongs."""

import hashlib
import re
from collections.abc import Collection, Mapping
from urllib.parse import urlsplit

_SCHEME = re.compile(r"https?:\/\/(www\.)?")
_TRACKING = re.compile(r"\?(utm_|ref|feed).*")
# Of so many pages one is for validation.
_PAGES_A_VALIDATION = 1000

# What may stand before a domain: a collection of names, or anything.
Domains = Mapping[str, Collection[str] | None]


def normalized(url: str) -> str:
    """What two addresses of one page have in common.

    >>> normalized("https://www.example.org/news/?utm_source=mail")
    'example.org/news'
    """
    return _TRACKING.sub("", _SCHEME.sub("", url)).rstrip("/")


def digest(text: str) -> str:
    """md5 as 32 digits: equal in every run and on every machine."""
    return hashlib.md5(text.encode("utf-8", "surrogatepass"), usedforsecurity=False).hexdigest()


def is_validation(key: str) -> bool:
    """Whether a page is of the validation split, by its normalized URL."""
    return int(digest(key), 16) % _PAGES_A_VALIDATION == 0


def host(url: str) -> str:
    """The name of the machine, in small letters, without `www.`."""
    try:
        name = urlsplit(url if "://" in url else f"//{url}").hostname or ""
    except ValueError:  # brackets that are no IPv6 address
        return ""
    return name.removeprefix("www.")


def is_in_domains(url: str, domains: Domains) -> bool:
    """Whether the domain is listed, with this name before it; the list has domains that can be
    registered, such as bbc.co.uk.
    """
    labels = host(url).split(".")
    for start in range(len(labels)):
        domain = ".".join(labels[start:])
        if domain in domains:
            allowed = domains[domain]
            return allowed is None or ".".join(labels[:start]) in allowed
    return False


def is_wikipedia(url: str) -> bool:
    """Whether a page is of Wikipedia, in any language."""
    return is_in_domains(url, {"wikipedia.org": None})
