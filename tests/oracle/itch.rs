//! NASDAQ TotalView-ITCH 5.0
//! (<https://www.nasdaqtrader.com/content/technicalsupport/specifications/dataproducts/NQTVITCHSpecification.pdf>), two
//! bytes of length before each message.

use std::collections::BTreeMap;

use rust_decimal::Decimal;

use super::{Book, Expected, Side};

struct Order {
    side: Side,
    shares: u32,
    price: u32,
}

pub(super) fn compute(bytes: &[u8]) -> Expected {
    let mut names: BTreeMap<u16, Option<String>> = BTreeMap::new();
    let mut orders: BTreeMap<(u16, u64), Order> = BTreeMap::new();
    let mut trades = 0;
    for message in messages(bytes) {
        let locate = u16::from_be_bytes(bytes_at(message, 1));
        if b"SVW".contains(&message[0]) {
            continue; // About the whole market: the locate code means nothing.
        }
        let name = names.entry(locate).or_default();
        if let Some(at) = stock_at(message[0]) {
            let stock = str::from_utf8(&message[at..at + 8]).expect("a stock is ASCII").trim_end();
            *name = Some(stock.to_owned());
        }
        let reference = || (locate, u64::from_be_bytes(bytes_at(message, 11)));
        match message[0] {
            b'A' | b'F' => {
                let side = if message[19] == b'B' { Side::Bid } else { Side::Ask };
                let shares = u32::from_be_bytes(bytes_at(message, 20));
                let price = u32::from_be_bytes(bytes_at(message, 32));
                assert!(shares > 0, "an order of no shares");
                let earlier = orders.insert(reference(), Order { side, shares, price });
                assert!(earlier.is_none(), "order {} is added twice", reference().1);
            }
            b'E' | b'C' | b'X' => {
                let is_known = take(&mut orders, reference(), u32::from_be_bytes(bytes_at(message, 19)));
                let is_trade = message[0] == b'E' || (message[0] == b'C' && message[31] == b'Y');
                trades += usize::from(is_known && is_trade);
            }
            b'P' => trades += 1,
            // A cross in which nothing was crossed is no trade.
            b'Q' => trades += usize::from(u64::from_be_bytes(bytes_at(message, 11)) > 0),
            b'D' => {
                orders.remove(&reference());
            }
            b'U' => {
                // Neither side nor stock is told anew: of an unknown order nothing can be made.
                if let Some(Order { side, .. }) = orders.remove(&reference()) {
                    let shares = u32::from_be_bytes(bytes_at(message, 27));
                    let price = u32::from_be_bytes(bytes_at(message, 31));
                    assert!(shares > 0, "an order of no shares");
                    let replaced = orders.insert(
                        (locate, u64::from_be_bytes(bytes_at(message, 19))),
                        Order { side, shares, price },
                    );
                    assert!(replaced.is_none(), "a replacement's number is taken");
                }
            }
            _ => {}
        }
    }

    let mut books: BTreeMap<u16, Book> = names.keys().map(|&locate| (locate, Book::default())).collect();
    for ((locate, _), order) in orders {
        let book = books.get_mut(&locate).expect("every locate has been seen");
        let price = Decimal::new(order.price.into(), 4);
        *book.side(order.side).entry(price).or_default() += Decimal::from(order.shares);
        book.exists = true;
    }
    let books = books
        .into_iter()
        .map(|(locate, book)| (names[&locate].clone().unwrap_or_else(|| format!("LOCATE-{locate}")), book));
    Expected { venue: "NASDAQ", books: books.collect(), trades, proofs: 0 }
}

/// The whole messages of a file.
fn messages(mut bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let (length, rest) = bytes.split_at_checked(2)?;
        let (message, rest) =
            rest.split_at_checked(usize::from(u16::from_be_bytes([length[0], length[1]])))?;
        bytes = rest;
        Some(message)
    })
}

/// Takes shares from an order; whether it is known.
fn take(orders: &mut BTreeMap<(u16, u64), Order>, reference: (u16, u64), shares: u32) -> bool {
    let Some(order) = orders.get_mut(&reference) else { return false };
    if order.shares > shares {
        order.shares -= shares;
    } else {
        orders.remove(&reference);
    }
    true
}

/// Where a message of a type has its `Stock`.
fn stock_at(kind: u8) -> Option<usize> {
    match kind {
        b'R' | b'H' | b'Y' | b'K' | b'J' | b'h' | b'N' | b'O' => Some(11),
        b'L' => Some(15),
        b'Q' => Some(19),
        b'A' | b'F' | b'P' => Some(24),
        b'I' => Some(28),
        _ => None,
    }
}

fn bytes_at<const LENGTH: usize>(message: &[u8], at: usize) -> [u8; LENGTH] {
    message[at..at + LENGTH].try_into().expect("a slice of that length")
}
