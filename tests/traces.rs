//! Spans of the real program, as a collector of OpenTelemetry gets them; and a collector that does not take them.
#![cfg(feature = "otlp")]

mod service {
    #[expect(dead_code, reason = "requests and an identity are all that is asked for")]
    pub(crate) mod caller;
    pub(crate) mod collector;
    pub(crate) mod eventually;
    #[expect(dead_code, reason = "a stream is opened, and left")]
    pub(crate) mod events;
    pub(crate) mod http;
    pub(crate) mod metrics;
    pub(crate) mod process;
    pub(crate) mod program;
    pub(crate) mod signal;
    pub(crate) mod tls;
    #[expect(dead_code, reason = "tokens are all that is presented")]
    pub(crate) mod tokens;
}

use service::caller::{Caller, ask};
use service::collector::{Collector, Manner, Span};
use service::events::Events;
use service::eventually::eventually;
use service::process::Service;
use service::program::tickwire;
use service::signal::signal;
use service::tls::TlsFront;
use service::tokens::Tokens;

const SERVER: i32 = 2;
/// The examples of W3C Trace Context.
const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const PARENT: &str = "b7ad6b7169203331";

fn start(collector: &Collector, flags: &[&str]) -> Service {
    Service::start([&["--sim-instruments", "2", "--otlp-endpoint", &collector.url()], flags].concat())
}

fn attribute<'a>(span: &'a Span, name: &str) -> &'a str {
    span.attributes.get(name).map_or("", String::as_str)
}

/// Of which the last two digits say whether it is sent.
fn traceparent(flags: &str) -> String {
    format!("00-{TRACE}-{PARENT}-{flags}")
}

#[test]
fn connections_and_requests_are_told_with_who_they_are_of() {
    let collector = Collector::start();
    let tokens = Tokens::new();
    let service = tokens.serve(&["--otlp-endpoint", &collector.url()]);
    let bearer = format!("Bearer {}", tokens.mint("anna", &[]));
    let answer = ask(service.address, "GET", "/v1/bars/SYM00000?interval=1m", &[("Authorization", &bearer)]);
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(ask(service.address, "GET", "/v1/quotes", &[]).status, 401);
    let mut caller = Caller::open(service.address, &[]).expect("open");
    assert_eq!(caller.auth(&tokens.mint("berta", &[])).expect("an answer")["success"], true);
    drop(caller);
    let events = Events::open(service.address, "channel=quote&symbols=*", &[("Authorization", &bearer)])
        .expect("open");
    drop(events);

    let request = collector.span("a request", |span| span.name == "GET /v1/bars/{symbol}");
    assert_eq!((request.kind, request.status, request.told.as_str()), (SERVER, 0, ""));
    assert_eq!(request.parent, "");
    let expected = [
        ("client.address", "127.0.0.1"),
        ("http.request.method", "GET"),
        ("http.response.status_code", "200"),
        ("http.route", "/v1/bars/{symbol}"),
        ("url.path", "/v1/bars/SYM00000"),
    ];
    assert_eq!(request.attributes, expected.map(|(name, value)| (name.to_owned(), value.to_owned())).into());
    let refused = collector.span("one that is refused", |span| span.name == "GET /v1/quotes");
    assert_eq!((attribute(&refused, "http.response.status_code"), refused.status), ("401", 0));

    let socket = collector.span("a connection", |span| span.name == "websocket");
    assert_eq!((socket.kind, socket.status, socket.parent.as_str()), (SERVER, 0, ""));
    for (name, value) in [
        ("client.address", "127.0.0.1"),
        ("http.route", "/v1/ws"),
        ("user.id", "berta"),
        ("tickwire.encoding", "tickwire.v1.json"),
        ("tickwire.compressed", "false"),
        ("tickwire.ended", "broken"),
    ] {
        assert_eq!(attribute(&socket, name), value, "{socket:?}");
    }
    let stream = collector.span("a stream of events", |span| span.name == "events");
    for (name, value) in [
        ("client.address", "127.0.0.1"),
        ("http.route", "/v1/sse"),
        ("user.id", "anna"),
        ("tickwire.channel", "quote"),
        ("tickwire.topics", "3"),
    ] {
        assert_eq!(attribute(&stream, name), value, "{stream:?}");
    }

    let instance = request.resource["service.instance.id"].clone();
    assert_eq!(instance.split('-').map(str::len).collect::<Vec<_>>(), [8, 4, 4, 4, 12], "{instance}");
    for span in collector.spans() {
        assert!(span.nanos[0] > 0 && span.nanos[0] <= span.nanos[1], "{span:?}");
        assert_eq!((span.trace.len(), span.id.len()), (32, 16), "{span:?}");
        assert_eq!(span.resource["service.name"], "tickwire");
        assert_eq!(span.resource["service.version"], env!("CARGO_PKG_VERSION"));
        assert_eq!(span.resource["tickwire.role"], "all");
        assert_eq!(span.resource["service.instance.id"], instance);
    }
    eventually("they are counted", || service.metric("spans_sent_total") >= 4);
    assert_eq!(service.metric("spans_dropped_total"), 0);
    // Who looks after the service makes none, nor do clients' messages and updates.
    assert!(collector.spans().iter().all(|span| {
        ["websocket", "events"].contains(&span.name.as_str()) || span.name.starts_with("GET /v1/")
    }));
    assert!(!service.log().contains("otlp"), "{}", service.log());
}

#[test]
fn a_trace_that_was_begun_elsewhere_is_gone_on_with_as_it_says() {
    let collector = Collector::start();
    // Of those that are begun here, none.
    let service = start(&collector, &["--otlp-ratio", "0"]);
    let get = |path: &str, headers: &[(&str, &str)]| {
        assert_eq!(ask(service.address, "GET", path, headers).status, 200);
    };
    get("/v1/quotes", &[]);
    get("/v1/quotes", &[("traceparent", &traceparent("00"))]);
    get("/v1/quotes", &[("traceparent", &traceparent("01")[..50])]);
    get("/v1/tickers", &[("traceparent", &traceparent("01")), ("tracestate", "a=1")]);
    drop(Caller::open(service.address, &[("traceparent", &traceparent("01"))]).expect("open"));
    let headers: &[(&str, &str)] = &[("traceparent", &traceparent("01"))];
    drop(Events::open(service.address, "channel=quote&symbols=*", headers).expect("open"));
    for name in ["GET /v1/tickers", "websocket", "events"] {
        let span = collector.span(name, |span| span.name == name);
        assert_eq!((span.trace.as_str(), span.parent.as_str()), (TRACE, PARENT));
        assert_ne!(span.id, PARENT);
    }
    assert_eq!(collector.spans().len(), 3, "{:?}", collector.spans());
}

/// Nobody waits for it; its spans are dropped and counted; the log tells of each once.
#[test]
fn a_collector_that_does_not_take_spans_holds_up_nobody() {
    for (manner, told) in [
        (Manner::Refuses, "answered with 503 Service Unavailable"),
        (Manner::Hangs, "took longer than 3 s"),
        (Manner::Closes, "connection closed before message completed"),
    ] {
        let collector = Collector::start();
        collector.set(manner);
        let service = start(&collector, &[]);
        let told_often = |what: &str| service.log().matches(what).count();
        // More than one batch.
        for lost in 1..=2 {
            assert_eq!(service.get("/v1/quotes").status, 200);
            eventually("it is dropped", || service.metric("spans_dropped_total") >= lost);
        }
        assert_eq!(service.metric("spans_sent_total"), 0);
        eventually("it is told", || told_often("the collector takes no spans") == 1);
        assert!(service.log().contains(told), "{manner:?}: {}", service.log());

        collector.set(Manner::Takes);
        assert_eq!(service.get("/v1/tickers").status, 200);
        collector.span("it is sent", |span| span.name == "GET /v1/tickers");
        eventually("it is counted", || service.metric("spans_sent_total") >= 1);
        eventually("it is told", || told_often("the collector takes spans again") == 1);
        assert_eq!(told_often("the collector takes no spans"), 1, "{}", service.log());
    }
}

#[test]
fn a_moment_without_a_collector_loses_nothing() {
    let collector = Collector::start();
    collector.set(Manner::RefusesOnce);
    let service = start(&collector, &[]);
    assert_eq!(service.get("/v1/quotes").status, 200);
    collector.span("it is tried again", |span| span.name == "GET /v1/quotes");
    eventually("it is counted", || service.metric("spans_sent_total") == 1);
    assert_eq!((collector.requests(), service.metric("spans_dropped_total")), (2, 0));
    assert!(!service.log().contains("takes no spans"), "{}", service.log());
}

#[test]
fn what_waits_at_the_end_is_sent_but_not_waited_for_for_ever() {
    let collector = Collector::start();
    let mut service = start(&collector, &[]);
    let _open = Caller::open(service.address, &[]).expect("open");
    signal(&service.child, "TERM");
    assert!(service.child.wait().expect("it ends").success(), "{}", service.log());
    // All that is sent was sent before it ended.
    let spans = collector.spans();
    assert!(spans.iter().any(|span| span.name == "websocket"), "{spans:?}");

    collector.set(Manner::Hangs);
    let mut service = start(&collector, &[]);
    let _open = Caller::open(service.address, &[]).expect("open");
    signal(&service.child, "TERM");
    assert!(service.child.wait().expect("it ends").success(), "{}", service.log());
    eventually("it is told", || service.log().contains("the collector has not taken the last spans in time"));
    assert!(service.log().contains("spans=1"), "{}", service.log());
}

#[test]
fn a_collector_is_spoken_to_by_tls_if_its_certificate_is_trusted_and_not_otherwise() {
    let collector = Collector::start();
    let (front, stranger) =
        (TlsFront::of(collector.authority.clone()), TlsFront::of(collector.authority.clone()));
    let url = format!("https://{}", front.authority);
    let start = |trusted: &TlsFront| {
        let mut command = tickwire();
        command.args(["serve", "--listen", "127.0.0.1:0", "--sim-instruments", "2", "--otlp-endpoint", &url]);
        Service::spawn(command.env("SSL_CERT_FILE", &trusted.certificate).env_remove("SSL_CERT_DIR"))
    };
    let service = start(&stranger);
    assert_eq!(service.get("/v1/quotes").status, 200);
    eventually("it is told", || service.log().contains("invalid peer certificate"));
    assert_eq!(collector.requests(), 0);

    let service = start(&front);
    assert_eq!(service.get("/v1/quotes").status, 200);
    collector.span("a request", |span| span.name == "GET /v1/quotes");
}

#[test]
fn a_key_for_the_collector_comes_from_the_environment_and_is_never_shown() {
    let collector = Collector::start();
    let mut command = tickwire();
    command.args(["serve", "--listen", "127.0.0.1:0", "--log", "trace", "--otlp-endpoint", &collector.url()]);
    command.env("OTEL_EXPORTER_OTLP_HEADERS", "x-key=cAnArY7Zq9");
    command.env("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test,service.name=other");
    let service = Service::spawn(&mut command);
    assert_eq!(service.get("/v1/quotes").status, 200);
    let span = collector.span("a request", |span| span.name == "GET /v1/quotes");
    assert_eq!(span.resource["deployment.environment.name"], "test");
    assert_eq!(span.resource["service.name"], "tickwire");
    let bytes = String::from_utf8_lossy(&collector.bytes()).into_owned();
    assert!(bytes.contains("x-key: cAnArY7Zq9"), "{bytes}");
    collector.set(Manner::Refuses);
    assert_eq!(service.get("/v1/quotes").status, 200);
    eventually("it is told", || service.log().contains("the collector takes no spans"));
    assert!(!service.log().contains("cAnArY7Zq9"), "{}", service.log());
}
