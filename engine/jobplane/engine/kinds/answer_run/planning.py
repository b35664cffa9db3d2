"""Questions to SQL without a model: only where every word of the question is accounted for."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from jobplane.engine.kinds.answer_run.language import content_words, meanings, stem, words
from jobplane.engine.kinds.answer_run.questions import SubQuestion
from jobplane.engine.kinds.answer_run.sandbox import Column, LoadedTable, quote
from jobplane.engine.kinds.answer_run.vocabulary import LIGHT_WORDS

_SUM = "total sum overall altogether combined whole"
_AVERAGE = "average mean"
_MOST = "highest most maximum largest biggest longest top greatest best max busiest"
_LEAST = "lowest least minimum fewest smallest shortest min"
_GROUP = re.compile(
    r"\b(?:per|by|for each|for every|in each|in every)\s+([A-Za-z_]+)", re.IGNORECASE
)
_WHICH = re.compile(
    r"\b(?:which|what)\s+((?:\w+\s+){1,3}?)(?:has|have|had|is|are|was|were|with|got|made|did)\b",
    re.IGNORECASE,
)
_COUNT = re.compile(r"\bhow many\b|\bnumber of\b", re.IGNORECASE)
_FIGURE = r"(\d[\d.,]*)"
# How numbers bound a column; the first pattern that takes a number keeps it.
_BOUNDS = tuple(
    (re.compile(pattern, re.IGNORECASE), bound)
    for pattern, bound in (
        (
            r"\b(?:between|from)\s+(\d+)\s+(?:and|to|until)\s+(\d+)\b",
            "{name} BETWEEN {low} AND {high}",
        ),
        (rf"\b(?:more than|above|over|after|greater than)\s+{_FIGURE}", "{name} > {low}"),
        (rf"\b(?:less than|fewer than|below|under|before)\s+{_FIGURE}", "{name} < {low}"),
        (rf"\b(?:at least|since|from)\s+{_FIGURE}", "{name} >= {low}"),
        (rf"\b{_FIGURE}", "{name} = {low}"),
    )
)
_FIGURES = {
    "sum": ("sum({})", "total"),
    "count": ("sum({})", "total"),
    "avg": ("round(avg({}), 4)", "average"),
    "max": ("max({})", "maximum"),
    "min": ("min({})", "minimum"),
}
_YEARS = range(1800, 2200)


@dataclass(frozen=True, slots=True)
class Plan:
    """A query, and how its result is told."""

    table: LoadedTable
    sql: str
    # What the figures are, for example "total tonnes where year = 2023".
    caption: str
    matched: int


@dataclass
class _Reading:
    """One table held against a question: what of it each word stands for."""

    table: LoadedTable
    question: SubQuestion
    used: set[str] = field(default_factory=set[str])
    filters: list[str] = field(default_factory=list[str])
    filtered: set[str] = field(default_factory=set[str])
    captions: list[str] = field(default_factory=list[str])


def plan(question: SubQuestion, tables: tuple[LoadedTable, ...]) -> Plan | None:
    """Query that answers the question; None where no table, or more than one, could."""
    plans = [found for table in tables if (found := _plan(question, table)) is not None]
    plans.sort(key=lambda found: -found.matched)
    if len(plans) > 1 and plans[0].matched == plans[1].matched:
        return None
    return plans[0] if plans else None


def asks_for_figures(question: SubQuestion, tables: tuple[LoadedTable, ...]) -> bool:
    """Whether the question reads as one for the tables."""
    text = question.text.casefold()
    figures = _COUNT.search(text) or any(
        word.surface.casefold() in f"{_SUM} {_AVERAGE} {_MOST} {_LEAST}".split()
        for word in words(text)
    )
    known = {
        stemmed for table in tables for column in table.columns for stemmed in _stems(column.name)
    }
    return bool(figures) and any(term.stem in known for term in question.terms)


def _plan(question: SubQuestion, table: LoadedTable) -> Plan | None:
    reading = _Reading(table, question)
    _read_values(reading)
    _read_numbers(reading)
    group = _group_column(reading)
    asked_for = _asked_for(reading)
    aggregate = _aggregate(question.text)
    number = _number_column(reading, aggregate, asked_for)
    for stemmed in _stems(table.table.name):
        if stemmed in {term.stem for term in question.terms}:
            reading.used.add(stemmed)
    entity = asked_for or _entity_column(reading, number)
    if not _accounted(reading):
        return None
    return _compose(reading, aggregate, number, group or entity, grouped=group is not None)


def _compose(
    reading: _Reading, aggregate: str, number: Column | None, by: Column | None, *, grouped: bool
) -> Plan | None:
    source = quote(reading.table.table.name)
    where = f" WHERE {' AND '.join(reading.filters)}" if reading.filters else ""
    caption_where = f" where {' and '.join(reading.captions)}" if reading.captions else ""
    if aggregate in {"max", "min"} and number and by and not grouped:
        order = "DESC" if aggregate == "max" else "ASC"
        sql = (
            f"SELECT {quote(by.name)}, sum({quote(number.name)}) AS {quote(number.name)} "  # noqa: S608  quoted
            f"FROM {source}{where} GROUP BY 1 "
            f"QUALIFY rank() OVER (ORDER BY sum({quote(number.name)}) {order}) = 1 ORDER BY 1"
        )
        word = "highest" if aggregate == "max" else "lowest"
        return _made(reading, sql, f"{by.name} with the {word} {number.name}{caption_where}")
    figure, name = _figure(aggregate, number, None if grouped else by)
    if not figure or not (reading.filters or reading.used):
        return None
    if grouped and by:
        sql = (
            f"SELECT {quote(by.name)}, {figure} AS {quote(name)} "  # noqa: S608  quoted
            f"FROM {source}{where} GROUP BY 1 ORDER BY 1"
        )
        return _made(reading, sql, f"{name} by {by.name}{caption_where}")
    sql = f"SELECT {figure} AS {quote(name)} FROM {source}{where}"  # noqa: S608  quoted
    return _made(reading, sql, f"{name}{caption_where}")


def _made(reading: _Reading, sql: str, caption: str) -> Plan:
    return Plan(reading.table, sql, caption, len(reading.used))


def _figure(aggregate: str, number: Column | None, counted: Column | None) -> tuple[str, str]:
    """What is computed, and its name; empty where the question names no figure."""
    if number is None:
        if aggregate != "count":
            return "", ""
        if counted is None:
            return "count(*)", "number of rows"
        return f"count(DISTINCT {quote(counted.name)})", f"number of {counted.name}"
    compute, name = _FIGURES.get(aggregate, ("", ""))
    return compute.format(quote(number.name)), f"{name} {number.name}"


def _aggregate(text: str) -> str:
    said = {word.surface.casefold() for word in words(text)}
    for name, listed in (("avg", _AVERAGE), ("max", _MOST), ("min", _LEAST), ("sum", _SUM)):
        if said & set(listed.split()):
            return name
    return "count" if _COUNT.search(text) else ""


def _read_values(reading: _Reading) -> None:
    """Texts of the table that the question names become filters, longest first."""
    asked = [word.stem for word in words(reading.question.text)]
    found: list[tuple[int, Column, str]] = []
    for column in reading.table.columns:
        for value in column.values:
            parts = [word.stem for word in words(value)]
            if parts and _contains(asked, parts):
                found.append((len(parts), column, value))
    for _, column, value in sorted(found, key=lambda entry: (-entry[0], entry[2])):
        stems = {word.stem for word in words(value)}
        if column.name in reading.filtered or stems <= reading.used:
            continue
        literal = "'" + value.replace("'", "''") + "'"
        reading.filters.append(f"{quote(column.name)} = {literal}")
        reading.captions.append(f"{column.name} is {value}")
        reading.filtered.add(column.name)
        reading.used |= stems
        _use_name(reading, column)


def _read_numbers(reading: _Reading) -> None:
    """Numbers of the question become bounds of the column that they must mean."""
    taken: set[str] = set()
    for pattern, bound in _BOUNDS:
        for match in pattern.finditer(reading.question.text):
            figures = [stem(group.rstrip(".,")) for group in match.groups()]
            if any(figure in taken or figure in reading.used for figure in figures):
                continue
            column = _column_of_number(reading, figures[0])
            if column is None:
                continue
            name = f"year({quote(column.name)})" if column.is_time else quote(column.name)
            said = bound.format(name=name, low=figures[0], high=figures[-1])
            reading.filters.append(said)
            reading.captions.append(said.replace('"', ""))
            taken |= set(figures)
            reading.used |= set(figures)
            _use_name(reading, column)


def _column_of_number(reading: _Reading, figure: str) -> Column | None:
    """Column that the figure bounds: a year, or the one number column that is named."""
    is_year = figure.isdigit() and int(figure) in _YEARS
    years = [
        column
        for column in reading.table.columns
        if is_year and (column.is_time or (column.is_numeric and "year" in _stems(column.name)))
    ]
    if is_year:
        seasons = [
            c for c in reading.table.columns if c.is_numeric and "season" in c.name.casefold()
        ]
        years = years or seasons
    if len(years) == 1:
        return years[0]
    asked = {term.stem for term in reading.question.terms}
    named = [
        column
        for column in reading.table.columns
        if column.is_numeric and asked & _stems(column.name) and column.name not in reading.filtered
    ]
    return named[0] if len(named) == 1 else None


def _asked_for(reading: _Reading) -> Column | None:
    """Column that "which ..." asks for."""
    match = _WHICH.search(reading.question.text)
    if match is None:
        return None
    named = [stem(word) for word in match.group(1).split()]
    for column in reading.table.columns:
        if column.name not in reading.filtered and _stems(column.name) & set(named):
            _use_name(reading, column)
            return column
    return None


def _number_column(reading: _Reading, aggregate: str, asked_for: Column | None) -> Column | None:
    """The one number column that the question speaks of."""
    asked = {term.stem for term in reading.question.terms}
    ranked: list[tuple[tuple[int, float], Column]] = []
    for column in reading.table.columns:
        if not column.is_numeric or column.name in reading.filtered or column is asked_for:
            continue
        if aggregate == "count" and _names_one(column, reading.question):
            continue
        names = _stems(column.name)
        hit = len(asked & names)
        if hit:
            ranked.append(((hit, hit / len(names)), column))
    if not ranked and aggregate in {"max", "min"}:
        ranked = [((1, 1.0), c) for c in _by_superlative(reading) if c is not asked_for]
    ranked.sort(key=lambda entry: entry[0], reverse=True)
    if not ranked or (len(ranked) > 1 and ranked[0][0] == ranked[1][0]):
        return None
    _use_name(reading, ranked[0][1])
    return ranked[0][1]


def _names_one(column: Column, question: SubQuestion) -> bool:
    """Whether the column numbers things, as "route" does where routes are asked for."""
    named = set(re.split(r"[\W_]+", column.name.casefold()))
    asked = [term for term in question.terms if term.stem in _stems(column.name)]
    return bool(asked) and all(term.surface.casefold() not in named for term in asked)


def _by_superlative(reading: _Reading) -> Iterator[Column]:
    """Columns of which "longest" or "busiest" speaks."""
    groups = frozenset(
        group
        for word in words(reading.question.text)
        if word.surface.casefold().endswith("est")
        for group in meanings(stem(word.surface.casefold().removesuffix("est")))
    )
    for column in reading.table.columns:
        if column.is_numeric and any(groups & meanings(name) for name in _stems(column.name)):
            yield column


def _group_column(reading: _Reading) -> Column | None:
    for match in _GROUP.finditer(reading.question.text):
        wanted = stem(match.group(1))
        for column in reading.table.columns:
            if wanted in _stems(column.name) and column.name not in reading.filtered:
                reading.used |= _stems(column.name)
                return column
    return None


def _entity_column(reading: _Reading, number: Column | None) -> Column | None:
    """Column named in the question that is neither filter nor figure."""
    asked = {term.stem for term in reading.question.terms}
    for column in reading.table.columns:
        free = column is not number and column.name not in reading.filtered
        if free and asked & _stems(column.name):
            _use_name(reading, column)
            return column
    return None


def _accounted(reading: _Reading) -> bool:
    """Whether no word of the question is left that the query does not express."""
    spoken = set(f"{_SUM} {_AVERAGE} {_MOST} {_LEAST} number row table per each every".split())
    spoken = {stem(word) for word in (*spoken, *LIGHT_WORDS)}
    said = content_words(reading.question.text)
    return all(term.stem in reading.used | spoken for term in said)


def _use_name(reading: _Reading, column: Column) -> None:
    reading.used |= _stems(column.name)


def _stems(name: str) -> frozenset[str]:
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])|_", " ", name)
    return frozenset(word.stem for word in words(spaced))


def _contains(asked: list[str], parts: list[str]) -> bool:
    return any(asked[at : at + len(parts)] == parts for at in range(len(asked) - len(parts) + 1))
