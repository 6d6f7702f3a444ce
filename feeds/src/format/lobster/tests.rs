use proptest::prelude::*;
use tempfile::TempDir;

use super::*;
use crate::format::itch::writer::Writer;
use crate::shared::shared;

const NAME: &str = "AAPL_2012-06-21_34200000_57600000_message_2.csv";
const BOOK_NAME: &str = "AAPL_2012-06-21_34200000_57600000_orderbook_2.csv";
/// Midnight in New York.
const MIDNIGHT: i64 = 1_340_251_200_000_000_000;

fn folder() -> TempDir {
    tempfile::tempdir().expect("a temporary folder")
}

fn save(folder: &TempDir, name: &str, text: &str) -> PathBuf {
    Writer(text.as_bytes().to_vec()).save(folder.path(), name)
}

/// Time and bodies of every message, and what ended it.
fn read(path: &Path) -> (Vec<(i64, Vec<EventBody>)>, Option<FeedError>) {
    let mut reader = LobsterReader::open(path).expect("a file");
    let mut messages = Vec::new();
    loop {
        let mut events = Vec::new();
        match reader.next_message(&mut events) {
            Ok(Some(time)) => {
                assert!(events.iter().all(|event| event.ts_event == time && event.ts_recv == time));
                messages.push((time.0 - MIDNIGHT, events.into_iter().map(|event| event.body).collect()));
                assert_eq!(reader.messages(), messages.len() as u64);
            }
            Ok(None) => return (messages, None),
            Err(error) => {
                assert!(events.is_empty());
                assert_eq!(reader.next_message(&mut events).expect("over"), None);
                return (messages, Some(error));
            }
        }
    }
}

fn level(price: i64, size: i64) -> Level {
    Level { price: Price(price), size: Size(size) }
}

fn add(order: u64, side: Side, price: i64, size: i64) -> EventBody {
    EventBody::OrderAdd { order: OrderId(order), side, level: level(price, size) }
}

fn cancel(order: u64, size: Option<i64>) -> EventBody {
    EventBody::OrderCancel { order: OrderId(order), size: size.map(Size) }
}

fn execute(order: u64, size: i64) -> EventBody {
    EventBody::OrderExecute {
        order: OrderId(order),
        size: Size(size),
        price: None,
        trade_id: None,
        printable: true,
    }
}

fn trade(price: i64, size: i64, aggressor: Aggressor) -> EventBody {
    EventBody::Trade(Trade { price: Price(price), size: Size(size), aggressor, id: None })
}

fn status(status: TradingStatus) -> EventBody {
    EventBody::Status { status, reason: String::new() }
}

const MESSAGES: &str = "\
34200.004241176,1,11,18,5853300,1\n\
34200.1,2,11,8,5853300,1\n\
34201,4,11,5,5853300,1\n\
34201.5,3,11,5,5853300,1\n\
34202,2,5,30,5853000,1\r\n\
34203,4,6,10,5854000,-1\n\
34204,3,7,120,5853000,1\n\
34205,4,8,10,5855000,-1\n\
34206,5,0,7,5853500,1\n\
34207,6,0,9,5853500,-1\n\
34208,7,0,0,-1,-1\n\
34209,7,0,0,0,-1\n\
34210,7,0,0,1,-1\n";

#[test]
fn messages_become_what_their_types_say() {
    let folder = folder();
    let path = save(&folder, NAME, MESSAGES);
    let reader = LobsterReader::open(&path).expect("a file");
    assert_eq!(reader.instruments()[0].symbol.as_str(), "AAPL");
    let (found, end) = read(&path);
    assert!(end.is_none(), "{end:?}");
    assert_eq!((found[0].0, found[1].0), (34_200_004_241_176, 34_200_100_000_000));
    let bodies: Vec<EventBody> = found.into_iter().flat_map(|(_, bodies)| bodies).collect();
    let statuses = [TradingStatus::Halted, TradingStatus::Auction, TradingStatus::Trading].map(status);
    let expected = [
        add(11, Side::Bid, 5_853_300, 18),
        cancel(11, Some(8)),
        execute(11, 5),
        cancel(11, None),
        cancel(5, Some(30)),
        trade(5_854_000, 10, Aggressor::Buy),
        cancel(7, None),
        trade(5_855_000, 10, Aggressor::Buy),
        trade(5_853_500, 7, Aggressor::Sell),
        trade(5_853_500, 9, Aggressor::None),
    ];
    assert_eq!(bodies, [&expected[..], &statuses].concat());
}

#[test]
fn the_book_is_taken_from_the_order_book_beside_it() {
    let set = |side, price, size| EventBody::LevelSet { side, level: level(price, size) };
    let folder = folder();
    let path =
        save(&folder, NAME, "34200,1,11,18,5853300,1\n34201,4,6,10,5854000,-1\n34202,3,1,1,5855000,-1\n");
    let rows = "5854000,10,5853300,18,9999999999,0,5853000,150\n\
        5855000,7,5853300,18,-9999999999,0,5853000,140\r\n\
        9999999999,0,5853300,18,-9999999999,0,5853000,140\nnever read";
    save(&folder, BOOK_NAME, rows);
    let (found, end) = read(&path);
    assert!(end.is_none(), "{end:?}");
    let bids = vec![level(5_853_000, 150), level(5_853_300, 18)];
    let asks = vec![level(5_854_000, 10)];
    let bodies: Vec<_> = found.into_iter().map(|(_, bodies)| bodies).collect();
    assert_eq!(
        bodies,
        [
            vec![EventBody::BookSnapshot(Box::new(BookSnapshot { bids, asks }))],
            vec![
                trade(5_854_000, 10, Aggressor::Buy),
                set(Side::Ask, 5_854_000, 0),
                set(Side::Bid, 5_853_000, 140),
                set(Side::Ask, 5_855_000, 7),
            ],
            vec![set(Side::Ask, 5_855_000, 0)],
        ]
    );
}

#[test]
fn damage_is_named_with_the_offset_of_its_line() {
    let good = "34200.5,1,11,18,5853300,1\n";
    for (line, reason) in [
        ("34200,1,11,18,5853300", "six columns"),
        ("34200,1,11,18,5853300,1,", "six columns"),
        ("34200.0000000001,1,11,18,5853300,1", "time: `34200.0000000001` has more digits"),
        ("34200,8,11,18,5853300,1", "type `8`"),
        ("34200,1,-1,18,5853300,1", "order -1"),
        ("34200,1,11,-18,5853300,1", "a size of -18"),
        ("34200,1,11,1.5,5853300,1", "size: `1.5` has more digits"),
        ("34200,1,11,18,58e3,1", "price: `58e3`"),
        ("34200,1,11,18,5853300,0", "direction `0`"),
        ("34200,7,0,0,5,-1", "a halt with 5"),
    ] {
        let folder = folder();
        let path = save(&folder, NAME, &format!("{good}{line}\n{good}"));
        let (found, end) = read(&path);
        assert_eq!(found.len(), 1);
        match end {
            Some(FeedError::Damaged { path: named, offset, reason: why }) => {
                assert_eq!((named, offset), (path, good.len() as u64));
                assert!(why.contains(reason), "{why}");
            }
            other => panic!("{other:?}"),
        }
    }
    let folder = folder();
    let path = save(&folder, NAME, &good.repeat(2));
    for (second, offset, reason) in
        [("1,2,3\n", 8, "3 columns"), ("", 8, "ends before"), ("1,2,3,x", 8, "`x`")]
    {
        let book = save(&folder, BOOK_NAME, &format!("9,1,8,1\n{second}"));
        let (found, end) = read(&path);
        assert_eq!(found.len(), 1);
        match end {
            Some(FeedError::Damaged { path: named, offset: at, reason: why }) => {
                assert_eq!((named, at), (book, offset));
                assert!(why.contains(reason), "{why}");
            }
            other => panic!("{other:?}"),
        }
    }
    let nameless = save(&folder, "_message_.csv", good);
    assert!(matches!(LobsterReader::open(&nameless).err(), Some(FeedError::Settings(_))));
}

/// The book as events make it.
fn apply(book: &mut Levels, body: &EventBody) {
    match body {
        EventBody::BookSnapshot(snapshot) => {
            let sides = [(Side::Bid, &snapshot.bids), (Side::Ask, &snapshot.asks)];
            *book = sides
                .iter()
                .flat_map(|(side, levels)| levels.iter().map(|level| ((*side, level.price.0), level.size.0)))
                .collect();
        }
        EventBody::LevelSet { side, level } if level.size == Size::ZERO => {
            book.remove(&(*side, level.price.0)).expect("only what is there is taken away");
        }
        EventBody::LevelSet { side, level } => {
            assert_ne!(book.insert((*side, level.price.0), level.size.0), Some(level.size.0));
        }
        _ => {}
    }
}

/// One side of a row after a message, as the row before it and the message make it: from the touch on, by how far
/// each price is from it. `None`: the message has no such effect.
fn explained(earlier: &BTreeMap<i64, i64>, side: Side, message: &Message) -> Option<BTreeMap<i64, i64>> {
    let mut levels = earlier.clone();
    if message.side == side && matches!(message.kind, b'1'..=b'4') {
        let change = if message.kind == b'1' { message.size.0 } else { -message.size.0 };
        let size = levels.entry(depth(side, message.price.0)).or_default();
        *size += change;
        if *size < 0 {
            return None;
        }
        levels.retain(|_, size| *size != 0);
    }
    Some(levels)
}

/// How far from the touch a price is.
fn depth(side: Side, price: i64) -> i64 {
    if side == Side::Bid { -price } else { price }
}

/// Each row of the order book file follows from the row before and the message; levels that move in from beyond the
/// tenth are excepted, because no message tells of them. And the events make the rows.
#[test]
fn every_side_of_every_row_of_the_order_book_is_explained() {
    const LEVELS: usize = 10;
    let Some(path) = shared("lobster/AAPL_2012-06-21_34200000_57600000_message_10.first999.csv") else {
        return;
    };
    let mut rows = Input::open(&order_book(&path).expect("beside it")).expect("a file");
    let mut messages = Input::open(&path).expect("a file");
    let mut reader = LobsterReader::open(&path).expect("a file");
    let (mut book, mut events, mut line) = (Levels::new(), Vec::new(), Vec::new());
    let mut earlier: Option<Levels> = None;
    let (mut transitions, mut moved_in) = (0, 0);
    while reader.next_message(&mut events).expect("whole").is_some() {
        events.drain(..).for_each(|event| apply(&mut book, &event.body));
        assert!(rows.read_line(&mut line, LOBSTER_LINE_BYTES_MAX).expect("whole"));
        let shown = row(line.trim_ascii_end()).expect("a row");
        assert_eq!(book, shown, "after message {}", reader.messages());
        assert!(messages.read_line(&mut line, LOBSTER_LINE_BYTES_MAX).expect("whole"));
        let message = parse(&line).expect("a message");
        for side in [Side::Bid, Side::Ask] {
            let of = |levels: &Levels| -> BTreeMap<i64, i64> {
                let own = levels.iter().filter(|((of, _), _)| *of == side);
                own.map(|((_, price), size)| (depth(side, *price), *size)).collect()
            };
            let Some(earlier) = &earlier else { continue };
            let (before, after) = (of(earlier), of(&shown));
            let seen_to = *before.last_key_value().expect("ten levels").0;
            let made = explained(&before, side, &message).expect("takes what is there");
            let made: BTreeMap<_, _> = made.into_iter().take(LEVELS).collect();
            let (seen, new): (BTreeMap<i64, i64>, BTreeMap<i64, i64>) =
                after.iter().partition(|(depth, _)| **depth <= seen_to || made.contains_key(*depth));
            assert_eq!(made, seen, "{side:?} after message {}", reader.messages());
            transitions += 1;
            moved_in += new.len();
        }
        earlier = Some(shown);
    }
    assert_eq!((reader.messages(), transitions), (999, 1_996));
    assert!(moved_in > 0);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn no_bytes_make_it_panic(
        flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        tail in prop::collection::vec(any::<u8>(), 0..80),
        book in "[0-9,-]{0,40}",
    ) {
        let mut bytes = MESSAGES.as_bytes().to_vec();
        bytes.extend(tail);
        for (index, value) in flips {
            let at = index.index(bytes.len());
            bytes[at] ^= value;
        }
        let length = bytes.len() as u64;
        let _ = is_message_file(&bytes);
        let folder = folder();
        let path = Writer(bytes).save(folder.path(), NAME);
        save(&folder, BOOK_NAME, &book);
        if LobsterReader::open(&path).is_ok() {
            match read(&path).1 {
                Some(FeedError::Damaged { offset, .. }) => prop_assert!(offset <= length.max(book.len() as u64)),
                other => prop_assert!(other.is_none()),
            }
        }
    }
}
