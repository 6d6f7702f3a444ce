//! A replay that is to begin somewhere in the middle: what is said of it until it has come there.

#[allow(dead_code, reason = "the service runs in this process here")]
mod service {
    pub(crate) mod eventually;
    pub(crate) mod http;
    pub(crate) mod json;
    pub(crate) mod process;
    pub(crate) mod program;
}

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use feeds::{Clock, Exponent, Feed, FeedError, Instrument, MarketEvent, Progress, Speed, Symbol, Timestamp};
use serde_json::{Value, json};
use tickwire::config::Config;
use tickwire::ingest;
use tickwire::service::{Service, Settings};

use service::eventually::eventually;
use service::http::request;

/// A recording of a message a second, from 1970 on, that is to begin at the third.
struct Slow {
    instruments: Vec<Instrument>,
    read: i64,
    /// Messages that it has read from its disk.
    there: Arc<AtomicUsize>,
}

const FROM: Timestamp = Timestamp(3_000_000_000);

impl Feed for Slow {
    fn instruments(&self) -> &[Instrument] {
        &self.instruments
    }

    fn begins_at(&self) -> Option<Timestamp> {
        Some(FROM)
    }

    fn next_message(&mut self, _events: &mut Vec<MarketEvent>) -> Result<Progress, FeedError> {
        if usize::try_from(self.read).expect("positive") >= self.there.load(Ordering::Acquire) {
            return Ok(Progress::Waiting);
        }
        self.read += 1;
        Ok(Progress::Message { due: Timestamp(self.read * 1_000_000_000) })
    }
}

fn ready(address: SocketAddr) -> (u16, Value) {
    let answer = request(address, "GET", "/health/ready");
    (answer.status, answer.json())
}

#[test]
fn a_service_is_not_ready_before_its_recording_has_come_to_where_it_is_to_begin() {
    let instrument = Instrument {
        symbol: Symbol::new("ABC").expect("a symbol"),
        venue: "SIM",
        price_exponent: Exponent::ONE,
        size_exponent: Exponent::ONE,
        tick_size: None,
        currency: None,
        book_levels_max: None,
        begins_stale: false,
    };
    let there = Arc::new(AtomicUsize::new(0));
    let feed = Box::new(Slow { instruments: vec![instrument], read: 0, there: Arc::clone(&there) });
    let defaults = Config::default().settings().expect("right");
    let settings = Settings {
        listen: SocketAddr::from(([127, 0, 0, 1], 0)),
        shards: 1,
        ingest: ingest::Settings {
            speed: Speed::REAL,
            wait_clients: 0,
            stale_after: Duration::from_secs(3_600),
            delay: None,
        },
        ..defaults
    };
    let server = Service::start(feed, &settings, Clock::System).expect("a free port");
    let address = server.address();
    let seeking = |reached: Value| {
        let from = "1970-01-01T00:00:03.000000000Z";
        (503, json!({ "ready": false, "feed": "seeking", "reached": reached, "from": from }))
    };
    assert_eq!(ready(address).0, 503, "from the beginning");
    eventually("it seeks", || ready(address) == seeking(Value::Null));
    there.store(2, Ordering::Release);
    eventually("it has come further", || ready(address) == seeking(json!("1970-01-01T00:00:02.000000000Z")));
    there.store(3, Ordering::Release);
    eventually("it runs", || ready(address) == (200, json!({ "ready": true, "feed": "running" })));
    server.stop();
}
