//! What differs between live venues: a table, each line of it in the venue's own file. What the venues answer is the
//! business of [`crate::venue`].

use std::time::Duration;

use super::{binance, coinbase, kraken};

/// A venue that can be followed.
pub(super) struct Kind {
    /// Its name in settings.
    pub(super) name: &'static str,
    /// Its name in recordings.
    pub(super) venue: &'static str,
    /// Where its WebSockets are.
    pub(super) url: &'static str,
    /// Where it answers requests by HTTP, if any are made.
    pub(super) rest: Option<&'static str>,
    /// Symbols that one connection carries. More are followed over several.
    pub(super) connection_symbols_max: usize,
    /// Symbols of one request. More go in several requests.
    pub(super) request_symbols_max: usize,
    /// How far apart requests are.
    pub(super) request_spacing: Duration,
    /// Whether the venue counts requests by address, over all connections, and not by connection.
    pub(super) spacing_is_shared: bool,
    /// Whether it speaks although nothing happens. Else it is asked whether it lives.
    pub(super) has_heartbeats: bool,
    /// The name under which the messages of a symbol come: two with the same are one book.
    pub(super) one_book: fn(&str) -> &str,
    pub(super) list: List,
    /// Asks for whatever is followed of these symbols, books from a snapshot on where the venue sends one.
    pub(super) subscribe: fn(&[&str]) -> Vec<String>,
    pub(super) resync: Resync,
}

/// How a venue is asked for the instruments.
pub(super) enum List {
    /// For all of them.
    All(fn() -> String),
    /// For these.
    Named(fn(&[&str]) -> String),
    /// For these, by HTTP.
    Get(fn(&[&str]) -> String),
}

/// How a venue is asked for the snapshot of a book that is void.
pub(super) enum Resync {
    /// It sends one to who subscribes: so many books at once are subscribed anew.
    Subscribe(usize, fn(&[&str]) -> Vec<String>),
    /// It answers a request by HTTP.
    Get(fn(&str) -> String),
}

/// All of them, by name.
static KINDS: [&Kind; 3] = [&binance::KIND, &coinbase::KIND, &kraken::KIND];

impl Kind {
    pub(super) fn find(name: &str) -> Option<&'static Self> {
        KINDS.into_iter().find(|kind| kind.name == name)
    }

    pub(super) fn names() -> impl Iterator<Item = &'static str> {
        KINDS.into_iter().map(|kind| kind.name)
    }
}

/// The names as a list of JSON. There is nothing to escape in them: they are symbols.
pub(super) fn quoted(names: &[&str]) -> String {
    let quoted: Vec<String> = names.iter().map(|name| format!("\"{name}\"")).collect();
    format!("[{}]", quoted.join(","))
}
