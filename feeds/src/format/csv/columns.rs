//! What the columns of a file are.
//!
//! | role | names in a header |
//! |---|---|
//! | `time` | `time timestamp timestamp_utc datetime date ts ts_event` |
//! | `received` | `local_timestamp ts_recv received` |
//! | `exchange` `symbol` | `exchange` · `symbol ticker instrument` |
//! | `price` `size` `side` `id` | `price` · `size amount quantity qty` · `side` · `id trade_id` |
//! | `bid` `bid_size` `ask` `ask_size` | `bid bid_price` · `bid_size bid_amount bid_qty` · the same of `ask` |
//! | `open` `high` `low` `close` `volume` | the same |
//! | `snapshot` | `is_snapshot` |
//! | `sequence` `interval_ns` | the same |
//! | levels of books | `asks[0].price asks[0].amount bids[0].price …` |

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::rows::Rows;
use super::time::Unit;
use crate::limits::CSV_COLUMNS_BYTES_MAX;
use crate::{FeedError, Input, Side, Timestamp};

const NAMES: [(&str, &[&str]); 20] = [
    ("time", &["time", "timestamp", "timestamp_utc", "datetime", "date", "ts", "ts_event"]),
    ("received", &["local_timestamp", "ts_recv", "received"]),
    ("exchange", &["exchange"]),
    ("symbol", &["symbol", "ticker", "instrument"]),
    ("price", &["price"]),
    ("size", &["size", "amount", "quantity", "qty"]),
    ("side", &["side"]),
    ("id", &["id", "trade_id"]),
    ("bid", &["bid", "bid_price"]),
    ("bid_size", &["bid_size", "bid_amount", "bid_qty"]),
    ("ask", &["ask", "ask_price"]),
    ("ask_size", &["ask_size", "ask_amount", "ask_qty"]),
    ("open", &["open"]),
    ("high", &["high"]),
    ("low", &["low"]),
    ("close", &["close"]),
    ("volume", &["volume"]),
    ("snapshot", &["is_snapshot", "snapshot"]),
    ("sequence", &["sequence"]),
    ("interval_ns", &["interval_ns"]),
];
/// Of the unit that prices are counted in: as many as a price can have.
const DECIMALS_MAX: u8 = 18;
/// Columns that only tickers of derivatives have.
const DERIVATIVES: [&str; 3] = ["funding_rate", "open_interest", "mark_price"];

/// Where each thing stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Columns {
    pub(super) time: usize,
    pub(super) received: Option<usize>,
    pub(super) exchange: Option<usize>,
    pub(super) symbol: Option<usize>,
    pub(super) sequence: Option<usize>,
    pub(super) content: Content,
}

/// What a row tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Content {
    BookUpdates { snapshot: usize, side: usize, price: usize, size: usize },
    Books(Vec<BookColumns>),
    DerivativeTickers,
    Bars { interval: Option<usize>, open: usize, high: usize, low: usize, close: usize, volume: usize },
    Quotes { bid: usize, bid_size: Option<usize>, ask: usize, ask_size: Option<usize> },
    Trades { price: usize, size: usize, side: Option<usize>, id: Option<usize> },
}

/// A level of a book.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct BookColumns {
    pub(super) side: Side,
    pub(super) price: usize,
    pub(super) size: usize,
}

/// All that is told of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Layout {
    pub(super) columns: Columns,
    pub(super) time_unit: Option<Unit>,
    pub(super) received_unit: Option<Unit>,
    pub(super) name: Option<String>,
    pub(super) venue: Option<String>,
    /// Of bars, in nanoseconds.
    pub(super) interval: Option<i64>,
    /// From when the numbers of times are counted.
    pub(super) since: Timestamp,
    /// Decimals of the unit that prices are counted in.
    pub(super) price_decimals: u8,
    /// Whether a side of a quote with the price zero is as it was in the quote before.
    pub(super) is_zero_same: bool,
}

impl Layout {
    pub(super) const fn of(columns: Columns) -> Self {
        Self {
            columns,
            time_unit: None,
            received_unit: None,
            name: None,
            venue: None,
            interval: None,
            since: Timestamp(0),
            price_decimals: 0,
            is_zero_same: false,
        }
    }
}

impl Columns {
    /// By the names of a header.
    pub(super) fn of_header(names: &[&[u8]]) -> Result<Self, String> {
        let names: Vec<String> =
            names.iter().map(|name| String::from_utf8_lossy(name).trim().to_ascii_lowercase()).collect();
        let mut roles = BTreeMap::new();
        for (role, known) in NAMES {
            let at = known.iter().find_map(|known| names.iter().position(|name| name == known));
            if let Some(at) = at {
                roles.insert(role, at);
            }
        }
        let is_derivative = names.iter().any(|name| DERIVATIVES.contains(&name.as_str()));
        Self::of_roles(&roles, book(&names), is_derivative)
    }

    fn of_roles(
        roles: &BTreeMap<&str, usize>,
        book: Vec<BookColumns>,
        is_derivative: bool,
    ) -> Result<Self, String> {
        let get = |role: &str| roles.get(role).copied();
        let Some(time) = get("time") else { return Err("no column with a time".to_owned()) };
        let size = get("size").or(get("volume"));
        let content = if let (Some(snapshot), Some(side), Some(price), Some(size)) =
            (get("snapshot"), get("side"), get("price"), size)
        {
            Content::BookUpdates { snapshot, side, price, size }
        } else if !book.is_empty() {
            Content::Books(book)
        } else if is_derivative {
            Content::DerivativeTickers
        } else if let (Some(open), Some(high), Some(low), Some(close), Some(volume)) =
            (get("open"), get("high"), get("low"), get("close"), get("volume"))
        {
            Content::Bars { interval: get("interval_ns"), open, high, low, close, volume }
        } else if let (Some(bid), Some(ask)) = (get("bid"), get("ask")) {
            if get("price").is_some() && size.is_some() {
                return Err("columns of trades (price, size) and of quotes (bid, ask) at once".to_owned());
            }
            Content::Quotes { bid, bid_size: get("bid_size"), ask, ask_size: get("ask_size") }
        } else if let (Some(price), Some(size)) = (get("price"), size) {
            Content::Trades { price, size, side: get("side"), id: get("id") }
        } else {
            return Err("columns that make no trades, quotes, books or bars".to_owned());
        };
        Ok(Self {
            time,
            received: get("received"),
            exchange: get("exchange"),
            symbol: get("symbol"),
            sequence: get("sequence"),
            content,
        })
    }

    /// Whether these are bars of which no column tells how long they are.
    pub(super) const fn is_bars_of_one_interval(&self) -> bool {
        matches!(self.content, Content::Bars { interval: None, .. })
    }
}

/// The levels of a book, as far as both columns of one are there.
fn book(names: &[String]) -> Vec<BookColumns> {
    let places: BTreeMap<&str, usize> = names.iter().map(String::as_str).zip(0..).collect();
    let at = |name: String| places.get(name.as_str()).copied();
    let level = |side: Side, shown: &str, index: usize| {
        let price = at(format!("{shown}[{index}].price"))?;
        Some(BookColumns { side, price, size: at(format!("{shown}[{index}].amount"))? })
    };
    let mut book = Vec::new();
    for (side, shown) in [(Side::Ask, "asks"), (Side::Bid, "bids")] {
        book.extend((0..names.len()).map_while(|index| level(side, shown, index)));
    }
    book
}

/// The file with the columns of a CSV file, if it is there.
pub(super) fn beside(path: &Path) -> Option<PathBuf> {
    let mut name = path.as_os_str().to_owned();
    name.push(".columns");
    let path = PathBuf::from(name);
    path.exists().then_some(path)
}

/// Reads the columns from a file, and the header of the rows, if they have one.
pub(super) fn read(path: &Path, rows: &mut Rows) -> Result<Layout, FeedError> {
    let mut input = Input::open(path)?;
    let mut text = Vec::new();
    loop {
        let more = input.peek()?;
        let count = more.len();
        if count == 0 {
            break;
        }
        text.extend_from_slice(more);
        input.consume(count);
        if text.len() > CSV_COLUMNS_BYTES_MAX {
            return Err(input.damaged(format!("more than {CSV_COLUMNS_BYTES_MAX} bytes")));
        }
    }
    let refuse = |reason: String| FeedError::Settings(format!("{}: {reason}", path.display()));
    let text = String::from_utf8(text).map_err(|_| refuse("not UTF-8".to_owned()))?;
    let entries = entries(&text).map_err(refuse)?;
    let find = |name: &str| entries.iter().find(|(known, _)| *known == name).map(|(_, value)| *value);
    let has_header = match find("header") {
        None => {
            entries.iter().any(|(role, value)| is_role(role) && column(value).0.parse::<usize>().is_err())
        }
        Some("yes") => true,
        Some("no") => false,
        Some(other) => return Err(refuse(format!("`header={other}`: yes or no"))),
    };
    if !rows.next_row()? {
        return Err(rows.damaged("no row".to_owned()));
    }
    let fields: Vec<String> =
        rows.fields().map(|name| String::from_utf8_lossy(name).trim().to_owned()).collect();
    let mut roles = BTreeMap::new();
    let mut units = BTreeMap::new();
    for (role, value) in entries.iter().filter(|(role, _)| is_role(role)) {
        let (named, unit) = column(value);
        let at = match named.parse() {
            Ok(number) => Some(number).filter(|number| *number < fields.len()),
            Err(_) if has_header => fields.iter().position(|field| field == named),
            Err(_) => None,
        };
        roles.insert(*role, at.ok_or_else(|| refuse(format!("`{role}={value}`: there is no such column")))?);
        if let Some(unit) = unit {
            let read = Unit::of(unit).ok_or_else(|| refuse(format!("`{role}={value}`: no unit of time")))?;
            units.insert(*role, read);
        }
    }
    let columns = Columns::of_roles(&roles, Vec::new(), false).map_err(refuse)?;
    let interval = find("interval").map(|text| {
        interval(text).ok_or_else(|| refuse(format!("`interval={text}`: a number and s, m, h or d")))
    });
    let since = find("since")
        .map(|text| Unit::Text.read(text).map_err(|reason| refuse(format!("`since={text}`: {reason}"))));
    let price_decimals = find("price_unit").map(|text| {
        decimals(text).ok_or_else(|| {
            refuse(format!("`price_unit={text}`: 1, 0.1, 0.01 and so on, with up to {DECIMALS_MAX} decimals"))
        })
    });
    let is_zero_same = match find("zero") {
        None => false,
        Some("same") => true,
        Some(other) => return Err(refuse(format!("`zero={other}`: only `same` is known"))),
    };
    rows.expect_columns(fields.len());
    if !has_header {
        rows.put_back();
    }
    Ok(Layout {
        columns,
        time_unit: units.get("time").copied(),
        received_unit: units.get("received").copied(),
        name: find("name").map(str::to_owned),
        venue: find("venue").map(str::to_owned),
        interval: interval.transpose()?,
        since: since.transpose()?.unwrap_or(Timestamp(0)),
        price_decimals: price_decimals.transpose()?.unwrap_or(0),
        is_zero_same,
    })
}

fn is_role(name: &str) -> bool {
    NAMES.iter().any(|(role, _)| *role == name)
}

/// A column and the unit behind it.
fn column(value: &str) -> (&str, Option<&str>) {
    value.rsplit_once(':').map_or((value, None), |(column, unit)| (column.trim(), Some(unit.trim())))
}

/// `role=value`, behind commas or line ends; what follows a `#` is a comment.
fn entries(text: &str) -> Result<Vec<(&str, &str)>, String> {
    const SETTINGS: [&str; 7] = ["name", "venue", "interval", "header", "since", "price_unit", "zero"];
    let mut entries: Vec<(&str, &str)> = Vec::new();
    for line in text.lines() {
        let line = line.split('#').next().unwrap_or_default();
        for entry in line.split(',').map(str::trim).filter(|entry| !entry.is_empty()) {
            let Some((name, value)) = entry.split_once('=') else {
                return Err(format!("`{entry}`: a role, `=`, and its column"));
            };
            let (name, value) = (name.trim(), value.trim());
            if !is_role(name) && !SETTINGS.contains(&name) {
                return Err(format!("`{name}` is no role of a column"));
            }
            if entries.iter().any(|(known, _)| *known == name) {
                return Err(format!("`{name}` is told twice"));
            }
            entries.push((name, value));
        }
    }
    Ok(entries)
}

/// How many decimals `1`, `0.1`, `0.01`, … have.
fn decimals(unit: &str) -> Option<u8> {
    if unit == "1" {
        return Some(0);
    }
    let zeros = unit.strip_prefix("0.")?.strip_suffix('1')?;
    let decimals = u8::try_from(zeros.len() + 1).ok()?;
    (zeros.bytes().all(|byte| byte == b'0') && decimals <= DECIMALS_MAX).then_some(decimals)
}

/// `1s`, `5m`, `1h`, `1d` in nanoseconds.
fn interval(text: &str) -> Option<i64> {
    let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let seconds: i64 = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => return None,
    };
    let number: i64 = number.parse().ok().filter(|number| *number > 0)?;
    number.checked_mul(seconds * 1_000_000_000)
}
