//! Ingests that stand by for each other, and what comes by the bus that is no beat of theirs.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;

use tickwire::bus::broker::message::{Beat, Message};
use tickwire::bus::broker::share::Share;
use tickwire::bus::broker::subject;

use super::follow::{follow_until_equal, follower};
use crate::service::broker::{Broker, Kind};
use crate::service::eventually::eventually;
use crate::{QUIET_MARKET, gateway, ingest, until_ready};

#[test]
fn an_ingest_with_other_instruments_says_what_it_will_do_to_gateways() {
    let Some(broker) = Broker::own(Kind::Nats) else { return };
    let active = ingest(&broker, QUIET_MARKET);
    eventually("it publishes", || active.metric("bus_active") == 1);
    let like = ingest(&broker, QUIET_MARKET);
    let other = ingest(&broker, ["--sim-instruments", "4", "--sim-rate", "4"]);
    eventually("it is told", || {
        other.log().contains("has other instruments, or shares them otherwise: when this one takes over")
    });
    assert!(!like.log().contains("other instruments"), "{}", like.log());
    assert_eq!([active, like, other].map(|ingest| ingest.metric("bus_active")), [1, 0, 0]);
}

#[tokio::test]
async fn a_beat_of_other_instruments_ends_nobody_while_the_ingest_lives() {
    let Some(broker) = Broker::own(Kind::Nats) else { return };
    let ingest = ingest(&broker, QUIET_MARKET);
    let gateway = gateway(&broker);
    let mut followers = vec![follower(&gateway).await, follower(&ingest).await];
    let foreign = Beat { source: 7, term: u64::MAX, epoch: "foreign".into(), digest: 0, share: Share::WHOLE };
    publish(&broker, subject::BEAT, &Message::Beat(foreign).encode());
    eventually("it is not followed", || gateway.log().contains("another ingest publishes on this bus"));
    eventually("it is believed to be another", || ingest.log().contains("standing by"));
    eventually("it is heard no more", || ingest.metric("bus_active") == 1);
    until_ready(&gateway, true);
    follow_until_equal(&mut followers).await;
    assert!(followers.iter().all(|follower| follower.finished.is_empty()), "it is the same run");
}

/// By the client's side of NATS, which is text: https://docs.nats.io/reference/reference-protocols/nats-protocol
fn publish(broker: &Broker, subject: &str, payload: &[u8]) {
    let address = broker.url().strip_prefix("nats://").expect("NATS");
    let mut stream = TcpStream::connect(address).expect("the broker listens");
    let head = format!("CONNECT {{\"verbose\":false}}\r\nPUB {subject} {}\r\n", payload.len());
    stream.write_all(&[head.as_bytes(), payload, b"\r\nPING\r\n"].concat()).expect("taken");
    let taken = BufReader::new(stream).lines().any(|line| line.expect("a line") == "PONG");
    assert!(taken, "the broker has closed the connection");
}
