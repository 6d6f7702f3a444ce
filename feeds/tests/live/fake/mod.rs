//! Fake venues: real servers on a socket, with books of their own, that send what they are told to.

pub(crate) mod binance;
pub(crate) mod coinbase;
pub(crate) mod kraken;
pub(crate) mod server;

use server::{Book, Server};

/// What all of them are asked for by a client that opens them.
pub(crate) trait Venue: Sync {
    /// In settings.
    const NAME: &str;

    fn url(&self) -> String;

    fn server(&self) -> &Server;

    /// Answers whoever asks for the list of instruments, which is to follow these.
    fn list_instruments(&self, symbols: &[&str]);

    fn book(&self, symbol: &str) -> &Book {
        self.server().book(symbol)
    }
}
