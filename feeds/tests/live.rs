//! Live feeds against a venue that is a real server and plays rudely: the books end as the venue's own, and whatever was
//! lost on the way has been told.

mod live {
    pub(crate) mod client;
    pub(crate) mod venue;
}

use std::time::Duration;

use feeds::limits::LIVE_QUEUE_MESSAGES_MAX;
use feeds::record::{Recorder, RecorderHandle, RecorderSettings};
use feeds::replay::{Replay, ReplaySettings};
use feeds::{Feed as _, FeedError, MarketEvent, Progress};

use live::client::Client;
use live::venue::{Connection, Venue};

const BTC: &str = "BTC/USD";
const ETH: &str = "ETH/USD";

/// Longer than any test.
const NEVER: Duration = Duration::from_secs(600);

/// A venue whose books a client has.
fn followed(silence_max: Duration) -> (Venue, Client, Connection) {
    recorded(silence_max, None)
}

/// The same, recorded.
fn recorded(silence_max: Duration, recorder: Option<RecorderHandle>) -> (Venue, Client, Connection) {
    let mut venue = Venue::listen();
    venue.set(BTC, "bids", 452_835, 10_000_000);
    venue.set(BTC, "bids", 452_834, 154_582_015);
    venue.set(BTC, "asks", 452_852, 100_000);
    venue.set(ETH, "bids", 9, 7);
    venue.set(ETH, "asks", 10, 1);
    let mut client =
        Client::open(&venue, &[BTC, ETH], silence_max, recorder).expect("a venue that lists both");
    let mut connection = venue.accept();
    connection.send(r#"{"channel":"status","type":"update","data":[{"system":"online","version":"2.0.0"}]}"#);
    connection.expect_subscription(&[BTC, ETH]);
    connection.send(&venue.snapshot(BTC));
    connection.send(&venue.snapshot(ETH));
    client.until("both books", |client| client.has(&venue));
    assert_eq!(client.gaps(), [0, 0]);
    (venue, client, connection)
}

/// The symbol is asked for anew, and nothing else.
fn resync(venue: &Venue, connection: &mut Connection, symbol: &str) {
    connection.expect_book_request("unsubscribe", &[symbol]);
    connection.expect_book_request("subscribe", &[symbol]);
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
    venue.set(BTC, "bids", 452_830, 1); // the update that is lost
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
    let mut connection = venue.accept();
    connection.expect_subscription(&[BTC, ETH]);
    connection.send(&venue.snapshot(ETH));
    connection.send("no JSON");
    // Of the other nothing was heard again that could be lost.
    client.until("a gap again", |client| client.gaps() == [1, 2]);

    venue.set(BTC, "asks", 452_999, 9);
    let mut connection = venue.accept();
    connection.expect_subscription(&[BTC, ETH]);
    connection.send(&venue.snapshot(ETH));
    connection.send(&venue.snapshot(BTC));
    client.until("both books again", |client| client.has(&venue));
    assert_eq!(client.gaps(), [1, 2]);
}

#[test]
fn a_silent_connection_is_given_up() {
    let (mut venue, mut client, _silent) = followed(Duration::from_secs(2));
    venue.set(ETH, "asks", 12, 9);
    client.until("both gaps", |client| client.gaps() == [1, 1]);
    let mut connection = venue.accept();
    connection.expect_subscription(&[BTC, ETH]);
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
    let venue = Venue::listen();
    let error = Client::open(&venue, &[BTC, "NO/SUCH"], NEVER, None).map(|_| ()).expect_err("an error");
    let told = error.to_string();
    assert!(told.contains("NO/SUCH") && told.contains(&venue.url()), "{told}");
    assert!(matches!(error, FeedError::Live { .. }));
}

#[test]
fn a_recording_of_it_is_replayed_as_it_was_followed_faults_and_all() {
    let folder = tempfile::tempdir().expect("a folder");
    let settings = RecorderSettings::new(folder.path().join("day"));
    let recorder = Recorder::start(&settings, |report| panic!("{report:?}")).expect("a recorder");
    let (mut venue, mut client, mut connection) = recorded(NEVER, Some(recorder.handle().clone()));
    let instruments = [BTC, ETH].map(|symbol| {
        let (venue, price, size, currency) = client.instrument(symbol);
        (venue.to_owned(), price, size, currency.map(str::to_owned))
    });

    venue.set(BTC, "bids", 452_830, 1); // the update that is lost
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
    let mut connection = venue.accept();
    connection.expect_subscription(&[BTC, ETH]);
    connection.send(&venue.snapshot(ETH));
    connection.send(&venue.snapshot(BTC));
    client.until("both books at last", |client| client.has(&venue));
    drop(connection);
    client.until("the last gaps", |client| client.gaps() == [3, 3]);
    let live = std::mem::take(&mut client.events);
    drop(client);
    recorder.stop().expect("all is recorded");

    let mut replay = Replay::open(&ReplaySettings {
        files: vec![settings.folder],
        repeat: false,
        symbols: None,
        from: None,
    })
    .expect("a recording");
    let names: Vec<String> = replay.instruments().iter().map(|i| i.symbol.as_str().to_owned()).collect();
    for (symbol, expected) in [BTC, ETH].into_iter().zip(instruments) {
        let found = replay.instruments().iter().find(|i| i.symbol.as_str() == symbol).expect("one of ours");
        let (price, size) = (found.price_exponent.get(), found.size_exponent.get());
        assert_eq!((found.venue.to_owned(), price, size, found.currency.clone()), expected);
    }
    let mut replayed: Vec<(String, MarketEvent)> = Vec::new();
    let mut events = Vec::new();
    while let Progress::Message { .. } = replay.next_message(&mut events).expect("a sound recording") {
        replayed.extend(events.drain(..).map(|event| (names[event.symbol.index()].clone(), event)));
    }
    // The numbers of the symbols are each feed's own.
    let rest = |(_, event): &(String, MarketEvent)| (event.ts_event, event.ts_recv, event.body.clone());
    let told = |events: &[(String, MarketEvent)], name: &str| {
        events.iter().filter(|(symbol, _)| symbol == name).map(rest).collect::<Vec<_>>()
    };
    for symbol in [BTC, ETH] {
        assert_eq!(told(&replayed, symbol), told(&live, symbol), "{symbol}");
    }
}
