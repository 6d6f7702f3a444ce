//! What captures say, against slow obvious models and the venues' own checks.

mod binance;
mod bitfinex;
mod bitmex;
mod bitstamp;
mod bybit;
mod coinbase;
mod coinbase_advanced;
mod damage;
mod deribit;
mod kraken;
mod okx;
mod order;
mod others;
mod raw;

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use super::CaptureReader;
use crate::shared::shared;
use crate::{
    Aggressor, BookChecksum, BookSnapshot, EventBody, Exponent, FeedError, Instrument, Level, MarketEvent,
    Price, Side, Size, SymbolId, Timestamp, Trade,
};

/// A recording that ships with the product.
fn recording(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("recordings").join(name)
}

struct Played {
    instruments: Vec<Instrument>,
    messages: u64,
    /// The events of each line.
    lines: Vec<Vec<MarketEvent>>,
}

impl Played {
    fn events(&self) -> impl Iterator<Item = &MarketEvent> {
        self.lines.iter().flatten()
    }

    fn bodies(&self) -> Vec<&EventBody> {
        self.events().map(|event| &event.body).collect()
    }

    fn count(&self, wanted: impl Fn(&EventBody) -> bool) -> usize {
        self.events().filter(|event| wanted(&event.body)).count()
    }

    fn gaps(&self) -> usize {
        self.count(|body| matches!(body, EventBody::Gap { .. }))
    }

    fn symbols(&self) -> Vec<&str> {
        self.instruments.iter().map(|instrument| instrument.symbol.as_str()).collect()
    }
}

fn play(path: &Path) -> Result<Played, FeedError> {
    let mut reader = CaptureReader::open(path)?;
    let mut lines = Vec::new();
    let mut events = Vec::new();
    let mut last = Timestamp(i64::MIN);
    while let Some(ts_recv) = reader.next_message(&mut events)? {
        assert!(ts_recv.0 >= last.0.saturating_sub(1_000_000_000), "time went back from {last} to {ts_recv}");
        last = ts_recv;
        lines.push(std::mem::take(&mut events));
    }
    assert!(matches!(reader.next_message(&mut events), Ok(None)));
    let instruments = reader.instruments().to_vec();
    Ok(Played { instruments, messages: reader.messages(), lines })
}

/// A capture made by hand.
struct Capture(NamedTempFile);

impl Capture {
    fn new(exchange: &str) -> Self {
        let mut capture = Self(NamedTempFile::new().expect("a temporary file"));
        capture.line(&format!(r#"{{"t":"header","format":2,"exchange":"{exchange}"}}"#));
        capture
    }

    fn line(&mut self, line: &str) -> &mut Self {
        writeln!(self.0, "{line}").expect("room on the disk");
        self
    }

    /// A message at a time in decimal seconds.
    fn recv(&mut self, ts: &str, payload: &str) -> &mut Self {
        self.recv_on("ws.1", ts, payload)
    }

    fn recv_on(&mut self, connection: &str, ts: &str, payload: &str) -> &mut Self {
        let data = serde_json::Value::from(payload);
        self.line(&format!(r#"{{"t":"recv","conn":"{connection}","ts":{ts},"data":{data}}}"#))
    }

    fn http(&mut self, ts: &str, url: &str, payload: &str) -> &mut Self {
        let data = serde_json::Value::from(payload);
        self.line(&format!(r#"{{"t":"http","conn":"http.0","ts":{ts},"url":"{url}","data":{data}}}"#))
    }

    fn connect(&mut self, connection: &str, ts: &str) -> &mut Self {
        self.line(&format!(r#"{{"t":"connect","conn":"{connection}","ts":{ts},"addr":"wss://venue"}}"#))
    }

    fn play(&self) -> Result<Played, FeedError> {
        play(self.0.path())
    }

    /// Plays to the error, which must be damage, and returns the offset and the reason.
    fn damage(&self) -> (u64, String) {
        match self.play() {
            Err(FeedError::Damaged { offset, reason, .. }) => (offset, reason),
            Err(other) => panic!("expected damage, found {other}"),
            Ok(_) => panic!("expected damage, found none"),
        }
    }
}

/// A book as slow and obvious as can be.
#[derive(Default)]
struct Model {
    bids: BTreeMap<Price, Size>,
    asks: BTreeMap<Price, Size>,
}

impl Model {
    fn apply(&mut self, body: &EventBody) {
        match body {
            EventBody::BookSnapshot(snapshot) => {
                let BookSnapshot { bids, asks } = &**snapshot;
                self.bids = bids.iter().map(|level| (level.price, level.size)).collect();
                self.asks = asks.iter().map(|level| (level.price, level.size)).collect();
            }
            EventBody::LevelSet { side, level } => {
                let levels = match side {
                    Side::Bid => &mut self.bids,
                    Side::Ask => &mut self.asks,
                };
                if level.size == Size::ZERO {
                    levels.remove(&level.price);
                } else {
                    levels.insert(level.price, level.size);
                }
            }
            EventBody::BookClear | EventBody::Gap { .. } => *self = Self::default(),
            _ => {}
        }
    }

    fn truncate(&mut self, levels_max: usize) {
        while self.bids.len() > levels_max {
            self.bids.pop_first();
        }
        while self.asks.len() > levels_max {
            self.asks.pop_last();
        }
    }

    fn best(&self) -> (Option<Level>, Option<Level>) {
        let level = |(price, size): (&Price, &Size)| Level { price: *price, size: *size };
        (self.bids.last_key_value().map(level), self.asks.first_key_value().map(level))
    }
}

/// What happened, in a few characters: `s10` snapshot, `+12` a level of message 12, `!5/7` gap, `0` book clear, `ok` and
/// `wrong` checksums, `q10` quote, `t12` trade 12, `status`.
fn story(played: &Played) -> String {
    let of = |event: &MarketEvent| match &event.body {
        EventBody::BookSnapshot(_) => format!("s{}", event.sequence),
        EventBody::LevelSet { .. } => format!("+{}", event.sequence),
        EventBody::Gap { expected, found } => format!("!{expected}/{found}"),
        EventBody::BookClear => "0".to_owned(),
        EventBody::BookChecksum(BookChecksum::Checked { agrees: true }) => "ok".to_owned(),
        EventBody::BookChecksum(BookChecksum::Checked { agrees: false }) => "wrong".to_owned(),
        EventBody::Quote { .. } => format!("q{}", event.sequence),
        EventBody::Trade(Trade { id, .. }) => id.map_or_else(|| "t".to_owned(), |id| format!("t{id}")),
        EventBody::Status { .. } => "status".to_owned(),
        other => panic!("{other:?}"),
    };
    played.events().map(of).collect::<Vec<_>>().join(" ")
}

/// The last book of each instrument, and how often after a message its best bid was not below its best offer.
fn books(played: &Played) -> (BTreeMap<SymbolId, Model>, usize) {
    let mut books: BTreeMap<SymbolId, Model> = BTreeMap::new();
    let mut crossed = 0;
    for line in &played.lines {
        for event in line {
            books.entry(event.symbol).or_default().apply(&event.body);
        }
        if let Some(event) = line.last()
            && let (Some(bid), Some(ask)) = books[&event.symbol].best()
        {
            crossed += usize::from(bid.price >= ask.price);
        }
    }
    (books, crossed)
}

/// Plays one message to the error, and checks what it says and that it names the message's offset.
fn check_damage(exchange: &str, before: &str, cases: &[(String, &str)]) {
    for (payload, reason) in cases {
        let mut capture = Capture::new(exchange);
        capture.recv("1", before);
        let offset = capture.0.as_file().metadata().expect("a file").len();
        capture.recv("2", payload);
        assert_eq!(capture.damage(), (offset, (*reason).to_owned()), "{payload}");
    }
}

fn trade(price: i64, size: i64, aggressor: Aggressor, id: Option<u64>) -> EventBody {
    EventBody::Trade(Trade { price: Price(price), size: Size(size), aggressor, id })
}

fn exponent(value: i8) -> Exponent {
    Exponent::new(value).expect("within range")
}

fn level(price: i64, size: i64) -> Level {
    Level { price: Price(price), size: Size(size) }
}
