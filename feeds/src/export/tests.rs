use std::collections::BTreeMap;
use std::path::Path;

use proptest::prelude::*;
use tempfile::TempDir;

use super::*;
use crate::replay::{Replay, ReplaySettings};
use crate::{
    Bar, BookChecksum, BookSnapshot, Exponent, Feed, Level, OrderId, Price, Progress, Size, Symbol, SymbolId,
    Timestamp, TradingStatus,
};

const START: i64 = 1_700_000_000_000_000_000;

fn exponent(exponent: i8) -> Exponent {
    Exponent::new(exponent).expect("small")
}

fn instrument(venue: &'static str, symbol: &str, price: i8, size: i8) -> Instrument {
    Instrument {
        symbol: Symbol::new(symbol).expect("a symbol"),
        venue,
        price_exponent: exponent(price),
        size_exponent: exponent(size),
        tick_size: None,
        currency: None,
        book_levels_max: None,
        begins_stale: false,
    }
}

fn instruments() -> [Instrument; 2] {
    [instrument("ONE", "AAA", -2, 0), instrument("TWO", "B/USD", -9, 0)]
}

fn event(symbol: u32, at: i64, body: EventBody) -> MarketEvent {
    let (ts_event, ts_recv) = (Timestamp(START + at * 1_000), Timestamp(START + at * 1_000 + 7));
    MarketEvent { symbol: SymbolId(symbol), ts_event, ts_recv, sequence: at.unsigned_abs() * 3, body }
}

fn level(price: i64, size: i64) -> Level {
    Level { price: Price(price), size: Size(size) }
}

fn trade(price: i64, size: i64) -> EventBody {
    EventBody::Trade(Trade { price: Price(price), size: Size(size), aggressor: Aggressor::Buy, id: Some(5) })
}

fn settings(path: PathBuf, format: Format, kinds: &[Kind]) -> ExportSettings {
    let kinds = kinds.iter().copied().collect();
    ExportSettings { path, format, kinds, force: false, dataset: None, size_unit: None }
}

/// Each event a message of its own.
fn export(
    settings: &ExportSettings,
    instruments: &[Instrument],
    events: &[MarketEvent],
) -> Result<ExportSummary, ExportError> {
    let mut exporter = Exporter::create(settings, instruments)?;
    for event in events {
        exporter.message(std::slice::from_ref(event))?;
    }
    exporter.finish()
}

fn folder() -> TempDir {
    tempfile::tempdir().expect("a temporary folder")
}

fn read(path: &Path) -> (Vec<Instrument>, Vec<MarketEvent>) {
    let settings = ReplaySettings { files: vec![path.to_owned()], ..ReplaySettings::default() };
    let mut replay = Replay::open(&settings).expect("a recording");
    let mut events = Vec::new();
    while let Progress::Message { .. } = replay.next_message(&mut events).expect("sound") {}
    (replay.instruments().to_vec(), events)
}

/// Events without what a file may change and mean the same: the numbers and the scales of instruments.
fn shown(instruments: &[Instrument], events: &[MarketEvent]) -> Vec<String> {
    let one = |event: &MarketEvent| {
        let instrument = &instruments[event.symbol.index()];
        let price = |price: Price| price.to_decimal(instrument.price_exponent).expect("small").normalize();
        let size = |size: Size| size.to_decimal(instrument.size_exponent).expect("small").normalize();
        let level = |level: Level| format!("{}x{}", price(level.price), size(level.size));
        let body = match &event.body {
            EventBody::Trade(Trade { price: at, size: of, aggressor, id }) => {
                format!("trade {} {} {aggressor:?} {id:?}", price(*at), size(*of))
            }
            EventBody::Quote { bid, ask } => format!("quote {:?} {:?}", bid.map(level), ask.map(level)),
            EventBody::Bar(bar) => format!(
                "bar {} {:?} {}",
                bar.interval_nanos,
                [bar.open, bar.high, bar.low, bar.close].map(price),
                size(bar.volume)
            ),
            EventBody::LevelSet { side, level: at } => format!("set {side:?} {}", level(*at)),
            other => format!("{other:?}"),
        };
        let MarketEvent { ts_event, ts_recv, sequence, .. } = event;
        format!("{} {} {} {sequence} {body}", instrument.symbol, ts_event.0, ts_recv.0)
    };
    events.iter().map(one).collect()
}

/// The books of both instruments after each time, their best levels alone.
type Books = BTreeMap<i64, Vec<[BTreeMap<i64, i64>; 2]>>;

/// A slow and obvious model of books, with prices of ten decimals.
fn books(instruments: &[Instrument], events: &[MarketEvent], depth: usize) -> Books {
    let names = ["AAA", "B/USD"];
    let mut state: Vec<[BTreeMap<i64, i64>; 2]> = vec![Default::default(), Default::default()];
    let mut books = Books::new();
    for event in events {
        let instrument = &instruments[event.symbol.index()];
        let index = names.iter().position(|name| *name == instrument.symbol.as_str()).expect("known");
        let scale = 10_i64.pow(10 - u32::from(instrument.price_exponent.get().unsigned_abs()));
        let mut set = |side: usize, level: Level| {
            state[index][side].insert(level.price.0 * scale, level.size.0);
            state[index][side].retain(|_, size| *size != 0);
        };
        match &event.body {
            EventBody::LevelSet { side, level } => set(usize::from(*side == Side::Ask), *level),
            EventBody::BookSnapshot(book) => {
                state[index] = Default::default();
                let mut set = |side: usize, level: Level| {
                    state[index][side].insert(level.price.0 * scale, level.size.0);
                };
                book.bids.iter().for_each(|level| set(0, *level));
                book.asks.iter().for_each(|level| set(1, *level));
            }
            EventBody::BookClear => state[index] = Default::default(),
            _ => {}
        }
        let top = |[bids, asks]: &[BTreeMap<i64, i64>; 2]| {
            [
                bids.iter().rev().take(depth).map(|(price, size)| (*price, *size)).collect(),
                asks.iter().take(depth).map(|(price, size)| (*price, *size)).collect(),
            ]
        };
        books.insert(event.ts_recv.0, state.iter().map(top).collect());
    }
    books
}

fn levels() -> impl Strategy<Value = Vec<Level>> {
    prop::collection::btree_map(1_i64..40, 1_i64..100, 0..14)
        .prop_map(|levels| levels.into_iter().map(|(price, size)| level(price, size)).collect())
}

fn body() -> impl Strategy<Value = EventBody> {
    let aggressor = prop::sample::select(vec![Aggressor::Buy, Aggressor::Sell, Aggressor::None]);
    let side = prop::sample::select(vec![Side::Bid, Side::Ask]);
    let maybe = || prop::option::of((-50_i64..1_000_000, 1_i64..1_000_000));
    let quote = |side: Option<(i64, i64)>| side.map(|(price, size)| level(price, size));
    prop_oneof![
        (-5_i64..1_000_000_000, 1..i64::from(u32::MAX), aggressor, prop::option::of(0_u64..)).prop_map(
            |(price, size, aggressor, id)| EventBody::Trade(Trade {
                price: Price(price),
                size: Size(size),
                aggressor,
                id
            })
        ),
        (maybe(), maybe()).prop_map(move |(bid, ask)| EventBody::Quote { bid: quote(bid), ask: quote(ask) }),
        (0_usize..4, -9_i64..9, 0_i64..1 << 40).prop_map(|(interval, price, volume)| EventBody::Bar(Bar {
            interval_nanos: [1, 60, 3_600, 86_400][interval] * 1_000_000_000,
            open: Price(price),
            high: Price(price + 5),
            low: Price(price - 5),
            close: Price(price + 1),
            volume: Size(volume),
        })),
        (side, 1_i64..40, 0_i64..4)
            .prop_map(|(side, price, size)| EventBody::LevelSet { side, level: level(price, size) }),
        (levels(), levels())
            .prop_map(|(bids, asks)| EventBody::BookSnapshot(Box::new(BookSnapshot { bids, asks }))),
        Just(EventBody::BookClear),
    ]
}

fn events() -> impl Strategy<Value = Vec<MarketEvent>> {
    prop::collection::vec((0_u32..2, body()), 1..60)
        .prop_map(|all| (1..).zip(all).map(|(at, (symbol, body))| event(symbol, at, body)).collect())
}

fn of_kind(events: &[MarketEvent], kind: Kind) -> Vec<MarketEvent> {
    let is_of_kind = |event: &&MarketEvent| match event.body {
        EventBody::Trade(_) => kind == Kind::Trades,
        EventBody::Quote { .. } => kind == Kind::Quotes,
        EventBody::Bar(_) => kind == Kind::Bars,
        _ => kind == Kind::Book,
    };
    events.iter().filter(is_of_kind).cloned().collect()
}

proptest! {
    // Each writes eight files to the disk, and waits for it.
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn csv_is_read_back_to_the_same_events(events in events()) {
        let folder = folder();
        let instruments = instruments();
        for kind in [Kind::Trades, Kind::Quotes, Kind::Bars, Kind::Book] {
            let expected = of_kind(&events, kind);
            let path = folder.path().join(format!("{}.csv", kind.name()));
            export(&settings(path.clone(), Format::Csv, &[kind]), &instruments, &events).expect("possible");
            let (read_instruments, found) = read(&path);
            if kind == Kind::Book {
                prop_assert_eq!(
                    books(&read_instruments, &found, usize::MAX),
                    books(&instruments, &expected, usize::MAX)
                );
            } else {
                prop_assert_eq!(shown(&read_instruments, &found), shown(&instruments, &expected));
            }
        }
    }

    #[test]
    fn dbn_is_read_back_to_the_same_events(events in events()) {
        let folder = folder();
        let instruments = instruments();
        for kind in [Kind::Trades, Kind::Quotes, Kind::Bars, Kind::Book] {
            let mut expected = of_kind(&events, kind);
            for event in &mut expected {
                match &mut event.body {
                    EventBody::Trade(trade) => trade.id = None,
                    // A bar's record has one time and no number.
                    EventBody::Bar(bar) => {
                        event.ts_recv = Timestamp(event.ts_event.0 + bar.interval_nanos);
                        event.sequence = 0;
                    }
                    _ => {}
                }
            }
            let path = folder.path().join(format!("{}.dbn", kind.name()));
            export(&settings(path.clone(), Format::Dbn, &[kind]), &instruments, &events).expect("possible");
            let (read_instruments, found) = read(&path);
            if kind == Kind::Book {
                let found = books(&read_instruments, &found, usize::MAX);
                let mut expected = books(&instruments, &expected, 10);
                // Only what changes the best ten levels is told.
                let mut last = vec![Default::default(); 2];
                let mut is_told = [false; 2];
                expected.retain(|time, books| {
                    let event = events.iter().find(|event| event.ts_recv.0 == *time).expect("its event");
                    let changed = *books != last || !is_told[event.symbol.index()];
                    is_told[event.symbol.index()] = true;
                    last.clone_from(books);
                    changed
                });
                prop_assert_eq!(found, expected);
            } else {
                prop_assert_eq!(shown(&read_instruments, &found), shown(&instruments, &expected));
            }
        }
    }
}

#[test]
fn a_folder_has_a_file_for_each_kind_that_occurs() {
    let folder = folder();
    let status = EventBody::Status { status: TradingStatus::Halted, reason: "news, \"pending\"".to_owned() };
    let order = OrderId(9);
    let events = [
        event(0, 1, status),
        event(0, 2, EventBody::OrderAdd { order, side: Side::Ask, level: level(1_005, 40) }),
        event(
            0,
            3,
            EventBody::OrderExecute {
                order,
                size: Size(30),
                price: None,
                trade_id: Some(8),
                printable: true,
            },
        ),
        event(0, 4, EventBody::OrderCancel { order, size: None }),
        event(0, 5, EventBody::BookClear),
        event(1, 6, trade(1_500_000_000, 3)),
        event(1, 7, EventBody::Gap { expected: 3, found: 5 }),
        event(1, 8, EventBody::BookChecksum(BookChecksum::Kraken(1))),
    ];
    let path = folder.path().join("all");
    let summary =
        export(&settings(path.clone(), Format::Csv, &[]), &instruments(), &events).expect("possible");
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(&path).expect("a folder") {
        let path = entry.expect("an entry").path();
        let text = std::fs::read_to_string(&path).expect("text").replace(&START.to_string()[..12], "T");
        found.insert(path.file_name().expect("a name").display().to_string(), text);
    }
    let expected = [
        (
            "gaps.csv",
            "exchange,symbol,ts_event,ts_recv,sequence,message,expected,found\n\
             TWO,B/USD,T0007000,T0007007,21,7,3,5\n",
        ),
        (
            "instruments.csv",
            "exchange,symbol,price_exponent,size_exponent,tick_size,currency,book_levels_max\n\
             ONE,AAA,-2,0,,,\n\
             TWO,B/USD,-9,0,,,\n",
        ),
        (
            "orders.csv",
            "exchange,symbol,ts_event,ts_recv,sequence,message,action,order_id,side,order_price,order_size,\
             new_order_id,trade_id,printable\n\
             ONE,AAA,T0002000,T0002007,6,2,add,9,ask,10.05,40,,,\n\
             ONE,AAA,T0003000,T0003007,9,3,execute,9,ask,,30,,8,true\n\
             ONE,AAA,T0004000,T0004007,12,4,cancel,9,ask,,,,,\n\
             ONE,AAA,T0005000,T0005007,15,5,clear,,,,,,,\n",
        ),
        (
            "statuses.csv",
            "exchange,symbol,ts_event,ts_recv,sequence,message,status,reason\n\
             ONE,AAA,T0001000,T0001007,3,1,halted,\"news, \"\"pending\"\"\"\n",
        ),
        (
            "trades.csv",
            "exchange,symbol,ts_event,ts_recv,sequence,message,price,size,side,id\n\
             ONE,AAA,T0003000,T0003007,9,3,10.05,30,buy,8\n\
             TWO,B/USD,T0006000,T0006007,18,6,1.500000000,3,buy,5\n",
        ),
    ];
    let expected = expected.map(|(name, text)| (name.to_owned(), text.to_owned()));
    assert_eq!(found, BTreeMap::from(expected));
    assert_eq!(summary.left_out, BTreeMap::from([("checksums", 1)]));
    assert_eq!(summary.rows[&Kind::Orders], 4);
    assert!(!folder.path().join("all.partial").exists());

    // Whoever gives all of it to be read is told what to give.
    let refusal = |path: PathBuf| {
        let settings = ReplaySettings { files: vec![path], ..ReplaySettings::default() };
        Replay::open(&settings).err().expect("no recording").to_string()
    };
    assert!(refusal(path.clone()).ends_with("`tickwire record`: give the files in it"));
    for table in ["instruments", "orders", "statuses", "gaps"] {
        let error = refusal(path.join(format!("{table}.csv")));
        let told = format!("the {table} of `tickwire export`, which are not read back: leave it out");
        assert!(error.contains(&told), "{error}");
    }
    assert_eq!(read(&path.join("trades.csv")).1.len(), 2);
}

#[test]
fn an_order_that_is_executed_is_told_by_its_trade_its_fill_and_its_cancel() {
    let folder = folder();
    let order = OrderId(9);
    let execute = |size, price| EventBody::OrderExecute {
        order,
        size: Size(size),
        price,
        trade_id: Some(8),
        printable: true,
    };
    let events = [
        event(0, 1, EventBody::OrderAdd { order, side: Side::Ask, level: level(1_005, 40) }),
        event(0, 2, execute(30, None)),
        event(0, 3, execute(4, Some(Price(1_004)))),
        event(0, 4, EventBody::OrderReplace { order, new_order: OrderId(10), level: level(1_006, 9) }),
        event(0, 5, EventBody::OrderCancel { order: OrderId(10), size: None }),
        event(0, 6, EventBody::OrderCancel { order: OrderId(77), size: None }),
    ];
    let path = folder.path().join("all.dbn");
    let summary =
        export(&settings(path.clone(), Format::Dbn, &[]), &instruments(), &events).expect("possible");
    assert_eq!(summary.left_out, BTreeMap::from([("cancels of orders that nobody added", 1)]));
    let (_, found) = read(&path);
    let trade = |price, size| {
        EventBody::Trade(Trade { price: Price(price), size: Size(size), aggressor: Aggressor::Buy, id: None })
    };
    let cancel = |order, size| EventBody::OrderCancel { order: OrderId(order), size: Some(Size(size)) };
    // The other instrument had no event, and is defined at the end.
    let is_definition = |event: &&MarketEvent| matches!(event.body, EventBody::Definition(_));
    assert_eq!(found.iter().filter(is_definition).map(|event| event.symbol.0).collect::<Vec<_>>(), [0, 1]);
    let bodies: Vec<_> =
        found.iter().filter(|event| !is_definition(event)).map(|event| event.body.clone()).collect();
    assert_eq!(
        bodies,
        [
            EventBody::OrderAdd { order, side: Side::Ask, level: level(1_005, 40) },
            trade(1_005, 30),
            cancel(9, 30),
            trade(1_004, 4),
            cancel(9, 4),
            cancel(9, 6),
            EventBody::OrderAdd { order: OrderId(10), side: Side::Ask, level: level(1_006, 9) },
            cancel(10, 9),
        ]
    );
}

#[test]
fn dbn_refuses_what_it_cannot_hold_and_leaves_nothing() {
    let folder = folder();
    let fine = [instrument("ONE", "FINE", -12, -8)];
    let refused = |events: &[MarketEvent], unit: Option<&str>| {
        let mut settings = settings(folder.path().join("a.dbn"), Format::Dbn, &[]);
        settings.size_unit = unit.map(str::to_owned);
        let error = export(&settings, &fine, events).expect_err("too fine").to_string();
        assert_eq!(std::fs::read_dir(folder.path()).expect("a folder").count(), 0, "{error}");
        error
    };
    let error = refused(&[event(0, 1, trade(1, 100_000_000))], None);
    assert_eq!(error, "FINE: price 0.000000000001: dbn holds prices in 64 bits of 10⁻⁹");
    let half = [event(0, 1, trade(1_000, 50_000_000))];
    let error = refused(&half, None);
    assert!(
        error.starts_with("FINE: size 0.50000000: dbn holds sizes as whole numbers of 32 bits"),
        "{error}"
    );
    let error = refused(&[event(0, 1, trade(1_000, 5_000_000_000))], Some("0.00000001"));
    assert!(error.starts_with("FINE: size 50.00000000: dbn holds sizes as whole"), "{error}");
    let error = refused(&[MarketEvent { ts_recv: Timestamp(-1), ..half[0].clone() }], Some("0.1"));
    assert!(error.starts_with("FINE: time 1969-12-31T23:59:59.999999999Z: "), "{error}");
    for wrong in ["0", "-1", "x", "", "1e-8"] {
        assert!(refused(&half, Some(wrong)).contains("is no unit of sizes"), "{wrong}");
    }
    let bar = EventBody::Bar(Bar {
        interval_nanos: 5_000_000_000,
        open: Price::ZERO,
        high: Price::ZERO,
        low: Price::ZERO,
        close: Price::ZERO,
        volume: Size::ZERO,
    });
    assert!(refused(&[event(0, 1, bar)], None).starts_with("FINE: interval 5000000000 ns: "));

    let mut settings = settings(folder.path().join("a.dbn"), Format::Dbn, &[Kind::Trades]);
    settings.size_unit = Some("0.1".to_owned());
    export(&settings, &fine, &half).expect("five tenths");
    let (_, found) = read(&settings.path);
    assert!(matches!(found[0].body, EventBody::Trade(Trade { size: Size(5), .. })), "{found:?}");
}

#[test]
fn what_is_there_is_kept_unless_it_is_an_export_and_forced() {
    let folder = folder();
    let events = [event(0, 1, trade(1, 1))];
    let read = |path: &Path| std::fs::read_to_string(path).expect("text");
    let mut file = settings(folder.path().join("a.csv"), Format::Csv, &[]);
    std::fs::write(&file.path, "mine").expect("written");
    let error = export(&file, &instruments(), &events).expect_err("there").to_string();
    assert!(error.ends_with("a.csv is there already: remove it, or say --force"), "{error}");
    assert_eq!(read(&file.path), "mine");
    file.force = true;
    let error = export(&file, &instruments(), &events).expect_err("not ours").to_string();
    assert!(error.contains("a.csv is no export, and is not replaced"), "{error}");
    assert_eq!(read(&file.path), "mine");
    for before in ["", "exchange,symbol,ts_event\n"] {
        std::fs::write(&file.path, before).expect("written");
        export(&file, &instruments(), &events).expect("forced");
        assert!(read(&file.path).lines().count() == 2);
    }

    let mut all = settings(folder.path().join("all"), Format::Csv, &[]);
    export(&all, &instruments(), &events).expect("new");
    std::fs::write(all.path.join("quotes.csv"), "of an older export").expect("written");
    assert!(matches!(export(&all, &instruments(), &events), Err(ExportError::Exists { .. })));
    all.force = true;
    export(&all, &instruments(), &events).expect("forced");
    assert!(!all.path.join("quotes.csv").exists());
    std::fs::write(all.path.join("notes.txt"), "mine").expect("written");
    let error = export(&all, &instruments(), &events).expect_err("not ours").to_string();
    assert!(error.contains("holds notes.txt, which is of no export"), "{error}");
    assert_eq!(read(&all.path.join("notes.txt")), "mine");
    // What an export that was cut short has left.
    std::fs::write(folder.path().join("b.csv.partial"), "half").expect("written");
    let mut other = settings(folder.path().join("b.csv"), Format::Csv, &[]);
    assert!(matches!(export(&other, &instruments(), &events), Err(ExportError::Exists { .. })));
    other.force = true;
    export(&other, &instruments(), &events).expect("forced");
    assert!(!folder.path().join("b.csv.partial").exists());
}

#[test]
fn one_file_holds_one_kind() {
    let folder = folder();
    let quote = EventBody::Quote { bid: Some(level(1, 1)), ask: None };
    let events = [event(0, 1, trade(1, 1)), event(0, 2, quote)];
    let error = export(&settings(folder.path().join("a.csv"), Format::Csv, &[]), &instruments(), &events);
    let error = error.expect_err("two kinds").to_string();
    assert!(
        error.ends_with("one file holds one kind: say --kind trades or --kind quotes, or give a folder"),
        "{error}"
    );
    assert_eq!(std::fs::read_dir(folder.path()).expect("a folder").count(), 0);
    let two = settings(folder.path().join("a.csv"), Format::Csv, &[Kind::Trades, Kind::Quotes]);
    assert!(matches!(export(&two, &instruments(), &events), Err(ExportError::Settings(_))));
    for (name, reason) in
        [("a.dbn.zst", "compress it afterwards"), ("a.csv", "is named like csv, and the format is dbn")]
    {
        let other = settings(folder.path().join(name), Format::Dbn, &[]);
        let error = export(&other, &instruments(), &events).expect_err("not a folder").to_string();
        assert!(error.ends_with(reason), "{error}");
    }
    let summary = export(&settings(folder.path().join("a.dbn"), Format::Dbn, &[]), &instruments(), &events);
    let rows = summary.expect("any kinds").rows;
    assert_eq!(rows, BTreeMap::from([(Kind::Trades, 1), (Kind::Quotes, 1), (Kind::Instruments, 2)]));
}

#[cfg(not(feature = "parquet"))]
#[test]
fn a_build_without_parquet_says_how_to_get_it() {
    let folder = folder();
    let error = export(&settings(folder.path().join("a.parquet"), Format::Parquet, &[]), &instruments(), &[]);
    assert!(error.expect_err("not built").to_string().contains("--features parquet"));
}

#[cfg(feature = "parquet")]
mod parquet {
    use std::fs::File;

    use ::parquet::basic::{LogicalType, TimeUnit};
    use ::parquet::data_type::Decimal;
    use ::parquet::file::reader::{FileReader, SerializedFileReader};
    use ::parquet::record::Field;

    use super::*;
    use crate::limits::EXPORT_ROW_GROUP_ROWS;

    fn open(path: &Path) -> SerializedFileReader<File> {
        SerializedFileReader::new(File::open(path).expect("a file")).expect("Parquet")
    }

    /// The rows as CSV has them, and their header.
    fn text(path: &Path) -> String {
        let reader = open(path);
        let fields = reader.metadata().file_metadata().schema().get_fields().to_vec();
        let names: Vec<_> = fields.iter().map(|field| field.name().to_owned()).collect();
        let mut text = names.join(",") + "\n";
        for row in reader.get_row_iter(None).expect("rows") {
            let row = row.expect("a row");
            let cells: Vec<String> = row.get_column_iter().map(|(_, field)| cell(field)).collect();
            text.push_str(&(cells.join(",") + "\n"));
        }
        text
    }

    fn cell(field: &Field) -> String {
        match field {
            Field::Null => String::new(),
            Field::Long(value) => value.to_string(),
            Field::ULong(value) => value.to_string(),
            Field::Bool(value) => value.to_string(),
            Field::Str(value) => value.clone(),
            Field::Decimal(value) => decimal(value),
            other => panic!("{other:?}"),
        }
    }

    fn decimal(value: &Decimal) -> String {
        let bytes: [u8; 16] = value.data().try_into().expect("128 bits");
        let scale = u32::try_from(value.scale()).expect("a scale");
        rust_decimal::Decimal::from_i128_with_scale(i128::from_be_bytes(bytes), scale).normalize().to_string()
    }

    /// A CSV table with its numbers without zeros at the end.
    fn normal(csv: &str) -> String {
        let is_number = |cell: &str| cell.contains('.') && cell.parse::<rust_decimal::Decimal>().is_ok();
        let cell = |cell: &str| {
            if is_number(cell) {
                cell.parse::<rust_decimal::Decimal>().expect("a number").normalize().to_string()
            } else {
                cell.to_owned()
            }
        };
        csv.lines().map(|line| line.split(',').map(cell).collect::<Vec<_>>().join(",") + "\n").collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn parquet_has_the_rows_of_csv(events in events()) {
            let folder = folder();
            let instruments = instruments();
            let [csv, parquet] = [Format::Csv, Format::Parquet].map(|format| {
                let path = folder.path().join(format.name().to_owned() + "-folder");
                let summary = export(&settings(path.clone(), format, &[]), &instruments, &events).expect("possible");
                (path, summary)
            });
            prop_assert_eq!(&csv.1, &parquet.1);
            for kind in csv.1.rows.keys() {
                let table = std::fs::read_to_string(csv.0.join(format!("{}.csv", kind.name()))).expect("text");
                prop_assert_eq!(text(&parquet.0.join(format!("{}.parquet", kind.name()))), normal(&table));
            }
        }
    }

    #[test]
    fn columns_are_what_notebooks_expect_and_row_groups_are_bounded() {
        let folder = folder();
        let path = folder.path().join("trades.parquet");
        let count = i64::try_from(EXPORT_ROW_GROUP_ROWS).expect("small") + 5;
        let events: Vec<_> = (0..count).map(|at| event(u32::from(at % 2 == 1), at, trade(at, 1))).collect();
        export(&settings(path.clone(), Format::Parquet, &[]), &instruments(), &events).expect("possible");
        let reader = open(&path);
        let groups: Vec<_> = reader.metadata().row_groups().iter().map(|group| group.num_rows()).collect();
        assert_eq!(groups, [count - 5, 5]);
        let schema = reader.metadata().file_metadata().schema_descr();
        let logical = |name: &str| {
            let column = schema.columns().iter().find(|column| column.name() == name).expect("a column");
            column.logical_type_ref().cloned()
        };
        assert_eq!(logical("ts_recv"), Some(LogicalType::timestamp(true, TimeUnit::NANOS)));
        assert_eq!(logical("price"), Some(LogicalType::decimal(9, 38)));
        assert_eq!(logical("size"), Some(LogicalType::decimal(0, 38)));
        assert_eq!(logical("symbol"), Some(LogicalType::String));
        let symbols = reader
            .metadata()
            .row_group(0)
            .columns()
            .iter()
            .find(|column| column.column_path().string() == "symbol");
        assert!(symbols.expect("a column").dictionary_page_offset().is_some());
    }

    #[test]
    fn what_decimals_do_not_hold_is_refused() {
        let folder = folder();
        let instruments = [instrument("ONE", "FINE", -18, 0), instrument("ONE", "COARSE", 6, 0)];
        let settings = settings(folder.path().join("a.parquet"), Format::Parquet, &[]);
        let error =
            export(&settings, &instruments, &[event(1, 1, trade(i64::MAX, 1))]).expect_err("too large");
        assert_eq!(
            error.to_string(),
            "COARSE: price 9223372036854775807000000: parquet holds 38 digits, 18 of them decimals here"
        );
        assert_eq!(std::fs::read_dir(folder.path()).expect("a folder").count(), 0);
        export(&settings, &instruments, &[event(0, 1, trade(i64::MIN, 1))]).expect("it fits");
        assert!(
            text(&settings.path).contains(",-9.223372036854775808,1,buy,5\n"),
            "{}",
            text(&settings.path)
        );
    }
}
