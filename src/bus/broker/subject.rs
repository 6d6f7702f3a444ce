//! Where on a broker a message stands.

use std::fmt::Write;

use super::share::Share;
use crate::directory::{Class, Directory};
use crate::topic::TopicId;

/// Before all subjects.
pub const PREFIX: &str = "tickwire.v1";
/// The ingest's beats.
pub const BEAT: &str = "tickwire.v1.beat";
/// What an ingest that stands by sends itself.
pub const STANDBY: &str = "tickwire.v1.standby";
/// What gateways follow.
const FOLLOW: &str = "tickwire.v1.follow";
/// Requests with a reply: instruments, states, histories.
const ASK: &str = "tickwire.v1.ask";

/// Where gateways say what they follow of a share: `tickwire.v1.follow`, or `tickwire.v1.follow.2of3`.
#[must_use]
pub fn follow(share: Share) -> String {
    of_share(FOLLOW, share)
}

/// Where the ingest of a share is asked: `tickwire.v1.ask`, or `tickwire.v1.ask.2of3`.
#[must_use]
pub fn ask(share: Share) -> String {
    of_share(ASK, share)
}

fn of_share(subject: &str, share: Share) -> String {
    match (share.index() + 1, share.of()) {
        (1, 1) => subject.to_owned(),
        (number, of) => format!("{subject}.{number}of{of}"),
    }
}

/// The subject of a raw topic: `tickwire.v1.topic.book.10.BTC-USD`, `tickwire.v1.late.quote.AAPL` of a twin.
#[must_use]
pub fn of_topic(directory: &Directory, topic: TopicId) -> String {
    let class = match directory.class(topic.symbol()) {
        Class::RealTime => "topic",
        Class::Delayed => "late",
    };
    let mut subject = format!("{PREFIX}.{class}.{}.", topic.channel());
    escape(directory.get(topic.symbol()).symbol.as_str(), &mut subject);
    subject
}

/// Whether a subject is that of a topic.
#[must_use]
pub fn is_of_topic(subject: &str) -> bool {
    let behind = subject.strip_prefix(PREFIX).unwrap_or_default();
    behind.starts_with(".topic.") || behind.starts_with(".late.")
}

/// A subject's words have dots between and no spaces, and `*` and `>` stand for others: all but letters, digits, `-`
/// and `_` is written as `%` with two hexadecimal digits.
fn escape(symbol: &str, subject: &mut String) {
    for byte in symbol.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_') {
            subject.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(subject, "%{byte:02X}");
        }
    }
}

#[cfg(test)]
mod tests {
    use feeds::{Exponent, Instrument, Symbol, SymbolId};

    use super::*;
    use crate::topic::{Channel, Depth};

    fn instrument(symbol: Symbol) -> Instrument {
        Instrument {
            symbol,
            venue: "TEST",
            price_exponent: Exponent::ONE,
            size_exponent: Exponent::ONE,
            tick_size: None,
            currency: None,
            book_levels_max: None,
            begins_stale: false,
        }
    }

    #[test]
    fn a_symbol_is_one_word_whatever_it_holds() {
        let names = ["AAPL", "BTC/USD", "BRK.B", "A*>", "50%", "A%2FB"];
        let instruments: Vec<_> =
            names.iter().map(|name| instrument(Symbol::new(name).expect("a symbol"))).collect();
        let directory = Directory::with_twins(&instruments);
        let subjects: Vec<_> = (0..7)
            .map(|symbol| of_topic(&directory, TopicId::new(Channel::Book(Depth::D10), SymbolId(symbol))))
            .collect();
        assert_eq!(
            subjects,
            [
                "tickwire.v1.topic.book.10.AAPL",
                "tickwire.v1.topic.book.10.BTC%2FUSD",
                "tickwire.v1.topic.book.10.BRK%2EB",
                "tickwire.v1.topic.book.10.A%2A%3E",
                "tickwire.v1.topic.book.10.50%25",
                "tickwire.v1.topic.book.10.A%252FB",
                "tickwire.v1.late.book.10.AAPL",
            ]
        );
    }

    #[test]
    fn the_longest_is_a_routing_key_of_amqp() {
        let symbol = Symbol::new(&"/".repeat(feeds::limits::SYMBOL_BYTES_MAX)).expect("a symbol");
        let directory = Directory::new(&[instrument(symbol)]);
        let subject = of_topic(&directory, TopicId::new(Channel::Book(Depth::D100), SymbolId(0)));
        assert!(subject.len() <= 255, "{} bytes", subject.len());
    }
}
