"""What a server sent -> text, and what the page says of its license and to robots."""

import re
import zlib

GZIP_MAGIC = b"\x1f\x8b"
GZIP_WINDOW = 31
# More is no page: a few bytes may be gigabytes once unpacked.
_MAX_BYTES = 1 << 26
_ROBOTS = re.compile(r"<meta\s[^>]*name=[\"']?robots[\"']?[^>]*>", re.IGNORECASE)
_CONTENT = re.compile(r"content=[\"']([^\"']*)", re.IGNORECASE)
_LICENSE = re.compile(r"<(?:a|link)\s[^>]*rel=[\"']?[^\"'>]*\blicense\b[^>]*>", re.IGNORECASE)
_HREF = re.compile(r"href=[\"']?([^\"'\s>]+)", re.IGNORECASE)


def decompressed(content: bytes, encoding: str) -> bytes:
    """The content without the compression of its transport; servers name one that is not there.

    Raises:
        ValueError: it is damaged.
    """
    try:
        if content.startswith(GZIP_MAGIC):
            return zlib.decompressobj(GZIP_WINDOW).decompress(content, _MAX_BYTES)
        if encoding.strip().lower() == "br":
            import brotli

            try:
                return brotli.decompress(content)
            except brotli.error as error:
                raise ValueError(str(error)) from None
    except zlib.error as error:
        raise ValueError(str(error)) from None
    return content


def decoded(content: bytes, charset: str | None = None) -> str:
    """HTML as text, by the charset of its server, of itself, or that it seems to have."""
    from resiliparse.parse.encoding import bytes_to_str, detect_encoding

    seems = detect_encoding(content, from_html_meta=True) or "utf-8"
    try:
        return bytes_to_str(content, charset or seems)
    except LookupError:  # a charset that there is not
        return bytes_to_str(content, seems)


def html_text(html: str) -> str:
    """All that is visible, a block a line."""
    from resiliparse.extract.html2text import extract_plain_text

    return extract_plain_text(html, list_bullets=False, alt_texts=False)


def html_fields(html: str) -> dict[str, str]:
    """What a page says of its license and to robots."""
    fields = {}
    for name, element, value in (("robots", _ROBOTS, _CONTENT), ("license", _LICENSE, _HREF)):
        if (tag := element.search(html)) and (said := value.search(tag.group())):
            fields[name] = said.group(1)
    return fields
