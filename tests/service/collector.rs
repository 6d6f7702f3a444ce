//! A collector of OpenTelemetry, as much as a test needs: OTLP over HTTP, read by OpenTelemetry's own types.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use prost::Message;

use super::eventually::eventually;

/// What becomes of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Manner {
    Takes,
    /// 503.
    Refuses,
    /// The next one; those behind it are taken.
    RefusesOnce,
    /// No answer ever comes.
    Hangs,
    /// The connection is closed without one.
    Closes,
}

/// A span, and what it is of.
#[derive(Clone, Debug)]
pub(crate) struct Span {
    pub(crate) name: String,
    pub(crate) kind: i32,
    pub(crate) trace: String,
    pub(crate) id: String,
    pub(crate) parent: String,
    pub(crate) nanos: [u64; 2],
    pub(crate) attributes: Attributes,
    /// 0: nothing is said of it; 1: all was well; 2: an error.
    pub(crate) status: i32,
    pub(crate) told: String,
    pub(crate) resource: Attributes,
}

pub(crate) type Attributes = BTreeMap<String, String>;

/// A collector, on a free port of this machine.
pub(crate) struct Collector {
    /// Host and port.
    pub(crate) authority: String,
    shared: Arc<Mutex<Shared>>,
}

#[derive(Default)]
struct Shared {
    manner: Option<Manner>,
    requests: usize,
    spans: Vec<Span>,
    bytes: Vec<u8>,
    /// Those that wait for an answer.
    hung: Vec<TcpStream>,
}

impl Collector {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let authority = listener.local_addr().expect("bound").to_string();
        let shared = Arc::new(Mutex::new(Shared::default()));
        let answering = Arc::downgrade(&shared);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                // Until the test has ended.
                let Some(shared) = answering.upgrade() else { return };
                answer(stream.expect("a connection"), &shared);
            }
        });
        Self { authority, shared }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.authority)
    }

    /// From the next request on.
    pub(crate) fn set(&self, manner: Manner) {
        self.shared.lock().expect("not poisoned").manner = Some(manner);
    }

    /// How many requests have come, whatever became of them.
    pub(crate) fn requests(&self) -> usize {
        self.shared.lock().expect("not poisoned").requests
    }

    /// The spans that were taken.
    pub(crate) fn spans(&self) -> Vec<Span> {
        self.shared.lock().expect("not poisoned").spans.clone()
    }

    /// All bytes that have come, in whatever way.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        self.shared.lock().expect("not poisoned").bytes.clone()
    }

    /// The first span for which `is` says yes, when it has come.
    #[track_caller]
    pub(crate) fn span(&self, what: &str, is: impl Fn(&Span) -> bool) -> Span {
        let mut found = None;
        eventually(what, || {
            found = self.spans().into_iter().find(|span| is(span));
            found.is_some()
        });
        found.expect("it was found")
    }
}

/// Reads one request, and does with it as is said. Requests come one after the other.
fn answer(stream: TcpStream, shared: &Mutex<Shared>) {
    let mut reader = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head).expect("a head") == 0 {
            return;
        }
    }
    let lower = head.to_ascii_lowercase();
    let value = |name: &str| lower.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
    let length = value("content-length").expect("a length").parse().expect("a number");
    let mut body = vec![0; length];
    reader.read_exact(&mut body).expect("a whole body");
    let mut stream = reader.into_inner();
    let mut shared = shared.lock().expect("not poisoned");
    shared.requests += 1;
    shared.bytes.extend_from_slice(head.as_bytes());
    shared.bytes.extend_from_slice(&body);
    let answer = match shared.manner.unwrap_or(Manner::Takes) {
        Manner::Takes => {
            assert!(head.starts_with("POST /v1/traces HTTP/1.1\r\n"), "{head}");
            assert_eq!(value("content-type"), Some("application/x-protobuf"), "{head}");
            shared.spans.extend(spans(&body));
            // An empty message: all of it was taken.
            "HTTP/1.1 200 OK\r\nContent-Type: application/x-protobuf\r\nContent-Length: 0\r\n\r\n"
        }
        manner @ (Manner::Refuses | Manner::RefusesOnce) => {
            if manner == Manner::RefusesOnce {
                shared.manner = Some(Manner::Takes);
            }
            "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n"
        }
        Manner::Hangs => return shared.hung.push(stream),
        Manner::Closes => return,
    };
    // Who asked may have gone.
    let _ = stream.write_all(answer.as_bytes());
}

fn spans(body: &[u8]) -> Vec<Span> {
    let request = ExportTraceServiceRequest::decode(body).expect("a request of OTLP");
    let mut spans = Vec::new();
    for of_resource in request.resource_spans {
        let resource = attributes(of_resource.resource.expect("a resource").attributes);
        for span in of_resource.scope_spans.into_iter().flat_map(|of_scope| of_scope.spans) {
            let status = span.status.unwrap_or_default();
            spans.push(Span {
                name: span.name,
                kind: span.kind,
                trace: hex(&span.trace_id),
                id: hex(&span.span_id),
                parent: hex(&span.parent_span_id),
                nanos: [span.start_time_unix_nano, span.end_time_unix_nano],
                attributes: attributes(span.attributes),
                status: status.code,
                told: status.message,
                resource: resource.clone(),
            });
        }
    }
    spans
}

fn attributes(from: Vec<KeyValue>) -> Attributes {
    from.into_iter().map(|KeyValue { key, value, .. }| (key, shown(value))).collect()
}

fn shown(value: Option<AnyValue>) -> String {
    match value.and_then(|value| value.value) {
        Some(Value::StringValue(text)) => text,
        Some(Value::IntValue(number)) => number.to_string(),
        Some(Value::BoolValue(is)) => is.to_string(),
        other => panic!("no attribute of ours: {other:?}"),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
