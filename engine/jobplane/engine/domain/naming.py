"""Names that callers and jobs give to content: which are taken, and what is wrong with others."""

import re
import unicodedata

MAX_NAME_BYTES = 255
# Segments as in the contract: none is empty, hidden, or looks like an option.
_ARTIFACT_ID = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*(?:/[A-Za-z0-9_][A-Za-z0-9_.-]*)*")
# Control, format (bidirectional overrides are among them), surrogate, private and
# unassigned characters, and line and paragraph separators.
_UNPRINTABLE = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
_DEVICE = re.compile(
    r"(?:con|prn|aux|nul|conin\$|conout\$|(?:com|lpt)[0-9¹²³])(?:\..*)?", re.IGNORECASE
)


def artifact_id_problem(name: str) -> str:
    """What is wrong with the name of a job's artifact; "" when nothing is."""
    if not _ARTIFACT_ID.fullmatch(name):
        return (
            "must be segments of [A-Za-z0-9_.-] that begin with none of '.-', joined by single '/'"
        )
    if ".." in name:
        return "must not contain '..'"
    if len(name) > MAX_NAME_BYTES:
        return f"must have at most {MAX_NAME_BYTES} bytes"
    return ""


def filename_problem(name: str) -> str:  # noqa: PLR0911 - a list of rules, first come
    """What is wrong with the name of an uploaded file; "" when nothing is.

    It is shown and never opened, but somebody may save under it: so it is one plain name
    on every system.
    """
    try:
        size = len(name.encode())
    except UnicodeEncodeError:
        return "must not contain half of a surrogate pair"
    if size > MAX_NAME_BYTES:
        return f"must have at most {MAX_NAME_BYTES} bytes, and has {size}"
    for character in name:
        if unicodedata.category(character) in _UNPRINTABLE:
            return f"must not contain the character U+{ord(character):04X}"
    # Letters that only look like a dot or a slash count as what they look like.
    plain = unicodedata.normalize("NFKC", name)
    if any(character in plain for character in "/\\:"):
        return "must not contain '/', '\\' or ':', nor what looks like one"
    if name and not plain.strip(". "):
        return "must not consist of dots and spaces"
    if name and (plain[0] == " " or plain[-1] in ". "):
        return "must not begin with a space, nor end with a dot or a space"
    if _DEVICE.fullmatch(plain):
        return "must not be the name of a device of Windows"
    return ""
