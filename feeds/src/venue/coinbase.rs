//! Coinbase Exchange (`ws-feed.exchange.coinbase.com`, formerly `ws-feed.pro.coinbase.com`).
//!
//! Every message is an object with a `type`
//! ([documentation](https://docs.cdp.coinbase.com/exchange/websocket-feed/channels)):
//!
//! ```text
//! {"type":"snapshot","product_id":"SKL-BTC","asks":[["0.00001305","4781.0"],…],"bids":[…]}
//! {"type":"l2update","product_id":"SKL-BTC","changes":[["sell","0.00001306","660.5"]],
//!  "time":"2021-04-17T16:43:37.075687Z"}
//! {"type":"match","trade_id":280232,"maker_order_id":"2a0da34e-…","taker_order_id":"3c82abaa-…","side":"sell",
//!  "size":"985","price":"0.00001305","product_id":"SKL-BTC","sequence":177100030,
//!  "time":"2021-04-17T16:43:37.089723Z"}
//! {"type":"last_match",…the same fields…}
//! {"type":"ticker","sequence":333938798,"product_id":"BAND-GBP","price":"14.7775",…,"best_bid":"14.7550",
//!  "best_ask":"14.8060","side":"buy","time":"2021-04-17T16:43:30.244075Z","trade_id":881613,"last_size":"0.04"}
//! {"type":"status","products":[{"id":"BTC-USD","status":"online","status_message":"",…},…],…}
//! ```
//!
//! The venue's procedure, whose steps the code names:
//! 1. `snapshot` is the whole book. It has no time of its own.
//! 2. `l2update` sets levels; size zero deletes. These messages are not numbered.
//! 3. `match` is a trade; `side` is the **maker's** side, so the aggressor's is the other one.
//! 4. `trade_id` of a product's matches rises by one. A hole says that messages were lost.
//! 5. `last_match` comes once after subscribing and tells a trade of the past: it is no event, and only says which
//!    `trade_id` is due next.
//!
//! `ticker` repeats a match, with the best prices but without their sizes. A quote without sizes is none, so it makes
//! no event: the quote is the top of the level-2 book.

use serde::{Deserialize, Serialize};

use super::book::{Book, clear_fed};
use super::directory::Listing;
use super::json::{self, Object, Value};
use super::{BySymbol, ConnectionId, Directory, Receipt, Venue, VenueError, rfc3339};
use crate::{Aggressor, EventBody, Exponent, MarketEvent, Side, SymbolId, Timestamp, Trade, TradingStatus};

/// What Coinbase Exchange's messages mean.
pub(super) struct Coinbase {
    directory: Directory,
    products: BySymbol<Product>,
}

#[derive(Clone, Copy, Default, Serialize, Deserialize)]
struct Product {
    book: Book,
    /// Which connection tells the matches, and the `trade_id` that is due.
    match_due: Option<(ConnectionId, u64)>,
    /// `None` while no `status` message spoke of it: it trades, as far as is known.
    status: Option<TradingStatus>,
}

impl Coinbase {
    pub(super) fn new(directory: Directory) -> Self {
        Self { directory, products: BySymbol::default() }
    }
}

impl Venue for Coinbase {
    fn directory(&self) -> &Directory {
        &self.directory
    }

    fn into_directory(self: Box<Self>) -> Directory {
        self.directory
    }

    fn keep(&self) -> Option<Vec<u8>> {
        postcard::to_stdvec(&self.products).ok()
    }

    fn recall(&mut self, kept: &[u8]) -> Result<(), postcard::Error> {
        self.products = postcard::from_bytes(kept)?;
        Ok(())
    }

    fn on_connect(&mut self, receipt: Receipt, _address: &str, events: &mut Vec<MarketEvent>) {
        let is_fed = |product: &mut Product| {
            if product.match_due.is_some_and(|(feeder, _)| feeder == receipt.connection) {
                product.match_due = None;
            }
            product.book.on_connect(receipt.connection)
        };
        clear_fed(receipt, self.products.iter_mut(), is_fed, events);
    }

    fn on_message(
        &mut self,
        receipt: Receipt,
        message: Value<'_>,
        events: &mut Vec<MarketEvent>,
    ) -> Result<(), VenueError> {
        let message = json::as_object(message, "message")?;
        let read = match json::text(&message, "type")? {
            "l2update" => Self::on_update,
            "match" => Self::on_match,
            "snapshot" => Self::on_snapshot,
            "last_match" => Self::on_last_match,
            "status" => return self.on_status(&message, receipt.ts_recv, events),
            _ => return Ok(()),
        };
        let name = json::text(&message, "product_id")?;
        let symbol = self.directory.id(name)?;
        read(self, symbol, receipt, &message, events).map_err(|error| error.of(name))
    }

    fn wants_answer(&self, url: &str) -> bool {
        self.directory.is_surveying() && url.ends_with("/products")
    }

    fn on_answer(
        &mut self,
        _url: &str,
        answer: Value<'_>,
        _ts_recv: Timestamp,
        _events: &mut Vec<MarketEvent>,
    ) -> Result<(), VenueError> {
        read_products(answer, &mut self.directory)
    }
}

impl Coinbase {
    /// Step 1.
    fn on_snapshot(
        &mut self,
        symbol: SymbolId,
        receipt: Receipt,
        message: &Object<'_>,
        events: &mut Vec<MarketEvent>,
    ) -> Result<(), VenueError> {
        let snapshot = self.directory.snapshot(symbol, message, "bids", "asks")?;
        self.products.of(symbol).book = Book::Held(receipt.connection);
        let body = EventBody::BookSnapshot(Box::new(snapshot));
        events.push(event(symbol, receipt.ts_recv, receipt.ts_recv, body));
        Ok(())
    }

    /// Step 2.
    fn on_update(
        &mut self,
        symbol: SymbolId,
        receipt: Receipt,
        message: &Object<'_>,
        events: &mut Vec<MarketEvent>,
    ) -> Result<(), VenueError> {
        let start = events.len();
        let ts_event = rfc3339(message, "time")?;
        for change in &json::list(message, "changes")? {
            let change = json::as_list(change, "changes")?;
            let mut fields = change.iter();
            let side = match json::as_text(fields.next(), "changes")? {
                "buy" => Side::Bid,
                "sell" => Side::Ask,
                _ => return Err(VenueError::expected("changes", "`buy` or `sell`")),
            };
            let price = json::as_text(fields.next(), "changes")?;
            let size = json::as_text(fields.next(), "changes")?;
            let level = self.directory.level(symbol, "changes", price, size)?;
            events.push(event(symbol, ts_event, receipt.ts_recv, EventBody::LevelSet { side, level }));
        }
        let gap = event(symbol, ts_event, receipt.ts_recv, EventBody::Gap { expected: 0, found: 0 });
        self.products.of(symbol).book.on_update(receipt.connection, events, start, gap);
        Ok(())
    }

    /// Steps 3 and 4.
    fn on_match(
        &mut self,
        symbol: SymbolId,
        receipt: Receipt,
        message: &Object<'_>,
        events: &mut Vec<MarketEvent>,
    ) -> Result<(), VenueError> {
        let ts_event = rfc3339(message, "time")?;
        let sequence = json::natural(message, "sequence")?;
        let trade_id = json::natural(message, "trade_id")?;
        let aggressor = match json::text(message, "side")? {
            "buy" => Aggressor::Sell,
            "sell" => Aggressor::Buy,
            _ => return Err(VenueError::expected("side", "`buy` or `sell`")),
        };
        let price = self.directory.price(symbol, "price", json::text(message, "price")?)?;
        let size = self.directory.size(symbol, "size", json::text(message, "size")?)?;
        let of_message = |body| MarketEvent { sequence, ..event(symbol, ts_event, receipt.ts_recv, body) };
        let due = &mut self.products.of(symbol).match_due;
        if let Some((_, expected)) = *due
            && expected != trade_id
        {
            events.push(of_message(EventBody::Gap { expected, found: trade_id }));
        }
        *due = Some((receipt.connection, after(trade_id)?));
        events.push(of_message(EventBody::Trade(Trade { price, size, aggressor, id: Some(trade_id) })));
        Ok(())
    }

    /// Step 5.
    fn on_last_match(
        &mut self,
        symbol: SymbolId,
        receipt: Receipt,
        message: &Object<'_>,
        _events: &mut Vec<MarketEvent>,
    ) -> Result<(), VenueError> {
        let due = after(json::natural(message, "trade_id")?)?;
        self.products.of(symbol).match_due = Some((receipt.connection, due));
        Ok(())
    }

    /// The list is of all products, most of which are none of ours.
    fn on_status(
        &mut self,
        message: &Object<'_>,
        ts_recv: Timestamp,
        events: &mut Vec<MarketEvent>,
    ) -> Result<(), VenueError> {
        for product in &json::list(message, "products")? {
            let product = json::as_object(product, "products")?;
            let name = json::text(&product, "id")?;
            let Some(symbol) = self.directory.find(name) else { continue };
            let text = json::text(&product, "status").map_err(|error| error.of(name))?;
            let status = if text == "online" { TradingStatus::Trading } else { TradingStatus::Halted };
            let known = &mut self.products.of(symbol).status;
            if known.unwrap_or(TradingStatus::Trading) != status {
                let reason =
                    json::text_if_any(&product, "status_message").filter(|reason| !reason.is_empty());
                let reason = reason.unwrap_or(text).to_owned();
                events.push(event(symbol, ts_recv, ts_recv, EventBody::Status { status, reason }));
            }
            *known = Some(status);
        }
        Ok(())
    }
}

fn after(trade_id: u64) -> Result<u64, VenueError> {
    trade_id.checked_add(1).ok_or_else(|| VenueError::expected("trade_id", "less than 2^64 - 1"))
}

const fn event(symbol: SymbolId, ts_event: Timestamp, ts_recv: Timestamp, body: EventBody) -> MarketEvent {
    MarketEvent { symbol, ts_event, ts_recv, sequence: 0, body }
}

/// `[{"id":"SKL-EUR","quote_currency":"EUR","quote_increment":"0.0001","base_increment":"0.1",…},…]`
fn read_products(answer: Value<'_>, directory: &mut Directory) -> Result<(), VenueError> {
    for product in &json::as_list(answer, "products")? {
        let product = json::as_object(product, "products")?;
        let name = json::text(&product, "id")?;
        let exponent =
            |field, text| Exponent::of_text(text).map_err(|error| VenueError::new(field, error).of(name));
        let tick_size = json::text(&product, "quote_increment").map_err(|error| error.of(name))?;
        let step = json::text(&product, "base_increment").map_err(|error| error.of(name))?;
        let listing = Listing {
            price_exponent: Some(exponent("quote_increment", tick_size)?),
            size_exponent: Some(exponent("base_increment", step)?),
            tick_size: Some(tick_size.to_owned()),
            currency: json::text_if_any(&product, "quote_currency").map(str::to_owned),
            book_levels_max: None,
        };
        directory.list(name, listing)?;
    }
    Ok(())
}
