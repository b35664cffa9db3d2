"""HTML to text in the shape of markdown, each stretch with the line it came from."""

from html.parser import HTMLParser

_SKIPPED = frozenset({"script", "style", "nav", "template", "noscript", "svg", "iframe"})
_BLOCK_TAGS = """
p div section article header footer main aside blockquote pre ul ol table dl dt dd
figure figcaption form fieldset hr address h1 h2 h3 h4 h5 h6 tr li
"""
_BLOCKS = frozenset(_BLOCK_TAGS.split())
_HEADINGS = {f"h{level}": "#" * level + " " for level in range(1, 7)}


def html_text(source: str) -> tuple[str, list[tuple[int, int]], dict[str, str]]:
    """Text, pairs of offset and source line, and the fields that the head gives."""
    parser = _Extractor()
    parser.feed(source)
    parser.close()
    return parser.text(), parser.pairs, parser.fields


class _Extractor(HTMLParser):
    """Collects visible text; headings, items and rows get their marks of markdown."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.pairs: list[tuple[int, int]] = []
        self.fields: dict[str, str] = {}
        self._pieces: list[str] = []
        self._length = 0
        self._skipping: list[str] = []
        self._title: list[str] | None = None
        self._cells = 0
        self._rows = 0

    def text(self) -> str:
        return "".join(self._pieces)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "meta":
            self._meta(dict(attrs))
        elif tag == "title" and not self.fields.get("title"):
            self._title = []
        elif tag in _SKIPPED:
            self._skipping.append(tag)
        elif not self._skipping:
            self._open(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag == "title" and self._title is not None:
            self.fields["title"] = " ".join("".join(self._title).split())
            self._title = None
        elif tag in self._skipping:
            while self._skipping.pop() != tag:
                pass
        elif not self._skipping:
            self._close(tag)

    def handle_data(self, data: str) -> None:
        if self._title is not None:
            self._title.append(data)
        elif not self._skipping:
            self._lines(data)

    def _open(self, tag: str) -> None:
        if tag == "br":
            self._write("\n")
        elif tag in {"td", "th"}:
            self._write("| ")
            self._cells += 1
        elif tag in _BLOCKS:
            self._break("\n" if tag in {"li", "tr"} else "\n\n")
            self._write(_HEADINGS.get(tag, "- " if tag == "li" else ""))
            if tag == "table":
                self._rows = 0
            elif tag == "tr":
                self._cells = 0

    def _close(self, tag: str) -> None:
        if tag in {"td", "th"}:
            self._write(" ")
        elif tag == "tr":
            self._write("|")
            if self._rows == 0:
                self._write("\n" + "|---" * self._cells + "|")
            self._rows += 1
        elif tag in _BLOCKS and tag != "li":
            self._break("\n\n")

    def _meta(self, attributes: dict[str, str | None]) -> None:
        name = (attributes.get("name") or attributes.get("property") or "").lower()
        key = name.rsplit(":", 1)[-1].replace("published_time", "date").replace("dc.", "")
        if key in {"date", "updated", "status"}:
            self.fields[key] = attributes.get("content") or ""

    def _lines(self, data: str) -> None:
        """Write the data line by line, so that each has its mark."""
        first = self.getpos()[0]
        for index, line in enumerate(data.split("\n")):
            words = " ".join(line.split())
            if not words:
                continue
            joined = bool(self._pieces) and not self._pieces[-1].endswith((" ", "\n"))
            # White space between two stretches is kept as one space.
            if joined and (index > 0 or line[:1].isspace() or self._ended_in_space):
                self._write(" ")
            self.pairs.append((self._length, first + index))
            self._write(words)
        self._ended_in_space = data[-1:].isspace()

    _ended_in_space = False

    def _break(self, mark: str) -> None:
        while self._pieces and not self._pieces[-1].strip(" "):
            self._length -= len(self._pieces.pop())
        if not self._pieces:
            return
        tail = "".join(self._pieces[-3:])
        present = len(tail) - len(tail.rstrip("\n"))
        self._write("\n" * max(0, len(mark) - present))
        self._ended_in_space = False

    def _write(self, text: str) -> None:
        if text:
            self._pieces.append(text)
            self._length += len(text)
