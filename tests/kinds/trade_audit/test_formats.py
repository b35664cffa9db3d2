"""Exports of brokers and journals, each with a small sample in its own shape."""
# ruff: noqa: E501, ISC004  exports are wide, and a sample is one text of several lines

import io
from typing import Any

import pyarrow as pa  # type: ignore[import-untyped]  # ships no types
import pyarrow.parquet as pq  # type: ignore[import-untyped]  # ships no types
import pytest

from tests.kinds.trade_audit.rig import Audited, audit, journal

# By name: the text, the format it must be taken for, and time, side, pnl and cost per trade.
SAMPLES: dict[str, tuple[str, str, list[tuple[str, str, float, float]]]] = {
    "canonical": (
        "timestamp,asset,price,size_usd,side,pnl\n2024-01-02T10:00:00Z,BTC,42000,420,buy,12.5\n",
        "canonical",
        [("2024-01-02T10:00:00Z", "BUY", 12.5, 0)],
    ),
    "challenge": (
        "Timestamp,Buy/sell,Asset,Quantity,Entry price,Exit price,P/L,Balance\n"
        "2024-01-02 10:00:00,Buy,AAPL,10,190,191.5,15,10015\n"
        "2024-01-02 10:05:00,Sell,MSFT,5,400,402,-10,10005\n",
        "challenge",
        [("2024-01-02T10:00:00Z", "BUY", 15, 0), ("2024-01-02T10:05:00Z", "SELL", -10, 0)],
    ),
    # India is 5:30 ahead; the day comes first.
    "hyperliquid": (
        "Account,Coin,Execution Price,Size Tokens,Size USD,Side,Timestamp IST,Closed PnL,Fee\n"
        "0xabc,@107,7.97,986.8,7872,BUY,02-12-2024 22:50,0,0.35\n"
        "0xabc,@107,7.98,16,127.7,SELL,02-12-2024 23:10,4.0,0.01\n",
        "hyperliquid",
        [
            ("2024-12-02T17:20:00Z", "BUY", -0.35, 0.35),
            ("2024-12-02T17:40:00Z", "SELL", 3.99, 0.01),
        ],
    ),
    # Profit 50, commission -7 and swap -1.5 are added: 41.5. The deposit is no trade.
    "metatrader4": (
        "Ticket,Open Time,Type,Size,Item,Price,S/L,T/P,Close Time,Price,Commission,Taxes,Swap,Profit\n"
        "1,2024.01.01 00:00,balance,,,,,,2024.01.01 00:00,,,,,1000.00\n"
        "2,2024.01.02 10:00,buy,1.00,eurusd,1.09500,0,0,2024.01.02 12:00,1.09550,-7.00,0,-1.50,50.00\n",
        "metatrader4",
        [("2024-01-02T12:00:00Z", "BUY", 41.5, 8.5)],
    ),
    "metatrader5": (
        "Time,Position,Symbol,Type,Volume,Price,S / L,T / P,Time,Price,Commission,Swap,Profit\n"
        "2024.01.02 10:00:00,7,XAUUSD,sell,0.10,2040.10,,,2024.01.02 10:30:00,2038.10,-0.70,0.00,20.00\n",
        "metatrader5",
        [("2024-01-02T10:30:00Z", "SELL", 19.3, 0.7)],
    ),
    # The opening fill has no pnl and is no trade.
    "tradovate": (
        "Date,Contract,B/S,Qty,Price,P&L,Commission\n"
        "01/15/2024 09:30:00,ESH4,Buy,1,4780.25,,1.29\n"
        '01/15/2024 09:45:00,ESH4,Sell,1,4784.25,"$1,200.00",1.29\n',
        "tradovate",
        [("2024-01-15T09:45:00Z", "SELL", 1198.71, 1.29)],
    ),
    # 100 bought at 10, sold short 50 and covered: 100 * 0.5 - (1.1 + 1.1) and so on.
    "tradenote": (
        "Account,T/D,S/D,Currency,Type,Side,Symbol,Qty,Price,Exec Time,Comm,SEC,TAF,NSCC,Nasdaq,"
        "ECN Remove,ECN Add,Gross Proceeds,Net Proceeds\n"
        "A1,01/16/2024,01/18/2024,USD,stock,B,XYZ,100,10,09:31:00,1,0,0.1,0,0,0,0,-1000,-1001.1\n"
        "A1,01/16/2024,01/18/2024,USD,stock,S,XYZ,100,10.5,09:40:00,1,0,0.1,0,0,0,0,1050,1048.9\n"
        "A1,01/16/2024,01/18/2024,USD,stock,SS,XYZ,50,10.6,09:50:00,1,0,0,0,0,0,0,530,529\n"
        "A1,01/16/2024,01/18/2024,USD,stock,BC,XYZ,50,10.4,09:55:00,1,0,0,0,0,0,0,-520,-521\n",
        "tradenote",
        [("2024-01-16T09:40:00Z", "BUY", 47.8, 2.2), ("2024-01-16T09:55:00Z", "SELL", 8, 2)],
    ),
    # Signed quantities; commissions are printed negative: 5 * 2 - (1 + 1) = 8.
    "ibkr_flex": (
        "ClientAccountID,CurrencyPrimary,Symbol,DateTime,Quantity,TradePrice,IBCommission\n"
        "U1,USD,SPY,20240102;093000,5,470,-1\n"
        "U1,USD,SPY,20240102;100000,-5,472,-1\n",
        "ibkr_flex",
        [("2024-01-02T10:00:00Z", "BUY", 8, 2)],
    ),
    "ninjatrader": (
        "Trade number;Instrument;Account;Strategy;Market pos.;Qty;Entry price;Exit price;Entry time;"
        "Exit time;Profit;Commission\n"
        "1;ES 03-24;Sim101;;Long;2;4780,25;4782,25;15.01.2024 15:30:00;15.01.2024 15:41:00;"
        "$ 200,00;$ 4,20\n",
        "ninjatrader",
        [("2024-01-15T15:41:00Z", "BUY", 195.8, 4.2)],
    ),
    "perfana": (
        "Symbol,EntryDate,EntryTime,ExitDate,ExitTime,Volume,EntryPrice,ExitPrice,Profit/Loss\n"
        "FDAX,2024-01-02,09:00,2024-01-02,09:30,-1,16800,16790,250\n",
        "perfana",
        [("2024-01-02T09:30:00Z", "SELL", 250, 0)],
    ),
    # 2 * (101.5 - 100) = 3.
    "finmarkets": (
        "DATE;TIME;DIRECTION;PRICE;QTY\n20240102;93000;BUY;100,0;2\n20240102;101500;SELL;101,5;2\n",
        "finmarkets",
        [("2024-01-02T10:15:00Z", "BUY", 3, 0)],
    ),
    "unknown columns": (
        "Closed At,Ticker,Direction,Units,Open Price,Close Price,Net P&L,Fees\n"
        "2024-01-02 10:00,TSLA,short,3,250,240,29,1\n",
        "synonyms",
        [("2024-01-02T10:00:00Z", "SELL", 29, 1)],
    ),
}


@pytest.mark.parametrize("name", SAMPLES)
def test_an_export_is_understood(name: str) -> None:
    text, preset, trades = SAMPLES[name]
    done = audit(text)
    assert done.json("data_quality.json")["format"] == preset
    rows = done.rows("normalized.csv")
    assert [(row["timestamp"], row["side"]) for row in rows] == [one[:2] for one in trades]
    assert [float(row["pnl"]) for row in rows] == pytest.approx([one[2] for one in trades])
    assert [float(row["fee"]) for row in rows] == pytest.approx([one[3] for one in trades])


def normalized(text: str | bytes, **fields: Any) -> tuple[Audited, list[dict[str, str]]]:
    done = audit(text, **fields)
    return done, done.rows("normalized.csv")


FILLS = "timestamp,asset,side,quantity,price,fee\n"


def test_fills_are_matched_first_in_first_out_with_their_cost() -> None:
    # Lots 10 at 100 and 10 at 110, a unit of cost each; 15 are sold at 120 for 1.5.
    # First: 10 * 20 - (1 + 1.0) = 198. Second: 5 * 10 - (0.5 + 0.5) = 49. 5 stay open.
    done, rows = normalized(
        FILLS
        + "2024-01-02 10:00:00,X,buy,10,100,1\n"
        + "2024-01-02 11:00:00,X,buy,10,110,1\n"
        + "2024-01-02 12:00:00,X,sell,15,120,1.5\n"
    )
    assert [float(row["pnl"]) for row in rows] == pytest.approx([198, 49])
    assert [row["entry_timestamp"][11:16] for row in rows] == ["10:00", "11:00"]
    assert {"EXECUTIONS_MATCHED_FIFO", "UNMATCHED_OPEN"} <= done.codes()


def test_a_fill_that_turns_the_position_closes_and_opens() -> None:
    # Long 5 at 110; 10 are sold at 105: -25, and short 5; 5 bought at 100: +25.
    _, rows = normalized(
        FILLS
        + "2024-01-02 10:00:00,X,buy,5,110,0\n"
        + "2024-01-02 11:00:00,X,sell,10,105,0\n"
        + "2024-01-02 12:00:00,X,buy,5,100,0\n"
    )
    assert [(row["side"], float(row["pnl"])) for row in rows] == [("BUY", -25), ("SELL", 25)]


def test_fills_of_other_assets_and_odd_sizes_do_not_mix() -> None:
    # 0.1 + 0.2 closes against 0.3 with nothing left over.
    done, rows = normalized(
        FILLS
        + "2024-01-02 10:00:00,X,buy,0.1,100,0\n"
        + "2024-01-02 10:01:00,Y,buy,1,5,0\n"
        + "2024-01-02 10:02:00,X,buy,0.2,100,0\n"
        + "2024-01-02 10:03:00,X,sell,0.3,110,0\n"
        + "2024-01-02 10:04:00,Y,sell,1,4,0\n"
    )
    assert [float(row["pnl"]) for row in rows] == pytest.approx([1, 2, -1])
    assert "UNMATCHED_OPEN" not in done.codes()


def test_pnl_is_derived_from_entry_and_exit_prices() -> None:
    _, rows = normalized(
        "timestamp,side,quantity,price,exit_price,fee\n"
        "2024-01-02,short,3,100,90,2\n2024-01-03,long,3,100,90,2\n"
    )
    assert [float(row["pnl"]) for row in rows] == [28, -32]


def test_money_of_all_kinds_is_read() -> None:
    values = [
        "$1,234.50",
        "(12.5)",
        "12.5-",
        "\N{MINUS SIGN}3",
        "USD 7",
        "8 EUR",
        "1 000.25",
        "-$2",
    ]
    rows = "".join(f'2024-01-{day:02},"{value}"\n' for day, value in enumerate(values, start=1))
    _, read = normalized("timestamp,pnl\n" + rows)
    assert [float(row["pnl"]) for row in read] == [1234.5, -12.5, -12.5, -3, 7, 8, 1000.25, -2]


def test_decimal_commas_are_told_by_other_columns() -> None:
    # "1.234" alone could be either; the "12,50" beside it settles it.
    _, rows = normalized('timestamp\tpnl\tprice\n2024-01-02\t1.234\t"12,50"\n')
    assert (float(rows[0]["pnl"]), float(rows[0]["price"])) == (1234, 12.5)


def test_the_decimal_mark_of_the_spec_wins() -> None:
    _, rows = normalized('timestamp,pnl\n2024-01-02,"1,234"\n', decimal=3)
    assert float(rows[0]["pnl"]) == 1.234


def test_a_day_above_twelve_settles_the_order() -> None:
    done, rows = normalized("timestamp,pnl\n13/02/2024,5\n03/04/2024,5\n")
    assert [row["timestamp"][:10] for row in rows] == ["2024-02-13", "2024-04-03"]
    assert "DATE_ORDER_AMBIGUOUS" not in done.codes()


def test_an_open_order_is_told_and_can_be_set() -> None:
    done, rows = normalized("timestamp,pnl\n01/02/2024,5\n")
    assert (rows[0]["timestamp"][:10], "DATE_ORDER_AMBIGUOUS" in done.codes()) == (
        "2024-01-02",
        True,
    )
    _, rows = normalized("timestamp,pnl\n01/02/2024,5\n", date_order=2)
    assert rows[0]["timestamp"][:10] == "2024-02-01"


TIMES = {
    "2024-01-02T10:00:00+02:00": "2024-01-02T08:00:00Z",
    "20240102 101112": "2024-01-02T10:11:12Z",
    "1704189600": "2024-01-02T10:00:00Z",
    "1704189600123": "2024-01-02T10:00:00.123Z",
    "2 Jan 2024 10:00": "2024-01-02T10:00:00Z",
    "Jan 2, 2024 10:00 pm": "2024-01-02T22:00:00Z",
    "1/2/24 12:05 AM": "2024-01-02T00:05:00Z",
}


@pytest.mark.parametrize("text", TIMES)
def test_a_time_is_read(text: str) -> None:
    _, rows = normalized(f'timestamp,pnl\n"{text}",5\n')
    assert rows[0]["timestamp"] == TIMES[text]


def test_a_local_time_that_came_twice_is_the_earlier_one() -> None:
    done, rows = normalized("timestamp,pnl\n2024-10-27 02:30:00,5\n", timezone="Europe/Berlin")
    assert rows[0]["timestamp"] == "2024-10-27T00:30:00Z"
    assert "LOCAL_TIME_TWICE" in done.codes()


def test_a_local_time_that_never_was_is_moved_on() -> None:
    _, rows = normalized("timestamp,pnl\n2024-03-31 02:30:00,5\n", timezone="Europe/Berlin")
    assert rows[0]["timestamp"] == "2024-03-31T01:00:00Z"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_an_encoding_is_understood(encoding: str) -> None:
    done, rows = normalized("timestamp,asset,pnl\n2024-01-02,Café,5\n".encode(encoding))
    assert rows[0]["asset"] == "Café"
    assert ("ENCODING_FALLBACK" in done.codes()) == (encoding == "cp1252")


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_a_delimiter_is_found(delimiter: str) -> None:
    text = "timestamp,asset,pnl\n2024-01-02,X,5\n2024-01-03,X,6\n".replace(",", delimiter)
    assert len(normalized(text)[1]) == 2


@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"])
def test_a_line_ending_does_not_matter(ending: str) -> None:
    _, rows = normalized("timestamp,pnl\n2024-01-02,5\n2024-01-03,6\n".replace("\n", ending))
    assert [row["row"] for row in rows] == ["2", "3"]


def test_parquet_is_read_like_csv() -> None:
    table = pa.table(
        {
            "timestamp": pa.array([1704189600], pa.timestamp("s", "UTC")),
            "pnl": [5.5],
            "tags": [["a"]],
        }
    )
    buffer = io.BytesIO()
    pq.write_table(table, buffer)
    done, rows = normalized(buffer.getvalue())
    assert (rows[0]["timestamp"], rows[0]["pnl"]) == ("2024-01-02T10:00:00Z", "5.5")
    assert "input.parquet" in done.context.artifacts


def test_amounts_are_converted_to_the_base_currency() -> None:
    text = "timestamp,pnl,currency,size_usd\n2024-01-02,10,EUR,100\n2024-01-03,10,USD,100\n"
    _, rows = normalized(text, base_currency="USD", fx={"EUR": 1.1})
    assert [float(row["pnl"]) for row in rows] == pytest.approx([11, 10])
    assert "MIXED_CURRENCY" in normalized(text)[0].codes()


def test_the_callers_columns_win() -> None:
    text = "timestamp,pnl,my result\n2024-01-02,1,7\n"
    _, rows = normalized(text, column_map={"pnl": "my result"})
    assert float(rows[0]["pnl"]) == 7


def test_formats_that_both_fit_are_told() -> None:
    text = "timestamp,buy/sell,asset,p/l,price,size_usd,side,pnl\n2024-01-02,buy,X,1,2,3,sell,4\n"
    done, rows = normalized(text)
    assert "PRESET_AMBIGUOUS" in done.codes()
    assert float(rows[0]["pnl"]) == 1


def test_oddities_are_told_with_their_lines() -> None:
    text = (
        "timestamp,asset,price,size_usd,side,pnl,balance\n"
        + "".join(f"2024-01-{day:02},X,1,100,BUY,{day},\n" for day in range(1, 29))
        + "2024-01-05 10:00:00,X,1,100,BUY,5,1000\n"
        + "2024-01-05 10:00:00,X,1,100,BUY,5,1000\n"
        + "2024-01-06 10:00:00,X,-1,,BUY,5000,1001\n"
        + "2999-01-01,X,1,100,BUY,5,\n"
    )
    warnings = {
        one["code"]: one["first_rows"] for one in audit(text).review["data_quality_warnings"]
    }
    assert warnings == {
        "BALANCE_MISMATCH": [31, 32],
        "DUPLICATE_ROWS": [31],
        "FUTURE_TIMESTAMP": [33],
        "MISSING_SIZE": [32],
        "NEGATIVE_PRICE": [32],
        "NO_LOSSES": [],
        "OUTLIER_PNL": [32],
        "OUT_OF_ORDER": [],
    }


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_titles_above_the_header_are_skipped_and_told(delimiter: str) -> None:
    title = f"Account statement\nAccount{delimiter}U123\n\n"
    table = journal("02 10:00, 100, BUY, 5", "02 11:00, 100, BUY, -3")
    audited = audit(title + table.replace(",", delimiter))
    assert [row["row"] for row in audited.rows("normalized.csv")] == ["5", "6"]
    told = {warning["code"]: warning for warning in audited.review["data_quality_warnings"]}
    assert told["PREAMBLE_SKIPPED"]["first_rows"] == [1, 2]


def test_titles_above_the_header_are_skipped_line_by_line_too() -> None:
    table = journal(*["02 10:00, 100, BUY, 5"] * 9) + "one,cell,more,than,the,header,has\n"
    audited = audit("My trades\n" + table)
    assert audited.rows("normalized.csv")[0]["row"] == "3"
    assert {"BAD_ROW", "PREAMBLE_SKIPPED"} <= audited.codes()


def test_a_journal_of_two_columns_has_no_titles() -> None:
    audited = audit("timestamp,pnl\n2024-01-02,5\n2024-01-03,6\n")
    assert len(audited.rows("normalized.csv")) == 2
    assert "PREAMBLE_SKIPPED" not in audited.codes()


def test_the_first_of_two_columns_of_a_name_is_read_and_told() -> None:
    table = journal("02 10:00, 100, BUY, 5", "02 11:00, 100, BUY, -3").splitlines()
    doubled = [table[0] + ",PnL", *(row + ",99" for row in table[1:])]
    audited = audit("\n".join(doubled))
    assert audited.column("normalized.csv", "pnl") == [5, -3]
    assert "COLUMN_TWICE" in audited.codes()
