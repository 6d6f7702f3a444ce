//! What an operator sees of a running service: its metrics, and its log.

mod service {
    pub(crate) mod eventually;
    pub(crate) mod http;
    pub(crate) mod metrics;
    pub(crate) mod process;
    pub(crate) mod program;
    pub(crate) mod signal;
    pub(crate) mod simulated;
}

use std::net::TcpStream;

use serde_json::json;
use tokio_tungstenite::tungstenite::{Message, WebSocket, client};

use service::eventually::eventually;
use service::http;
use service::process::Service;
use service::signal::signal;

fn connect(service: &Service) -> WebSocket<TcpStream> {
    let url = format!("ws://{}/v1/ws", service.address);
    client(url, http::connect(service.address)).expect("a handshake").0
}

/// A client of all quotes.
fn follow(service: &Service) -> WebSocket<TcpStream> {
    let mut client = connect(service);
    let subscribe = json!({"method": "subscribe", "params": {"channel": "quote", "symbols": ["*"]}});
    client.send(Message::text(subscribe.to_string())).expect("taken");
    client
}

#[test]
fn each_stage_of_a_batch_is_timed() {
    let service = Service::simulated("quotes", 5, 50);
    let mut client = follow(&service);
    for _ in 0..10 {
        client.read().expect("a message");
    }
    for stage in ["publish", "wait", "flush"] {
        let count = || service.metric(&format!("stage_seconds_count{{stage=\"{stage}\"}}"));
        eventually(stage, || count() > 0);
        // All that ended at some time is in the last bucket; of the others, none has more than the next.
        let text = service.get("/metrics").body;
        let prefix = format!("tickwire_stage_seconds_bucket{{stage=\"{stage}\",le=");
        let counts =
            text.lines().filter_map(|line| line.strip_prefix(&prefix)?.rsplit(' ').next()?.parse().ok());
        let counts: Vec<u64> = counts.collect();
        assert!(counts.len() == 16 && counts.is_sorted() && counts[15] > 0, "{counts:?}");
    }
}

#[test]
fn which_program_it_is_can_be_asked() {
    let service = Service::simulated("quotes", 1, 1);
    let text = service.get("/metrics").body;
    let line = text.lines().find(|line| line.starts_with("tickwire_build_info{")).expect("a line");
    assert!(
        line.contains(&format!("version=\"{}\"", env!("CARGO_PKG_VERSION"))) && line.ends_with("} 1"),
        "{line}"
    );
}

#[test]
fn instruments_are_counted_by_their_state() {
    let recording = "feeds/recordings/kraken-20210417.jsonl.zst";
    let feed = format!("replay:{}/{recording}", env!("CARGO_MANIFEST_DIR"));
    let service = Service::start(["--feed", &feed, "--speed", "max", "--delay", "1s"]);
    let count = |class: &str, state: &str| {
        service.metric(&format!("instruments{{class=\"{class}\",state=\"{state}\"}}"))
    };
    let all = json_len(&service);
    eventually("the recording is over", || count("real_time", "ended") == all);
    eventually("its late data too", || count("delayed", "ended") == all);
    for class in ["real_time", "delayed"] {
        for state in ["trading", "halted", "auction", "closed", "stale"] {
            assert_eq!(count(class, state), 0, "{class} {state}");
        }
    }
    assert!(all > 0);
}

#[test]
fn of_a_silent_feed_all_are_stale_until_it_lives_again() {
    let service =
        Service::start(["--sim-instruments", "7", "--sim-faults", "silence:6s:3s", "--stale-after", "1s"]);
    let count =
        |state: &str| service.metric(&format!("instruments{{class=\"real_time\",state=\"{state}\"}}"));
    eventually("they are stale", || count("stale") == 7 && count("trading") == 0);
    eventually("they trade again", || count("stale") == 0 && count("trading") == 7);
}

fn json_len(service: &Service) -> i64 {
    let body: serde_json::Value = serde_json::from_str(&service.get("/v1/instruments").body).expect("JSON");
    i64::try_from(body["instruments"].as_array().expect("instruments").len()).expect("some")
}

#[test]
fn the_log_tells_of_each_connection_once_it_is_asked_to() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("tickwire.toml");
    let write =
        |log: &str| std::fs::write(&path, format!("sim_instruments = 2\nlog = \"{log}\"\n")).expect("a file");
    write("info");
    let service = Service::start(["--config", path.to_str().expect("UTF-8")]);
    let quiet = connect(&service);
    eventually("it is connected", || service.metric("connections") == 1);
    drop(quiet);
    eventually("it has left", || service.metric("connections") == 0);
    assert!(!service.log().contains("connected"), "{}", service.log());

    write("a=b=c");
    signal(&service.child, "HUP");
    eventually("it is refused", || service.metric("configuration_failures_total") == 1);
    eventually("the log says why", || service.log().contains("log = `a=b=c`"));

    write("tickwire=debug");
    signal(&service.child, "HUP");
    eventually("it is taken", || service.metric("configuration_loads_total") == 1);
    drop(connect(&service));
    let is_told = |what: &str| {
        let log = service.log();
        log.lines().any(|line| line.contains("connection{id=1 peer=127.0.0.1}") && line.ends_with(what))
    };
    eventually("it is told", || {
        is_told("connected encoding=Json compressed=false") && is_told("left ended=Broken")
    });
}

#[test]
fn the_log_names_who_does_not_keep_up() {
    let service = Service::start([
        "--sim-mode",
        "quotes",
        "--sim-instruments",
        "500",
        "--sim-rate",
        "100",
        "--log",
        "tickwire=debug",
    ]);
    let client = follow(&service);
    eventually("it is named", || {
        let log = service.log();
        let line = log.lines().find(|line| line.contains("clients do not keep up"));
        line.is_some_and(|line| {
            line.contains("count=1") && line.contains("127.0.0.1 (nobody in particular): ")
        })
    });
    drop(client);
}
