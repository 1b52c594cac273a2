"""Text that came from data, as a person may see it: no control code reaches a terminal, and what is long is cut in its middle."""

import re

LONGEST = 1000
"""Characters of a message; its beginning says what came, its end what to do."""
_HIDDEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
"""What moves, colours or hides what stands around it, but for tab and newline; and halves of characters, unwritable."""


def visible(text: str) -> str:
    r"""The text with control codes spelled out, as in `\x1b`."""
    return _HIDDEN.sub(lambda found: ascii(found.group())[1:-1], text)


def visible_json(text: str) -> str:
    r"""The same of JSON, in which every one of them can be spelled `\u001b`."""
    return _HIDDEN.sub(lambda found: f"\\u{ord(found.group()):04x}", text)


def shortened(text: str, longest: int = LONGEST) -> str:
    """At most about so many characters."""
    if len(text) <= longest:
        return text
    begin, end = 2 * longest // 3, longest // 3
    return f"{text[:begin]} … ({len(text) - begin - end} characters) … {text[-end:]}"
