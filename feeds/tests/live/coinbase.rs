//! Coinbase: numbers of the whole connection.

use std::time::Duration;

use feeds::FeedError;
use feeds::record::RecorderHandle;
use serde_json::json;

use super::NEVER;
use super::client::Client;
use super::fake::coinbase::{Coinbase, Numbered};
use super::replayed::Recording;

const BTC: &str = "BTC-USD";
const ETH: &str = "ETH-USD";

/// A venue whose books a client has.
fn followed(silence_max: Duration, recorder: Option<RecorderHandle>) -> (Coinbase, Client, Numbered) {
    let mut venue = Coinbase::listen();
    venue.0.set(BTC, "bids", 6_508_366, 20_371_215);
    venue.0.set(BTC, "bids", 6_508_365, 1);
    venue.0.set(BTC, "asks", 6_510_654, 100_000);
    venue.0.set(ETH, "bids", 191_944, 7);
    venue.0.set(ETH, "asks", 191_949, 1);
    let mut client =
        Client::open(&venue, &[BTC, ETH], silence_max, recorder).expect("a venue that lists both");
    let connection = greet(&venue, &mut client);
    assert_eq!(client.gaps(), [0, 0]);
    (venue, client, connection)
}

/// Lets the client in, and gives it the books.
fn greet(venue: &Coinbase, client: &mut Client) -> Numbered {
    let mut connection = venue.accept();
    connection.expect_subscription(&[BTC, ETH]);
    for symbol in [BTC, ETH] {
        connection.say("l2_data", &venue.snapshot(symbol));
    }
    client.until("both books", |client| client.has(venue));
    connection
}

fn trades(kind: &str, ids: &[u64]) -> serde_json::Value {
    let trade = |id| {
        json!({ "product_id": BTC, "trade_id": format!("{id}"), "price": "65083.67", "size": "0.01034361",
                "time": "2026-08-09T21:05:48.167634Z", "side": "SELL" })
    };
    json!({ "type": kind, "trades": ids.iter().map(trade).collect::<Vec<_>>() })
}

#[test]
fn books_and_trades_are_followed_however_the_bytes_come() {
    let (mut venue, mut client, mut connection) = followed(NEVER, None);
    assert_eq!(client.instrument(BTC), ("COINBASE", -2, -8, Some("USD")));
    let update = venue.update(BTC, &[("asks", 6_510_654, 0), ("asks", 6_510_700, 154_571_953)]);
    let text = connection.message("l2_data", &update);
    connection.connection.send_in_pieces(&text);
    connection
        .say("heartbeats", &json!({ "current_time": "2026-08-09 21:05:48", "heartbeat_counter": 3049 }));
    let update = venue.update(ETH, &[("bids", 191_900, 100_000_000), ("bids", 191_944, 0)]);
    connection.say("l2_data", &update);
    // What was before is nobody's news; of what is, the newest stands first.
    connection.say("market_trades", &trades("snapshot", &[3, 2]));
    connection.say("market_trades", &trades("update", &[5, 4]));
    client.until("the trades", |client| client.trades.len() == 2);
    assert!(client.has(&venue));
    let trade = |id| (BTC.to_owned(), 6_508_367, 1_034_361, Some(id));
    assert_eq!(client.trades, [trade(4), trade(5)]);
    assert_eq!(client.gaps(), [0, 0]);
}

#[test]
fn a_missing_number_costs_every_book_of_the_connection_and_they_come_back() {
    let (mut venue, mut client, mut connection) = followed(NEVER, None);
    let lost = venue.update(BTC, &[("bids", 6_508_000, 5)]);
    let _ = connection.message("l2_data", &lost);
    let update = venue.update(ETH, &[("asks", 191_950, 5)]);
    connection.say("l2_data", &update);
    client.until("both gaps", |client| client.gaps() == [1, 1]);
    assert!(client.is_stale(BTC) && client.is_stale(ETH));
    connection.expect_resync(&[BTC, ETH]);
    for symbol in [ETH, BTC] {
        connection.say("l2_data", &venue.snapshot(symbol));
    }
    client.until("both books again", |client| client.has(&venue));
    let update = venue.update(BTC, &[("asks", 6_510_800, 3)]);
    connection.say("l2_data", &update);
    client.until("what changes then", |client| client.has(&venue));
    assert_eq!(client.gaps(), [1, 1]);
    assert_eq!(client.connections().resyncs, 2);
}

#[test]
fn a_message_that_is_not_as_documented_costs_one_book() {
    let (venue, mut client, mut connection) = followed(NEVER, None);
    let update = json!({ "side": "bid", "event_time": "2026-08-09T21:05:48Z", "price_level": "1919.44", "new_quantity": "?" });
    connection.say("l2_data", &json!({ "type": "update", "product_id": ETH, "updates": [update] }));
    client.until("the gap", |client| client.gaps() == [0, 1]);
    connection.expect_resync(&[ETH]);
    connection.say("l2_data", &venue.snapshot(ETH));
    client.until("the book again", |client| client.has(&venue));
    assert_eq!(client.gaps(), [0, 1]);
}

#[test]
fn a_connection_that_breaks_in_mid_snapshot_is_made_anew() {
    let (mut venue, mut client, mut connection) = followed(NEVER, None);
    let text = connection.message("l2_data", &venue.snapshot(BTC));
    connection.connection.send_half(&text);
    drop(connection);
    client.until("both gaps", |client| client.gaps() == [1, 1]);
    // Its numbers begin anew.
    venue.0.set(BTC, "asks", 6_520_000, 9);
    let mut connection = greet(&venue, &mut client);
    let update = venue.update(BTC, &[("asks", 6_520_000, 0)]);
    connection.say("l2_data", &update);
    client.until("what changes then", |client| client.has(&venue));
    assert_eq!(client.gaps(), [1, 1]);
    assert_eq!((client.connections().open, client.connections().lost), (1, 1));
}

#[test]
fn a_silent_connection_is_given_up() {
    let (venue, mut client, _silent) = followed(Duration::from_secs(2), None);
    client.until("both gaps", |client| client.gaps() == [1, 1]);
    greet(&venue, &mut client);
}

#[test]
fn a_symbol_that_the_venue_does_not_list_is_named() {
    let mut venue = Coinbase::listen();
    venue.0.set(BTC, "bids", 1, 1);
    let error = Client::open(&venue, &[BTC, "NO-SUCH"], NEVER, None).map(|_| ()).expect_err("an error");
    let told = error.to_string();
    assert!(told.contains("NO-SUCH") && told.contains("refuses"), "{told}");
    assert!(matches!(error, FeedError::Live { .. }));
}

#[test]
fn a_product_in_usdc_keeps_its_name_though_it_comes_under_that_of_the_one_in_usd() {
    const USDC: &str = "BTC-USDC";
    let renamed = |event: serde_json::Value| -> serde_json::Value {
        serde_json::from_str(&event.to_string().replace(USDC, BTC)).expect("JSON")
    };
    let recording = Recording::start();
    let mut venue = Coinbase::listen();
    venue.0.set(USDC, "bids", 6_508_366, 20_371_215);
    venue.0.set(USDC, "asks", 6_510_654, 100_000);
    let mut client =
        Client::open(&venue, &[USDC], NEVER, Some(recording.handle())).expect("a venue that lists it");
    let mut connection = venue.accept();
    connection.expect_subscription(&[USDC]);
    connection.say("l2_data", &renamed(venue.snapshot(USDC)));
    client.until("the book", |client| client.has(&venue));
    let update = venue.update(USDC, &[("bids", 6_508_400, 5)]);
    connection.say("l2_data", &renamed(update));
    connection.say("market_trades", &trades("update", &[5]));
    client.until("the trade", |client| client.trades.len() == 1);
    assert!(client.has(&venue));
    assert_eq!(client.trades, [(USDC.to_owned(), 6_508_367, 1_034_361, Some(5))]);
    drop(connection);
    client.until("the gap", |client| client.gaps_of(USDC) == 1);
    recording.assert_replays(client, &[USDC]);
}

#[test]
fn a_recording_of_it_is_replayed_as_it_was_followed_faults_and_all() {
    let recording = Recording::start();
    let (mut venue, mut client, mut connection) = followed(NEVER, Some(recording.handle()));
    let lost = venue.update(BTC, &[("bids", 6_508_000, 5)]);
    let _ = connection.message("l2_data", &lost);
    connection.say("market_trades", &trades("update", &[5, 4]));
    client.until("both gaps", |client| client.gaps() == [1, 1]);
    connection.expect_resync(&[BTC, ETH]);
    for symbol in [BTC, ETH] {
        connection.say("l2_data", &venue.snapshot(symbol));
    }
    client.until("both books again", |client| client.has(&venue));
    connection.connection.send("no JSON");
    client.until("gaps again", |client| client.gaps() == [2, 2]);
    let mut connection = greet(&venue, &mut client);
    let update = venue.update(ETH, &[("asks", 191_950, 5)]);
    connection.say("l2_data", &update);
    client.until("what changes then", |client| client.has(&venue));
    drop(connection);
    client.until("the last gaps", |client| client.gaps() == [3, 3]);
    recording.assert_replays(client, &[BTC, ETH]);
}
