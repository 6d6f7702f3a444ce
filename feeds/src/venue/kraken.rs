//! Kraken, WebSocket API version 1.x (`ws.kraken.com`).
//!
//! Market data is a list, status is an object ([documentation](https://docs.kraken.com/api/docs/websocket-v1/book)):
//!
//! ```text
//! [993,[["354.11000000","0.89594024","1618678142.557535","s","l",""]],"trade","XMR/USD"]
//! [1360,{"as":[["0.000022900","13355.87450757","1618678123.481570"],…],"bs":[…]},"book-1000","ADA/XBT"]
//! [1920,{"a":[["0.042990","364630.28272081","1618678145.920470"]]},
//!       {"b":[["0.042990","0.00000000","1618678145.920708"]],"c":"4105471083"},"book-1000","SC/EUR"]
//! [1668,{"a":["13.253900",35,"35.72892241"],"b":["13.232900",185,"185.18432037"],…},"ticker","WAVES/EUR"]
//! [0,["5698.40000","5700.00000","1542057299.545897","1.01234567","0.98765432"],"spread","XBT/USD"]
//! {"event":"systemStatus","status":"online","version":"1.8.3"}
//! ```
//!
//! The venue's procedure for a book, whose steps the code names:
//! 1. `as` and `bs` are the whole book, `N` levels a side by the channel's name `book-N`.
//! 2. `a` and `b` set levels; size zero deletes. A fourth element `"r"` says that the level comes back into the depth
//!    (republished): it is set like any other.
//! 3. A level that falls past `N` is dropped; nothing will correct it ([`Instrument::book_levels_max`]).
//! 4. `c`, in the last object, is the checksum of the book after the whole message. It is over the digits as printed,
//!    with trailing zeros, and those are more than `pair_decimals` of the list of instruments (XMR/USD: 2 listed, 8
//!    printed): so the exponents are those of the printed levels, and a mantissa is the checksum's digits.
//!
//! [`Instrument::book_levels_max`]: crate::Instrument::book_levels_max

use super::book::{Book, clear_fed};
use super::directory::Listing;
use super::json::{self, Array, Object, Value};
use super::{BySymbol, ConnectionId, Directory, Problem, Receipt, Venue, VenueError, level_if_any, seconds};
use crate::price::parse_digits;
use crate::{
    Aggressor, BookChecksum, BookSnapshot, EventBody, Exponent, Level, MarketEvent, Side, SymbolId,
    Timestamp, Trade, TradingStatus,
};

/// What Kraken's messages mean.
pub(super) struct Kraken {
    directory: Directory,
    books: BySymbol<Book>,
    /// The last `systemStatus`.
    is_online: bool,
}

impl Kraken {
    pub(super) fn new(directory: Directory) -> Self {
        Self { directory, books: BySymbol::default(), is_online: true }
    }
}

impl Venue for Kraken {
    fn directory(&self) -> &Directory {
        &self.directory
    }

    fn into_directory(self: Box<Self>) -> Directory {
        self.directory
    }

    fn keep(&self) -> Option<Vec<u8>> {
        postcard::to_stdvec(&(&self.books, &self.is_online)).ok()
    }

    fn recall(&mut self, kept: &[u8]) -> Result<(), postcard::Error> {
        (self.books, self.is_online) = postcard::from_bytes(kept)?;
        Ok(())
    }

    fn on_connect(&mut self, receipt: Receipt, _address: &str, events: &mut Vec<MarketEvent>) {
        clear_fed(receipt, self.books.iter_mut(), |book| book.on_connect(receipt.connection), events);
    }

    fn on_message(
        &mut self,
        receipt: Receipt,
        message: Value<'_>,
        events: &mut Vec<MarketEvent>,
    ) -> Result<(), VenueError> {
        let Receipt { connection, ts_recv } = receipt;
        if let Some(object) = message.as_object() {
            self.on_status(&object, ts_recv, events);
            return Ok(());
        }
        let parts = json::as_list(message, "message")?;
        let (mut length, mut last_two) = (0_usize, [None; 2]);
        for part in &parts {
            last_two = [last_two[1], Some(part)];
            length += 1;
        }
        let Some(count) = length.checked_sub(3).filter(|count| *count > 0) else {
            return Err(VenueError::expected("message", "[number, data…, channel, pair]"));
        };
        let channel = json::as_text(last_two[0], "channelName")?;
        let pair = json::as_text(last_two[1], "pair")?;
        let mut data = parts.iter().skip(1).take(count);
        let first = data.clone().next().ok_or_else(|| VenueError::new(CHANNEL_DATA, Problem::Missing))?;
        let mut read = || match channel {
            "trade" => self.on_trades(pair, &json::as_list(first, CHANNEL_DATA)?, ts_recv, events),
            "ticker" => self.on_ticker(pair, &json::as_object(first, CHANNEL_DATA)?, ts_recv, events),
            "spread" => self.on_spread(pair, &json::as_list(first, CHANNEL_DATA)?, ts_recv, events),
            _ => match channel.strip_prefix("book-").map(str::parse) {
                Some(Ok(levels)) => self.on_book(connection, pair, levels, &mut data, ts_recv, events),
                Some(Err(_)) => Err(VenueError::expected("channelName", "book-<levels>")),
                None => Ok(()),
            },
        };
        read().map_err(|error| error.of(pair))
    }

    fn wants_answer(&self, url: &str) -> bool {
        self.directory.is_surveying() && url.contains("/AssetPairs")
    }

    fn on_answer(
        &mut self,
        _url: &str,
        answer: Value<'_>,
        _ts_recv: Timestamp,
        _events: &mut Vec<MarketEvent>,
    ) -> Result<(), VenueError> {
        read_asset_pairs(&answer, &mut self.directory)
    }
}

impl Kraken {
    /// `systemStatus` other than `online` stops all instruments, until it is `online` again.
    fn on_status(&mut self, object: &Object<'_>, ts_recv: Timestamp, events: &mut Vec<MarketEvent>) {
        if json::text_if_any(object, "event") != Some("systemStatus") {
            return;
        }
        let Some(text) = json::text_if_any(object, "status") else { return };
        let is_online = text == "online";
        if is_online && self.is_online {
            return;
        }
        self.is_online = is_online;
        let status = match text {
            // `limit_only` refuses market orders, but trades.
            "online" | "limit_only" => TradingStatus::Trading,
            _ => TradingStatus::Halted,
        };
        for symbol in (0..).map(SymbolId).take(self.directory.instruments().len()) {
            let reason = if is_online { String::new() } else { text.to_owned() };
            events.push(event(symbol, ts_recv, ts_recv, EventBody::Status { status, reason }));
        }
    }

    /// `[price, volume, time, side, order type, misc]` each; the side is the aggressor's.
    fn on_trades(
        &mut self,
        pair: &str,
        trades: &Array<'_>,
        ts_recv: Timestamp,
        events: &mut Vec<MarketEvent>,
    ) -> Result<(), VenueError> {
        let symbol = self.directory.id(pair)?;
        for trade in trades {
            let trade = json::as_list(trade, "trade")?;
            let mut fields = trade.iter();
            let price = self.directory.price(symbol, "price", json::as_text(fields.next(), "price")?)?;
            let size = self.directory.size(symbol, "volume", json::as_text(fields.next(), "volume")?)?;
            let ts_event = seconds("time", json::as_text(fields.next(), "time")?.as_bytes())?;
            let aggressor = match json::as_text(fields.next(), "side")? {
                "b" => Aggressor::Buy,
                "s" => Aggressor::Sell,
                _ => return Err(VenueError::expected("side", "`b` or `s`")),
            };
            let body = EventBody::Trade(Trade { price, size, aggressor, id: None });
            events.push(event(symbol, ts_event, ts_recv, body));
        }
        Ok(())
    }

    /// `a` and `b` are `[price, whole lots, lots]`; there is no time.
    fn on_ticker(
        &mut self,
        pair: &str,
        ticker: &Object<'_>,
        ts_recv: Timestamp,
        events: &mut Vec<MarketEvent>,
    ) -> Result<(), VenueError> {
        let symbol = self.directory.id(pair)?;
        let mut best = |field| {
            let level = json::list(ticker, field)?;
            let mut fields = level.iter();
            let price = json::as_text(fields.next(), field)?;
            let size = json::as_text(fields.nth(1), field)?;
            self.directory.level(symbol, field, price, size).map(level_if_any)
        };
        let body = EventBody::Quote { bid: best("b")?, ask: best("a")? };
        events.push(event(symbol, ts_recv, ts_recv, body));
        Ok(())
    }

    /// `[bid, ask, time, bid volume, ask volume]`.
    fn on_spread(
        &mut self,
        pair: &str,
        spread: &Array<'_>,
        ts_recv: Timestamp,
        events: &mut Vec<MarketEvent>,
    ) -> Result<(), VenueError> {
        let symbol = self.directory.id(pair)?;
        let mut fields = spread.iter();
        let mut next = |field| json::as_text(fields.next(), field);
        let (bid, ask) = (next("bid")?, next("ask")?);
        let ts_event = seconds("timestamp", next("timestamp")?.as_bytes())?;
        let bid = self.directory.level(symbol, "bid", bid, next("bidVolume")?)?;
        let ask = self.directory.level(symbol, "ask", ask, next("askVolume")?)?;
        let body = EventBody::Quote { bid: level_if_any(bid), ask: level_if_any(ask) };
        events.push(event(symbol, ts_event, ts_recv, body));
        Ok(())
    }

    fn on_book(
        &mut self,
        connection: ConnectionId,
        pair: &str,
        levels: usize,
        data: &mut dyn Iterator<Item = Value<'_>>,
        ts_recv: Timestamp,
        events: &mut Vec<MarketEvent>,
    ) -> Result<(), VenueError> {
        let symbol = self.directory.id(pair)?;
        self.directory.see_book_levels(symbol, levels);
        let start = events.len();
        let mut ts_event = None;
        let mut checksum = None;
        for part in data {
            let part = json::as_object(part, CHANNEL_DATA)?;
            let [whole_asks, whole_bids, asks, bids, digest] = part.fields(["as", "bs", "a", "b", "c"]);
            if whole_asks.is_some() || whole_bids.is_some() {
                // Step 1.
                let mut snapshot = BookSnapshot::default();
                for (field, list, side) in
                    [("as", whole_asks, &mut snapshot.asks), ("bs", whole_bids, &mut snapshot.bids)]
                {
                    let list = list.ok_or_else(|| VenueError::new(field, Problem::Missing))?;
                    for level in &json::as_list(list, field)? {
                        let (level, time) = self.level(symbol, field, level)?;
                        side.push(level);
                        ts_event = ts_event.max(Some(time));
                    }
                }
                let time = ts_event.unwrap_or(ts_recv);
                events.push(event(symbol, time, ts_recv, EventBody::BookSnapshot(Box::new(snapshot))));
                *self.books.of(symbol) = Book::Held(connection);
                continue;
            }
            // Step 2.
            for (field, list, side) in [("a", asks, Side::Ask), ("b", bids, Side::Bid)] {
                let Some(list) = list else { continue };
                for level in &json::as_list(list, field)? {
                    let (level, time) = self.level(symbol, field, level)?;
                    events.push(event(symbol, time, ts_recv, EventBody::LevelSet { side, level }));
                    ts_event = ts_event.max(Some(time));
                }
            }
            if digest.is_some() {
                let number = json::as_text(digest, "c")?;
                let number = parse_digits(number.as_bytes())
                    .and_then(|number| u32::try_from(number).ok())
                    .ok_or_else(|| VenueError::expected("c", "a checksum of 32 bits in decimal digits"))?;
                checksum = Some(BookChecksum::Kraken(number));
            }
        }
        let time = ts_event.unwrap_or(ts_recv);
        let gap = event(symbol, time, ts_recv, EventBody::Gap { expected: 0, found: 0 });
        // Step 4.
        if self.books.of(symbol).on_update(connection, events, start, gap)
            && let Some(checksum) = checksum
        {
            events.push(event(symbol, time, ts_recv, EventBody::BookChecksum(checksum)));
        }
        Ok(())
    }

    /// `[price, volume, time]`, and maybe `"r"`.
    fn level(
        &mut self,
        symbol: SymbolId,
        field: &'static str,
        level: Value<'_>,
    ) -> Result<(Level, Timestamp), VenueError> {
        let level = json::as_list(level, field)?;
        let mut fields = level.iter();
        let price = json::as_text(fields.next(), field)?;
        let size = json::as_text(fields.next(), field)?;
        let time = json::as_text(fields.next(), field)?;
        self.directory.see_printed(symbol, field, price, size)?;
        Ok((self.directory.level(symbol, field, price, size)?, seconds(field, time.as_bytes())?))
    }
}

/// What errors call the parts of a message that have no name.
const CHANNEL_DATA: &str = "data";

const fn event(symbol: SymbolId, ts_event: Timestamp, ts_recv: Timestamp, body: EventBody) -> MarketEvent {
    MarketEvent { symbol, ts_event, ts_recv, sequence: 0, body }
}

/// `{"error":[],"result":{"XXMRZUSD":{"wsname":"XMR/USD","pair_decimals":2,"lot_decimals":8,…},…}}`
fn read_asset_pairs(answer: &Value<'_>, directory: &mut Directory) -> Result<(), VenueError> {
    let answer = json::as_object(*answer, "AssetPairs")?;
    let result = answer.get("result").ok_or_else(|| VenueError::new("result", Problem::Missing))?;
    for (_, pair) in json::as_object(result, "result")?.iter() {
        let pair = json::as_object(pair, "result")?;
        // Pairs without a name for the WebSocket (dark pools) never appear there.
        let Some(name) = json::text_if_any(&pair, "wsname") else { continue };
        let decimals = |field| {
            let value = json::natural(&pair, field).map_err(|error| error.of(name))?;
            i8::try_from(value)
                .ok()
                .and_then(|decimals| Exponent::new(-decimals).ok())
                .ok_or_else(|| VenueError::expected(field, "0 to 18").of(name))
        };
        let listing = Listing {
            price_exponent: Some(decimals("pair_decimals")?),
            size_exponent: Some(decimals("lot_decimals")?),
            tick_size: json::text_if_any(&pair, "tick_size").map(str::to_owned),
            currency: name.split_once('/').map(|(_, quote)| quote.to_owned()),
            book_levels_max: None,
        };
        directory.list(name, listing)?;
    }
    Ok(())
}
