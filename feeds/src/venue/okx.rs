//! OKX, API v5 (`ws.okx.com/ws/v5/public`).
//!
//! Every message of market data names its channel and instrument
//! ([documentation](https://www.okx.com/docs-v5/en/#order-book-trading-market-data-ws-order-book-channel)):
//!
//! ```text
//! {"arg":{"channel":"books","instId":"BTC-USDT"},"action":"snapshot","data":[{"asks":[["30238.8","2","0","1"],…],
//!  "bids":[…],"ts":"1652459225464","checksum":-855196043,"prevSeqId":-1,"seqId":123456}]}
//! {"arg":{…},"action":"update","data":[{"asks":[["30249.4","0","0","0"]],"bids":[],"ts":"1652459225564",
//!  "checksum":-914047754,"prevSeqId":123456,"seqId":123457}]}
//! {"arg":{"channel":"trades","instId":"BTC-USDT"},"data":[{"instId":"BTC-USDT","tradeId":"7849","px":"30218.8",
//!  "sz":"1","side":"buy","ts":"1652459199958"}]}
//! {"arg":{"channel":"tickers","instId":"BTC-USDT"},"data":[{"askPx":"30220.1","askSz":"3","bidPx":"30210.4",
//!  "bidSz":"4","ts":"1652459223003",…}]}
//! {"event":"subscribe","arg":{"channel":"books","instId":"BTC-USDT"}}
//! ```
//!
//! The venue's procedure for a book, whose steps the code names:
//! 1. `snapshot` is the whole book of 400 or 50 levels a side; `update` sets levels, size zero deletes.
//! 2. `prevSeqId` of an update is `seqId` of the message before. Where nothing happened for long, both are the same and
//!    there are no levels. Captures from before 2023 have neither.
//! 3. `checksum` is the CRC-32, as a signed number, of the best 25 levels, `bid:size:ask:size:…`, with the digits as
//!    sent. [Since June 2026](https://www.okx.com/help/okx-order-book-channels-checksum-field-deprecation) it is
//!    always 0 and says nothing.
//!
//! - `side` of a trade is the taker's.
//! - `bbo-tbt` and `tickers` are quotes. `books5` are tops of the book and no events: the book comes from the changes.
//! - Of an instrument with several book channels, the one whose snapshot came first is the book.

use super::book::{NumberedBook, clear_fed};
use super::digits::DigitBook;
use super::directory::Listing;
use super::json::{self, Object, Value};
use super::{BySymbol, Directory, Receipt, Stamp, Venue, VenueError, level_if_any, milliseconds, taker};
use crate::{BookChecksum, BookSnapshot, EventBody, Level, MarketEvent, Side, SymbolId, Timestamp, Trade};

const BOOK_CHANNELS: [&str; 3] = ["books", "books-l2-tbt", "books50-l2-tbt"];

/// Step 3.
const CHECKSUM_LEVELS: usize = 25;

/// What OKX's messages mean.
pub(super) struct Okx {
    directory: Directory,
    books: BySymbol<Book>,
}

#[derive(Default)]
struct Book {
    numbered: NumberedBook,
    digits: DigitBook,
    channel: Option<&'static str>,
}

impl Okx {
    pub(super) fn new(directory: Directory) -> Self {
        Self { directory, books: BySymbol::default() }
    }
}

impl Venue for Okx {
    fn directory(&self) -> &Directory {
        &self.directory
    }

    fn into_directory(self: Box<Self>) -> Directory {
        self.directory
    }

    fn on_connect(&mut self, receipt: Receipt, _address: &str, events: &mut Vec<MarketEvent>) {
        let is_fed = |book: &mut Book| {
            let is_fed = book.numbered.on_connect(receipt.connection);
            if is_fed {
                book.channel = None;
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
        if message.get("data").is_none() {
            return Ok(());
        }
        let arg = json::object(&message, "arg")?;
        let channel = json::text(&arg, "channel")?;
        let book_channel = BOOK_CHANNELS.into_iter().find(|known| *known == channel);
        if book_channel.is_none() && !matches!(channel, "bbo-tbt" | "tickers" | "trades" | "trades-all") {
            return Ok(());
        }
        let name = json::text(&arg, "instId")?;
        let symbol = self.directory.id(name)?;
        for data in &json::list(&message, "data")? {
            let mut read = || {
                let data = json::as_object(data, "data")?;
                let stamp = Stamp { ts_event: milliseconds(&data, "ts")?, ..receipt.stamp(symbol) };
                match (book_channel, channel) {
                    (Some(channel), _) => {
                        self.on_book(channel, json::text(&message, "action")?, receipt, stamp, &data, events)
                    }
                    (None, "bbo-tbt") => self.on_best(stamp, &data, events),
                    (None, "tickers") => self.on_ticker(stamp, &data, events),
                    (None, _) => self.on_trade(stamp, &data, events),
                }
            };
            read().map_err(|error| error.of(name))?;
        }
        Ok(())
    }

    fn wants_answer(&self, url: &str) -> bool {
        self.directory.is_surveying() && url.contains("/public/instruments")
    }

    /// `{"code":"0","data":[{"instId":"BTC-USDT","quoteCcy":"USDT","settleCcy":"","tickSz":"0.1","lotSz":"0.00000001",…},…]}`
    fn on_answer(
        &mut self,
        _url: &str,
        answer: Value<'_>,
        _ts_recv: Timestamp,
        _events: &mut Vec<MarketEvent>,
    ) -> Result<(), VenueError> {
        let answer = json::as_object(answer, "instruments")?;
        for instrument in &json::list(&answer, "data")? {
            let instrument = json::as_object(instrument, "data")?;
            let name = json::text(&instrument, "instId")?;
            let told = |field| json::text_if_any(&instrument, field).filter(|text| !text.is_empty());
            let currency = told("quoteCcy").or_else(|| told("settleCcy"));
            let steps = (("tickSz", told("tickSz")), ("lotSz", told("lotSz")));
            self.directory.list(name, Listing::of_steps(name, steps.0, steps.1, currency)?)?;
        }
        Ok(())
    }
}

impl Okx {
    fn on_book(
        &mut self,
        channel: &'static str,
        action: &str,
        receipt: Receipt,
        stamp: Stamp,
        data: &Object<'_>,
        events: &mut Vec<MarketEvent>,
    ) -> Result<(), VenueError> {
        let is_snapshot = match action {
            "snapshot" => true,
            "update" => false,
            _ => return Err(VenueError::expected("action", "`snapshot` or `update`")),
        };
        let Stamp { symbol, .. } = stamp;
        if *self.books.of(symbol).channel.get_or_insert(channel) != channel {
            return Ok(());
        }
        let sequence = data.get("seqId").map(|value| json::as_natural(value, "seqId")).transpose()?;
        let stamp = Stamp { sequence: sequence.unwrap_or(0), ..stamp };
        let bids = self.side(symbol, is_snapshot, data, "bids", Side::Bid)?;
        let asks = self.side(symbol, is_snapshot, data, "asks", Side::Ask)?;
        let book = self.books.of(symbol);
        let start = events.len();
        if is_snapshot {
            // Step 1.
            events.push(stamp.event(EventBody::BookSnapshot(Box::new(BookSnapshot { bids, asks }))));
            book.numbered.on_snapshot(receipt.connection, stamp.sequence);
        } else {
            let set = |side| move |level| stamp.event(EventBody::LevelSet { side, level });
            events.extend(bids.into_iter().map(set(Side::Bid)));
            events.extend(asks.into_iter().map(set(Side::Ask)));
            // Step 2.
            let found = match sequence {
                Some(_) => json::natural(data, "prevSeqId")?,
                None => book.numbered.due(),
            };
            let numbers = (found, stamp.sequence);
            if !book.numbered.on_update(receipt.connection, numbers, stamp, start, events) {
                return Ok(());
            }
        }
        // Step 3.
        let checksum = json::signed(data, "checksum")?;
        if checksum != 0 && !self.directory.is_surveying() {
            let checked = book.digits.check(checksum.cast_unsigned(), CHECKSUM_LEVELS);
            events.push(stamp.event(EventBody::BookChecksum(checked)));
            if checked == (BookChecksum::Checked { agrees: false }) {
                book.numbered.lose(stamp, 0, 0, events);
            }
        }
        Ok(())
    }

    /// Reads the levels of a side, and keeps their digits.
    fn side(
        &mut self,
        symbol: SymbolId,
        is_snapshot: bool,
        data: &Object<'_>,
        field: &'static str,
        side: Side,
    ) -> Result<Vec<Level>, VenueError> {
        let digits = &mut self.books.of(symbol).digits;
        if is_snapshot {
            digits.clear(side);
        }
        let mut levels = Vec::new();
        for level in &json::list(data, field)? {
            let (price, size) = json::price_and_size(level, field)?;
            let level = self.directory.level(symbol, field, price, size)?;
            digits.set(side, level, price, size);
            levels.push(level);
        }
        Ok(levels)
    }

    fn on_best(
        &mut self,
        stamp: Stamp,
        data: &Object<'_>,
        events: &mut Vec<MarketEvent>,
    ) -> Result<(), VenueError> {
        let mut best = |field| {
            let first = json::list(data, field)?.iter().next();
            let level = first.map(|level| self.directory.level_of(stamp.symbol, field, level)).transpose()?;
            Ok::<_, VenueError>(level.and_then(level_if_any))
        };
        let body = EventBody::Quote { bid: best("bids")?, ask: best("asks")? };
        events.push(stamp.event(body));
        Ok(())
    }

    fn on_ticker(
        &mut self,
        stamp: Stamp,
        data: &Object<'_>,
        events: &mut Vec<MarketEvent>,
    ) -> Result<(), VenueError> {
        let bid = self.directory.best(stamp.symbol, data, "bidPx", "bidSz")?;
        let ask = self.directory.best(stamp.symbol, data, "askPx", "askSz")?;
        events.push(stamp.event(EventBody::Quote { bid, ask }));
        Ok(())
    }

    fn on_trade(
        &mut self,
        stamp: Stamp,
        data: &Object<'_>,
        events: &mut Vec<MarketEvent>,
    ) -> Result<(), VenueError> {
        let trade = Trade {
            price: self.directory.price(stamp.symbol, "px", json::text(data, "px")?)?,
            size: self.directory.size(stamp.symbol, "sz", json::text(data, "sz")?)?,
            aggressor: taker(data, "side")?,
            id: Some(json::natural(data, "tradeId")?),
        };
        events.push(stamp.event(EventBody::Trade(trade)));
        Ok(())
    }
}
