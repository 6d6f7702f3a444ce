//! What a message of NASDAQ's ITCH costs: decoded, made an event, and applied to the books.
//!
//! A day has some 300 million of them: 100 ns here is half a minute of a day's replay at full speed. The public anchor is
//! 61 ns a message for decoding and books alone (charles-cooper/itch-order-book, a whole day on a 2012 desktop); ours
//! keep best bid and offer, trades, bars and the list of changes besides.

mod into_books;
mod side_by_side;

use std::collections::BTreeMap;
use std::fs;
use std::hint::black_box;
use std::path::Path;

use criterion::{Criterion, criterion_group, criterion_main};
use feeds::format::itch::{Body, ItchReader, Message, parse};
use feeds::sim::{Sim, SimMode, SimSettings};
use feeds::{EventBody, Exponent, Feed, Price, Side, Size, SymbolId};
use into_books::into_books;
use side_by_side::{Contender, is_test, side_by_side, timed};
use tempfile::TempDir;
use tickwire::market::Market;

/// A session, and what it must come to.
#[derive(Default)]
struct Session {
    /// As in a file: each message behind its two bytes of length.
    bytes: Vec<u8>,
    messages: u64,
    /// The numbers of all messages, added up.
    weight: u64,
    /// By number.
    resting: BTreeMap<u64, Order>,
}

#[derive(Clone, Copy)]
struct Order {
    locate: u16,
    side: Side,
    price: u32,
    shares: u32,
}

/// Shares by locate code, side and price.
type Books = BTreeMap<(u16, Side, i64), i64>;

impl Session {
    /// The flow of a simulated market, up to so many orders. Of its instruments those without fractions of a
    /// share, which ITCH does not have.
    fn simulated(orders: u64) -> Self {
        const INSTRUMENTS: usize = 500;
        let settings =
            SimSettings { mode: SimMode::Market, instruments: INSTRUMENTS, ..SimSettings::default() };
        let mut sim = Sim::new(settings).expect("valid settings");
        let mut session = Self::default();
        let is_whole: Vec<bool> =
            sim.instruments().iter().map(|instrument| instrument.size_exponent == Exponent::ONE).collect();
        for (locate, _) in (1..).zip(&is_whole).filter(|(_, is_whole)| **is_whole) {
            let fields = [&name(locate)[..], b"QN", &100_u32.to_be_bytes(), b"NCZ PNN1N", &[0; 4], b"N"];
            session.message(b'R', locate, 0, &fields, 0);
        }
        let (mut events, mut added) = (Vec::new(), 0);
        while added < orders {
            sim.next_message(&mut events).expect("a simulation does not fail");
            for event in events.drain(..).filter(|event| is_whole[event.symbol.index()]) {
                let locate = u16::try_from(event.symbol.index() + 1).expect("few");
                let nanos = event.ts_event.0.cast_unsigned();
                added += u64::from(session.say(locate, nanos, &event.body));
            }
        }
        session
    }

    /// Appends what an event is in ITCH, if anything. Returns whether there is a new order.
    fn say(&mut self, locate: u16, nanos: u64, body: &EventBody) -> bool {
        match *body {
            EventBody::OrderAdd { order, side, level } => {
                let (price, shares) = (number(level.price.0), number(level.size.0));
                let letter = if side == Side::Bid { b"B" } else { b"S" };
                let fields = [
                    &order.0.to_be_bytes()[..],
                    letter,
                    &shares.to_be_bytes(),
                    &name(locate),
                    &price.to_be_bytes(),
                ];
                self.message(b'A', locate, nanos, &fields, order.0 + u64::from(price) + u64::from(shares));
                self.resting.insert(order.0, Order { locate, side, price, shares });
                return true;
            }
            EventBody::OrderReplace { order, new_order, level } => {
                let (price, shares) = (number(level.price.0), number(level.size.0));
                let fields = [
                    &order.0.to_be_bytes()[..],
                    &new_order.0.to_be_bytes(),
                    &shares.to_be_bytes(),
                    &price.to_be_bytes(),
                ];
                let weight = order.0 + new_order.0 + u64::from(price) + u64::from(shares);
                self.message(b'U', locate, nanos, &fields, weight);
                let old = self.resting.remove(&order.0).expect("it rests");
                self.resting.insert(new_order.0, Order { price, shares, ..old });
                return true;
            }
            EventBody::OrderExecute { order, size, trade_id, .. } => {
                let (shares, id) = (number(size.0), trade_id.expect("the simulator numbers trades"));
                let fields = [&order.0.to_be_bytes()[..], &shares.to_be_bytes(), &id.to_be_bytes()];
                self.message(b'E', locate, nanos, &fields, order.0 + u64::from(shares) + id);
                self.take(order.0, shares);
            }
            EventBody::OrderCancel { order, size: Some(size) } => {
                let shares = number(size.0);
                let fields = [&order.0.to_be_bytes()[..], &shares.to_be_bytes()];
                self.message(b'X', locate, nanos, &fields, order.0 + u64::from(shares));
                self.take(order.0, shares);
            }
            EventBody::OrderCancel { order, size: None } => {
                self.message(b'D', locate, nanos, &[&order.0.to_be_bytes()], order.0);
                self.resting.remove(&order.0).expect("it rests");
            }
            _ => {}
        }
        false
    }

    fn message(&mut self, kind: u8, locate: u16, nanos: u64, fields: &[&[u8]], weight: u64) {
        let length = 11 + fields.iter().map(|field| field.len()).sum::<usize>();
        self.bytes.extend_from_slice(&u16::try_from(length).expect("short").to_be_bytes());
        self.bytes.push(kind);
        self.bytes.extend_from_slice(&locate.to_be_bytes());
        self.bytes.extend_from_slice(&[0, 0]);
        self.bytes.extend_from_slice(&nanos.to_be_bytes()[2..]);
        for field in fields {
            self.bytes.extend_from_slice(field);
        }
        self.messages += 1;
        self.weight += weight + nanos + u64::from(locate);
    }

    fn take(&mut self, order: u64, shares: u32) {
        let resting = self.resting.get_mut(&order).expect("it rests");
        resting.shares -= shares;
        if resting.shares == 0 {
            self.resting.remove(&order);
        }
    }

    /// Apple's, from its first message of 30 January 2020 on, so many times over: each time with order numbers of its
    /// own, and what is left at its end deleted. `None` where the file is not at hand.
    fn apple(times: u64) -> Option<Self> {
        let path = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../shared/data/itch/nasdaq-20200130-AAPL-first4000.itch");
        let Ok(bytes) = fs::read(&path) else {
            eprintln!("{} not found: no real ITCH is measured", path.display());
            return None;
        };
        let mut session = Self::default();
        let mut highest = 0;
        for _ in 0..times {
            let (base, mut last) = (highest, (0, 0));
            let id = |order: feeds::OrderId| feeds::OrderId(base + order.0);
            for message in messages(&bytes) {
                let nanos = message.nanos_since_midnight.cast_unsigned();
                last = (message.locate, nanos);
                let body = match message.body {
                    Body::AddOrder(add) => EventBody::OrderAdd {
                        order: id(add.order),
                        side: add.side,
                        level: feeds::Level { price: add.price, size: add.size },
                    },
                    Body::OrderExecuted(executed) => EventBody::OrderExecute {
                        order: id(executed.order),
                        size: executed.size,
                        price: None,
                        trade_id: Some(executed.match_number),
                        printable: true,
                    },
                    Body::OrderCancel(cancel) => {
                        EventBody::OrderCancel { order: id(cancel.order), size: Some(cancel.size) }
                    }
                    Body::OrderDelete(delete) => {
                        EventBody::OrderCancel { order: id(delete.order), size: None }
                    }
                    _ => continue,
                };
                session.say(message.locate, nanos, &body);
                if let EventBody::OrderAdd { order, .. } = body {
                    highest = highest.max(order.0);
                }
            }
            let left: Vec<u64> = session.resting.keys().copied().collect();
            for order in left {
                let body = EventBody::OrderCancel { order: feeds::OrderId(order), size: None };
                session.say(last.0, last.1, &body);
            }
        }
        Some(session)
    }

    fn books(&self) -> Books {
        let mut books = Books::new();
        for order in self.resting.values() {
            *books.entry((order.locate, order.side, order.price.into())).or_default() +=
                i64::from(order.shares);
        }
        books
    }
}

fn number(mantissa: i64) -> u32 {
    u32::try_from(mantissa).expect("of 32 bits")
}

fn name(locate: u16) -> [u8; 8] {
    let mut name = *b"STK     ";
    for (place, letter) in name[3..6].iter_mut().rev().zip([locate % 26, locate / 26 % 26, locate / 676]) {
        *place = b'A' + u8::try_from(letter).expect("below 26");
    }
    name
}

fn messages(mut bytes: &[u8]) -> impl Iterator<Item = Message> {
    std::iter::from_fn(move || {
        let (length, rest) = bytes.split_first_chunk()?;
        let (message, rest) = rest.split_at(u16::from_be_bytes(*length).into());
        bytes = rest;
        Some(parse(message).expect("a message of the specification"))
    })
}

/// The numbers of a message, added up.
fn weigh(message: &Message) -> u64 {
    let price = |price: Price| price.0.cast_unsigned();
    let shares = |size: Size| size.0.cast_unsigned();
    let body = match message.body {
        Body::AddOrder(add) => add.order.0 + shares(add.size) + price(add.price),
        Body::OrderExecuted(executed) => executed.order.0 + shares(executed.size) + executed.match_number,
        Body::OrderCancel(cancel) => cancel.order.0 + shares(cancel.size),
        Body::OrderDelete(delete) => delete.order.0,
        Body::OrderReplace(replace) => {
            replace.order.0 + replace.new_order.0 + shares(replace.size) + price(replace.price)
        }
        _ => 0,
    };
    body + message.nanos_since_midnight.cast_unsigned() + u64::from(message.locate)
}

fn run(c: &mut Criterion, name: &str, session: &Session) {
    let folder = TempDir::new().expect("a temporary folder");
    let path = folder.path().join("01302020.NASDAQ_ITCH50");
    fs::write(&path, &session.bytes).expect("a temporary file");
    let open = || ItchReader::open(&path).expect("readable");
    let instruments = open().instruments().to_vec();
    let locates: Vec<u16> = {
        let mut locates = Vec::new();
        for message in messages(&session.bytes) {
            if !locates.contains(&message.locate) {
                locates.push(message.locate);
            }
            if locates.len() == instruments.len() {
                break;
            }
        }
        locates
    };
    let expected = session.books();

    let parse = || {
        let (time, weight) = timed(|| messages(&session.bytes).map(|message| weigh(&message)).sum::<u64>());
        assert_eq!(weight, session.weight);
        time
    };
    let to_events = || {
        let mut reader = open();
        let (time, count) = timed(|| {
            let (mut count, mut events) = (0_u64, Vec::new());
            while reader.next_message(&mut events).expect("not damaged").is_some() {
                count += events.len() as u64;
                black_box(&events);
                events.clear();
            }
            count
        });
        assert_eq!((count, reader.messages()), (session.messages, session.messages));
        time
    };
    let to_books = || {
        let (mut reader, mut market) = (open(), Market::new(&instruments));
        let (time, ()) = timed(|| {
            into_books(&mut market, |events| reader.next_message(events).expect("not damaged").is_some());
        });
        assert_eq!(market.faults().unknown_orders, 0);
        let mut books = Books::new();
        for (index, locate) in locates.iter().enumerate() {
            let book = market.book(SymbolId::from_index(index));
            books.extend(book.bids().map(|bid| ((*locate, Side::Bid, bid.price.0), bid.size.0)));
            books.extend(book.asks().map(|ask| ((*locate, Side::Ask, ask.price.0), ask.size.0)));
        }
        assert_eq!(books, expected);
        time
    };
    side_by_side(
        c,
        name,
        session.messages,
        &mut [
            Contender::new("file_to_books", to_books),
            Contender::new("file_to_events", to_events),
            Contender::new("parse", parse),
        ],
    );
}

fn simulated(c: &mut Criterion) {
    run(c, "itch/simulated", &Session::simulated(if is_test() { 10_000 } else { 1_000_000 }));
}

fn apple(c: &mut Criterion) {
    if let Some(session) = Session::apple(if is_test() { 2 } else { 100 }) {
        run(c, "itch/apple", &session);
    }
}

criterion_group!(benches, simulated, apple);
criterion_main!(benches);
