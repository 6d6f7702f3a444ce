//! A bus that cannot be is named, and what is wrong with it.

use std::net::TcpListener;

use crate::service::nats::Nats;
use crate::service::process::Service;
use crate::service::program::tickwire;
use crate::service::rabbit::Rabbit;
use crate::service::run::run;

#[track_caller]
pub(crate) fn assert_refused(role: &str, url: &str, reasons: &[&str]) {
    let output = run(tickwire().args(["serve", "--listen", "127.0.0.1:0", "--role", role, "--bus", url]));
    let told = String::from_utf8(output.stderr).expect("UTF-8");
    assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(1), &b""[..]), "{told}");
    for reason in reasons {
        assert!(told.contains(reason), "lacks {reason:?}: {told}");
    }
    assert!(!told.contains("canary") && !told.contains("panicked"), "{told}");
}

#[test]
fn a_broker_that_is_absent_or_another_server_is_named() {
    let nobody = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address");
    let web = Service::start(["--sim-instruments", "1"]);
    for (scheme, [who, hidden], server) in [
        ("nats", ["me:canary@", "…@"], "no NATS server"),
        ("amqp", ["me:canary@", "…@"], "no RabbitMQ server"),
        ("kafka", [""; 2], "no Kafka broker"),
    ] {
        for role in ["ingest", "gateway"] {
            let url = format!("{scheme}://{nobody}");
            assert_refused(role, &url, &["cannot reach the bus at", &nobody.to_string()]);
            let url = format!("{scheme}://{who}{}", web.address);
            let shown = format!("{scheme}://{hidden}{}", web.address);
            assert_refused(role, &url, &[server, &shown]);
        }
    }
}

#[test]
fn a_nats_server_that_refuses_is_named() {
    let Some(nats) = Nats::start(&["--user", "me", "--pass", "right"]) else { return };
    let host = nats.url().replace("nats://", "");
    for url in [format!("nats://me:canary@{host}"), nats.url()] {
        assert_refused("ingest", &url, &["refuses", &host]);
    }
    assert_served(&format!("nats://me:right@{host}"));
}

#[test]
fn a_rabbit_mq_server_that_refuses_is_named() {
    let Some(rabbit) = Rabbit::shared() else { return };
    let right = rabbit.url();
    let (_, host) = right.rsplit_once('@').expect("a password before the host");
    let (server, _) = host.split_once('/').expect("a virtual host");
    for url in [
        format!("amqp://me:canary@{host}"),
        format!("amqp://{host}"),
        format!("amqp://me:right@{server}"),
        format!("amqp://me:right@{server}/unknown"),
    ] {
        assert_refused("ingest", &url, &["refuses", "virtual host", server]);
    }
    assert_served(&right);
}

/// With the right name and password it goes.
fn assert_served(url: &str) {
    let ingest = Service::start(["--role", "ingest", "--bus", url]);
    let gateway = Service::start(["--role", "gateway", "--bus", url]);
    assert_eq!(gateway.json("/v1/instruments"), ingest.json("/v1/instruments"));
}

/// Something that takes connections, and says nothing.
#[test]
fn a_broker_that_says_nothing_is_given_up() {
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
    for (scheme, server) in
        [("nats", "no NATS server"), ("amqp", "no RabbitMQ server"), ("kafka", "no Kafka broker")]
    {
        let url = format!("{scheme}://{}", silent.local_addr().expect("an address"));
        assert_refused("gateway", &url, &[server, &url]);
    }
}
