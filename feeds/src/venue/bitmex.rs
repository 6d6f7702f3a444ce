//! BitMEX (`ws.bitmex.com/realtime`).
//!
//! Every message of market data changes a table
//! ([documentation](https://www.bitmex.com/app/wsAPI)):
//!
//! ```text
//! {"table":"orderBookL2","action":"partial","keys":["symbol","id","side"],"filter":{"symbol":"XBTUSD"},
//!  "data":[{"symbol":"XBTUSD","id":8796765400,"side":"Sell","size":21200,"price":32346},…],…}
//! {"table":"orderBookL2","action":"insert","data":[{"symbol":"XBTUSD","id":8796794450,"side":"Buy","size":15900,"price":32055.5}]}
//! {"table":"orderBookL2","action":"update","data":[{"symbol":"XBTUSD","id":8796794450,"side":"Buy","size":2104}]}
//! {"table":"orderBookL2","action":"delete","data":[{"symbol":"XBTUSD","id":8796794450,"side":"Buy"}]}
//! {"table":"quote","action":"insert","data":[{"timestamp":"2021-07-22T22:36:10.014Z","symbol":"XBTUSD",
//!  "bidSize":1050200,"bidPrice":32180,"askPrice":32180.5,"askSize":161000}]}
//! {"table":"trade","action":"insert","data":[{"timestamp":"2021-07-22T22:36:11.685Z","symbol":"XBTUSD","side":"Buy",
//!  "size":100,"price":32180.5,"trdMatchID":"6e70bebe-235e-08a6-d11b-e1042bf1f2ed",…}]}
//! {"success":true,"subscribe":"orderBookL2:XBTUSD","request":{…}}
//! ```
//!
//! The venue's procedure for a book, whose steps the code names:
//! 1. `partial` is the whole table. What comes before it is to be dropped.
//! 2. `insert`, `update` and `delete` change rows, which are known by symbol, `id` and side. An update or deletion need
//!    not repeat the price.
//! 3. Messages are not numbered; but a change of a row that is not there says that something was lost.
//!
//! - Rows of the book have a time since 2021 only.
//! - `side` of a trade is the taker's. The `partial` of `trade` tells of the past, and makes no events.
//! - Prices are numbers of JSON, and are read from their digits.

use super::book::{Book, clear_fed};
use super::directory::Listing;
use super::json::{self, Array, Object, Value};
use super::{BySymbol, Directory, Receipt, Stamp, Venue, VenueError, rfc3339};
use crate::limits::LEVEL_IDS_MAX;
use crate::{
    Aggressor, BookSnapshot, EventBody, Level, MarketEvent, Price, Side, Size, SymbolId, Timestamp, Trade,
};
use rustc_hash::FxHashMap;

/// What BitMEX's messages mean.
pub(super) struct Bitmex {
    directory: Directory,
    books: BySymbol<Rows>,
    /// The sum of all books' rows.
    count: usize,
}

#[derive(Default)]
struct Rows {
    book: Book,
    prices: FxHashMap<(u64, Side), Price>,
    /// The table that feeds the book.
    table: Option<&'static str>,
}

/// A row of the book, and what a message does to it.
struct Row {
    key: (u64, Side),
    change: Change,
}

enum Change {
    Set(Level),
    Resize(Size),
    Remove,
}

const BOOK_TABLES: [&str; 2] = ["orderBookL2", "orderBookL2_25"];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Action {
    Partial,
    Insert,
    Update,
    Delete,
}

impl Bitmex {
    pub(super) fn new(directory: Directory) -> Self {
        Self { directory, books: BySymbol::default(), count: 0 }
    }
}

impl Venue for Bitmex {
    fn directory(&self) -> &Directory {
        &self.directory
    }

    fn into_directory(self: Box<Self>) -> Directory {
        self.directory
    }

    fn has_bare_numbers(&self) -> bool {
        true
    }

    fn on_connect(&mut self, receipt: Receipt, _address: &str, events: &mut Vec<MarketEvent>) {
        let is_fed = |rows: &mut Rows| {
            let is_fed = rows.book.on_connect(receipt.connection);
            if is_fed {
                self.count -= rows.prices.len();
                *rows = Rows::default();
            }
            is_fed
        };
        clear_fed(receipt, self.books.iter_mut(), is_fed, events);
    }

    fn on_message(
        &mut self,
        receipt: Receipt,
        message: Value<'_>,
        events: &mut Vec<MarketEvent>,
    ) -> Result<(), VenueError> {
        let message = json::as_object(message, "message")?;
        let Some(table) = json::text_if_any(&message, "table") else { return Ok(()) };
        let book_table = BOOK_TABLES.into_iter().find(|known| *known == table);
        if book_table.is_none() && !matches!(table, "quote" | "trade") {
            return Ok(());
        }
        let action = match json::text(&message, "action")? {
            "partial" => Action::Partial,
            "insert" => Action::Insert,
            "update" => Action::Update,
            "delete" => Action::Delete,
            _ => return Err(VenueError::expected("action", "`partial`, `insert`, `update` or `delete`")),
        };
        let rows = json::list(&message, "data")?;
        if let Some(table) = book_table {
            if action == Action::Partial {
                // An empty book has no row that names it.
                let filter = message.get("filter").and_then(|filter| filter.as_object());
                let name = filter.and_then(|filter| json::text_if_any(&filter, "symbol"));
                return self.on_partial(table, name, receipt, &rows, events);
            }
            return self.on_changes(table, action, receipt, &rows, events);
        }
        for row in &rows {
            let row = json::as_object(row, "data")?;
            let name = json::text(&row, "symbol")?;
            let symbol = self.directory.id(name)?;
            let mut read = || {
                let stamp = Stamp { ts_event: rfc3339(&row, "timestamp")?, ..receipt.stamp(symbol) };
                match table {
                    "quote" => {
                        let bid = self.directory.best(symbol, &row, "bidPrice", "bidSize")?;
                        let ask = self.directory.best(symbol, &row, "askPrice", "askSize")?;
                        events.push(stamp.event(EventBody::Quote { bid, ask }));
                    }
                    _ => {
                        let trade = self.trade(symbol, &row)?;
                        if action == Action::Insert {
                            events.push(stamp.event(EventBody::Trade(trade)));
                        }
                    }
                }
                Ok(())
            };
            read().map_err(|error: VenueError| error.of(name))?;
        }
        Ok(())
    }

    fn wants_answer(&self, url: &str) -> bool {
        self.directory.is_surveying() && url.contains("/instrument")
    }

    /// `[{"symbol":"XBTUSD","tickSize":0.5,"lotSize":100,"quoteCurrency":"USD",…},…]`
    fn on_answer(
        &mut self,
        _url: &str,
        answer: Value<'_>,
        _ts_recv: Timestamp,
        _events: &mut Vec<MarketEvent>,
    ) -> Result<(), VenueError> {
        for instrument in &json::as_list(answer, "instrument")? {
            let instrument = json::as_object(instrument, "instrument")?;
            let name = json::text(&instrument, "symbol")?;
            let told = |field| (field, json::text_if_any(&instrument, field));
            let currency = told("quoteCurrency").1;
            self.directory
                .list(name, Listing::of_steps(name, told("tickSize"), told("lotSize"), currency)?)?;
        }
        Ok(())
    }
}

impl Bitmex {
    /// Step 1.
    fn on_partial(
        &mut self,
        table: &'static str,
        name: Option<&str>,
        receipt: Receipt,
        rows: &Array<'_>,
        events: &mut Vec<MarketEvent>,
    ) -> Result<(), VenueError> {
        let mut books: Vec<(Stamp, Vec<Row>)> = Vec::new();
        if let Some(name) = name {
            books.push((receipt.stamp(self.directory.id(name)?), Vec::new()));
        }
        for row in rows {
            let (stamp, row) = self.row(Action::Partial, receipt, row)?;
            match books.last_mut() {
                Some((last, rows)) if last.symbol == stamp.symbol => {
                    *last = stamp;
                    rows.push(row);
                }
                _ => books.push((stamp, vec![row])),
            }
        }
        for (stamp, rows) in books {
            let held = self.books.of(stamp.symbol);
            if *held.table.get_or_insert(table) != table {
                continue;
            }
            self.count -= held.prices.len();
            held.prices.clear();
            let mut snapshot = BookSnapshot::default();
            for Row { key, change } in rows {
                let Change::Set(level) = change else { continue };
                held.prices.insert(key, level.price);
                match key.1 {
                    Side::Bid => snapshot.bids.push(level),
                    Side::Ask => snapshot.asks.push(level),
                }
            }
            self.count += held.prices.len();
            held.book = Book::Held(receipt.connection);
            events.push(stamp.event(EventBody::BookSnapshot(Box::new(snapshot))));
            if self.count > LEVEL_IDS_MAX {
                self.lose(stamp, events);
            }
        }
        Ok(())
    }

    /// Steps 2 and 3.
    fn on_changes(
        &mut self,
        table: &'static str,
        action: Action,
        receipt: Receipt,
        rows: &Array<'_>,
        events: &mut Vec<MarketEvent>,
    ) -> Result<(), VenueError> {
        for row in rows {
            let (stamp, Row { key, change }) = self.row(action, receipt, row)?;
            let held = self.books.of(stamp.symbol);
            if held.table.is_some_and(|feeder| feeder != table) {
                continue;
            }
            let no_partial = stamp.event(EventBody::Gap { expected: 0, found: 0 });
            let start = events.len();
            if !held.book.on_update(receipt.connection, events, start, no_partial) {
                continue;
            }
            let level = match change {
                Change::Set(level) => {
                    self.count += usize::from(held.prices.insert(key, level.price).is_none());
                    Some(level).filter(|_| self.count <= LEVEL_IDS_MAX)
                }
                Change::Resize(size) => held.prices.get(&key).map(|price| Level { price: *price, size }),
                Change::Remove => {
                    let price = held.prices.remove(&key);
                    self.count -= usize::from(price.is_some());
                    price.map(|price| Level { price, size: Size::ZERO })
                }
            };
            match level {
                Some(level) => events.push(stamp.event(EventBody::LevelSet { side: key.1, level })),
                None => self.lose(stamp, events),
            }
        }
        Ok(())
    }

    /// The book of `stamp` is void until its next `partial`.
    fn lose(&mut self, stamp: Stamp, events: &mut Vec<MarketEvent>) {
        let held = self.books.of(stamp.symbol);
        self.count -= held.prices.len();
        *held = Rows { book: Book::Lost, ..Rows::default() };
        stamp.tell_gap(0, 0, events);
    }

    fn row(&mut self, action: Action, receipt: Receipt, row: Value<'_>) -> Result<(Stamp, Row), VenueError> {
        let row = json::as_object(row, "data")?;
        let name = json::text(&row, "symbol")?;
        let symbol = self.directory.id(name)?;
        let mut read = || {
            let mut stamp = receipt.stamp(symbol);
            if row.get("timestamp").is_some() {
                stamp.ts_event = rfc3339(&row, "timestamp")?;
            }
            let side = match json::text(&row, "side")? {
                "Buy" => Side::Bid,
                "Sell" => Side::Ask,
                _ => return Err(VenueError::expected("side", "`Buy` or `Sell`")),
            };
            let change = match action {
                Action::Delete => Change::Remove,
                Action::Update => {
                    Change::Resize(self.directory.size(symbol, "size", json::text(&row, "size")?)?)
                }
                Action::Partial | Action::Insert => {
                    let (price, size) = (json::text(&row, "price")?, json::text(&row, "size")?);
                    let price = self.directory.price(symbol, "price", price)?;
                    Change::Set(Level { price, size: self.directory.size(symbol, "size", size)? })
                }
            };
            Ok((stamp, Row { key: (json::natural(&row, "id")?, side), change }))
        };
        read().map_err(|error: VenueError| error.of(name))
    }

    fn trade(&mut self, symbol: SymbolId, row: &Object<'_>) -> Result<Trade, VenueError> {
        Ok(Trade {
            price: self.directory.price(symbol, "price", json::text(row, "price")?)?,
            size: self.directory.size(symbol, "size", json::text(row, "size")?)?,
            aggressor: match json::text_if_any(row, "side") {
                Some("Buy") => Aggressor::Buy,
                Some("Sell") => Aggressor::Sell,
                // Settlements have no side.
                _ => Aggressor::None,
            },
            id: None,
        })
    }
}
