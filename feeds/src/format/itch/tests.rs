use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use proptest::prelude::*;
use tempfile::TempDir;

use super::writer::{Writer, message, padded};
use super::*;
use crate::shared::shared;
use crate::{
    Aggressor, EventBody, Level, OrderId, Price, Side, Size, Symbol, SymbolId, Trade as Print, TradingStatus,
};

const NOON: u64 = 43_200_000_000_000;

fn folder() -> TempDir {
    tempfile::tempdir().expect("a temporary folder")
}

/// All events of a file, by message, and how it ended.
fn read(path: &Path) -> (Vec<Vec<MarketEvent>>, Option<FeedError>) {
    let mut reader = ItchReader::open(path).expect("a file with a whole first message");
    let mut messages = Vec::new();
    let end = loop {
        let mut events = Vec::new();
        match reader.next_message(&mut events) {
            Ok(Some(time)) => {
                assert!(events.iter().all(|event| event.ts_event == time && event.ts_recv == time));
                assert!(events.iter().all(|event| event.symbol.index() < reader.instruments().len()));
                messages.push(events);
            }
            Ok(None) => break None,
            Err(error) => break Some(error),
        }
        assert_eq!(reader.messages(), messages.len() as u64);
    };
    assert_eq!(reader.next_message(&mut Vec::new()).expect("over"), None, "nothing comes after the end");
    (messages, end)
}

fn bodies(path: &Path) -> Vec<(usize, EventBody)> {
    let (messages, end) = read(path);
    assert!(end.is_none(), "{end:?}");
    messages.into_iter().flatten().map(|event| (event.symbol.index(), event.body)).collect()
}

fn symbols(path: &Path) -> Vec<String> {
    let reader = ItchReader::open(path).expect("a file");
    reader.instruments().iter().map(|instrument| instrument.symbol.to_string()).collect()
}

/// One message of each type, written as the specification lays it out, and what it must be read as.
#[expect(clippy::too_many_lines, reason = "a table: one entry a message type")]
fn every_type() -> Vec<(Vec<u8>, Body)> {
    let aapl = padded("AAPL");
    let stock = Stock(*b"AAPL    ");
    let n32 = |number: u32| number.to_be_bytes();
    let n64 = |number: u64| number.to_be_bytes();
    let big = 0x0102_0304_0506_0708_u64;
    let m = |kind, fields: &[&[u8]]| message(kind, 0x0a0b, NOON, fields);
    let (order, size, price) = (OrderId(big), Size(0xfedc_ba98), Price(1_891_000));
    let (size_bytes, price_bytes) = (n32(0xfedc_ba98), n32(1_891_000));
    vec![
        (m(b'S', &[b"Q"]), Body::SystemEvent(SystemEvent { event: b'Q' })),
        (
            m(
                b'R',
                &[
                    &aapl,
                    b"Q",
                    b"N",
                    &n32(100),
                    b"Y",
                    b"C",
                    b"Z ",
                    b"P",
                    b"n",
                    b"i",
                    b"1",
                    b"e",
                    &n32(3),
                    b"v",
                ],
            ),
            Body::StockDirectory(StockDirectory {
                stock,
                market_category: b'Q',
                financial_status: b'N',
                round_lot_size: 100,
                round_lots_only: b'Y',
                issue_classification: b'C',
                issue_sub_type: *b"Z ",
                authenticity: b'P',
                short_sale_threshold: b'n',
                ipo_flag: b'i',
                luld_tier: b'1',
                etp_flag: b'e',
                etp_leverage: 3,
                inverse: b'v',
            }),
        ),
        (
            m(b'H', &[&aapl, b"P", b"r", b"LUDP"]),
            Body::StockTradingAction(StockTradingAction {
                stock,
                state: TradingState::Paused,
                reserved: b'r',
                reason: *b"LUDP",
            }),
        ),
        (m(b'Y', &[&aapl, b"1"]), Body::RegSho(RegSho { stock, action: b'1' })),
        (
            m(b'L', &[b"VIRT", &aapl, b"Y", b"N", b"A"]),
            Body::MarketParticipant(MarketParticipant {
                mpid: *b"VIRT",
                stock,
                primary: b'Y',
                mode: b'N',
                state: b'A',
            }),
        ),
        (
            m(b'V', &[&n64(1), &n64(2), &n64(big)]),
            Body::MwcbDeclineLevel(MwcbDeclineLevel { level_1: 1, level_2: 2, level_3: big }),
        ),
        (m(b'W', &[b"2"]), Body::MwcbStatus(MwcbStatus { level: b'2' })),
        (
            m(b'K', &[&aapl, &n32(34_200), b"A", &price_bytes]),
            Body::IpoQuotingPeriod(IpoQuotingPeriod {
                stock,
                release_seconds: 34_200,
                qualifier: b'A',
                price,
            }),
        ),
        (
            m(b'J', &[&aapl, &n32(1), &n32(2), &n32(3), &n32(4)]),
            Body::LuldAuctionCollar(LuldAuctionCollar {
                stock,
                reference_price: Price(1),
                upper_price: Price(2),
                lower_price: Price(3),
                extension: 4,
            }),
        ),
        (
            m(b'h', &[&aapl, b"Q", b"T"]),
            Body::OperationalHalt(OperationalHalt { stock, market: b'Q', action: HaltAction::Resumed }),
        ),
        (
            m(b'A', &[&n64(big), b"B", &size_bytes, &aapl, &price_bytes]),
            Body::AddOrder(AddOrder { order, side: Side::Bid, size, stock, price }),
        ),
        (
            m(b'F', &[&n64(big), b"S", &size_bytes, &aapl, &n32(u32::MAX), b"VIRT"]),
            Body::AddOrderAttributed(AddOrderAttributed {
                order,
                side: Side::Ask,
                size,
                stock,
                price: Price(4_294_967_295),
                mpid: *b"VIRT",
            }),
        ),
        (
            m(b'E', &[&n64(big), &size_bytes, &n64(9)]),
            Body::OrderExecuted(OrderExecuted { order, size, match_number: 9 }),
        ),
        (
            m(b'C', &[&n64(big), &size_bytes, &n64(9), b"N", &price_bytes]),
            Body::OrderExecutedWithPrice(OrderExecutedWithPrice {
                order,
                size,
                match_number: 9,
                printable: false,
                price,
            }),
        ),
        (m(b'X', &[&n64(big), &size_bytes]), Body::OrderCancel(OrderCancel { order, size })),
        (m(b'D', &[&n64(u64::MAX)]), Body::OrderDelete(OrderDelete { order: OrderId(u64::MAX) })),
        (
            m(b'U', &[&n64(big), &n64(big + 1), &size_bytes, &price_bytes]),
            Body::OrderReplace(OrderReplace { order, new_order: OrderId(big + 1), size, price }),
        ),
        (
            m(b'P', &[&n64(0), b"B", &size_bytes, &aapl, &price_bytes, &n64(9)]),
            Body::Trade(Trade { order: OrderId(0), side: Side::Bid, size, stock, price, match_number: 9 }),
        ),
        (
            m(b'Q', &[&n64(big), &aapl, &price_bytes, &n64(9), b"O"]),
            Body::CrossTrade(CrossTrade { shares: big, stock, price, match_number: 9, cross: b'O' }),
        ),
        (m(b'B', &[&n64(9)]), Body::BrokenTrade(BrokenTrade { match_number: 9 })),
        (
            m(b'I', &[&n64(1), &n64(2), b"B", &aapl, &n32(3), &n32(4), &n32(5), b"C", b"L"]),
            Body::NetOrderImbalance(NetOrderImbalance {
                paired_shares: 1,
                imbalance_shares: 2,
                direction: b'B',
                stock,
                far_price: Price(3),
                near_price: Price(4),
                reference_price: Price(5),
                cross: b'C',
                price_variation: b'L',
            }),
        ),
        (m(b'N', &[&aapl, b"A"]), Body::RetailInterest(RetailInterest { stock, interest: b'A' })),
        (
            m(b'O', &[&aapl, b"Y", &n32(1), &n32(2), &n32(3), &n64(4), &n32(5), &n32(6)]),
            Body::DirectListing(DirectListing {
                stock,
                open_eligibility: b'Y',
                minimum_price: Price(1),
                maximum_price: Price(2),
                near_execution_price: Price(3),
                near_execution_time: 4,
                lower_price: Price(5),
                upper_price: Price(6),
            }),
        ),
    ]
}

/// From the specification's tables.
const LENGTHS: [(u8, usize); 23] = [
    (b'S', 12),
    (b'R', 39),
    (b'H', 25),
    (b'Y', 20),
    (b'L', 26),
    (b'V', 35),
    (b'W', 12),
    (b'K', 28),
    (b'J', 35),
    (b'h', 21),
    (b'A', 36),
    (b'F', 40),
    (b'E', 31),
    (b'C', 36),
    (b'X', 23),
    (b'D', 19),
    (b'U', 35),
    (b'P', 44),
    (b'Q', 40),
    (b'B', 19),
    (b'I', 50),
    (b'N', 20),
    (b'O', 48),
];

#[test]
fn every_type_is_read_field_by_field() {
    let types: BTreeSet<u8> = every_type().iter().map(|(bytes, _)| bytes[0]).collect();
    assert_eq!(types, LENGTHS.map(|(kind, _)| kind).into());
    for (bytes, body) in every_type() {
        let nanos_since_midnight = i64::try_from(NOON).expect("small");
        assert_eq!(parse(&bytes), Ok(Message { locate: 0x0a0b, tracking: 7, nanos_since_midnight, body }));
        assert!(body.stock().is_none_or(|stock| stock.to_string() == "`AAPL`"));
        let is_named = bytes.windows(8).any(|window| window == b"AAPL    ");
        assert_eq!(body.stock().is_some(), is_named, "{body:?}");
    }
}

#[test]
fn only_the_lengths_of_the_specification_are_read() {
    let lengths: BTreeMap<u8, usize> = LENGTHS.into();
    for kind in 0..=u8::MAX {
        assert_eq!(length(kind), lengths.get(&kind).copied());
        for found in 1..=64 {
            let mut bytes = vec![0xff; found];
            bytes[0] = kind;
            match lengths.get(&kind) {
                None => assert_eq!(parse(&bytes), Err(ParseError::UnknownType(kind))),
                Some(&expected) if expected != found => {
                    assert_eq!(parse(&bytes), Err(ParseError::Length { kind, expected, found }));
                }
                // The time is past midnight.
                Some(_) => assert!(matches!(parse(&bytes), Err(ParseError::Time { .. })), "{kind}"),
            }
        }
    }
    assert_eq!(parse(&[]), Err(ParseError::Empty));
}

#[test]
fn codes_that_a_field_cannot_have_are_refused() {
    for (kind, at, field) in [
        (b'A', 19, "side"),
        (b'F', 19, "side"),
        (b'P', 19, "side"),
        (b'C', 31, "printable"),
        (b'H', 19, "state"),
        (b'h', 20, "action"),
    ] {
        let (mut bytes, _) = every_type().into_iter().find(|(bytes, _)| bytes[0] == kind).expect("there");
        bytes[at] = b'?';
        assert_eq!(parse(&bytes), Err(ParseError::Code { kind, field, found: b'?' }));
    }
    let midnight = message(b'B', 1, 86_400_000_000_000, &[&[0; 8]]);
    assert_eq!(parse(&midnight), Err(ParseError::Time { kind: b'B', nanos: 86_400_000_000_000 }));
}

#[test]
fn messages_become_events() {
    let folder = folder();
    let mut file = Writer::default();
    let aapl = padded("AAPL");
    let n32 = |number: u32| number.to_be_bytes();
    let n64 = |number: u64| number.to_be_bytes();
    file.message(b'S', 0, 1, &[b"O"]).directory(13, 2, "AAPL").directory(14, 3, "MSFT");
    file.message(b'A', 13, 4, &[&n64(100), b"B", &n32(300), &aapl, &n32(1_891_000)]);
    file.message(b'F', 13, 5, &[&n64(101), b"S", &n32(200), &aapl, &n32(1_892_500), b"VIRT"]);
    file.message(b'E', 13, 6, &[&n64(100), &n32(50), &n64(7001)]);
    file.message(b'C', 13, 7, &[&n64(101), &n32(60), &n64(7002), b"N", &n32(1_892_400)]);
    file.message(b'X', 13, 8, &[&n64(100), &n32(10)]);
    file.message(b'U', 13, 9, &[&n64(100), &n64(102), &n32(70), &n32(1_890_900)]);
    file.delete(13, 10, 102);
    file.message(b'P', 13, 11, &[&n64(0), b"B", &n32(5), &aapl, &n32(1_891_100), &n64(7003)]);
    file.message(b'Q', 13, 12, &[&n64(5_000_000_000), &aapl, &n32(1_891_200), &n64(7004), b"O"]);
    file.message(b'Q', 13, 13, &[&n64(0), &aapl, &n32(0), &n64(7005), b"O"]);
    file.message(b'B', 13, 14, &[&n64(7003)]);
    let path = file.save(folder.path(), "20200130.itch");

    let definition = |symbol| {
        EventBody::Definition(Box::new(Instrument {
            symbol: Symbol::new(symbol).expect("a symbol"),
            venue: "NASDAQ",
            price_exponent: crate::Exponent::new(-4).expect("small"),
            size_exponent: crate::Exponent::ONE,
            tick_size: None,
            currency: Some("USD".to_owned()),
            book_levels_max: None,
            begins_stale: false,
        }))
    };
    let level = |price, size| Level { price: Price(price), size: Size(size) };
    let print = |price, size, id| {
        EventBody::Trade(Print {
            price: Price(price),
            size: Size(size),
            aggressor: Aggressor::None,
            id: Some(id),
        })
    };
    assert_eq!(
        bodies(&path),
        [
            (0, definition("AAPL")),
            (1, definition("MSFT")),
            (0, EventBody::OrderAdd { order: OrderId(100), side: Side::Bid, level: level(1_891_000, 300) }),
            (0, EventBody::OrderAdd { order: OrderId(101), side: Side::Ask, level: level(1_892_500, 200) }),
            (
                0,
                EventBody::OrderExecute {
                    order: OrderId(100),
                    size: Size(50),
                    price: None,
                    trade_id: Some(7001),
                    printable: true
                }
            ),
            (
                0,
                EventBody::OrderExecute {
                    order: OrderId(101),
                    size: Size(60),
                    price: Some(Price(1_892_400)),
                    trade_id: Some(7002),
                    printable: false
                }
            ),
            (0, EventBody::OrderCancel { order: OrderId(100), size: Some(Size(10)) }),
            (
                0,
                EventBody::OrderReplace {
                    order: OrderId(100),
                    new_order: OrderId(102),
                    level: level(1_890_900, 70)
                }
            ),
            (0, EventBody::OrderCancel { order: OrderId(102), size: None }),
            (0, print(1_891_100, 5, 7003)),
            (0, print(1_891_200, 5_000_000_000, 7004)),
        ]
    );

    let (messages, _) = read(&path);
    assert_eq!(messages.len(), 14);
    // 2020-01-30T00:00 in New York is 05:00 UTC.
    assert_eq!(messages[3][0].ts_event, Timestamp(1_580_360_400_000_000_000 + 4));
    assert_eq!(messages[3][0].sequence, 0);
}

#[test]
fn halts_of_both_kinds_and_the_close_change_the_status() {
    let folder = folder();
    let mut file = Writer::default();
    let (aapl, msft) = (padded("AAPL"), padded("MSFT"));
    file.message(b'H', 1, 1, &[&aapl, b"T", b" ", b"    "]);
    file.message(b'H', 2, 2, &[&msft, b"Q", b" ", b"IPO1"]);
    file.message(b'h', 1, 3, &[&aapl, b"Q", b"H"]);
    file.message(b'H', 1, 4, &[&aapl, b"H", b" ", b"T1  "]);
    file.message(b'h', 1, 5, &[&aapl, b"Q", b"T"]);
    file.message(b'h', 2, 6, &[&msft, b"B", b"H"]); // BX only: no event
    file.message(b'H', 1, 7, &[&aapl, b"P", b" ", b"LUDP"]);
    file.message(b'h', 1, 8, &[&aapl, b"Q", b"H"]);
    file.message(b'H', 1, 9, &[&aapl, b"T", b" ", b"C11 "]);
    file.message(b'h', 1, 10, &[&aapl, b"Q", b"T"]);
    file.message(b'S', 0, 11, &[b"M"]);
    let path = file.save(folder.path(), "status.itch");
    use TradingStatus::{Auction, Closed, Halted, Trading};
    let expected = [
        (0, Trading, ""),
        (1, Auction, "IPO1"),
        (0, Halted, ""),
        (0, Halted, "T1"),
        (0, Halted, ""),
        (0, Halted, "LUDP"),
        (0, Halted, ""),
        (0, Halted, "C11"),
        (0, Trading, ""),
        (0, Closed, ""),
        (1, Closed, ""),
    ];
    assert_eq!(
        bodies(&path),
        expected.map(|(id, status, reason)| (id, EventBody::Status { status, reason: reason.to_owned() }))
    );
}

#[test]
fn instruments_are_known_before_the_first_event() {
    let folder = folder();
    let mut file = Writer::default();
    file.message(b'S', 0, 1, &[b"O"]);
    file.delete(900, 2, 1); // never named
    file.delete(13, 3, 2); // named only later
    file.message(b'Y', 5, 4, &[&padded("BRK.B"), b"0"]);
    file.add(13, 5, "AAPL", 3);
    file.message(b'W', 0, 6, &[b"1"]);
    for name in ["a.itch", "a.itch.gz", "a.itch.zst"] {
        let path = file.save(folder.path(), name);
        assert_eq!(symbols(&path), ["LOCATE-900", "AAPL", "BRK.B"], "{name}");
        let (messages, end) = read(&path);
        assert!(end.is_none(), "{end:?}");
        let ids: Vec<Vec<usize>> =
            messages.iter().map(|events| events.iter().map(|event| event.symbol.index()).collect()).collect();
        assert_eq!(ids, [vec![], vec![0], vec![1], vec![], vec![1], vec![]]);
        assert_eq!(messages[1][0].ts_event, Timestamp(2), "no date in the name: 1970");
    }
}

#[test]
fn damage_is_named_with_its_frame_and_what_came_before_stands() {
    let folder = folder();
    let mut good = Writer::default();
    good.directory(1, 1, "AAPL").add(1, 2, "AAPL", 10);
    let offset = good.0.len() as u64;
    let damages: [(&str, Vec<u8>); 10] = [
        ("a frame of 0 bytes", vec![0, 0, b'S']),
        ("a frame of 51 bytes", vec![0, 51, b'S']),
        ("unknown message type `Z`", [&[0, 12, b'Z'][..], &[0; 11]].concat()),
        ("type `S` with 13 bytes, where it has 12", [&[0, 13, b'S'][..], &[0; 12]].concat()),
        ("ends 1 bytes into 2", vec![0]),
        ("the file ends before a message of 12 bytes", vec![0, 12]),
        ("ends 3 bytes into 12", vec![0, 12, b'S', 0, 0]),
        (
            "locate 1 stands for `AAPL`, and here for `MSFT`",
            Writer::default().directory(1, 3, "MSFT").0.clone(),
        ),
        ("AAPL has the locate 1, and here 2", Writer::default().directory(2, 3, "AAPL").0.clone()),
        ("stock of locate 3: symbol `A B`", Writer::default().directory(3, 3, "A B").0.clone()),
    ];
    for (reason, bytes) in damages {
        for name in ["damaged.itch", "damaged.gz", "damaged.zst"] {
            let path = Writer([&good.0[..], &bytes].concat()).save(folder.path(), name);
            let (messages, end) = read(&path);
            assert_eq!(messages.len(), 2, "{reason}");
            match end.expect("damaged") {
                FeedError::Damaged { path: named, offset: at, reason: found } => {
                    assert_eq!((named, at), (path, offset), "{reason}");
                    assert!(found.contains(reason), "{found} | {reason}");
                }
                other => panic!("{other}"),
            }
        }
    }
}

#[test]
fn a_file_without_a_whole_first_message_is_not_opened() {
    let folder = folder();
    let path = Writer(vec![0, 12, b'S', 0]).save(folder.path(), "cut.itch");
    assert!(matches!(ItchReader::open(&path), Err(FeedError::Damaged { offset: 0, .. })));
    let path = Writer::default().directory(3, 3, "A B").save(folder.path(), "name.itch");
    assert!(matches!(ItchReader::open(&path), Err(FeedError::Damaged { offset: 0, .. })));
    assert!(matches!(ItchReader::open(folder.path()), Err(FeedError::Io { offset: None, .. })));
    assert!(matches!(ItchReader::open(&folder.path().join("none")), Err(FeedError::Io { offset: None, .. })));
    let path = Writer::default().save(folder.path(), "empty.itch");
    assert_eq!(ItchReader::open(&path).expect("no damage").next_message(&mut Vec::new()).expect("end"), None);
}

#[test]
fn more_cross_shares_than_a_size_holds_are_damage() {
    let folder = folder();
    let mut file = Writer::default();
    file.directory(1, 1, "AAPL");
    let offset = file.0.len() as u64;
    let price = 1_u32.to_be_bytes();
    file.message(b'Q', 1, 2, &[&u64::MAX.to_be_bytes(), &padded("AAPL"), &price, &[0; 8], b"C"]);
    let (messages, end) = read(&file.save(folder.path(), "a.itch"));
    assert_eq!(messages.len(), 1);
    assert!(matches!(end, Some(FeedError::Damaged { offset: at, .. }) if at == offset), "{end:?}");
}

/// A small file with every type of message.
fn small_file() -> Writer {
    let mut bytes = Vec::new();
    for (message, _) in every_type() {
        bytes.extend_from_slice(&u16::try_from(message.len()).expect("short").to_be_bytes());
        bytes.extend_from_slice(&message);
    }
    // Ends past the largest size, which is damage: let the cross be of 5 shares.
    let at = bytes.windows(3).position(|window| window == [0, 40, b'Q']).expect("there") + 2 + 11;
    bytes[at..at + 8].copy_from_slice(&5_u64.to_be_bytes());
    Writer(bytes)
}

/// Reads a file that may be damaged anywhere; the number of messages before the damage, if any.
fn read_damaged(path: &Path) -> (u64, Option<FeedError>) {
    let mut reader = match ItchReader::open(path) {
        Ok(reader) => reader,
        Err(error) => return (0, Some(error)),
    };
    let mut events = Vec::new();
    loop {
        match reader.next_message(&mut events) {
            Ok(Some(_)) => {}
            Ok(None) => return (reader.messages(), None),
            Err(error) => return (reader.messages(), Some(error)),
        }
    }
}

#[test]
fn a_file_cut_at_any_byte_gives_the_messages_before() {
    let folder = folder();
    let whole = small_file();
    let mut starts = vec![0];
    while let Some(length) = whole.0.get(starts[starts.len() - 1] + 1) {
        starts.push(starts[starts.len() - 1] + 2 + usize::from(*length));
    }
    for cut in 1..=whole.0.len() {
        let path = Writer(whole.0[..cut].to_vec()).save(folder.path(), "cut.itch");
        let messages = starts.iter().filter(|start| **start <= cut).count() - 1;
        let (read, end) = read_damaged(&path);
        assert_eq!(read, messages as u64, "{cut}");
        match end {
            None => assert_eq!(starts[messages], cut),
            Some(FeedError::Damaged { offset, .. }) => {
                assert!(starts[messages] != cut, "{cut}");
                assert_eq!(offset, starts[messages] as u64);
            }
            Some(other) => panic!("{other}"),
        }
    }
}

#[test]
fn a_compressed_file_cut_or_changed_at_any_byte_does_not_panic() {
    let folder = folder();
    let messages = LENGTHS.len() as u64;
    for name in ["cut.gz", "cut.zst"] {
        let path = small_file().save(folder.path(), name);
        let whole = std::fs::read(&path).expect("just written");
        assert!(matches!(read_damaged(&path), (23, None)));
        for at in 1..whole.len() {
            std::fs::write(&path, &whole[..at]).expect("a temporary folder");
            let (read, end) = read_damaged(&path);
            assert!(read <= messages && end.is_some(), "{name} cut at {at}: {read} {end:?}");
            let mut changed = whole.clone();
            changed[at] ^= 0x55;
            std::fs::write(&path, &changed).expect("a temporary folder");
            read_damaged(&path);
        }
    }
}

proptest! {
    #[test]
    fn any_bytes_are_a_message_or_an_error(mut bytes in proptest::collection::vec(any::<u8>(), 0..64), kind in 0..LENGTHS.len()) {
        if let Ok(message) = parse(&bytes) {
            prop_assert_eq!(Some(bytes.len()), length(bytes[0]));
            prop_assert!(message.nanos_since_midnight >= 0);
        }
        let (kind, length) = LENGTHS[kind];
        bytes.resize(length, 0);
        bytes[0] = kind;
        bytes[5] = 0; // a time of day
        match parse(&bytes) {
            Ok(message) => prop_assert_eq!(message.locate, u16::from_be_bytes([bytes[1], bytes[2]])),
            Err(error) => { let is_code = matches!(error, ParseError::Code { .. }); prop_assert!(is_code, "{error}"); }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_change_of_a_file_is_read_or_refused(changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8)) {
        let folder = folder();
        let mut file = small_file();
        let length = file.0.len();
        for (at, byte) in changes {
            file.0[at.index(length)] = byte;
        }
        let (messages, _) = read_damaged(&file.save(folder.path(), "changed.itch"));
        prop_assert!(messages <= LENGTHS.len() as u64 * 5);
    }

    #[test]
    fn any_bytes_are_a_file_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..2_000)) {
        let folder = folder();
        read_damaged(&Writer(bytes).save(folder.path(), "noise.itch"));
    }
}

/// The slow, obvious book: all orders of one instrument in a map.
#[derive(Default)]
struct Book {
    orders: BTreeMap<OrderId, (Side, Level)>,
    unknown: u64,
}

impl Book {
    fn apply(&mut self, body: &EventBody) {
        match *body {
            EventBody::OrderAdd { order, side, level } => {
                assert!(self.orders.insert(order, (side, level)).is_none(), "{order:?} was added twice");
            }
            EventBody::OrderCancel { order, size } => self.take(order, size),
            EventBody::OrderExecute { order, size, .. } => self.take(order, Some(size)),
            EventBody::OrderReplace { order, new_order, level } => match self.orders.remove(&order) {
                Some((side, _)) => assert!(self.orders.insert(new_order, (side, level)).is_none()),
                None => self.unknown += 1,
            },
            _ => {}
        }
    }

    fn take(&mut self, order: OrderId, size: Option<Size>) {
        match self.orders.get_mut(&order) {
            None => self.unknown += 1,
            Some((_, level)) => {
                level.size.0 -= size.unwrap_or(level.size).0;
                assert!(level.size.0 >= 0, "{order:?} has less than was taken");
                if level.size.0 == 0 {
                    self.orders.remove(&order);
                }
            }
        }
    }

    fn is_crossed(&self) -> bool {
        let prices =
            |side| self.orders.values().filter(move |order| order.0 == side).map(|order| order.1.price);
        matches!((prices(Side::Bid).max(), prices(Side::Ask).min()), (Some(bid), Some(ask)) if bid >= ask)
    }
}

#[test]
fn apple_of_2020_01_30_is_a_whole_book_that_never_crosses() {
    let Some(path) = shared("itch/nasdaq-20200130-AAPL-first4000.itch") else { return };
    assert_eq!(symbols(&path), ["AAPL"]);
    let (messages, end) = read(&path);
    assert!(end.is_none(), "{end:?}");
    assert_eq!(messages.len(), 4_000);
    let mut book = Book::default();
    for event in messages.iter().flatten() {
        book.apply(&event.body);
        assert!(!book.is_crossed(), "{event:?}");
    }
    assert_eq!(book.unknown, 0);
    let last = messages.iter().flatten().last().expect("events").ts_event.to_string();
    assert!(last.starts_with("2020-01-30T10:21:"), "05:21 in New York: {last}");
}

#[test]
fn a_file_cut_from_mid_day_refers_to_orders_it_does_not_add() {
    let Some(path) = shared("itch/nasdaq-20191230-0930-1000msgs.itch") else { return };
    let (messages, end) = read(&path);
    assert!(end.is_none(), "{end:?}");
    assert_eq!(messages.len(), 1_000);
    let mut books: BTreeMap<SymbolId, Book> = BTreeMap::new();
    for event in messages.iter().flatten() {
        books.entry(event.symbol).or_default().apply(&event.body);
    }
    assert_eq!(books.values().map(|book| book.unknown).sum::<u64>(), 399);
    assert_eq!(symbols(&path).len(), 321);
}

#[test]
fn a_directory_defines_every_stock() {
    let Some(path) = shared("itch/nasdaq-20191230-directory-1000msgs.itch") else { return };
    let names = symbols(&path);
    assert_eq!((names.len(), names[0].as_str()), (993, "A"));
    let (messages, end) = read(&path);
    assert!(end.is_none(), "{end:?}");
    assert_eq!(messages.len(), 1_000);
    let mut defined = BTreeSet::new();
    let mut trading = 0;
    for event in messages.iter().flatten() {
        match &event.body {
            EventBody::Definition(instrument) => {
                assert_eq!(instrument.symbol.as_str(), names[event.symbol.index()]);
                defined.insert(event.symbol);
            }
            EventBody::Status { status: TradingStatus::Trading, reason } if reason.is_empty() => trading += 1,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!((defined.len(), trading), (993, 3));
}

#[test]
fn the_reframed_bx_file_is_read_and_the_one_without_lengths_is_not() {
    let Some(path) = shared("itch/ritch-bx-20191230-obfuscated.reframed.itch.zst") else { return };
    assert_eq!(symbols(&path), ["ALC", "BOB", "CHAR"]);
    let (messages, end) = read(&path);
    assert!(end.is_none(), "{end:?}");
    assert_eq!(messages.len(), 12_012);
    let trades = messages.iter().flatten().filter(|event| matches!(event.body, EventBody::Trade(_))).count();
    assert_eq!(trades, 5_000);
    let closed =
        |event: &&MarketEvent| matches!(event.body, EventBody::Status { status: TradingStatus::Closed, .. });
    assert_eq!(messages.iter().flatten().filter(closed).count(), 3);

    let Some(path) = shared("itch/ritch-bx-20191230-obfuscated.TEST_ITCH_50.zst") else { return };
    match ItchReader::open(&path).err() {
        Some(FeedError::Damaged { offset: 0, reason, .. }) => assert!(reason.contains("a frame of 0 bytes")),
        other => panic!("{other:?}"),
    }
}
