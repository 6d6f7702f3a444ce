//! Binance: snapshots by HTTP, joined by numbers of each book.

use std::time::Duration;

use feeds::FeedError;
use feeds::record::RecorderHandle;
use serde_json::json;

use super::NEVER;
use super::client::Client;
use super::fake::binance::{Binance, expect_subscription, message};
use super::fake::server::Connection;
use super::replayed::Recording;

const BTC: &str = "BTCUSDT";
const ETH: &str = "ETHUSDT";

/// A venue whose books a client has.
fn followed(silence_max: Duration, recorder: Option<RecorderHandle>) -> (Binance, Client, Connection) {
    let mut venue = Binance::listen();
    venue.server.set(BTC, "bids", 6_508_366, 20_371);
    venue.server.set(BTC, "bids", 6_508_365, 1);
    venue.server.set(BTC, "asks", 6_510_654, 100);
    venue.server.set(ETH, "bids", 191_944, 7);
    venue.server.set(ETH, "asks", 191_949, 1);
    let mut client =
        Client::open(&venue, &[BTC, ETH], silence_max, recorder).expect("a venue that lists both");
    let connection = greet(&mut venue, &mut client);
    assert_eq!(client.gaps(), [0, 0]);
    (venue, client, connection)
}

/// Lets the client in, and gives it the books.
fn greet(venue: &mut Binance, client: &mut Client) -> Connection {
    let mut connection = venue.server.accept();
    expect_subscription(&mut connection, &[BTC, ETH]);
    // What the snapshot holds already, and what comes after it.
    connection.send(&venue.update(BTC, &[("bids", 6_508_000, 3)]));
    let snapshot = venue.snapshot(BTC);
    connection.send(&venue.update(BTC, &[("bids", 6_508_000, 0), ("bids", 6_508_001, 4)]));
    connection.ping();
    venue.expect_depth(BTC).answer("200 OK", &snapshot);
    venue.answer_depth(ETH);
    client.until("both books", |client| client.has(venue));
    connection
}

fn trade(symbol: &str, price: &str, id: u64) -> String {
    let data = json!({ "e": "trade", "E": 1_626_992_742_291_u64, "s": symbol, "t": id, "p": price, "q": "0.01034000",
                       "T": 1_626_992_742_134_u64, "m": true, "M": true });
    message(symbol, "trade", &data)
}

#[test]
fn books_and_trades_are_followed_however_the_bytes_come() {
    let (mut venue, mut client, mut connection) = followed(NEVER, None);
    assert_eq!(client.instrument(BTC), ("BINANCE", -2, -5, Some("USDT")));
    let update = venue.update(BTC, &[("asks", 6_510_654, 0), ("asks", 6_510_700, 154_571)]);
    connection.send_in_pieces(&update);
    connection.send(&venue.update(ETH, &[("bids", 191_900, 100_000_000), ("bids", 191_944, 0)]));
    connection.send(&trade(BTC, "65083.67000000", 7));
    client.until("the trade", |client| !client.trades.is_empty());
    assert!(client.has(&venue));
    assert_eq!(client.trades, [(BTC.to_owned(), 6_508_367, 1_034, Some(7))]);
    assert_eq!((client.gaps(), client.connections().resyncs), ([0, 0], 0));
}

#[test]
fn a_missing_number_costs_one_book_and_it_comes_back() {
    let (mut venue, mut client, mut connection) = followed(NEVER, None);
    let _lost = venue.update(BTC, &[("bids", 6_508_000, 5)]);
    connection.send(&venue.update(BTC, &[("bids", 6_508_000, 6)]));
    connection.send(&venue.update(ETH, &[("asks", 191_950, 5)]));
    client.until("the gap, and the other book", |client| {
        client.gaps() == [1, 0] && client.has_book(&venue, ETH)
    });
    assert!(client.is_stale(BTC));
    venue.answer_depth(BTC);
    client.until("the book again", |client| client.has(&venue));
    connection.send(&venue.update(BTC, &[("asks", 6_510_800, 3)]));
    client.until("what changes then", |client| client.has(&venue));
    assert_eq!((client.gaps(), client.connections().resyncs), ([1, 0], 1));
}

#[test]
fn a_snapshot_that_fails_is_asked_for_until_it_comes() {
    let (mut venue, mut client, mut connection) = followed(NEVER, None);
    let old = venue.snapshot(BTC);
    let _lost = venue.update(BTC, &[("bids", 6_508_000, 5)]);
    connection.send(&venue.update(BTC, &[("bids", 6_508_000, 6)]));
    client.until("the gap", |client| client.gaps() == [1, 0]);
    venue.expect_depth(BTC).answer_half(&old);
    venue.expect_depth(BTC).answer("200 OK", "no JSON");
    venue.expect_depth(BTC).answer("429 Too Many Requests\r\nretry-after: 1", "{}");
    assert_eq!(client.gaps(), [1, 0]);
    // Older than what waits for it.
    venue.expect_depth(BTC).answer("200 OK", &old);
    client.until("the gap between", |client| client.gaps() == [2, 0]);
    venue.answer_depth(BTC);
    client.until("the book again", |client| client.has(&venue));
    assert_eq!((client.gaps(), client.connections().lost), ([2, 0], 0));
}

#[test]
fn a_message_that_is_not_as_documented_costs_one_book() {
    let (mut venue, mut client, mut connection) = followed(NEVER, None);
    // Nothing is missing of the book, but who knows what the message was?
    connection.send(&trade(ETH, "?", 7));
    client.until("the gap", |client| client.gaps() == [0, 1]);
    venue.answer_depth(ETH);
    client.until("the book again", |client| client.has(&venue));
    connection.send(&venue.update(ETH, &[("asks", 191_950, 5)]).replace("191", "x"));
    client.until("the gap", |client| client.gaps() == [0, 2]);
    venue.answer_depth(ETH);
    client.until("the book again", |client| client.has(&venue));
    connection.send(&venue.update(ETH, &[("asks", 191_951, 5)]));
    client.until("what changes then", |client| client.has(&venue));
    assert_eq!(client.gaps(), [0, 2]);
}

#[test]
fn messages_about_a_symbol_that_nobody_asked_for_are_left_aside() {
    let (mut venue, mut client, mut connection) = followed(NEVER, None);
    venue.server.set("XRPUSDT", "bids", 50, 1);
    for id in 1..=3 {
        connection.send(&trade("XRPUSDT", "0.50000000", id));
        connection.send(&venue.update("XRPUSDT", &[("bids", 51, 1)]));
    }
    connection.send(&trade(BTC, "65083.67000000", 7));
    connection.send(&venue.update(ETH, &[("asks", 191_950, 5)]));
    client.until("what follows", |client| !client.trades.is_empty() && client.has_book(&venue, ETH));
    assert_eq!(client.trades, [(BTC.to_owned(), 6_508_367, 1_034, Some(7))]);
    assert_eq!((client.gaps(), client.connections().lost), ([0, 0], 0));
    assert!(client.has_book(&venue, BTC));
}

#[test]
fn a_connection_that_breaks_is_made_anew() {
    let (mut venue, mut client, mut connection) = followed(NEVER, None);
    let update = venue.update(BTC, &[("asks", 6_510_800, 3)]);
    connection.send_half(&update);
    drop(connection);
    // Of the second nothing came but its snapshot.
    client.until("both gaps", |client| client.gaps() == [1, 1]);

    // Neither does the next one live long: it ends in mid-snapshot.
    let mut connection = venue.server.accept();
    expect_subscription(&mut connection, &[BTC, ETH]);
    let get = venue.expect_depth(BTC);
    drop(connection);
    get.answer_half(&venue.snapshot(BTC));
    greet(&mut venue, &mut client);
    assert_eq!(client.gaps(), [1, 1]);
}

#[test]
fn a_quiet_connection_is_asked_whether_it_lives_and_a_silent_one_is_given_up() {
    let (mut venue, mut client, mut connection) = followed(Duration::from_secs(2), None);
    // Each is sent after a second of silence.
    for _ in 0..3 {
        connection.answer_ping();
    }
    client.until("what it had", |client| client.has(&venue));
    assert_eq!((client.gaps(), client.connections().lost), ([0, 0], 0));
    client.until("both gaps", |client| client.gaps() == [1, 1]);
    greet(&mut venue, &mut client);
}

#[test]
fn a_symbol_that_the_venue_does_not_list_is_named() {
    let mut venue = Binance::listen();
    venue.server.set(BTC, "bids", 1, 1);
    venue.server.set(ETH, "bids", 1, 1);
    let error = Client::open(&venue, &[BTC, ETH, "NOSUCH"], NEVER, None).map(|_| ()).expect_err("an error");
    let told = error.to_string();
    assert!(told.contains("refuses the symbol `NOSUCH`") && told.contains("Invalid symbol."), "{told}");
    assert!(matches!(error, FeedError::Live { .. }));
}

#[test]
fn a_recording_of_it_is_replayed_as_it_was_followed_faults_and_all() {
    let recording = Recording::start();
    let (mut venue, mut client, mut connection) = followed(NEVER, Some(recording.handle()));
    let old = venue.snapshot(BTC);
    let _lost = venue.update(BTC, &[("bids", 6_508_000, 5)]);
    connection.send(&venue.update(BTC, &[("bids", 6_508_000, 6)]));
    client.until("the gap", |client| client.gaps() == [1, 0]);
    venue.expect_depth(BTC).answer("200 OK", "no JSON");
    venue.expect_depth(BTC).answer("200 OK", &old);
    client.until("the gap between", |client| client.gaps() == [2, 0]);
    venue.answer_depth(BTC);
    client.until("the book again", |client| client.has(&venue));
    connection.send(&trade(ETH, "?", 7));
    connection.send(&trade(ETH, "1919.44000000", 8));
    client.until("the gap of the other", |client| client.gaps() == [2, 1]);
    venue.answer_depth(ETH);
    client.until("the book again", |client| client.has(&venue));
    connection.send("no JSON");
    client.until("gaps again", |client| client.gaps() == [3, 2]);
    let mut connection = greet(&mut venue, &mut client);
    connection.send(&venue.update(ETH, &[("asks", 191_950, 5)]));
    client.until("what changes then", |client| client.has(&venue));
    drop(connection);
    client.until("the last gaps", |client| client.gaps() == [4, 3]);
    recording.assert_replays(client, &[BTC, ETH]);
}
