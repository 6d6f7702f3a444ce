//! A live venue through the running service: clients see the books, and each fault of the venue.

mod service {
    pub(crate) mod client;
    #[expect(dead_code, reason = "it takes all there is")]
    pub(crate) mod collector;
    pub(crate) mod eventually;
    pub(crate) mod http;
    pub(crate) mod json;
    pub(crate) mod metrics;
    pub(crate) mod process;
    pub(crate) mod program;
    pub(crate) mod run;
    pub(crate) mod tls;
}
#[path = "../feeds/tests/live/fake/mod.rs"]
#[expect(dead_code, reason = "the feed's own tests are ruder")]
mod fake;

use std::collections::BTreeMap;
use std::time::Duration;

use feeds::clock::monotonic;
use serde_json::{Value, json};

use fake::Venue as _;
use fake::binance::Binance;
use fake::coinbase::Coinbase;
use fake::kraken::{Kraken, expect_book_request, expect_subscription};
use service::client::Client;
use service::collector::Collector;
use service::eventually::eventually;
use service::process::Service;
use service::program::tickwire;
use service::run::run;
use service::tls::TlsFront;

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
    let mut venue = Kraken::listen();
    for (symbol, bid, ask) in [(BTC, 452_835, 452_852), (ETH, 30_001, 30_002)] {
        venue.0.set(symbol, "bids", bid, 10_000_000);
        venue.0.set(symbol, "asks", ask, 20_000_000);
    }
    let feed = format!("live:kraken@{}", venue.url());
    let service = std::thread::scope(|scope| {
        scope.spawn(|| venue.list_instruments(&[]));
        Service::start(["--feed", &feed, "--symbols", "btc/usd,eth/usd", "--stale-after", "60s"])
    });
    let mut connection = venue.0.accept();
    expect_subscription(&mut connection, &[BTC, ETH]);
    let mut statuses = Statuses::follow(&service, &[BTC, ETH]);
    statuses.until(&[BTC, ETH], "stale", "no snapshot");
    connection.send(&venue.snapshot(BTC));
    statuses.until(&[BTC], "trading", "");
    assert_eq!(statuses.told[ETH], [json!("stale"), json!("no snapshot")]);
    connection.send(&venue.snapshot(ETH));
    statuses.until(&[BTC, ETH], "trading", "");
    eventually("both books", || {
        best(&service, BTC) == [json!(["45283.5", "0.10000000"]), json!(["45285.2", "0.20000000"])]
            && best(&service, ETH) == [json!(["3000.1", "0.10000000"]), json!(["3000.2", "0.20000000"])]
    });

    // An update that never comes, and the next one's checksum.
    venue.0.set(BTC, "asks", 452_851, 1);
    connection.send(&venue.update(BTC, &[("bids", 452_835, 0), ("bids", 452_836, 3)]));
    statuses.until(&[BTC], "stale", "checksum");
    expect_book_request(&mut connection, "unsubscribe", &[BTC]);
    expect_book_request(&mut connection, "subscribe", &[BTC]);
    connection.send(&venue.snapshot(BTC));
    statuses.until(&[BTC], "trading", "");
    assert_eq!(statuses.told[ETH], [json!("trading"), json!("")]);
    let repaired = [json!(["45283.6", "0.00000003"]), json!(["45285.1", "0.00000001"])];
    assert_eq!(best(&service, BTC), repaired);

    // The connection breaks.
    drop(connection);
    statuses.until(&[BTC, ETH], "stale", "gap");
    let mut connection = venue.0.accept();
    expect_subscription(&mut connection, &[BTC, ETH]);
    connection.send(&venue.snapshot(BTC));
    connection.send(&venue.snapshot(ETH));
    statuses.until(&[BTC, ETH], "trading", "");
    assert_eq!(best(&service, BTC), repaired);
    for told in ["the book is asked for anew", "the venue is lost", "connected to the venue"] {
        eventually(told, || service.log().contains(told));
    }
}

#[test]
fn a_missing_number_of_a_whole_connection_is_seen_by_clients_in_metrics_and_in_the_log() {
    const BTC: &str = "BTC-USD";
    const ETH: &str = "ETH-USD";
    let mut venue = Coinbase::listen();
    for (symbol, bid, ask) in [(BTC, 6_508_366, 6_510_654), (ETH, 191_944, 191_949)] {
        venue.0.set(symbol, "bids", bid, 10_000_000);
        venue.0.set(symbol, "asks", ask, 20_000_000);
    }
    let feed = format!("live:coinbase@{}", venue.url());
    let service = std::thread::scope(|scope| {
        scope.spawn(|| venue.list_instruments(&[BTC, ETH]));
        Service::start(["--feed", &feed, "--symbols", "btc-usd,eth-usd", "--stale-after", "60s"])
    });
    let mut connection = venue.accept();
    connection.expect_subscription(&[BTC, ETH]);
    for symbol in [BTC, ETH] {
        connection.say("l2_data", &venue.snapshot(symbol));
    }
    let mut statuses = Statuses::follow(&service, &[BTC, ETH]);
    statuses.until(&[BTC, ETH], "trading", "");
    eventually("the books", || {
        best(&service, BTC) == [json!(["65083.66", "0.10000000"]), json!(["65106.54", "0.20000000"])]
    });
    assert_eq!(service.metric("feed_connections"), 1);
    assert_eq!(service.metric("sequence_gaps_total"), 0);

    let lost = venue.update(BTC, &[("bids", 6_508_367, 5)]);
    let _ = connection.message("l2_data", &lost);
    let update = venue.update(ETH, &[("bids", 191_945, 5)]);
    connection.say("l2_data", &update);
    statuses.until(&[BTC, ETH], "stale", "gap");
    connection.expect_resync(&[BTC, ETH]);
    for symbol in [BTC, ETH] {
        connection.say("l2_data", &venue.snapshot(symbol));
    }
    statuses.until(&[BTC, ETH], "trading", "");
    assert_eq!(best(&service, BTC)[0], json!(["65083.67", "0.00000005"]));
    assert_eq!(best(&service, ETH)[0], json!(["1919.45", "0.00000005"]));
    eventually("the count of resyncs", || service.metric("feed_resyncs_total") == 2);
    assert_eq!(service.metric("sequence_gaps_total"), 2);
    eventually("the log says so", || service.log().contains("the book is asked for anew"));

    drop(connection);
    statuses.until(&[BTC, ETH], "stale", "gap");
    eventually("the count of lost connections", || service.metric("feed_connections_lost_total") == 1);
    eventually("the log", || service.log().contains("the venue is lost"));
}

#[test]
fn books_whose_snapshots_come_by_http_are_seen_by_clients_and_so_is_a_hole_in_them() {
    const BTC: &str = "BTCUSDT";
    let mut venue = Binance::listen();
    venue.server.set(BTC, "bids", 6_508_366, 10_000);
    venue.server.set(BTC, "asks", 6_510_654, 20_000);
    let feed = format!("live:binance@{}", venue.url());
    let service = std::thread::scope(|scope| {
        scope.spawn(|| venue.list_instruments(&[BTC]));
        Service::start(["--feed", &feed, "--symbols", "btcusdt", "--stale-after", "60s"])
    });
    let mut connection = venue.server.accept();
    fake::binance::expect_subscription(&mut connection, &[BTC]);
    venue.answer_depth(BTC);
    eventually("the book", || {
        best(&service, BTC) == [json!(["65083.66", "0.10000"]), json!(["65106.54", "0.20000"])]
    });
    let mut statuses = Statuses::follow(&service, &[BTC]);
    connection.send(&venue.update(BTC, &[("bids", 6_508_367, 1)]));
    eventually("the change", || best(&service, BTC)[0] == json!(["65083.67", "0.00001"]));
    let _lost = venue.update(BTC, &[("bids", 6_508_368, 2)]);
    connection.send(&venue.update(BTC, &[("bids", 6_508_369, 3)]));
    statuses.until(&[BTC], "stale", "gap");
    // It says why there is no snapshot, and asks again.
    venue.expect_depth(BTC).answer("503 Service Unavailable", "busy");
    // Not before it may.
    venue.expect_depth(BTC).answer("429 Too Many Requests\r\nretry-after: 3", "slower");
    let refused = monotonic();
    let again = venue.expect_depth(BTC);
    let pause = monotonic().duration_since(refused);
    assert!(pause >= Duration::from_millis(2_900), "{pause:?}");
    again.answer("200 OK", &venue.snapshot(BTC));
    statuses.until(&[BTC], "trading", "");
    assert_eq!(best(&service, BTC)[0], json!(["65083.69", "0.00003"]));
    for told in [
        "the book is asked for anew",
        "no snapshot",
        "503 Service Unavailable",
        "busy",
        "not asked again for 3 s",
    ] {
        eventually(told, || service.log().contains(told));
    }
    assert_eq!(service.metric("sequence_gaps_total"), 1);
}

#[test]
fn a_venue_is_spoken_to_by_tls_if_its_certificate_is_trusted_and_not_otherwise() {
    const BTC: &str = "BTCUSDT";
    let mut venue = Binance::listen();
    venue.server.set(BTC, "bids", 6_508_366, 10_000);
    let front = TlsFront::of(venue.server.authority());
    let feed = format!("live:binance@wss://{}/stream", front.authority);
    let serve = |trusted: &TlsFront| {
        let mut command = tickwire();
        command.args(["serve", "--listen", "127.0.0.1:0", "--feed", &feed, "--symbols", BTC]);
        command.args(["--stale-after", "60s"]);
        command.env("SSL_CERT_FILE", &trusted.certificate).env_remove("SSL_CERT_DIR");
        command
    };
    let stranger = TlsFront::of(venue.server.authority());
    let output = run(&mut serve(&stranger));
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(stderr.contains("invalid peer certificate"), "{stderr}");

    let service = std::thread::scope(|scope| {
        scope.spawn(|| venue.list_instruments(&[BTC]));
        Service::spawn(&mut serve(&front))
    });
    let mut connection = venue.server.accept();
    fake::binance::expect_subscription(&mut connection, &[BTC]);
    venue.answer_depth(BTC);
    eventually("the book", || best(&service, BTC)[0] == json!(["65083.66", "0.10000"]));
    connection.send(&venue.update(BTC, &[("bids", 6_508_367, 1)]));
    eventually("the change", || best(&service, BTC)[0] == json!(["65083.67", "0.00001"]));
}

#[test]
fn help_names_every_venue() {
    for command in ["serve", "record"] {
        let output = run(tickwire().args([command, "--help"]));
        let help = String::from_utf8_lossy(&output.stdout);
        for venue in feeds::live::venues() {
            assert!(help.contains(&format!("live:{venue}")), "{command} lacks {venue}: {help}");
        }
    }
}

#[test]
fn a_silent_venue_is_stale_and_comes_back() {
    let mut venue = Kraken::listen();
    venue.0.set(BTC, "bids", 452_835, 10_000_000);
    let feed = format!("live:kraken@{}", venue.url());
    let service = std::thread::scope(|scope| {
        scope.spawn(|| venue.list_instruments(&[]));
        Service::start(["--feed", &feed, "--symbols", BTC, "--stale-after", "2s"])
    });
    let mut silent = venue.0.accept();
    silent.send(&venue.snapshot(BTC));
    let mut statuses = Statuses::follow(&service, &[BTC]);
    statuses.until(&[BTC], "stale", "gap");
    let mut connection = venue.0.accept();
    connection.send(&venue.snapshot(BTC));
    statuses.until(&[BTC], "trading", "");
    eventually("the log says so", || service.log().contains("silent for more than 2000 ms"));
}

#[test]
fn each_connection_to_the_venue_is_a_span_of_a_collector() {
    let collector = Collector::start();
    let mut venue = Kraken::listen();
    venue.0.set(BTC, "bids", 452_835, 10_000_000);
    let feed = format!("live:kraken@{}?key=canary", venue.url());
    let service = std::thread::scope(|scope| {
        scope.spawn(|| venue.list_instruments(&[]));
        Service::start(["--feed", &feed, "--symbols", BTC, "--otlp-endpoint", &collector.url()])
    });
    let connection = venue.0.accept();
    assert!(collector.spans().is_empty(), "it stands: {:?}", collector.spans());
    drop(connection);
    let lost = collector.span("one that was lost", |span| span.name == "feed connection");
    let expected = [
        ("feed.connection", "0"),
        ("feed.symbols", "1"),
        ("feed.venue", "kraken"),
        ("url.full", &venue.url()),
    ];
    assert_eq!(lost.attributes, expected.map(|(name, value)| (name.to_owned(), value.to_owned())).into());
    assert_eq!((lost.kind, lost.status), (3, 2), "a client's, and an error: {lost:?}");
    assert!(lost.told.contains("connection"), "{lost:?}");
    assert!(!String::from_utf8_lossy(&collector.bytes()).contains("canary"));
    // The next one stands.
    let _connection = venue.0.accept();
    eventually("it is connected to anew", || service.metric("feed_connections") == 1);
}

#[test]
fn what_a_live_venue_cannot_be_is_told() {
    for (flags, told) in [
        (&["--feed", "live:kraken"][..], "a live venue needs --symbols"),
        (
            &["--feed", "live:nasdaq", "--symbols", "A"],
            "the live venues that are known here: live:binance, live:coinbase, live:kraken",
        ),
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
