//! Kraken: checksums, one a book.

use std::time::Duration;

use feeds::FeedError;
use feeds::limits::{KRAKEN_CONNECTION_SYMBOLS_MAX, LIVE_QUEUE_MESSAGES_MAX};
use feeds::record::RecorderHandle;

use super::NEVER;
use super::client::Client;
use super::fake::Venue as _;
use super::fake::kraken::{Kraken, expect_book_request, expect_subscription};
use super::fake::server::Connection;
use super::replayed::Recording;

const BTC: &str = "BTC/USD";
const ETH: &str = "ETH/USD";

/// A venue whose books a client has.
fn followed(silence_max: Duration) -> (Kraken, Client, Connection) {
    recorded(silence_max, None)
}

/// The same, recorded.
fn recorded(silence_max: Duration, recorder: Option<RecorderHandle>) -> (Kraken, Client, Connection) {
    let mut venue = Kraken::listen();
    venue.0.set(BTC, "bids", 452_835, 10_000_000);
    venue.0.set(BTC, "bids", 452_834, 154_582_015);
    venue.0.set(BTC, "asks", 452_852, 100_000);
    venue.0.set(ETH, "bids", 9, 7);
    venue.0.set(ETH, "asks", 10, 1);
    let mut client =
        Client::open(&venue, &[BTC, ETH], silence_max, recorder).expect("a venue that lists both");
    let mut connection = venue.0.accept();
    connection.send(r#"{"channel":"status","type":"update","data":[{"system":"online","version":"2.0.0"}]}"#);
    expect_subscription(&mut connection, &[BTC, ETH]);
    connection.send(&venue.snapshot(BTC));
    connection.send(&venue.snapshot(ETH));
    client.until("both books", |client| client.has(&venue));
    assert_eq!(client.gaps(), [0, 0]);
    (venue, client, connection)
}

/// The symbol is asked for anew, and nothing else.
fn resync(venue: &Kraken, connection: &mut Connection, symbol: &str) {
    expect_book_request(connection, "unsubscribe", &[symbol]);
    expect_book_request(connection, "subscribe", &[symbol]);
    connection.send(&venue.snapshot(symbol));
}

#[test]
fn books_and_trades_are_followed_however_the_bytes_come() {
    let (mut venue, mut client, mut connection) = followed(NEVER);
    assert_eq!(client.instrument(BTC), ("KRAKEN", -1, -8, Some("USD")));

    let update = venue.update(BTC, &[("asks", 452_852, 0), ("asks", 452_864, 154_571_953)]);
    connection.send_in_pieces(&update);
    connection.send(r#"{"channel":"heartbeat"}"#);
    let update = venue.update(ETH, &[("bids", 8, 100_000_000), ("bids", 9, 0)]);
    connection.send(&update);
    connection.send(
        r#"{"channel":"trade","type":"update","data":[{"symbol":"BTC/USD","side":"sell","price":45283.5,"qty":0.4,
            "ord_type":"market","trade_id":4665906,"timestamp":"2023-09-25T07:49:37.708706Z"}]}"#,
    );
    client.until("the trade", |client| !client.trades.is_empty());
    assert!(client.has(&venue));
    assert_eq!(client.trades, [(BTC.to_owned(), 452_835, 40_000_000, Some(4_665_906))]);
    assert_eq!((client.gaps(), client.disagreed), ([0, 0], 0));
    assert_eq!(client.agreed, 4);
}

#[test]
fn a_wrong_checksum_costs_one_book_and_it_comes_back() {
    let (mut venue, mut client, mut connection) = followed(NEVER);
    venue.0.set(BTC, "bids", 452_830, 1); // the update that is lost
    connection.send(&venue.update(BTC, &[("bids", 452_829, 5)]));
    connection.send(&venue.update(ETH, &[("asks", 11, 5)]));
    client.until("the gap, and the other book", |client| {
        client.gaps() == [1, 0] && client.has_book(&venue, ETH)
    });
    assert_eq!(client.disagreed, 1);
    assert!(client.is_stale(BTC));
    // Until the snapshot, what changes is of no use.
    connection.send(&venue.update(BTC, &[("bids", 452_829, 6)]));
    resync(&venue, &mut connection, BTC);
    client.until("the book again", |client| client.has(&venue));
    connection.send(&venue.update(BTC, &[("asks", 452_900, 3)]));
    client.until("what changes then", |client| client.has(&venue));
    assert_eq!((client.gaps(), client.disagreed), ([1, 0], 1));
}

#[test]
fn a_message_that_is_not_as_documented_costs_one_book() {
    let (venue, mut client, mut connection) = followed(NEVER);
    connection.send(
        r#"{"channel":"book","type":"update","data":[{"symbol":"ETH/USD","bids":[{"price":0.8,"qty":"?"}],
            "asks":[],"checksum":1}]}"#,
    );
    client.until("the gap", |client| client.gaps() == [0, 1]);
    resync(&venue, &mut connection, ETH);
    client.until("the book again", |client| client.has(&venue));
    assert_eq!(client.gaps(), [0, 1]);
}

#[test]
fn a_connection_that_breaks_in_mid_snapshot_is_made_anew() {
    let (mut venue, mut client, mut connection) = followed(NEVER);
    connection.send_half(&venue.snapshot(BTC));
    drop(connection);
    client.until("both gaps", |client| client.gaps() == [1, 1]);
    assert!(client.is_stale(BTC) && client.is_stale(ETH));

    // Neither does the next one live long.
    let mut connection = venue.0.accept();
    expect_subscription(&mut connection, &[BTC, ETH]);
    connection.send(&venue.snapshot(ETH));
    connection.send("no JSON");
    // Of the other nothing was heard again that could be lost.
    client.until("a gap again", |client| client.gaps() == [1, 2]);

    venue.0.set(BTC, "asks", 452_999, 9);
    let mut connection = venue.0.accept();
    expect_subscription(&mut connection, &[BTC, ETH]);
    connection.send(&venue.snapshot(ETH));
    connection.send(&venue.snapshot(BTC));
    client.until("both books again", |client| client.has(&venue));
    assert_eq!(client.gaps(), [1, 2]);
}

#[test]
fn a_silent_connection_is_given_up() {
    let (mut venue, mut client, _silent) = followed(Duration::from_secs(2));
    venue.0.set(ETH, "asks", 12, 9);
    client.until("both gaps", |client| client.gaps() == [1, 1]);
    let mut connection = venue.0.accept();
    expect_subscription(&mut connection, &[BTC, ETH]);
    connection.send(&venue.snapshot(BTC));
    connection.send(&venue.snapshot(ETH));
    client.until("both books again", |client| client.has(&venue));
}

#[test]
fn what_nobody_takes_in_time_is_a_gap_and_mended() {
    let (mut venue, mut client, mut connection) = followed(NEVER);
    for size in 1..i64::try_from(LIVE_QUEUE_MESSAGES_MAX).expect("small") + 100 {
        connection.send(&venue.update(BTC, &[("bids", 452_830, size)]));
    }
    connection.ping();
    client.until("the gap", |client| client.gaps() == [1, 0]);
    resync(&venue, &mut connection, BTC);
    client.until("the book again", |client| client.has(&venue));
    assert_eq!((client.gaps(), client.disagreed), ([1, 0], 0));
}

#[test]
fn the_venue_may_halt_all_trading() {
    let (_venue, mut client, mut connection) = followed(NEVER);
    for (system, told) in [("maintenance", "Halted maintenance"), ("online", "Trading ")] {
        connection.send(&format!(
            r#"{{"channel":"status","type":"update","data":[{{"system":"{system}","version":"2.0.0"}}]}}"#
        ));
        client.until(system, |client| client.statuses.iter().filter(|status| *status == told).count() == 2);
    }
}

#[test]
fn a_symbol_that_the_venue_does_not_list_is_named() {
    let mut venue = Kraken::listen();
    venue.0.set(BTC, "bids", 1, 1);
    let error = Client::open(&venue, &[BTC, "NO/SUCH"], NEVER, None).map(|_| ()).expect_err("an error");
    let told = error.to_string();
    assert!(told.contains("NO/SUCH") && told.contains(&venue.url()), "{told}");
    assert!(matches!(error, FeedError::Live { .. }));
}

#[test]
fn a_recording_of_it_is_replayed_as_it_was_followed_faults_and_all() {
    let recording = Recording::start();
    let (mut venue, mut client, mut connection) = recorded(NEVER, Some(recording.handle()));

    venue.0.set(BTC, "bids", 452_830, 1); // the update that is lost
    connection.send(&venue.update(BTC, &[("bids", 452_829, 5)]));
    connection.send(
        r#"{"channel":"book","type":"update","data":[{"symbol":"ETH/USD","bids":[{"price":0.8,"qty":"?"}],
            "asks":[],"checksum":1}]}"#,
    );
    resync(&venue, &mut connection, BTC);
    resync(&venue, &mut connection, ETH);
    client.until("both books again", |client| client.has(&venue));
    connection.send("no JSON");
    client.until("all gaps", |client| client.gaps() == [2, 2]);
    let mut connection = venue.0.accept();
    expect_subscription(&mut connection, &[BTC, ETH]);
    connection.send(&venue.snapshot(ETH));
    connection.send(&venue.snapshot(BTC));
    client.until("both books at last", |client| client.has(&venue));
    drop(connection);
    client.until("the last gaps", |client| client.gaps() == [3, 3]);
    recording.assert_replays(client, &[BTC, ETH]);
}

/// A symbol more than one connection carries.
#[test]
fn more_symbols_than_one_connection_carries_go_over_several_and_only_its_own_are_lost_with_one() {
    let recording = Recording::start();
    let mut venue = Kraken::listen();
    let symbols: Vec<String> = (0..=KRAKEN_CONNECTION_SYMBOLS_MAX).map(|n| format!("P{n:03}/USD")).collect();
    for symbol in &symbols {
        venue.0.set(symbol, "bids", 10, 1);
        venue.0.set(symbol, "asks", 11, 1);
    }
    let symbols: Vec<&str> = symbols.iter().map(String::as_str).collect();
    let mut client =
        Client::open(&venue, &symbols, NEVER, Some(recording.handle())).expect("a venue that lists them");
    let (first, second) = symbols.split_at(symbols.len() / 2);
    // Whichever connects first.
    let mut connections = [venue.0.accept(), venue.0.accept()];
    let names = |requests: &[serde_json::Value]| {
        let names =
            requests.iter().flat_map(|request| request["params"]["symbol"].as_array().expect("a list"));
        names.map(|name| name.as_str().expect("a name").to_owned()).collect::<Vec<_>>()
    };
    let asked = connections.each_mut().map(|connection| {
        let requests: Vec<_> = (0..4).map(|_| connection.request()).collect();
        let of = |channel| {
            requests
                .iter()
                .filter(|request| request["params"]["channel"] == channel)
                .cloned()
                .collect::<Vec<_>>()
        };
        assert_eq!(names(&of("book")), names(&of("trade")));
        names(&of("book"))
    });
    if asked[0] != first {
        connections.reverse();
    }
    assert!(asked.iter().any(|names| names == first) && asked.iter().any(|names| names == second));
    let [of_first, mut of_second] = connections;
    let mut of_first = of_first;
    for symbol in first {
        of_first.send(&venue.snapshot(symbol));
    }
    for symbol in second {
        of_second.send(&venue.snapshot(symbol));
    }
    client.until("all books", |client| client.has(&venue));
    assert_eq!(client.connections().open, 2);

    drop(of_first);
    client.until("its gaps", |client| first.iter().all(|symbol| client.gaps_of(symbol) == 1));
    of_second.send(&venue.update(second[0], &[("bids", 9, 5)]));
    client.until("the other goes on", |client| client.has_book(&venue, second[0]));
    let mut of_first = venue.0.accept();
    for symbol in first {
        of_first.send(&venue.snapshot(symbol));
    }
    client.until("all books again", |client| client.has(&venue));
    assert!(second.iter().all(|symbol| client.gaps_of(symbol) == 0));
    assert_eq!((client.connections().open, client.connections().lost), (2, 1));
    recording.assert_replays(client, &symbols);
}
