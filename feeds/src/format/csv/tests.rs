use std::fmt::Write;
use std::path::PathBuf;

use proptest::prelude::*;
use tempfile::TempDir;

use super::*;
use crate::format::itch::writer::Writer;
use crate::shared::shared;
use crate::{Aggressor, Bar, Exponent, Input, Price, Size, Trade};

const TRADES: &str = "\
exchange,symbol,timestamp,local_timestamp,id,side,price,amount
bitmex,XBTUSD,1583020803145000,1583020803307160,ccc3,sell,8531.5,2152
bitmex,XBTUSD,1583020803276000,1583020803336743,17,buy,8531,1
binance-futures,ETHUSDT,1583020803276000,1583020803336744,18,unknown,1e-3,0.50
";

fn folder() -> TempDir {
    tempfile::tempdir().expect("a temporary folder")
}

fn save(folder: &TempDir, name: &str, text: &str) -> PathBuf {
    Writer(text.as_bytes().to_vec()).save(folder.path(), name)
}

/// When it was received, and for each event symbol, time and body.
type Message = (i64, Vec<(String, i64, EventBody)>);

fn read(path: &Path) -> (CsvReader, Vec<Message>, Option<FeedError>) {
    let mut reader = CsvReader::open(path).expect("a file");
    let mut messages = Vec::new();
    let end = loop {
        let mut events = Vec::new();
        match reader.next_message(&mut events) {
            Ok(Some(time)) => {
                let told = events.into_iter().map(|event| {
                    assert_eq!(event.ts_recv, time);
                    let name = reader.instruments()[event.symbol.index()].symbol.to_string();
                    (name, event.ts_event.0, event.body)
                });
                messages.push((time.0, told.collect()));
            }
            Ok(None) => break None,
            Err(error) => break Some(error),
        }
    };
    assert_eq!(reader.next_message(&mut Vec::new()).expect("over"), None);
    (reader, messages, end)
}

fn bodies(path: &Path) -> Vec<EventBody> {
    let (_, messages, end) = read(path);
    assert!(end.is_none(), "{end:?}");
    messages.into_iter().flat_map(|(_, told)| told).map(|(.., body)| body).collect()
}

fn level(price: i64, size: i64) -> Level {
    Level { price: Price(price), size: Size(size) }
}

fn set(side: Side, price: i64, size: i64) -> EventBody {
    EventBody::LevelSet { side, level: level(price, size) }
}

fn refused(path: &Path) -> String {
    match CsvReader::open(path).err() {
        Some(FeedError::Settings(reason)) => reason,
        other => panic!("{other:?}"),
    }
}

#[test]
fn trades_have_instruments_of_the_exponents_they_need() {
    for name in ["a.csv", "a.csv.gz", "a.csv.zst"] {
        let folder = folder();
        let (reader, found, end) = read(&save(&folder, name, TRADES));
        assert!(end.is_none(), "{end:?}");
        let shown: Vec<_> = reader
            .instruments()
            .iter()
            .map(|i| (i.symbol.as_str(), i.venue, i.price_exponent.get(), i.size_exponent.get()))
            .collect();
        assert_eq!(shown, [("XBTUSD", "BITMEX", -1, 0), ("ETHUSDT", "BINANCE_FUTURES", -3, -1)]);
        assert_eq!((reader.venue(), reader.messages()), ("BITMEX", 3));
        let trade = |price, size, aggressor, id| {
            EventBody::Trade(Trade { price: Price(price), size: Size(size), aggressor, id })
        };
        let one = |recv, name: &str, time, body| (recv, vec![(name.to_owned(), time, body)]);
        assert_eq!(
            found,
            [
                one(
                    1_583_020_803_307_160_000,
                    "XBTUSD",
                    1_583_020_803_145_000_000,
                    trade(85_315, 2_152, Aggressor::Sell, None)
                ),
                one(
                    1_583_020_803_336_743_000,
                    "XBTUSD",
                    1_583_020_803_276_000_000,
                    trade(85_310, 1, Aggressor::Buy, Some(17))
                ),
                one(
                    1_583_020_803_336_744_000,
                    "ETHUSDT",
                    1_583_020_803_276_000_000,
                    trade(1, 5, Aggressor::None, Some(18))
                ),
            ]
        );
    }
}

#[test]
fn rows_of_a_book_that_were_received_together_are_one_message() {
    let mut text = "exchange,symbol,timestamp,local_timestamp,is_snapshot,side,price,amount\n".to_owned();
    for (symbol, received, is_snapshot, side, price, size) in [
        ("A", 1, true, "ask", "10.5", "1"),
        ("A", 1, true, "bid", "10", "2"),
        ("A", 2, true, "bid", "9", "3"),
        ("A", 3, false, "bid", "10", "0"),
        ("A", 3, false, "ask", "10.5", "4"),
        ("B", 3, false, "ask", "7", "4"),
        ("A", 4, false, "ask", "11", "1"),
        ("A", 4, true, "ask", "12", "1"),
    ] {
        let time = 1_583_020_803_000_000_i64 + received;
        writeln!(text, "deribit,{symbol},{time},{time},{is_snapshot},{side},{price},{size}").expect("memory");
    }
    let folder = folder();
    let (reader, found, end) = read(&save(&folder, "a.csv", &text));
    assert!(end.is_none());
    assert_eq!(reader.messages(), 8);
    let book = |bids, asks| EventBody::BookSnapshot(Box::new(BookSnapshot { bids, asks }));
    let shown: Vec<Vec<EventBody>> =
        found.into_iter().map(|(_, told)| told.into_iter().map(|(.., body)| body).collect()).collect();
    assert_eq!(
        shown,
        [
            vec![book(vec![level(100, 2)], vec![level(105, 1)])],
            vec![set(Side::Bid, 90, 3)],
            vec![set(Side::Bid, 100, 0), set(Side::Ask, 105, 4)],
            vec![set(Side::Ask, 7, 4)],
            vec![set(Side::Ask, 110, 1)],
            vec![book(vec![], vec![level(120, 1)])],
        ]
    );
}

#[test]
fn quotes_books_and_tickers_are_what_their_columns_say() {
    let folder = folder();
    let quotes = "exchange,symbol,timestamp,local_timestamp,ask_amount,ask_price,bid_price,bid_amount\n\
        x,A,1588291201099000,1588291201234268,5494,8629.3,8629.2,806\n\
        x,A,1588291201099000,1588291201234268,,,8629.2,806\n\
        x,A,1588291201099000,1588291201234268,0,8629.3,,\n";
    let (bid, ask) = (Some(level(86_292, 806)), Some(level(86_293, 5_494)));
    assert_eq!(
        bodies(&save(&folder, "q.csv", quotes)),
        [
            EventBody::Quote { bid, ask },
            EventBody::Quote { bid, ask: None },
            EventBody::Quote { bid: None, ask: None },
        ]
    );

    let books = "exchange,symbol,timestamp,local_timestamp,asks[0].price,asks[0].amount,bids[0].price,\
        bids[0].amount,asks[1].price,asks[1].amount,bids[1].price,bids[1].amount\n\
        x,A,1588291201099000,1588291201234268,8.5,1,8,2,9,3,,\n";
    let (bids, asks) = (vec![level(80, 2)], vec![level(85, 1), level(90, 3)]);
    assert_eq!(
        bodies(&save(&folder, "b.csv", books)),
        [EventBody::BookSnapshot(Box::new(BookSnapshot { bids, asks }))]
    );

    let tickers = "exchange,symbol,timestamp,local_timestamp,funding_timestamp,funding_rate,last_price\n\
        x,A,1588291201099000,1588291201234268,,0.0001,9500.5\n";
    let (reader, found, _) = read(&save(&folder, "t.csv", tickers));
    assert_eq!((reader.messages(), reader.instruments().len()), (1, 1));
    assert_eq!(found, [(1_588_291_201_234_268_000, vec![])]);

    let plain = "\u{feff}Timestamp,Bid,Ask\r\n\r\n2013-01-01 22:00:00.295000+00:00,86.655,86.728\r\n";
    let (reader, found, _) = read(&save(&folder, "usdjpy.2013.csv", plain));
    let instrument = &reader.instruments()[0];
    assert_eq!((instrument.symbol.as_str(), instrument.venue), ("USDJPY", "CSV"));
    let quote = EventBody::Quote { bid: Some(level(86_655, 1)), ask: Some(level(86_728, 1)) };
    let time = 1_357_077_600_295_000_000;
    assert_eq!(found, [(time, vec![("USDJPY".to_owned(), time, quote)])]);
}

#[test]
fn a_bar_is_received_when_its_interval_is_over() {
    let folder = folder();
    let text = "timestamp_utc,open,high,low,close,volume\n\
        2024-01-01 23:01:00,1.1076,1.10785,1.1076,1.1078,205\n\
        2024-01-01 23:03:00,1.10775,1.1078,1.10765,1.10765,47\n\
        2024-01-01 23:04:00,1.1,1.1,1.1,1.1,0\n";
    const MINUTE: i64 = 60_000_000_000;
    let (_, found, end) = read(&save(&folder, "6E.csv", text));
    assert!(end.is_none());
    let start = 1_704_150_060_000_000_000;
    let bar = Bar {
        interval_nanos: MINUTE,
        open: Price(110_760),
        high: Price(110_785),
        low: Price(110_760),
        close: Price(110_780),
        volume: Size(205),
    };
    assert_eq!(found[0], (start + MINUTE, vec![("6E".to_owned(), start, EventBody::Bar(bar))]));
    assert_eq!(found.len(), 3);

    let alone = "time,open,high,low,close,volume\n2024-01-01 23:01:00,1,1,1,1,5\n";
    let path = save(&folder, "1.csv", alone);
    assert!(refused(&path).contains("interval="));
    save(
        &folder,
        "1.csv.columns",
        "time=time,open=open,high=high,low=low,close=close,volume=volume,interval=5m",
    );
    assert_eq!(read(&path).1[0].0, start + 5 * MINUTE);
}

#[test]
fn columns_may_be_told_beside_the_file() {
    let folder = folder();
    let rows = "1583020803145,x,8531.5,2\n1583020803146,y,8532,\"3\"\n";
    let expected = [(85_315, 2), (85_320, 3)].map(|(price, size)| {
        EventBody::Trade(Trade {
            price: Price(price),
            size: Size(size),
            aggressor: Aggressor::None,
            id: None,
        })
    });
    for (name, header, columns) in [
        ("1.csv", "", "time=0:ms, price=2\nsize=3 # the amount\nname=BTCUSD,venue=bitstamp"),
        ("2.csv", "when,what,at,much\n", "time=when:ms,price=at,size=3,name=BTCUSD,venue=bitstamp"),
        ("3.csv", "when,what,at,much\n", "time=0,price=2,size=3,header=yes,name=BTCUSD,venue=bitstamp"),
    ] {
        let path = save(&folder, name, &format!("{header}{rows}"));
        save(&folder, &format!("{name}.columns"), columns);
        assert!(is_csv(&path, rows.as_bytes()));
        let (reader, ..) = read(&path);
        let instrument = &reader.instruments()[0];
        assert_eq!((instrument.symbol.as_str(), instrument.venue), ("BTCUSD", "BITSTAMP"));
        assert_eq!(reader.messages(), 2);
        assert_eq!(bodies(&path), expected, "{name}");
    }
    let path = save(&folder, "4.csv", rows);
    for (columns, reason) in [
        ("time=0:ms,price=2", "make no trades"),
        ("price=2,size=3", "no column with a time"),
        ("time=0:ms,price=4,size=3", "`price=4`: there is no such column"),
        ("time=0:ms,price=at,size=3", "`price=at`: there is no such column"),
        ("time=0:min,price=2,size=3", "no unit of time"),
        ("time=0:ms,price=2,size=3,size=3", "`size` is told twice"),
        ("time=0:ms,cost=2", "`cost` is no role"),
        ("time", "a role, `=`"),
        ("time=0,price=2,size=3,header=maybe", "yes or no"),
        ("time=0,price=2,size=3,interval=5", "`interval=5`"),
        ("time=0,price=2,size=3,since=midnight", "`since=midnight`"),
        ("time=0,price=2,size=3,price_unit=0.25", "`price_unit=0.25`"),
        ("time=0,price=2,size=3,price_unit=0.0000000000000000001", "up to 18 decimals"),
        ("time=0,price=2,size=3,zero=none", "`zero=none`"),
    ] {
        save(&folder, "4.csv.columns", columns);
        let found = refused(&path);
        assert!(found.contains(reason) && found.contains("4.csv.columns"), "{found}");
    }
}

#[test]
fn times_of_a_day_and_prices_in_a_unit_are_read_exactly() {
    let folder = folder();
    let path = save(&folder, "day.csv", "14400054,1800100,300\n14400054.5,18001,1.5\n");
    let columns = "time=0:ms,price=1,size=2,since=2013-10-07T00:00:00-04:00,price_unit=0.0001";
    save(&folder, "day.csv.columns", columns);
    let (reader, messages, end) = read(&path);
    assert!(end.is_none(), "{end:?}");
    assert_eq!(reader.instruments()[0].price_exponent.get(), -4);
    let midnight = 1_381_118_400_000_000_000;
    let told: Vec<_> = messages.iter().map(|(time, told)| (time - midnight, told[0].2.clone())).collect();
    let trade = |price, size| {
        EventBody::Trade(Trade {
            price: Price(price),
            size: Size(size),
            aggressor: Aggressor::None,
            id: None,
        })
    };
    assert_eq!(
        told,
        [(14_400_054_000_000, trade(1_800_100, 3_000)), (14_400_054_500_000, trade(18_001, 15))]
    );

    let path = save(&folder, "late.csv", "1,5,3\n9223372036000,5,3\n");
    save(&folder, "late.csv.columns", columns);
    let (_, messages, end) = read(&path);
    assert_eq!(messages.len(), 1);
    let told = end.expect("an error").to_string();
    assert!(told.contains("`9223372036000` is past the year 2262"), "{told}");
    let path = save(&folder, "text.csv", "2013-10-07 01:00:00,5,3\n");
    save(&folder, "text.csv.columns", "time=0:text,price=1,size=2,since=2013-10-07");
    let told = CsvReader::open(&path).err().expect("an error").to_string();
    assert!(told.contains("is not counted"), "{told}");
}

#[test]
fn a_side_of_price_zero_may_be_the_one_before() {
    let folder = folder();
    let rows = "1,0,0,20,7\n2,18,3,0,0\n3,0,0,19.5,1\n4,17.5,2,0.0,9\n5,18,0,0,0\n";
    let path = save(&folder, "q.csv", rows);
    save(&folder, "q.csv.columns", "time=0:ms,bid=1,bid_size=2,ask=3,ask_size=4,zero=same");
    let quotes: Vec<_> = bodies(&path)
        .into_iter()
        .map(|body| match body {
            EventBody::Quote { bid, ask } => [bid, ask].map(|side| side.map(|l| (l.price.0, l.size.0))),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(
        quotes,
        [
            [None, Some((200, 7))],
            [Some((180, 3)), Some((200, 7))],
            [Some((180, 3)), Some((195, 1))],
            [Some((175, 2)), Some((195, 1))],
            [None, Some((195, 1))],
        ]
    );
}

/// Ticks and the minutes that were made of them, as QuantConnect's LEAN keeps them.
#[test]
fn volumes_of_minutes_are_those_of_the_ticks() {
    let folder = folder();
    let open = |name: &str, columns: &str| {
        let path = shared(&format!("lean-ticks/{name}.zip"))?;
        let copy = folder.path().join(format!("{name}.zip"));
        std::fs::copy(&path, &copy).expect("a copy");
        save(&folder, &format!("{name}.zip.columns"), columns);
        let (reader, messages, end) = read(&copy);
        assert!(end.is_none(), "{end:?}");
        Some((reader.messages(), messages))
    };
    const DAY: &str = "name=IBM,since=2013-10-07T00:00:00-04:00";
    const EQUITY: &str = "price_unit=0.0001";
    const BARS: &str = "time=0:ms,open=1,high=2,low=3,close=4,volume=5";
    const QUOTE_BARS: &str = "time=0:ms,bid=4,bid_size=5,ask=9,ask_size=10";
    const TICKS: &str = "equity_usa_tick_ibm_20131007_trade";
    const MINUTES: &str = "equity_usa_minute_ibm_20131007_trade";
    for (name, columns, count) in [
        (
            "equity_usa_tick_ibm_20131007_quote",
            "time=0:ms,bid=1,bid_size=2,ask=3,ask_size=4,zero=same",
            109_067,
        ),
        ("equity_usa_second_ibm_20131007_quote", QUOTE_BARS, 11_676),
        ("equity_usa_minute_ibm_20131007_quote", QUOTE_BARS, 554),
        ("equity_usa_second_ibm_20131007_trade", &format!("{BARS},interval=1s"), 5_123),
    ] {
        let Some((messages, _)) = open(name, &format!("{columns},{DAY},{EQUITY}")) else { return };
        assert_eq!(messages, count, "{name}");
    }
    let crypto = format!("{BARS},interval=1s,name=BTCUSD,since=2016-10-07");
    let Some((count, _)) = open("crypto_coinbase_second_btcusd_20161007_trade", &crypto) else { return };
    assert_eq!(count, 4_063);

    let ticks = format!("time=0:ms,price=1,size=2,{DAY},{EQUITY}");
    let Some((count, ticks)) = open(TICKS, &ticks) else { return };
    assert_eq!(count, 24_293);
    let Some((count, bars)) = open(MINUTES, &format!("{BARS},interval=1m,{DAY},{EQUITY}")) else { return };
    assert_eq!(count, 453);
    let mut volumes = std::collections::BTreeMap::<i64, i64>::new();
    for (time, told) in &ticks {
        let EventBody::Trade(trade) = &told[0].2 else { panic!("{told:?}") };
        *volumes.entry(time - time.rem_euclid(60_000_000_000)).or_default() += trade.size.0;
    }
    let equal = bars.iter().filter(|(_, told)| {
        let EventBody::Bar(bar) = &told[0].2 else { panic!("{told:?}") };
        volumes.get(&told[0].1) == Some(&bar.volume.0)
    });
    // Four minutes have trades that the file of minutes left out, or the closing auction's that it has alone.
    assert_eq!((bars.len(), volumes.len(), equal.count()), (453, 453, 449));
}

#[test]
fn a_file_that_is_called_csv_and_tells_too_little_is_told_what_is_missing() {
    let path = Path::new("day.csv.gz");
    for (head, reason) in [
        ("time;price;size\n1;2;3\n", "`time;price;size`, tells no column with a time"),
        ("time,price\n1,2\n", "`time,price`, tells columns that make no trades, quotes, books or bars"),
        ("14400054,1800100,300\r\n", "`14400054,1800100,300`, tells no column with a time"),
        (
            "time,bid,ask,price,size\n1,2,3,2,1\n",
            "`time,bid,ask,price,size`, tells columns of trades (price, size) and of quotes (bid, ask) at once",
        ),
    ] {
        let found = refusal(path, head.as_bytes()).expect("a reason");
        assert!(found.contains(reason) && found.contains("day.csv.gz.columns"), "{found}");
        assert_eq!(refusal(Path::new("day.txt"), head.as_bytes()), None);
    }
    assert_eq!(refusal(path, TRADES.as_bytes()), None);
}

#[test]
fn only_headers_that_are_known_are_csv() {
    let nowhere = Path::new("nowhere.csv");
    assert!(is_csv(nowhere, TRADES.as_bytes()));
    assert!(is_csv(nowhere, b"time,price,volume\r\n"));
    for other in ["", "id,price\n", "time,price\n", "a,b,c\n1,2,3\n", "\0\0\0"] {
        assert!(!is_csv(nowhere, other.as_bytes()), "{other}");
    }
}

#[test]
fn damage_is_named_with_the_offset_of_its_row() {
    let good = "bitmex,A,1583020803145000,1583020803307160,1,sell,8531.5,2152\n";
    let header = TRADES.lines().next().expect("a header");
    for (row, reason) in [
        ("bitmex,A,1583020803145000,1583020803307160,1,sell,8531.5", "a row of 7 columns, where there are 8"),
        ("bitmex,A,1583020803145000,1583020803307160,1,sell,85x,1", "A: price: `85x` is not"),
        ("bitmex,A,1583020803145000,1583020803307160,1,sell,85,-1", "A: size: `-1` is not"),
        ("bitmex,A,1583020803145000,1583020803307160,1,sell,85,", "A: size: `` is not"),
        ("bitmex,A,1583020803145000,1583020803307160,1,up,85,1", "side: `up`"),
        ("bitmex,A,yesterday,1583020803307160,1,sell,85,1", "time: `yesterday`"),
        (
            "bitmex,A,1583020803145000,9583020803307160000,1,sell,85,1",
            "time of receipt: `9583020803307160000`",
        ),
        ("bitmex,,1583020803145000,1583020803307160,1,sell,85,1", "symbol: empty"),
        ("bitmex,\"a b\",1583020803145000,1583020803307160,1,sell,85,1", "symbol `a b`"),
        ("bitmex,A,1583020803145000,1583020803307160,1,sell,0.0000000000000000001,1", "exponent -19"),
    ] {
        let folder = folder();
        let path = save(&folder, "a.csv", &format!("{header}\n{good}{row}\n{good}"));
        let (reader, found, end) = read(&path);
        assert_eq!((found.len(), reader.messages()), (1, 1), "{reason}");
        match end {
            Some(FeedError::Damaged { path: named, offset, reason: why }) => {
                assert_eq!((named, offset), (path, (header.len() + 1 + good.len()) as u64));
                assert!(why.contains(reason), "{why}");
            }
            other => panic!("{other:?}"),
        }
        let first = save(&folder, "b.csv", &format!("{header}\n{row}\n"));
        assert!(matches!(CsvReader::open(&first).err(), Some(FeedError::Damaged { .. })), "{row}");
    }
}

#[test]
fn rows_and_columns_have_their_bounds() {
    let folder = folder();
    let header = TRADES.lines().next().expect("a header");
    let long = format!("{header}\nbitmex,{}", "A".repeat(crate::limits::CSV_ROW_BYTES_MAX + 1));
    let error = CsvReader::open(&save(&folder, "a.csv", &long)).err().expect("too long");
    assert!(error.to_string().contains("longer than"), "{error}");
    let wide = format!("{header}\n{}", ",".repeat(crate::limits::CSV_COLUMNS_MAX + 1));
    let error = CsvReader::open(&save(&folder, "b.csv", &wide)).err().expect("too wide");
    assert!(error.to_string().contains("columns"), "{error}");
}

/// The counts of the data set's list are lines, headers among them.
#[test]
fn every_row_of_the_real_files_is_read() {
    for (name, lines, events, symbols) in [
        ("truefx-usdjpy-ticks.csv", 1_001, 1_000, 1),
        ("xcme-6EH4-1min-bars-202401.csv.gz", 29_997, 29_996, 1),
        ("tardis/deltas_1.csv", 3, 1, 1),
        ("tardis/deltas_with_snapshot.csv", 10, 7, 1),
        ("tardis/derivative_ticker_1.csv", 3, 0, 1),
        ("tardis/trades_1.csv", 3, 2, 1),
        ("tardis/binance-futures_book_snapshot_25_BTCUSDT.csv", 11, 10, 1),
        ("tardis/binance-futures_book_snapshot_5_BTCUSDT.csv", 11, 10, 1),
        ("tardis/bitmex_trades_XBTUSD.csv", 11, 10, 1),
        ("tardis/deribit_incremental_book_L2_BTC-PERPETUAL.csv", 16, 1, 1),
        ("tardis/huobi-dm-swap_quotes_BTC-USD.csv", 11, 10, 1),
    ] {
        let Some(path) = shared(&format!("csv/{name}")) else { continue };
        let (reader, found, end) = read(&path);
        assert!(end.is_none(), "{name}: {end:?}");
        assert_eq!((reader.messages(), reader.instruments().len()), (lines - 1, symbols), "{name}");
        assert_eq!(found.iter().map(|(_, told)| told.len()).sum::<usize>(), events, "{name}");
    }
}

/// Prices come out digit by digit as they stand in the file.
#[test]
fn the_numbers_of_real_files_are_kept_exactly() {
    let Some(path) = shared("csv/truefx-usdjpy-ticks.csv") else { return };
    let (reader, found, _) = read(&path);
    let exponent: Exponent = reader.instruments()[0].price_exponent;
    let mut input = Input::open(&path).expect("a file");
    let mut line = Vec::new();
    input.read_line(&mut line, 1_000).expect("a header");
    for (_, told) in &found {
        input.read_line(&mut line, 1_000).expect("a row");
        let EventBody::Quote { bid: Some(bid), ask: Some(ask) } = told[0].2 else { panic!("{told:?}") };
        let text = String::from_utf8(line.clone()).expect("text");
        let fields: Vec<&str> = text.trim_end().split(',').collect();
        let shown = [bid, ask].map(|level| level.price.display(exponent).to_string());
        for (shown, field) in shown.iter().zip(&fields[1..]) {
            assert_eq!(shown.trim_end_matches('0'), field.trim_end_matches('0'));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn no_bytes_make_it_panic(
        flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        cut in 0_usize..100,
        columns in prop::option::of("[a-z0-9:=,\n]{0,60}"),
    ) {
        let mut bytes = TRADES.as_bytes().to_vec();
        for (index, value) in flips {
            let at = index.index(bytes.len());
            bytes[at] ^= value;
        }
        bytes.truncate(bytes.len() - cut);
        let length = bytes.len() as u64;
        let folder = folder();
        let _ = is_csv(Path::new("nowhere"), &bytes);
        let path = Writer(bytes).save(folder.path(), "a.csv");
        if let Some(columns) = columns {
            save(&folder, "a.csv.columns", &columns);
        }
        if CsvReader::open(&path).is_ok() {
            match read(&path).2 {
                Some(FeedError::Damaged { offset, .. }) => prop_assert!(offset < length),
                other => prop_assert!(other.is_none()),
            }
        }
    }
}

#[test]
fn a_row_of_a_snapshot_with_nothing_in_it_empties_the_book() {
    let folder = folder();
    let path = save(
        &folder,
        "book.csv",
        "symbol,ts_event,ts_recv,sequence,is_snapshot,side,price,size\n\
         A,1700000000000000001,1700000000000000005,7,true,bid,10,1\n\
         A,1700000000000000001,1700000000000000005,7,true,,,\n\
         A,1700000000000000002,1700000000000000005,8,true,bid,11,2\n\
         A,1700000000000000003,1700000000000000006,9,false,ask,12,3\n\
         A,1700000000000000004,1700000000000000006,10,false,ask,13,4\n",
    );
    let mut reader = CsvReader::open(&path).expect("a file");
    let mut events = Vec::new();
    while reader.next_message(&mut events).expect("sound").is_some() {}
    let snapshot =
        |level| EventBody::BookSnapshot(Box::new(BookSnapshot { bids: vec![level], asks: vec![] }));
    let found: Vec<_> =
        events.into_iter().map(|event| (event.ts_event.0 % 10, event.sequence, event.body)).collect();
    assert_eq!(
        found,
        [
            (1, 7, snapshot(level(10, 1))),
            (1, 7, EventBody::BookClear),
            (2, 8, snapshot(level(11, 2))),
            (3, 9, set(Side::Ask, 12, 3)),
            (4, 10, set(Side::Ask, 13, 4)),
        ]
    );
    for (row, reason) in [
        ("A,1700000000000000001,1700000000000000005,7,false,,,", "side: ``"),
        ("A,1700000000000000001,1700000000000000005,x,true,bid,1,1", "sequence: `x` is no number"),
    ] {
        let path = save(
            &folder,
            "wrong.csv",
            &format!("symbol,ts_event,ts_recv,sequence,is_snapshot,side,price,size\n{row}\n"),
        );
        let error = CsvReader::open(&path).err().expect("wrong").to_string();
        assert!(error.contains(reason), "{error}");
    }
}

#[test]
fn bars_tell_their_interval_and_when_they_were_received() {
    let folder = folder();
    let path = save(
        &folder,
        "bars.csv",
        "symbol,ts_event,ts_recv,interval_ns,open,high,low,close,volume\n\
         A,1700000000000000000,1700000060000000009,60000000000,1,3,1,2,10\n\
         A,1700000000000000000,1700000001000000000,1000000000,1,1,1,1,4\n",
    );
    let (_, messages, end) = read(&path);
    assert!(end.is_none(), "{end:?}");
    let told: Vec<_> = messages
        .into_iter()
        .map(|(received, mut told)| match told.remove(0) {
            (_, start, EventBody::Bar(bar)) => (received, start, bar.interval_nanos, bar.volume),
            other => panic!("{other:?}"),
        })
        .collect();
    let start = 1_700_000_000_000_000_000;
    assert_eq!(
        told,
        [
            (start + 60_000_000_009, start, 60_000_000_000, Size(10)),
            (start + 1_000_000_000, start, 1_000_000_000, Size(4)),
        ]
    );
}
