//! A client that does not read, beside others that do: they do not notice, and it is told what it missed.

mod delivery {
    #[allow(dead_code, reason = "the rest is for the fan-out without sockets")]
    pub(crate) mod client;
    #[allow(dead_code, reason = "likewise")]
    pub(crate) mod state;
}
mod service {
    pub(crate) mod eventually;
    pub(crate) mod http;
    pub(crate) mod json;
    pub(crate) mod metrics;
    pub(crate) mod process;
    pub(crate) mod program;
    pub(crate) mod raw;
    pub(crate) mod run;
    pub(crate) mod simulated;
    pub(crate) mod upgrade;
}

use feeds::clock::monotonic;
use feeds::{Exponent, Instrument, Symbol};
use serde_json::Value;
use tickwire::directory::Directory;
use tickwire::fanout::Form;
use tickwire::limits::LAGGARD_MAX;
use tickwire::topic::Channel;
use tickwire::ws::frame;

use delivery::client::Client;
use service::eventually::eventually;
use service::process::Service;
use service::program::{PATIENCE, tickwire};
use service::raw::{RawClient, text};
use service::run::run;

const INSTRUMENTS: usize = 100;

/// Follows everything, and does not read.
fn deaf(server: &Service) -> RawClient {
    let mut client = RawClient::connect(server.address);
    for channel in [r#""quote""#, r#""trade""#, r#""book","depth":10"#] {
        let params = format!(r#"{{"channel":{channel},"symbols":["*"]}}"#);
        client.send(&text(&format!(r#"{{"method":"subscribe","params":{params}}}"#)));
    }
    client
}

/// What the 99th of a hundred updates took to come to a client that reads, in microseconds.
fn p99(server: &Service) -> u64 {
    let url = format!("http://{}", server.address);
    let flags = ["--clients", "20", "--symbols", "5", "--warmup", "200ms", "--duration", "1s"];
    let output = run(tickwire().args(["load", "--json", &url]).args(flags));
    let report: Value = serde_json::from_slice(&output.stdout).expect("a report");
    report.pointer("/latency_us/p99").and_then(Value::as_u64).unwrap_or_else(|| panic!("no p99 in {report}"))
}

#[test]
fn others_do_not_notice_a_client_that_stalls() {
    let server = Service::simulated("market", INSTRUMENTS, 100);
    let (mut alone, mut beside) = (u64::MAX, u64::MAX);
    // Rounds in turn, and the best of each kind: what the machine does meanwhile can only make one slower.
    for _ in 0..3 {
        alone = alone.min(p99(&server));
        let stalled = deaf(&server);
        eventually("it has fallen behind", || server.metric("laggards") == 1);
        beside = beside.min(p99(&server));
        drop(stalled);
        eventually("it is gone", || server.metric("connections") == 0);
    }
    assert!(beside <= 4 * alone + 10_000, "{beside} µs beside a stalled client, {alone} µs without");
}

#[test]
fn a_client_that_reads_again_is_told_what_it_missed_and_is_right() {
    let server = Service::simulated("market", INSTRUMENTS, 100);
    let mut raw = deaf(&server);
    eventually("it has fallen behind", || server.metric("laggards") == 1);
    let listed = server.json("/v1/instruments");
    let symbols = listed["instruments"].as_array().expect("an array").iter();
    let instruments: Vec<_> = symbols
        .map(|listed| Instrument {
            symbol: Symbol::new(listed["symbol"].as_str().expect("a symbol")).expect("a symbol"),
            venue: "SIM",
            price_exponent: Exponent::new(-2).expect("within range"),
            size_exponent: Exponent::ONE,
            tick_size: None,
            currency: None,
            book_levels_max: None,
            begins_stale: false,
        })
        .collect();
    let mut client = Client::new((0, 0), Form::default(), Directory::new(&instruments));
    let start = monotonic();
    let mut read = |client: &mut Client| {
        assert!(monotonic().duration_since(start) < PATIENCE, "it does not catch up");
        let message = raw.read().expect("it is not closed");
        let text = message.text();
        if !text.starts_with("[{\"channel\":\"heartbeat\"") {
            // It proves every number and checksum.
            client.send(&frame::text(text.as_bytes()));
            client.read();
        }
    };
    let is_of = |client: &Client, is: fn(Channel) -> bool| {
        client
            .merges
            .iter()
            .any(|merge| is(merge.topic.channel()) && merge.n > 1 && merge.seq > merge.prev_seq)
    };
    while client.gaps.is_empty()
        || !is_of(&client, |channel| channel == Channel::Quote)
        || !is_of(&client, |channel| matches!(channel, Channel::Book(_)))
    {
        read(&mut client);
    }
    // From here on it keeps up: each book proves itself by a checksum several times.
    eventually("it has caught up", || {
        for _ in 0..20 {
            read(&mut client);
        }
        server.metric("laggards") == 0
    });
    let merges = client.merges.len();
    for _ in 0..200 {
        read(&mut client);
    }
    assert_eq!(client.merges.len(), merges, "nothing is merged for who keeps up");
    assert_eq!(client.topics.len(), 3 * INSTRUMENTS);
    assert!(client.gaps.iter().all(|(from, to)| from <= to));
}

#[test]
fn who_stays_deaf_is_closed_with_4007_in_the_end() {
    let server = Service::simulated("market", INSTRUMENTS, 100);
    let mut client = deaf(&server);
    eventually("it has fallen behind", || server.metric("laggards") == 1);
    let start = monotonic();
    assert_eq!(server.metric("refusals_total{reason=\"overrun\"}"), 0);
    eventually("it is given up", || {
        let laggards = server.metric("laggards");
        let is_given_up = server.metric("refusals_total{reason=\"overrun\"}") == 1;
        assert!(is_given_up || laggards == 1, "{laggards} laggards");
        is_given_up
    });
    // To the next look of the shard, and of the test.
    assert!(monotonic().duration_since(start) + std::time::Duration::from_secs(1) >= LAGGARD_MAX);
    let last = client.read_to_end().pop().expect("a frame");
    assert_eq!(last.close_code(), Some(4007), "{last:?}");
}
