"""Formats: which column of a broker's export means what."""

import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from jobplane.engine.kinds.trade_audit.reading import refuse
from jobplane.engine.kinds.trade_audit.remarks import Remarks, quote

# How cost is told from pnl.
GROSS = "GROSS"
NET = "NET"
# Columns whose sign already says what they do to the result.
SIGNED = "SIGNED"

_MAX_NAMES_SHOWN = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Preset:
    """One export format; column names are keys (see `key_of`)."""

    name: str
    required: frozenset[str]
    columns: Mapping[str, str]
    # Pairs of date and time columns, by canonical name.
    pairs: Mapping[str, tuple[str, str]] = field(default_factory=dict[str, tuple[str, str]])
    # Each that is there counts.
    costs: tuple[str, ...] = ()
    pnl: str = GROSS
    timezone: str = ""
    date_order: str = ""
    # Fills that opened a position have no pnl in this format, and are no trades.
    blank_pnl_opens: bool = False


def _preset(name: str, required: str, columns: str, **others: object) -> Preset:
    """Make a preset from "canonical=key" words."""
    pairs = dict(word.split("=") for word in columns.split())
    return Preset(name=name, required=frozenset(required.split()), columns=pairs, **others)  # type: ignore[arg-type]  # each name is a field


# In order of precedence.
PRESETS = (
    _preset(
        "hyperliquid",
        "timestampist coin executionprice sizeusd side closedpnl",
        "timestamp=timestampist asset=coin price=executionprice size_usd=sizeusd side=side "
        "pnl=closedpnl quantity=sizetokens account=account",
        costs=("fee",),
        timezone="Asia/Kolkata",
        date_order="DMY",
    ),
    _preset(
        "challenge",
        "timestamp buysell asset pl",
        "timestamp=timestamp side=buysell asset=asset pnl=pl quantity=quantity price=entryprice "
        "exit_price=exitprice balance=balance",
    ),
    _preset(
        "canonical",
        "timestamp asset price sizeusd side pnl",
        "timestamp=timestamp asset=asset price=price size_usd=sizeusd side=side pnl=pnl",
    ),
    _preset(
        "metatrader4",
        "ticket opentime type item closetime profit",
        "timestamp=closetime entry_timestamp=opentime side=type quantity=size asset=item "
        "price=price exit_price=price2 pnl=profit",
        costs=("commission", "taxes", "swap"),
        pnl=SIGNED,
    ),
    _preset(
        "metatrader5",
        "time position symbol type volume time2 profit",
        "timestamp=time2 entry_timestamp=time side=type quantity=volume asset=symbol "
        "price=price exit_price=price2 pnl=profit",
        costs=("commission", "fee", "swap"),
        pnl=SIGNED,
    ),
    _preset(
        "tradovate",
        "date contract bs qty price pl",
        "timestamp=date asset=contract side=bs quantity=qty price=price pnl=pl account=account",
        costs=("commission",),
        blank_pnl_opens=True,
    ),
    _preset(
        "tradenote",
        "td side symbol qty price exectime grossproceeds",
        "asset=symbol side=side quantity=qty price=price account=account currency=currency",
        pairs={"timestamp": ("td", "exectime")},
        costs=("comm", "sec", "taf", "nscc", "nasdaq", "ecnremove", "ecnadd"),
    ),
    _preset(
        "ibkr_flex",
        "symbol datetime quantity tradeprice",
        "timestamp=datetime asset=symbol quantity=quantity price=tradeprice side=buysell "
        "currency=currencyprimary account=clientaccountid multiplier=multiplier "
        "pnl=fifopnlrealized",
        costs=("ibcommission", "taxes"),
        # The broker's realised pnl has its commissions inside.
        pnl=NET,
    ),
    _preset(
        "ninjatrader",
        "instrument entryprice exitprice entrytime exittime profit",
        "timestamp=exittime entry_timestamp=entrytime asset=instrument price=entryprice "
        "exit_price=exitprice pnl=profit side=marketpos account=account",
        costs=("commission",),
    ),
    _preset(
        "perfana",
        "symbol entrydate entrytime exitdate exittime volume entryprice exitprice profitloss",
        "asset=symbol quantity=volume price=entryprice exit_price=exitprice pnl=profitloss",
        pairs={
            "timestamp": ("exitdate", "exittime"),
            "entry_timestamp": ("entrydate", "entrytime"),
        },
        costs=("commission",),
    ),
    _preset(
        "finmarkets",
        "date time direction price qty",
        "side=direction price=price quantity=qty",
        pairs={"timestamp": ("date", "time")},
    ),
)

# Keys under which exports of no known format have a column, likeliest first.
_SYNONYMS: Mapping[str, str] = {
    "timestamp": "timestamp exittimestamp exittime exitdatetime closetime closedatetime closedat "
    "closedate exitdate exectime executiontime executedat datetime tradetime tradedatetime "
    "timestamputc timeutc datetimeutc dateutc time tradedate date",
    "entry_timestamp": "entrytimestamp entrytime entrydatetime opentime opendatetime openedat "
    "opendate entrydate",
    "asset": "asset symbol ticker coin instrument contract item market product security pair "
    "underlying",
    "side": "side buysell bs direction action marketpos marketposition positionside longshort "
    "type tradetype",
    "quantity": "quantity qty contracts shares volume lots amount size units",
    "price": "price entryprice openprice executionprice fillprice tradeprice avgprice "
    "averageprice avgentryprice priceperunit",
    "exit_price": "exitprice closeprice sellprice avgexitprice price2",
    "size_usd": "sizeusd notional notionalusd notionalvalue tradevalue positionvalue valueusd "
    "positionsizeusd",
    "pnl": "netpnl netpl netprofit netprofitloss pnlnet pnl pl profitloss profitandloss "
    "realizedpnl realisedpnl realizedpl realisedpl closedpnl grosspnl grosspl grossprofit profit "
    "gainloss",
    "balance": "balance accountbalance equity accountequity runningbalance",
    "account": "account accountid accountnumber accountname clientaccountid",
    "currency": "currency ccy currencyprimary accountcurrency",
    "multiplier": "multiplier contractmultiplier pointvalue contractsize",
}
_COST_KEYS = ("fee", "fees", "commission", "commissions", "comm", "totalfees", "cost")
_NET_KEYS = frozenset({"netpnl", "netpl", "netprofit", "netprofitloss", "pnlnet"})
_PAIRS: Mapping[str, tuple[tuple[str, str], ...]] = {
    "timestamp": (("exitdate", "exittime"), ("closedate", "closetime"), ("date", "time")),
    "entry_timestamp": (("entrydate", "entrytime"), ("opendate", "opentime")),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """Where each canonical column is found: indices into the header."""

    preset: str
    columns: Mapping[str, int]
    # Time column that completes a date column, by canonical name.
    clocks: Mapping[str, int]
    costs: tuple[int, ...]
    pnl: str
    timezone: str
    date_order: str
    blank_pnl_opens: bool


def key_of(name: str) -> str:
    """Give a column name without case, spaces and signs; P/L, P&L and P_L are all "pl"."""
    return re.sub(r"[\W_]+", "", name.casefold())


def header_keys(header: Sequence[str]) -> tuple[str, ...]:
    """Give the key of each column; the second of two equal ones gets a 2."""
    keys: list[str] = []
    for position, name in enumerate(header, start=1):
        key = key_of(name) or f"column{position}"
        copies = sum(known == key or known[:-1] == key for known in keys)
        keys.append(f"{key}{copies + 1}" if copies and key in keys else key)
    return tuple(keys)


def find_layout(
    header: Sequence[str], *, column_map: Mapping[str, str], remarks: Remarks
) -> Layout:
    """Tell what each column means; raise WorkError where time or pnl can't be had."""
    keys = header_keys(header)
    fitting = [preset for preset in PRESETS if preset.required <= set(keys)]
    if len(fitting) > 1:
        names = ", ".join(preset.name for preset in fitting)
        remarks.add(
            "PRESET_AMBIGUOUS",
            f"the columns fit {names}; {fitting[0].name} was taken",
            count=len(fitting),
        )
    preset = fitting[0] if fitting else None
    finder = _Finder(keys)
    finder.take_map(header, column_map)
    if preset:
        finder.take_preset(preset)
    finder.take_synonyms(with_costs=preset is None or not preset.costs)
    layout = finder.layout(preset)
    _require(layout, header)
    _tell_of_twins(layout, header, remarks)
    return layout


def _tell_of_twins(layout: Layout, header: Sequence[str], remarks: Remarks) -> None:
    """Remark on columns that were read and have another of the same name beside them."""
    plain = [key_of(name) for name in header]
    # Some formats have two columns "Price", and mean both.
    read = {*layout.columns.values(), *layout.clocks.values(), *layout.costs}
    unread = {plain[at] for at in range(len(plain)) if at not in read}
    twins = sorted({header[at] for at in layout.columns.values() if plain[at] in unread})
    if twins:
        names = ", ".join(quote(name) for name in twins)
        remarks.add(
            "COLUMN_TWICE", f"the first of the columns named {names} was read", count=len(twins)
        )


class _Finder:
    """Assigns columns to meanings, each at most once, first come first served."""

    def __init__(self, keys: Sequence[str]) -> None:
        self._keys = list(keys)
        self._columns: dict[str, int] = {}
        self._clocks: dict[str, int] = {}
        self._costs: list[int] = []
        self._mapped: set[str] = set()

    def take_map(self, header: Sequence[str], column_map: Mapping[str, str]) -> None:
        """Take the columns that the caller names."""
        for meaning, name in sorted(column_map.items()):
            index = next((at for at, seen in enumerate(header) if seen == name), None)
            if index is None and key_of(name) in self._keys:
                index = self._keys.index(key_of(name))
            if index is None:
                raise refuse(
                    "MISSING_COLUMN",
                    f"column_map[{meaning}] names {quote(name)}, which the journal lacks; "
                    f"its columns: {_shown(header)}{_suggestion(name, header)}",
                )
            self._mapped.add(meaning)
            if meaning == "fee":
                self._costs.append(index)
            else:
                self._columns[meaning] = index

    def take_preset(self, preset: Preset) -> None:
        """Take the columns of a format, but for what the caller named."""
        for meaning, (date, clock) in preset.pairs.items():
            self._pair(meaning, date, clock)
        for meaning, key in preset.columns.items():
            self._one(meaning, key)
        if "fee" not in self._mapped:
            self._costs += [self._keys.index(key) for key in preset.costs if key in self._keys]

    def take_synonyms(self, *, with_costs: bool) -> None:
        """Take what is still free and has a name that is known."""
        for meaning, pairs in _PAIRS.items():
            for date, clock in pairs:
                self._pair(meaning, date, clock)
        for meaning, keys in _SYNONYMS.items():
            for key in keys.split():
                self._one(meaning, key)
        if with_costs and not self._costs:
            self._costs = [self._keys.index(key) for key in _COST_KEYS if key in self._keys][:1]

    def layout(self, preset: Preset | None) -> Layout:
        """Give what was found."""
        pnl = preset.pnl if preset and "pnl" not in self._mapped else GROSS
        if "pnl" in self._columns and self._keys[self._columns["pnl"]] in _NET_KEYS:
            pnl = NET
        timezone = preset.timezone if preset else ""
        at = self._columns.get("timestamp")
        if at is not None and self._keys[at].endswith("utc"):
            timezone = "UTC"
        return Layout(
            preset=preset.name if preset else "synonyms",
            columns=dict(self._columns),
            clocks=dict(self._clocks),
            costs=tuple(self._costs),
            pnl=pnl,
            timezone=timezone,
            date_order=preset.date_order if preset else "",
            blank_pnl_opens=bool(preset and preset.blank_pnl_opens),
        )

    def _one(self, meaning: str, key: str) -> None:
        taken = {*self._columns.values(), *self._clocks.values(), *self._costs}
        if meaning not in self._columns and key in self._keys:
            index = self._keys.index(key)
            if index not in taken:
                self._columns[meaning] = index

    def _pair(self, meaning: str, date: str, clock: str) -> None:
        if meaning not in self._columns and date in self._keys and clock in self._keys:
            self._columns[meaning] = self._keys.index(date)
            self._clocks[meaning] = self._keys.index(clock)


def _require(layout: Layout, header: Sequence[str]) -> None:
    """Refuse a journal without time, or without pnl and what it could be had from."""
    has = layout.columns.keys()
    missing: list[str] = []
    if "timestamp" not in has:
        missing.append("timestamp")
    if "pnl" not in has and not {"quantity", "price"} <= has:
        missing.append("pnl")
    if not missing:
        return
    if _is_data(header) and not has:
        raise refuse("NO_ROWS", "the first line is data; a journal begins with a header line")
    known = {"timestamp": "a time", "pnl": "a profit or loss"}
    wanted = " and ".join(f"{name} ({known[name]})" for name in missing)
    suggestions = "".join(_suggestion(word, header) for word in missing)
    way = "Name it in column_map"
    if len(header) == 1:
        way = "Part the columns by a comma, a semicolon, a tab or a bar, or name it in column_map"
    raise refuse(
        "MISSING_COLUMN",
        f"no column for {wanted}; the journal has: {_shown(header)}{suggestions}. {way}",
    )


def _is_data(header: Sequence[str]) -> bool:
    """Tell whether a header is made of numbers and times."""
    return any(re.fullmatch(r"[-+(]?[$]?[0-9][0-9.,:/ T)-]*Z?", name.strip()) for name in header)


def _shown(header: Sequence[str]) -> str:
    """Give the names of the columns for a message."""
    more = len(header) - _MAX_NAMES_SHOWN
    names = ", ".join(quote(name) for name in header[:_MAX_NAMES_SHOWN])
    return f"{names} and {more} more" if more > 0 else names


def _suggestion(name: str, header: Sequence[str]) -> str:
    """Give the columns whose names are near."""
    words = [key_of(name), *_SYNONYMS.get(name, "").split()]
    near = {
        column
        for column in header
        for word in words
        if difflib.SequenceMatcher(None, key_of(column)[:64], word).ratio() > 0.7  # noqa: PLR2004  a near miss
    }
    return (
        f"; did you mean {', '.join(quote(column) for column in sorted(near)[:3])}?" if near else ""
    )
