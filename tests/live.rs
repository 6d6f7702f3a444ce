//! A live venue through the running service: clients see the books, and each fault of the venue.

mod service {
    pub(crate) mod client;
    pub(crate) mod eventually;
    pub(crate) mod http;
    pub(crate) mod json;
    pub(crate) mod process;
    pub(crate) mod program;
    pub(crate) mod run;
}
#[path = "../feeds/tests/live/venue.rs"]
#[expect(dead_code, reason = "the feed's own tests are ruder")]
mod venue;

use std::collections::BTreeMap;

use serde_json::{Value, json};

use service::client::Client;
use service::eventually::eventually;
use service::process::Service;
use service::program::tickwire;
use service::run::run;
use venue::Venue;

const BTC: &str = "BTC/USD";
const ETH: &str = "ETH/USD";

/// A client that follows the status of symbols, and what it was told last of each: state and reason.
struct Statuses {
    client: Client,
    told: BTreeMap<String, [Value; 2]>,
}

impl Statuses {
    fn follow(service: &Service, symbols: &[&str]) -> Self {
        let mut client = service.client();
        client.subscribe("status", symbols);
        Self { client, told: BTreeMap::new() }
    }

    /// Reads until the symbols are told to be so.
    fn until(&mut self, symbols: &[&str], state: &str, reason: &str) {
        let wanted = [json!(state), json!(reason)];
        while symbols.iter().any(|&symbol| self.told.get(symbol) != Some(&wanted)) {
            let object = self.client.until(|object| object["symbol"].is_string());
            let symbol = object["symbol"].as_str().expect("a text").to_owned();
            let told = self.told.entry(symbol).or_default();
            for (told, field) in told.iter_mut().zip(["state", "reason"]) {
                if let Some(value) = object.get(field) {
                    *told = value.clone();
                }
            }
        }
    }
}

fn best(service: &Service, symbol: &str) -> [Value; 2] {
    let book = service.json(&format!("/v1/books/{}", symbol.replace('/', "%2F")));
    ["bids", "asks"].map(|side| book[side][0].clone())
}

#[test]
fn clients_see_what_the_venue_does() {
    let mut venue = Venue::listen();
    for (symbol, bid, ask) in [(BTC, 452_835, 452_852), (ETH, 30_001, 30_002)] {
        venue.set(symbol, "bids", bid, 10_000_000);
        venue.set(symbol, "asks", ask, 20_000_000);
    }
    let feed = format!("live:kraken@{}", venue.url());
    let service = std::thread::scope(|scope| {
        scope.spawn(|| venue.list_instruments());
        Service::start(["--feed", &feed, "--symbols", "btc/usd,eth/usd", "--stale-after", "60s"])
    });
    let mut connection = venue.accept();
    connection.expect_subscription(&[BTC, ETH]);
    connection.send(&venue.snapshot(BTC));
    connection.send(&venue.snapshot(ETH));
    let mut statuses = Statuses::follow(&service, &[BTC, ETH]);
    statuses.until(&[BTC, ETH], "trading", "");
    eventually("both books", || {
        best(&service, BTC) == [json!(["45283.5", "0.10000000"]), json!(["45285.2", "0.20000000"])]
            && best(&service, ETH) == [json!(["3000.1", "0.10000000"]), json!(["3000.2", "0.20000000"])]
    });

    // An update that never comes, and the next one's checksum.
    venue.set(BTC, "asks", 452_851, 1);
    connection.send(&venue.update(BTC, &[("bids", 452_835, 0), ("bids", 452_836, 3)]));
    statuses.until(&[BTC], "stale", "checksum");
    connection.expect_book_request("unsubscribe", &[BTC]);
    connection.expect_book_request("subscribe", &[BTC]);
    connection.send(&venue.snapshot(BTC));
    statuses.until(&[BTC], "trading", "");
    assert_eq!(statuses.told[ETH], [json!("trading"), json!("")]);
    let repaired = [json!(["45283.6", "0.00000003"]), json!(["45285.1", "0.00000001"])];
    assert_eq!(best(&service, BTC), repaired);

    // The connection breaks.
    drop(connection);
    statuses.until(&[BTC, ETH], "stale", "gap");
    let mut connection = venue.accept();
    connection.expect_subscription(&[BTC, ETH]);
    connection.send(&venue.snapshot(BTC));
    connection.send(&venue.snapshot(ETH));
    statuses.until(&[BTC, ETH], "trading", "");
    assert_eq!(best(&service, BTC), repaired);
    let log = service.log();
    for told in ["the book is asked for anew", "the venue is lost", "connected to the venue"] {
        assert!(log.contains(told), "lacks {told:?}: {log}");
    }
}

#[test]
fn a_silent_venue_is_stale_and_comes_back() {
    let mut venue = Venue::listen();
    venue.set(BTC, "bids", 452_835, 10_000_000);
    let feed = format!("live:kraken@{}", venue.url());
    let service = std::thread::scope(|scope| {
        scope.spawn(|| venue.list_instruments());
        Service::start(["--feed", &feed, "--symbols", BTC, "--stale-after", "2s"])
    });
    let mut silent = venue.accept();
    silent.send(&venue.snapshot(BTC));
    let mut statuses = Statuses::follow(&service, &[BTC]);
    statuses.until(&[BTC], "stale", "gap");
    let mut connection = venue.accept();
    connection.send(&venue.snapshot(BTC));
    statuses.until(&[BTC], "trading", "");
    assert!(service.log().contains("silent for more than 2000 ms"), "{}", service.log());
}

#[test]
fn what_a_live_venue_cannot_be_is_told() {
    for (flags, told) in [
        (&["--feed", "live:kraken"][..], "a live venue needs --symbols"),
        (&["--feed", "live:nasdaq", "--symbols", "A"], "the live venue that is known here is `kraken`"),
        (&["--feed", "live:kraken@http://x", "--symbols", "A"], "begins with wss:// or ws://"),
        (&["--feed", "live:kraken", "--symbols", "A", "--speed", "2"], "a live venue has its own"),
        (&["--feed", "live:kraken", "--symbols", "A", "--loop"], "`loop` is for recordings"),
    ] {
        let output = run(tickwire().arg("check-config").args(flags));
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{stderr}");
        assert!(stderr.contains(told), "lacks {told:?}: {stderr}");
    }
}
