//! `tickwire export`, run as a user runs it: what it writes is read back, by our readers and by others, and is what the
//! feed said.

mod service {
    pub(crate) mod program;
    pub(crate) mod run;
    pub(crate) mod shared;
}

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use dbn::decode::{DbnMetadata, DecodeRecordRef};
use dbn::{Action, MboMsg, Mbp10Msg, Metadata, OhlcvMsg, RecordRef, Schema, TradeMsg};
use feeds::replay::{Replay, ReplaySettings};
use feeds::sim::{Sim, SimMode, SimSettings};
use feeds::{
    EventBody, Feed, Input, Instrument, Level, MarketEvent, Price, Progress, Size, SymbolId, Timestamp, Trade,
};
use tempfile::TempDir;
use tickwire::market::{Change, Market};

use service::program::tickwire;
use service::run::run;
use service::shared::shared;

/// When a simulated market begins.
const START: Timestamp = Timestamp(1_767_623_400_000_000_000);

fn folder() -> TempDir {
    tempfile::tempdir().expect("a temporary folder")
}

fn recording(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("feeds/recordings").join(name)
}

fn export(feed: &[&str], out: &Path, flags: &[&str]) -> Output {
    run(tickwire().arg("export").args(feed).arg("--out").arg(out).args(flags))
}

/// What it prints.
#[track_caller]
fn exported(feed: &[&str], out: &Path, flags: &[&str]) -> String {
    let Output { status, stdout, stderr } = export(feed, out, flags);
    assert!(status.success(), "{}", String::from_utf8_lossy(&stderr));
    String::from_utf8(stdout).expect("UTF-8")
}

#[track_caller]
fn refused(feed: &[&str], out: &Path, flags: &[&str]) -> String {
    let Output { status, stdout, stderr } = export(feed, out, flags);
    assert_eq!((status.code(), stdout.as_slice()), (Some(1), &b""[..]));
    String::from_utf8(stderr).expect("UTF-8")
}

fn text(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

/// All messages of a feed.
fn messages(feed: &mut dyn Feed, until: Timestamp) -> Vec<Vec<MarketEvent>> {
    let mut messages = Vec::new();
    loop {
        let mut events = Vec::new();
        match feed.next_message(&mut events).expect("sound") {
            Progress::Message { due } if due < until => messages.push(events),
            _ => return messages,
        }
    }
}

fn replay(files: &[PathBuf]) -> Replay {
    let settings = ReplaySettings { files: files.to_vec(), ..ReplaySettings::default() };
    Replay::open(&settings).unwrap_or_else(|error| panic!("{error}"))
}

fn read(files: &[PathBuf]) -> (Vec<Instrument>, Vec<Vec<MarketEvent>>) {
    let mut replay = replay(files);
    let messages = messages(&mut replay, Timestamp(i64::MAX));
    (replay.instruments().to_vec(), messages)
}

/// A simulated market of ten seconds, as the flags beside it make it.
fn simulated(mode: SimMode) -> (Vec<Instrument>, Vec<Vec<MarketEvent>>) {
    let settings = SimSettings { instruments: 4, mode, ..SimSettings::default() };
    let mut sim = Sim::new(settings).expect("possible");
    sim.begin(START);
    let messages = messages(&mut sim, Timestamp(START.0 + 20_000_000_000));
    (sim.instruments().to_vec(), messages)
}

const SIMULATED: [&str; 4] = ["--sim-instruments", "4", "--duration", "20s"];

/// Sizes and prices whatever their scale.
struct Scale<'a>(&'a Instrument);

impl Scale<'_> {
    fn level(&self, level: Level) -> String {
        format!("{}x{}", self.price(level.price), self.size(level.size))
    }

    fn price(&self, price: Price) -> String {
        price.to_decimal(self.0.price_exponent).expect("small").normalize().to_string()
    }

    fn size(&self, size: Size) -> String {
        size.to_decimal(self.0.size_exponent).expect("small").normalize().to_string()
    }
}

/// Events of quotes, trades and books as text, without the numbers and the scales of instruments.
fn shown(instruments: &[Instrument], events: &[MarketEvent]) -> Vec<String> {
    let one = |event: &MarketEvent| {
        let instrument = &instruments[event.symbol.index()];
        let scale = Scale(instrument);
        let levels = |levels: &[Level]| {
            let mut levels: Vec<_> = levels.iter().map(|level| scale.level(*level)).collect();
            levels.sort();
            levels.join(" ")
        };
        let body = match &event.body {
            EventBody::Quote { bid, ask } => format!(
                "quote {:?} {:?}",
                bid.map(|level| scale.level(level)),
                ask.map(|level| scale.level(level))
            ),
            EventBody::Trade(Trade { price, size, aggressor, .. }) => {
                format!("trade {} {} {aggressor:?}", scale.price(*price), scale.size(*size))
            }
            EventBody::LevelSet { side, level } => format!("set {side:?} {}", scale.level(*level)),
            EventBody::BookSnapshot(book) => format!("book {} | {}", levels(&book.bids), levels(&book.asks)),
            EventBody::OrderAdd { order, side, level } => {
                format!("add {} {side:?} {}", order.0, scale.level(*level))
            }
            EventBody::OrderModify { order, level } => format!("modify {} {}", order.0, scale.level(*level)),
            EventBody::OrderCancel { order, size } => {
                format!("cancel {} {:?}", order.0, size.map(|size| scale.size(size)))
            }
            EventBody::Definition(definition) => {
                format!("definition {:?}", definition.tick_size.map(|tick| scale.price(tick)))
            }
            other => format!("{other:?}"),
        };
        let MarketEvent { ts_event, ts_recv, sequence, .. } = event;
        format!("{} {} {} {sequence} {body}", instrument.symbol, ts_event.0, ts_recv.0)
    };
    events.iter().map(one).collect()
}

/// The trades that a market makes of messages, and the books that it ends with, as text.
fn played(instruments: &[Instrument], messages: &[Vec<MarketEvent>]) -> (Vec<String>, Vec<String>) {
    let mut market = Market::new(instruments);
    let (mut changes, mut trades) = (Vec::new(), Vec::new());
    for message in messages {
        for event in message {
            market.apply(event, &mut changes);
        }
        market.end_message();
        for change in changes.drain(..) {
            if let Change::Trade { symbol, trade, ts_event, .. } = change {
                let (instrument, Trade { price, size, aggressor, .. }) =
                    (&instruments[symbol.index()], trade);
                let scale = Scale(instrument);
                trades.push(format!(
                    "{} {} {} {} {aggressor:?}",
                    instrument.symbol,
                    ts_event.0,
                    scale.price(price),
                    scale.size(size)
                ));
            }
        }
    }
    let book = |(index, instrument): (usize, &Instrument)| {
        let book = market.book(SymbolId::from_index(index));

        let scale = Scale(instrument);
        let bids: Vec<_> = book.bids().map(|level| scale.level(level)).collect();
        let asks: Vec<_> = book.asks().map(|level| scale.level(level)).collect();
        format!("{} {bids:?} {asks:?}", instrument.symbol)
    };
    let mut books: Vec<_> = instruments.iter().enumerate().map(book).collect();
    books.sort();
    (trades, books)
}

fn flat(messages: &[Vec<MarketEvent>], is_wanted: fn(&EventBody) -> bool) -> Vec<MarketEvent> {
    messages.iter().flatten().filter(|event| is_wanted(&event.body)).cloned().collect()
}

#[test]
fn csv_of_a_recording_plays_the_same() {
    let folder = folder();
    let source = recording("kraken-20210417.jsonl.zst");
    let out = folder.path().join("day");
    let said = exported(&[text(&source)], &out, &["--format", "csv"]);
    assert_eq!(
        said,
        format!(
            "exported 7 quotes, 4253 book, 7 instruments to {}\nleft out: 848 checksums\n",
            out.display()
        )
    );
    let (instruments, messages) = read(&[source]);
    for (name, is_wanted) in [
        ("quotes.csv", (|body| matches!(body, EventBody::Quote { .. })) as fn(&EventBody) -> bool),
        ("book.csv", |body| matches!(body, EventBody::LevelSet { .. } | EventBody::BookSnapshot(_))),
    ] {
        let (read_instruments, found) = read(&[out.join(name)]);
        let found = shown(&read_instruments, &flat(&found, |_| true));
        assert_eq!(found, shown(&instruments, &flat(&messages, is_wanted)), "{name}");
    }
    let replayed = read(&[out.join("quotes.csv"), out.join("book.csv")]);
    assert_eq!(
        played(&replayed.0, &replayed.1).1,
        played(&instruments, &messages).1,
        "the books are those of the recording"
    );
}

#[test]
fn csv_of_every_venues_capture_plays_the_same_trades_and_quotes() {
    let Some(venues) = shared("crypto-ws") else { return };
    let mut counts = [0, 0];
    for venue in fs::read_dir(venues).expect("a folder") {
        let Ok(captures) = fs::read_dir(venue.expect("an entry").path()) else { continue };
        for source in captures.map(|entry| entry.expect("an entry").path()) {
            if !text(&source).ends_with(".jsonl.zst") {
                continue;
            }
            let folder = folder();
            let out = folder.path().join("out");
            exported(&[text(&source)], &out, &["--format", "csv"]);
            let (instruments, messages) = read(std::slice::from_ref(&source));
            for (index, (name, is_wanted)) in [
                ("trades.csv", (|body| matches!(body, EventBody::Trade(_))) as fn(&EventBody) -> bool),
                ("quotes.csv", |body| matches!(body, EventBody::Quote { .. })),
            ]
            .into_iter()
            .enumerate()
            {
                let expected = shown(&instruments, &flat(&messages, is_wanted));
                counts[index] += expected.len();
                if expected.is_empty() {
                    assert!(!out.join(name).exists(), "{name} of {}", source.display());
                    continue;
                }
                let (read_instruments, found) = read(&[out.join(name)]);
                let found = shown(&read_instruments, &flat(&found, |_| true));
                assert_eq!(found.len(), expected.len(), "{name} of {}", source.display());
                for (found, expected) in found.iter().zip(&expected) {
                    assert_eq!(found, expected, "{name} of {}", source.display());
                }
            }
        }
    }
    assert!(counts.into_iter().all(|count| count > 500), "{counts:?}");
}

#[test]
fn a_simulated_market_is_the_same_in_every_export_and_its_trades_are_those_of_its_orders() {
    let folder = folder();
    let [one, two, dbn] = ["one", "two", "dbn"].map(|name| folder.path().join(name));
    let csv = [&SIMULATED[..], &["--format", "csv"]].concat();
    exported(&["sim"], &one, &csv);
    exported(&["sim"], &two, &csv);
    for name in ["trades.csv", "orders.csv", "statuses.csv", "instruments.csv"] {
        assert_eq!(fs::read(one.join(name)).expect("a file"), fs::read(two.join(name)).expect("a file"));
    }
    let (instruments, messages) = simulated(SimMode::Market);
    let (trades, books) = played(&instruments, &messages);
    assert!(trades.len() > 50, "{}", trades.len());
    let (read_instruments, found) = read(&[one.join("trades.csv")]);
    assert_eq!(played(&read_instruments, &found).0, trades);

    // DBN's sizes are of 32 bits without decimals: the smallest unit of crypto currencies is too small for them.
    let flags = [&SIMULATED[..], &["--format", "dbn"]].concat();
    let said = refused(&["sim"], &dbn, &flags);
    assert!(
        said.contains("dbn holds sizes as whole numbers of 32 bits, here of 1: say another unit"),
        "{said}"
    );
    assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 2);
    exported(&["sim"], &dbn, &[&flags[..], &["--size-unit", "0.0001"]].concat());
    let (read_instruments, found) = read(&[dbn.join("orders.dbn")]);
    let (read_trades, read_books) = played(&read_instruments, &found);
    assert_eq!(read_trades.len(), trades.len());
    assert_eq!(read_books, in_units(&books));
    let (trades_instruments, of_trades) = read(&[dbn.join("trades.dbn")]);
    assert_eq!(played(&trades_instruments, &of_trades).0, read_trades);
}

/// Books with sizes as multiples of 0.0001, where they have decimals.
fn in_units(books: &[String]) -> Vec<String> {
    let one = |book: &String| {
        let is_fine =
            book.split('x').skip(1).any(|part| part.split('"').next().is_some_and(|size| size.contains('.')));
        if !is_fine {
            return book.clone();
        }
        let mut parts = book.split('x');
        let mut text = parts.next().expect("the first").to_owned();
        for part in parts {
            let (size, rest) = part.split_once('"').expect("a level ends with a quote");
            let size: rust_decimal::Decimal = size.parse().expect("a size");
            let count = (size / rust_decimal::Decimal::new(1, 4)).normalize();
            text.push_str(&format!("x{count}\"{rest}"));
        }
        text
    };
    books.iter().map(one).collect()
}

#[test]
fn quotes_of_a_simulated_market_are_read_back() {
    let folder = folder();
    let flags = [&SIMULATED[..], &["--sim-mode", "quotes"]].concat();
    let (instruments, messages) = simulated(SimMode::Quotes);
    let expected = shown(&instruments, &flat(&messages, |body| matches!(body, EventBody::Quote { .. })));
    assert_eq!(expected.len(), 1_600);
    let csv = folder.path().join("quotes.csv");
    exported(&["sim"], &csv, &flags);
    let (read_instruments, found) = read(&[csv]);
    assert_eq!(shown(&read_instruments, &flat(&found, |_| true)), expected);
}

#[test]
fn what_cannot_be_written_is_an_error_and_leaves_nothing() {
    let folder = folder();
    let source = recording("kraken-20210417.jsonl.zst");
    let source = text(&source);
    let path = |name: &str| folder.path().join(name);
    let said = refused(&["sim"], &path("a.csv"), &[]);
    assert_eq!(said, "tickwire: a simulated market never ends: say --duration or --messages\n");
    let said = refused(&[source], &path("a"), &[]);
    assert!(said.contains("tells no format: say --format csv, dbn or parquet"), "{said}");
    let said = refused(&[source], &path("a.csv"), &[]);
    assert!(said.contains("the feed has quotes and book, and one file holds one kind"), "{said}");
    let said = refused(&[source], &path("a.dbn"), &[]);
    assert!(said.contains("WAVES/EUR: bid size 185.18432037: dbn holds sizes as whole numbers"), "{said}");
    let said = refused(&[source], &path("a.csv"), &["--kind", "prices"]);
    assert!(said.contains("--kind prices: trades, quotes, book, orders"), "{said}");
    let said = refused(&[source], &path("missing/a.csv"), &["--kind", "quotes"]);
    assert!(said.contains("missing/a.csv.partial: No such file or directory"), "{said}");
    if !cfg!(feature = "parquet") {
        let said = refused(&[source], &path("a.parquet"), &["--kind", "quotes"]);
        assert!(said.contains("build it with `cargo build --release --features parquet`"), "{said}");
    }
    assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 0);

    exported(&[source], &path("a.csv"), &["--kind", "quotes"]);
    let before = fs::read(path("a.csv")).expect("a file");
    let said = refused(&[source], &path("a.csv"), &["--kind", "book"]);
    assert!(said.ends_with("a.csv is there already: remove it, or say --force\n"), "{said}");
    assert_eq!(fs::read(path("a.csv")).expect("a file"), before);
    exported(&[source], &path("a.csv"), &["--kind", "book", "--force"]);
    let book = fs::read(path("a.csv")).expect("a file");
    assert_ne!(book, before);
    // Not what it is made of, though that is an export too.
    let said =
        refused(&[path("a.csv").to_str().expect("UTF-8")], &path("a.csv"), &["--kind", "book", "--force"]);
    assert!(said.contains("a.csv is what is to be exported: say another --out"), "{said}");
    assert_eq!(fs::read(path("a.csv")).expect("a file"), book);
}

/// The kernel refuses to make the file longer, as a full disk does.
#[test]
fn a_full_disk_is_an_error_and_leaves_nothing() {
    let folder = folder();
    let source = recording("kraken-20210417.jsonl.zst");
    let out = folder.path().join("book.csv");
    let program = tickwire();
    let mut shell = Command::new("sh");
    shell
        .args(["-c", "trap '' XFSZ; ulimit -f 32; exec \"$@\"", "sh"])
        .arg(program.get_program())
        .args(["export", text(&source), "--kind", "book", "--out", text(&out)])
        .current_dir(env!("CARGO_TARGET_TMPDIR"));
    let Output { status, stderr, .. } = run(&mut shell);
    let said = String::from_utf8(stderr).expect("UTF-8");
    assert_eq!(status.code(), Some(1), "{said}");
    assert!(said.contains("book.csv.partial: File too large"), "{said}");
    assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 0);
}

/// A file of Databento's own, as our reader reads it and as what is exported from it.
fn through(name: &str) -> Option<(TempDir, PathBuf, PathBuf)> {
    let source = shared(name)?;
    let folder = folder();
    let out = folder.path().join("out.dbn");
    exported(&[text(&source)], &out, &[]);
    Some((folder, source, out))
}

#[test]
fn dbn_files_are_exported_to_the_same_events() {
    for name in [
        "databento-dbn/test_data.trades.v3.dbn.zst",
        "databento-dbn/test_data.tbbo.v3.dbn.zst",
        "databento-dbn/test_data.mbp-1.v3.dbn.zst",
        "databento-dbn/test_data.mbp-10.v3.dbn.zst",
        "databento-dbn/test_data.mbo.v3.dbn.zst",
        "databento-dbn/test_data.bbo-1s.v3.dbn.zst",
        "databento-dbn/test_data.cmbp-1.v3.dbn.zst",
        "databento-dbn/test_data.ohlcv-1s.v3.dbn.zst",
        "databento-dbn/test_data.ohlcv-1h.v3.dbn.zst",
        "databento-dbn/test_data.status.v3.dbn.zst",
        "databento-dbn/test_data.definition.v3.dbn.zst",
        "cme-es/options_bbo-1m_2024-05-09T09-55_2024-05-09T10-05.dbn.zst",
        "cme-es/futures_ohlcv-1m_2024-05-09T09-55_2024-05-09T10-05.dbn.zst",
        "cme-es/options_catalog-futures_definition.dbn.zst",
        "cme-es/esh4-glbx-mdp3-20231224.mbo.dbn.zst",
        "cme-es/orderbooks_mbo_2024-05-08T00-00-00_2024-05-08T00-00-02.dbn.zst",
    ] {
        let Some((_folder, source, out)) = through(&format!("dbn/{name}")) else { continue };
        let (instruments, expected) = read(&[source]);
        let (read_instruments, found) = read(&[out]);
        let venues = |instruments: &[Instrument]| {
            let mut venues: Vec<_> =
                instruments.iter().map(|known| (known.symbol.to_string(), known.venue)).collect();
            venues.sort();
            venues
        };
        assert_eq!(venues(&read_instruments), venues(&instruments), "{name}");
        let is_defined = name.contains("definition");
        let events = |messages: &[Vec<MarketEvent>]| -> Vec<MarketEvent> {
            let events = messages.iter().flatten().filter(|event| {
                // An export defines its instruments; a book's clearing before there was anything in it is left out.
                is_defined || !matches!(event.body, EventBody::Definition(_) | EventBody::BookClear)
            });
            events.cloned().collect()
        };
        let (found, expected) =
            (shown(&read_instruments, &events(&found)), shown(&instruments, &events(&expected)));
        assert_eq!(found.len(), expected.len(), "{name}");
        for (found, expected) in found.iter().zip(&expected) {
            assert_eq!(found, expected, "{name}");
        }
    }
}

/// The records of a file, each as text, by the `dbn` crate alone.
fn records(path: &Path, shown: fn(RecordRef<'_>) -> Option<String>) -> (Metadata, Vec<String>) {
    let mut input = Input::open(path).expect("a file");
    let mut bytes = Vec::new();
    loop {
        let more = input.peek().expect("sound");
        let count = more.len();
        if count == 0 {
            break;
        }
        bytes.extend_from_slice(more);
        input.consume(count);
    }
    let policy = dbn::VersionUpgradePolicy::UpgradeToV3;
    let mut decoder = dbn::decode::dbn::Decoder::with_upgrade_policy(&bytes[..], policy).expect("DBN");
    let metadata = decoder.metadata().clone();
    let mut records = Vec::new();
    while let Some(record) = decoder.decode_record_ref().expect("sound") {
        records.extend(shown(record));
    }
    (metadata, records)
}

#[test]
fn dbn_records_are_equal_where_the_kind_is_the_same() {
    /// What the record says of the market; our instruments have numbers of their own.
    fn record(record: RecordRef<'_>) -> Option<String> {
        let head = |hd: &dbn::RecordHeader| format!("{} {} {}", hd.rtype, hd.publisher_id, hd.ts_event);
        if let Some(MboMsg { hd, order_id, price, size, flags, action, side, ts_recv, sequence, .. }) =
            record.get::<MboMsg>()
        {
            // What is filled is told by the cancel that follows; what has no flag of its own is told by the last.
            let is_last = flags.is_last();
            let is_fill = Action::Fill as u8 == action.to_ne_bytes()[0];
            return (!is_fill).then(|| {
                let head = head(hd);
                // The number of the order that came is not told of a trade.
                let order_id = if Action::Trade as u8 == action.to_ne_bytes()[0] { 0 } else { *order_id };
                format!("{head} {order_id} {price} {size} {is_last} {action} {side} {ts_recv} {sequence}")
            });
        }
        if let Some(TradeMsg { hd, price, size, action, side, ts_recv, sequence, .. }) =
            record.get::<TradeMsg>()
        {
            return Some(format!("{} {price} {size} {action} {side} {ts_recv} {sequence}", head(hd)));
        }
        if let Some(OhlcvMsg { hd, open, high, low, close, volume }) = record.get::<OhlcvMsg>() {
            return Some(format!("{} {open} {high} {low} {close} {volume}", head(hd)));
        }
        let Mbp10Msg { hd, levels, ts_recv, sequence, .. } = record.get::<Mbp10Msg>()?;
        let levels = levels.each_ref().map(|level| (level.bid_px, level.bid_sz, level.ask_px, level.ask_sz));
        Some(format!("{} {levels:?} {ts_recv} {sequence}", head(hd)))
    }
    for (name, kind, schema, count) in [
        ("databento-dbn/test_data.trades.v3.dbn.zst", "trades", Schema::Trades, 2),
        ("databento-dbn/test_data.trades.v1.dbn.zst", "trades", Schema::Trades, 2),
        ("databento-dbn/test_data.mbp-10.v3.dbn.zst", "book", Schema::Mbp10, 2),
        ("databento-dbn/test_data.ohlcv-1m.v3.dbn.zst", "bars", Schema::Ohlcv1M, 2),
        ("cme-es/futures_ohlcv-1m_2024-05-09T09-55_2024-05-09T10-05.dbn.zst", "bars", Schema::Ohlcv1M, 20),
        ("cme-es/esh4-glbx-mdp3-20231224.mbo.dbn.zst", "orders", Schema::Mbo, 8_725),
        (
            "cme-es/orderbooks_mbo_2024-05-08T00-00-00_2024-05-08T00-00-02.dbn.zst",
            "orders",
            Schema::Mbo,
            13_791,
        ),
    ] {
        let Some(source) = shared(&format!("dbn/{name}")) else { continue };
        let folder = folder();
        let out = folder.path().join("out.dbn");
        exported(&[text(&source)], &out, &["--kind", kind]);
        let (of_source, expected) = records(&source, record);
        let (metadata, found) = records(&out, record);
        assert_eq!((metadata.schema, &metadata.dataset), (Some(schema), &of_source.dataset), "{name}");
        assert_eq!(metadata.version, 3);
        assert_eq!((found.len(), expected.len()), (count, count), "{name}");
        for (found, expected) in found.iter().zip(&expected) {
            assert_eq!(found, expected, "{name}");
        }
        // Databento's own way from a record to its symbol.
        let map = metadata.symbol_map().expect("mappings");
        let mut bytes = Vec::new();
        dbn::encode::dbn::MetadataEncoder::new(&mut bytes).encode(&metadata).expect("possible");
        assert!(!map.is_empty(), "{name}");
    }
}

/// Whoever tries what is shown sees something.
#[test]
fn the_examples_of_recordings_that_ship_write_rows() {
    let readme = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).expect("it is there");
    let help = String::from_utf8(run(tickwire().args(["export", "--help"])).stdout).expect("UTF-8");
    for text in [readme, help] {
        let example = text.lines().map(str::trim).find(|line| line.starts_with("tickwire export feeds/"));
        let words: Vec<_> = example.expect("an example").split_whitespace().collect();
        let [_, _, file, "--kind", kind, "--out", _, ..] = words[..] else { panic!("{words:?}") };
        let folder = folder();
        let out = folder.path().join("out.csv");
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
        exported(&[self::text(&file)], &out, &["--kind", kind]);
        assert!(fs::read_to_string(&out).expect("text").lines().count() > 1, "{words:?}");
    }
}
