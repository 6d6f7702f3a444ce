//! An ingest, a broker and gateways as they are started, and clients who prove what they are served.
#![cfg(all(feature = "nats", feature = "amqp", feature = "kafka"))]

/// Each of them as a test of each broker: one that is `shared`, and takes no harm, or each its `own`.
macro_rules! each_broker {
    ($start:ident: $($(#[$doc:meta])* async fn $name:ident($($broker:tt)+) $body:block)*) => {
        $($(#[$doc])* async fn $name($($broker)+) $body)*

        each_broker!(in nats, Nats, $start, $($name)*);
        each_broker!(in rabbit_mq, RabbitMq, $start, $($name)*);
        each_broker!(in kafka, Kafka, $start, $($name)*);
    };
    (in $module:ident, $kind:ident, $start:ident, $($name:ident)*) => {
        mod $module {
            use crate::service::broker::{Broker, Kind};

            $(#[tokio::test]
            async fn $name() {
                if let Some(broker) = Broker::$start(Kind::$kind) {
                    super::$name(broker).await;
                }
            })*
        }
    };
}

mod oracle {
    mod crc;
    pub(crate) mod follower;
    pub(crate) use crc::book_checksum;
}
mod service {
    pub(crate) mod broker;
    #[expect(dead_code, reason = "clients say where they connect to")]
    pub(crate) mod client;
    #[expect(dead_code, reason = "none is in Node")]
    pub(crate) mod clients;
    #[expect(dead_code, reason = "it takes all there is")]
    pub(crate) mod collector;
    pub(crate) mod eventually;
    pub(crate) mod http;
    pub(crate) mod installed;
    pub(crate) mod json;
    pub(crate) mod metrics;
    pub(crate) mod nats;
    pub(crate) mod needed;
    pub(crate) mod port;
    pub(crate) mod process;
    pub(crate) mod program;
    pub(crate) mod python;
    pub(crate) mod rabbit;
    pub(crate) mod run;
    pub(crate) mod signal;
    pub(crate) mod tansu;
    pub(crate) mod tls;
}
mod cluster {
    mod administered;
    mod encrypted;
    pub(crate) mod faults;
    pub(crate) mod follow;
    mod partitions;
    pub(crate) mod producer;
    pub(crate) mod refusals;
    pub(crate) mod rest;
    pub(crate) mod shares;
    mod standby;
    pub(crate) mod subjects;
    mod traced;
}

use std::ffi::OsStr;

use service::broker::Broker;
use service::eventually::eventually;
use service::process::Service;

/// A recording that ships.
const KRAKEN: &str =
    concat!("replay:", env!("CARGO_MANIFEST_DIR"), "/feeds/recordings/kraken-20210417.jsonl.zst");

/// Flags of an ingest's small market: quiet for longer than a message takes, again and again.
const QUIET_MARKET: [&str; 4] = ["--sim-instruments", "3", "--sim-rate", "4"];

fn ingest<F: AsRef<OsStr>>(broker: &Broker, flags: impl IntoIterator<Item = F>) -> Service {
    start("ingest", broker, flags)
}

fn gateway(broker: &Broker) -> Service {
    start("gateway", broker, [] as [&str; 0])
}

fn start<F: AsRef<OsStr>>(role: &str, broker: &Broker, flags: impl IntoIterator<Item = F>) -> Service {
    let ours = ["--role", role, "--bus", broker.url()].map(|flag| OsStr::new(flag).to_owned());
    Service::start(ours.into_iter().chain(flags.into_iter().map(|flag| flag.as_ref().to_owned())))
}

/// Waits until `/health/ready` says so.
#[track_caller]
fn until_ready(service: &Service, is_ready: bool) {
    let status = if is_ready { 200 } else { 503 };
    eventually(&format!("readiness {status}"), || service.get("/health/ready").status == status);
}
