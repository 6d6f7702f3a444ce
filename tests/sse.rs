//! Server-sent events of the real program: the same objects as on the socket, an id that brings back what was missed, and
//! the same bounds.

mod service {
    pub(crate) mod client;
    pub(crate) mod clients;
    pub(crate) mod eventually;
    pub(crate) mod events;
    pub(crate) mod http;
    pub(crate) mod json;
    pub(crate) mod metrics;
    pub(crate) mod needed;
    pub(crate) mod process;
    pub(crate) mod program;
    pub(crate) mod recorded;
    pub(crate) mod signal;
    pub(crate) mod simulated;
    #[expect(dead_code, reason = "API keys and forgeries are tested elsewhere")]
    pub(crate) mod tokens;
}

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use service::client::Client;
use service::clients::node;
use service::events::Events;
use service::eventually::eventually;
use service::http::{Response, connect, read_response, request};
use service::needed::is_there;
use service::process::Service;
use service::program::tickwire;
use service::signal::signal;
use service::tokens::Tokens;

const KRAKEN: &str = "kraken-20210417.jsonl.zst";

#[track_caller]
fn assert_refused(answer: Result<Events, Response>, status: u16, code: &str, said: &str) -> Response {
    let answer = answer.err().expect("a refusal");
    assert_eq!(answer.status, status, "{answer:?}");
    let error = &answer.json();
    assert_eq!(error["code"], code, "{answer:?}");
    assert!(error["detail"].as_str().expect("a text").contains(said), "{answer:?}");
    answer
}

/// The states of a channel as the socket has them.
fn snapshots(client: &mut Client, params: &Value) -> Vec<Value> {
    let count = client.result("subscribe", params)["granted"].as_array().expect("an array").len();
    let states = (0..count).map(|_| client.until(|object| object["type"] == "snapshot")).collect();
    let mut followed = params.clone();
    followed.as_object_mut().expect("an object").remove("max_frequency");
    client.result("unsubscribe", &followed);
    states
}

fn sorted(mut states: Vec<Value>) -> Vec<Value> {
    states.sort_by_key(|state| state["symbol"].as_str().map(str::to_owned));
    states
}

#[test]
fn every_channel_has_the_objects_of_the_socket() {
    let server = Service::ended(KRAKEN);
    let mut client = server.client();
    for (query, params) in [
        ("channel=quote", json!({"channel": "quote"})),
        ("channel=trade", json!({"channel": "trade"})),
        ("channel=book", json!({"channel": "book"})),
        ("channel=book&depth=25", json!({"channel": "book", "depth": 25})),
        ("channel=book.100", json!({"channel": "book.100"})),
        ("channel=ticker&max_frequency=1s", json!({"channel": "ticker", "max_frequency": "1s"})),
        ("channel=bar&interval=5m", json!({"channel": "bar", "interval": "5m"})),
        ("channel=status", json!({"channel": "status"})),
    ] {
        for symbols in [vec!["*"], vec!["xbt/chf"], vec!["XBT/CHF", "OMG/USD"]] {
            let mut params = params.clone();
            params["symbols"] = json!(symbols);
            let states = snapshots(&mut client, &params);
            let mut events =
                Events::follow(server.address, &format!("{query}&symbols={}", symbols.join(",")));
            assert_eq!(events.head.header("cache-control"), "no-store");
            let first = events.event().expect("an event");
            assert!(first.retry.is_some_and(|retry| (1_000..9_000).contains(&retry)), "{first:?}");
            let told = events.event().expect("an event");
            let result = &told.objects[0]["result"];
            assert_eq!((&result["channel"], &result["rejected"]), (&states[0]["channel"], &json!([])));
            assert_eq!(result["max_frequency"], params["max_frequency"]);
            assert_eq!(sorted(told.objects[1..].to_vec()), sorted(states.clone()), "{query} {symbols:?}");
            let id = told.id.expect("an id");
            if let [one] = &states[..] {
                let (epoch, seq) = (one["epoch"].as_str().expect("a text"), &one["seq"]);
                assert_eq!(id, format!("{epoch}:{seq}"));
            }
            let beat = events.event().expect("an event");
            assert_eq!(
                (beat.comment.as_deref(), &beat.objects[0]["channel"]),
                (Some("heartbeat"), &json!("heartbeat"))
            );
            assert_eq!(beat.id, None);
        }
    }
    eventually("streams that are left are forgotten", || server.metric("event_streams") == 0);
}

#[test]
fn a_stream_that_was_cut_goes_on_where_it_was_as_a_socket_does() {
    let server = Service::simulated("market", 4, 60);
    for query in [
        "channel=book&symbols=*",
        "channel=book&symbols=JOXO-USD",
        "channel=trade&symbols=*",
        "channel=quote&symbols=ZAZA,ZEXI",
    ] {
        let mut socket = server.client();
        let mut events = Events::follow(server.address, query);
        events.until_holds(|holds| holds.updates >= 20);
        for cut in 1..=5 {
            let before = events.holds.clone();
            events = events.resume(server.address, query);
            let result = events.result();
            for granted in result["granted"].as_array().expect("an array") {
                let held = before.topics.iter().find(|(name, _)| {
                    name.ends_with(&format!(":{}", granted["symbol"].as_str().expect("a text")))
                });
                assert!(held.is_some_and(|(_, held)| held.seq <= granted["seq"].as_u64().expect("a number")));
            }
            // Each update is checked to follow the one before.
            events.until_holds(|holds| holds.updates >= before.updates + 20);
            assert_eq!(events.holds.snapshots, before.snapshots, "cut {cut}: all of it is in the history");
        }
        // What the stream holds is what the socket holds at the same number.
        let params: Vec<_> = query.split('&').filter_map(|pair| pair.split_once('=')).collect();
        let symbols: Vec<_> = params[1].1.split(',').collect();
        socket.result("subscribe", &json!({"channel": params[0].1, "symbols": symbols}));
        let mut holds = service::events::Holds::default();
        let mut compared = 0;
        while compared < 10 {
            let object = socket.until(|object| object.get("symbol").is_some());
            holds.take(&object);
            let key = format!(
                "{}{}{}:{}",
                object["channel"],
                object["depth"],
                object["interval"],
                object["symbol"].as_str().expect("a text")
            );
            let seq = holds.topics[&key].seq;
            while events.holds.topics[&key].seq < seq {
                events.event().expect("the stream goes on");
            }
            if events.holds.topics[&key].seq == seq {
                assert_eq!(events.holds.topics[&key], holds.topics[&key]);
                compared += 1;
            }
        }
        assert_eq!(events.holds.checksums > 0, query.contains("book"));
    }
}

#[test]
fn what_cannot_be_resumed_begins_with_the_whole_states() {
    let server = Service::ended(KRAKEN);
    let query = "channel=book&symbols=XBT/CHF,OMG/USD";
    let mut events = Events::follow(server.address, query);
    events.until_holds(|holds| holds.topics.len() == 2);
    let id = events.last_id.clone().expect("an id");
    let resumed = |query: &str, id: &str| {
        let mut events = Events::open(server.address, query, &[("Last-Event-ID", id)]).expect("a stream");
        events.until(|object| object["channel"] == "heartbeat");
        events.holds.snapshots
    };
    assert_eq!(resumed(query, &id), 0, "nothing was missed");
    assert_eq!(resumed("channel=book&symbols=omg/usd,xbt/chf", &id), 0, "the same in another order");
    assert_eq!(resumed("channel=book&symbols=XBT/CHF,ETH/CHF", &id), 2, "other symbols");
    assert_eq!(resumed("channel=book&depth=25&symbols=XBT/CHF,OMG/USD", &id), 2, "another depth");
    assert_eq!(resumed("channel=book&symbols=XBT/CHF,OMG/USD&max_frequency=1s", &id), 2, "another rate");
    assert_eq!(resumed("channel=book&symbols=XBT/CHF", &id), 1);
    let (epoch, rest) = id.split_once(':').expect("an epoch");
    for id in [
        format!("x{epoch}:{rest}"),
        format!("{epoch}:{}", &rest[..rest.len() - 2]),
        format!("{epoch}:1"),
        "nonsense".to_owned(),
        "~".repeat(20_000),
    ] {
        assert_eq!(resumed(query, &id), 2, "{id}");
    }
}

#[test]
fn streams_of_the_same_share_their_bytes() {
    let server = Service::simulated("quotes", 5, 40);
    let mut streams: Vec<_> =
        (0..6).map(|_| Events::follow(server.address, "channel=quote&symbols=*")).collect();
    let _other = Events::follow(server.address, "channel=quote&symbols=SYM00000");
    for stream in &mut streams {
        stream.until_holds(|holds| holds.updates > 0);
    }
    eventually("they are cohorts", || {
        server.metric("cohort_connections") + server.metric("lone_connections") == 7
            && server.metric("cohort_connections") >= 4
    });
    assert_eq!((server.metric("event_streams"), server.metric("connections")), (7, 7));
    for mut stream in streams {
        let updates = stream.holds.updates;
        stream.until_holds(|holds| holds.updates > updates + 500);
        assert_eq!(stream.holds.snapshots, 5, "no hole in any");
        let holds = stream.holds.clone();
        let mut again = stream.resume(server.address, "channel=quote&symbols=*");
        again.until_holds(|now| now.updates > holds.updates + 50);
        assert_eq!(again.holds.snapshots, 5);
    }
}

#[test]
fn a_request_that_cannot_be_answered_says_why() {
    let server = Service::simulated("quotes", 3, 10);
    let open = |query: &str| Events::open(server.address, query, &[]);
    assert_refused(open(""), 400, "BAD_REQUEST", "`channel` is missing");
    assert_refused(open("channel=quote"), 400, "BAD_REQUEST", "`symbols` is missing");
    assert_refused(open("channel=nope&symbols=*"), 400, "UNKNOWN_CHANNEL", "nope");
    assert_refused(open("channel=book&depth=11&symbols=*"), 400, "BAD_PARAMETER", "10, 25 or 100");
    assert_refused(open("channel=book&depth=x&symbols=*"), 400, "BAD_REQUEST", "`depth`");
    assert_refused(open("channel=quote&symbols=*&max_frequency=2s"), 400, "BAD_PARAMETER", "max_frequency");
    assert_refused(open("channel=quote&symbols=*&symbols=A"), 400, "BAD_REQUEST", "twice");
    assert_refused(open("channel=quote&symbols=*&snapshot=false"), 400, "BAD_REQUEST", "snapshot");
    assert_refused(open("channel=quote&symbols=*&token=a"), 400, "BAD_REQUEST", "URL");
    assert_refused(open("channel=quote&symbols=NOPE,NEITHER"), 404, "UNKNOWN_SYMBOL", "NOPE");
    let some = Events::follow(server.address, "channel=quote&symbols=NOPE,SYM00001").result();
    assert_eq!(some["rejected"], json!([{"symbol": "NOPE", "code": "UNKNOWN_SYMBOL"}]));
    assert_eq!(some["granted"].as_array().map(Vec::len), Some(1));
    let foreign =
        Events::open(server.address, "channel=quote&symbols=*", &[("Origin", "https://evil.example")]);
    assert_refused(foreign, 403, "ORIGIN_DENIED", "allowed_origins");
    for method in ["POST", "PUT", "DELETE", "OPTIONS", "HEAD"] {
        let answer = request(server.address, method, "/v1/sse?channel=quote&symbols=*");
        assert_eq!((answer.status, answer.header("allow")), (405, "GET"), "{method}");
    }
    assert_eq!(server.metric("connections_total"), 1);
}

#[test]
fn a_page_that_is_allowed_may_read_it() {
    let server = Service::start([
        "--sim-mode",
        "quotes",
        "--sim-instruments",
        "1",
        "--allowed-origins",
        "https://dash.example",
    ]);
    let from = |origin| {
        Events::open(server.address, "channel=quote&symbols=*", &[("Origin", origin)]).expect("let in")
    };
    assert_eq!(
        from("https://dash.example").head.header("access-control-allow-origin"),
        "https://dash.example"
    );
    let ours = format!("http://{}", server.address);
    assert_eq!(from(&ours).head.header("vary"), "Origin");
}

#[test]
fn there_are_so_many_topics_in_one_stream() {
    let server = Service::start(["--sim-mode", "quotes", "--sim-instruments", "1500", "--sim-rate", "1"]);
    let answer = Events::open(server.address, "channel=quote&symbols=*", &[]);
    assert_refused(answer, 400, "TOO_MANY_SUBSCRIPTIONS", "1500");
    let symbols: Vec<_> = (0..1024).map(|number| format!("SYM{number:05}")).collect();
    let query = format!("channel=quote&symbols={}", symbols.join(","));
    let mut events = Events::follow(server.address, &query);
    events.until_holds(|holds| holds.topics.len() == 1024 && holds.updates > 0);
    let snapshots = events.holds.snapshots;
    assert!(events.last_id.as_ref().is_some_and(|id| id.len() < 8_000));
    let mut again = events.resume(server.address, &query);
    let updates = again.holds.updates;
    again.until_holds(|holds| holds.updates > updates + 100);
    assert_eq!(again.holds.snapshots, snapshots);
}

#[test]
fn it_follows_an_answer_on_the_same_connection_also_when_it_was_asked_for_at_once() {
    let server = Service::simulated("quotes", 2, 10);
    let mut stream = connect(server.address);
    let head = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: {}\r\n\r\n", server.address);
    let both = head("/v1/quotes") + &head("/v1/sse?channel=quote&symbols=*");
    stream.write_all(both.as_bytes()).expect("it reads");
    let mut reader = BufReader::new(stream);
    let first = read_response(&mut reader, "GET");
    assert_eq!(first.json()["quotes"].as_array().map(Vec::len), Some(2));
    let mut events = Events::behind(reader).expect("a stream");
    events.until_holds(|holds| holds.updates > 5);
}

/// One that never reads beside others that do: they see nothing of it, and it gets the newest states when it reads.
#[test]
fn a_slow_reader_harms_nobody_and_gets_merged_states() {
    let server = Service::simulated("market", 20, 250);
    let query = "channel=book&depth=100&symbols=*";
    let slow = {
        let stream = connect(server.address);
        socket2::SockRef::from(&stream).set_recv_buffer_size(4096).expect("a socket");
        stream
    };
    let mut slow = Events::over(slow, server.address, query, &[]).expect("a stream");
    let mut quick = Events::follow(server.address, query);
    let mut socket = server.client();
    socket.subscribe("quote", &["*"]);
    eventually("it lags", || {
        let updates = quick.holds.updates;
        quick.until_holds(|holds| holds.updates > updates + 100);
        server.metric("laggards") == 1
    });
    let updates = quick.holds.updates;
    quick.until_holds(|holds| holds.updates > updates + 2_000);
    assert_eq!((quick.holds.merges, quick.holds.snapshots), (0, 20));
    assert!(server.metric("outbox_bytes") < 8 << 20, "bounded");
    slow.until_holds(|holds| holds.merges >= 20);
    // It was sent away from its place in the middle, and its id is right there too.
    let merged = slow.holds.clone();
    slow.until_holds(|holds| holds.updates > merged.updates + 50);
    let mut again = slow.resume(server.address, query);
    let updates = again.holds.updates;
    again.until_holds(|holds| holds.updates > updates + 100);
    assert!(again.holds.checksums > 0);
}

#[test]
fn who_never_reads_is_cut_off() {
    let server = Service::start([
        "--sim-mode",
        "market",
        "--sim-instruments",
        "20",
        "--sim-rate",
        "250",
        "--ping-interval",
        "2s",
        "--ping-timeout",
        "2s",
    ]);
    let stream = connect(server.address);
    socket2::SockRef::from(&stream).set_recv_buffer_size(4096).expect("a socket");
    let _held =
        Events::over(stream, server.address, "channel=book&depth=100&symbols=*", &[]).expect("a stream");
    eventually("it is there", || server.metric("event_streams") == 1);
    eventually("it is cut off", || server.metric("event_streams") == 0);
    assert_eq!(server.metric("outbox_bytes"), 0);
}

#[test]
fn at_the_end_of_the_service_each_stream_is_told_when_to_come_back() {
    let mut server = Service::simulated("quotes", 2, 10);
    let mut streams: Vec<_> =
        (0..5).map(|_| Events::follow(server.address, "channel=quote&symbols=*")).collect();
    for stream in &mut streams {
        stream.until_holds(|holds| holds.updates > 0);
    }
    signal(&server.child, "TERM");
    let mut afters = Vec::new();
    for stream in &mut streams {
        let last = stream.last_words();
        let after = last.objects[0]["reconnect_after_ms"].as_u64();
        assert_eq!(last.objects[0]["type"], "shutdown", "{last:?}");
        assert_eq!(last.retry, after, "{last:?}");
        afters.push(after.expect("a number"));
    }
    assert!(afters.iter().all(|after| (1_000..9_000).contains(after)), "{afters:?}");
    assert!(afters.iter().any(|after| *after != afters[0]), "not all at once: {afters:?}");
    assert_eq!(server.child.wait().expect("it ends").code(), Some(0));
}

#[test]
fn an_address_and_a_subject_have_so_many() {
    let server = Service::start([
        "--sim-mode",
        "quotes",
        "--max-connections-per-address",
        "2",
        "--exempt-addresses",
        "",
    ]);
    let open = || Events::open(server.address, "channel=quote&symbols=*", &[]);
    let first = open().expect("let in");
    let _socket = server.client();
    let answer = assert_refused(open(), 429, "RATE_LIMITED", "address");
    assert!(answer.header("retry-after").parse::<u64>().is_ok_and(|seconds| seconds >= 1), "{answer:?}");
    assert_eq!(server.metric("refusals_total{reason=\"address_connections\"}"), 1);
    drop(first);
    eventually("a place that was left is given again", || open().is_ok());

    let tokens = Tokens::new();
    let server = tokens.serve(&["--connections-per-subject", "1"]);
    let anna = format!("Bearer {}", tokens.mint("anna", &[]));
    let open = || Events::open(server.address, "channel=quote&symbols=*", &[("Authorization", &anna)]);
    let mut first = open().expect("let in");
    first.until_holds(|holds| holds.topics.len() == 3);
    assert_refused(open(), 429, "RATE_LIMITED", "too many connections of the same");
    drop(first);
    eventually("a seat that was left is given again", || open().is_ok());
}

#[test]
fn what_may_be_seen_is_what_the_socket_shows() {
    let tokens = Tokens::new();
    let server = tokens.serve(&[]);
    let open = |query: &str, token: &str| {
        Events::open(server.address, query, &[("Authorization", &format!("Bearer {token}"))])
    };
    assert_refused(
        Events::open(server.address, "channel=quote&symbols=*", &[]),
        401,
        "AUTH_REQUIRED",
        "Bearer",
    );
    assert_refused(open("channel=quote&symbols=*", "nonsense"), 401, "AUTH_FAILED", "neither");
    let small = tokens.mint("ben", &["--role", "small"]);
    assert_refused(open("channel=trade&symbols=*", &small), 403, "ENTITLEMENT_DENIED", "trade");
    assert_refused(open("channel=quote&symbols=SYM00001", &small), 403, "ENTITLEMENT_DENIED", "");
    let result = open("channel=quote&symbols=SYM00001,SYM00000", &small).expect("let in").result();
    assert_eq!(result["rejected"], json!([{"symbol": "SYM00001", "code": "ENTITLEMENT_DENIED"}]));
    let mut all = open("channel=quote&symbols=*", &small).expect("let in");
    assert_eq!(all.result()["granted"].as_array().map(Vec::len), Some(1));
    all.until_holds(|holds| holds.updates > 3);
    assert_eq!(all.holds.topics.len(), 1);

    let entitlement = r#"{"symbols":["*"],"channels":["quote","book"],"depth":10,"max_frequency":"250ms"}"#;
    let slow = tokens.mint("carl", &["--entitlement", entitlement]);
    assert_eq!(open("channel=quote&symbols=*", &slow).expect("let in").result()["max_frequency"], "250ms");
    assert_refused(open("channel=book&depth=25&symbols=*", &slow), 403, "ENTITLEMENT_DENIED", "10 levels");
    let late =
        tokens.mint("dora", &["--entitlement", r#"{"symbols":["*"],"channels":["quote"],"delayed":true}"#]);
    assert_refused(open("channel=quote&symbols=*", &late), 403, "ENTITLEMENT_DENIED", "delayed");
}

#[test]
fn late_data_comes_late() {
    let tokens = Tokens::new();
    let server = tokens.serve(&["--delay", "2s"]);
    let entitlement = r#"{"symbols":["*"],"channels":["quote","status"],"delayed":true}"#;
    let late = format!("Bearer {}", tokens.mint("dora", &["--entitlement", entitlement]));
    let prompt = format!("Bearer {}", tokens.mint("anna", &[]));
    let open = |token: &str| {
        Events::open(server.address, "channel=quote&symbols=SYM00000", &[("Authorization", token)])
            .expect("let in")
    };
    let (mut late_events, mut events) = (open(&late), open(&prompt));
    assert_eq!((&late_events.result()["delayed"], &events.result()["delayed"]), (&json!(true), &Value::Null));
    events.until_holds(|holds| holds.updates >= 5);
    assert_eq!(events.holds.topics.len(), 1);
    late_events.until_holds(|holds| holds.updates >= 5);
    let time = |events: &mut Events| {
        events.until(|object| object["type"] == "update")["ts_event"].as_u64().expect("a time")
    };
    let (newest, old) = (time(&mut events), time(&mut late_events));
    assert!(newest > old, "{newest} {old}");
    let query = "channel=quote&symbols=SYM00000";
    let id = late_events.last_id.clone().expect("an id");
    let mut again = Events::open(server.address, query, &[("Authorization", &late), ("Last-Event-ID", &id)])
        .expect("let in");
    again.holds = late_events.holds.clone();
    let updates = again.holds.updates;
    again.until_holds(|holds| holds.updates > updates + 5);
    assert_eq!(again.holds.snapshots, late_events.holds.snapshots, "its history is its own");
}

#[test]
fn the_end_of_a_token_is_told_and_ends_the_stream() {
    let tokens = Tokens::new();
    let server = tokens.serve(&[]);
    let token = tokens.mint("anna", &["--lifetime", "3s"]);
    let bearer = format!("Bearer {token}");
    let open = || Events::open(server.address, "channel=quote&symbols=*", &[("Authorization", &bearer)]);
    let mut events = open().expect("let in");
    events.until(|object| object["type"] == "token_expiring");
    let last = events.last_words();
    assert_eq!(
        last.objects,
        [json!({"channel": "system", "type": "closing", "code": 4004, "reason": "token expired"})]
    );
    assert_refused(open(), 401, "AUTH_FAILED", "expired");

    let mut revoked = Events::open(
        server.address,
        "channel=quote&symbols=*",
        &[("Authorization", &format!("Bearer {}", tokens.mint("ben", &[])))],
    )
    .expect("let in");
    revoked.until_holds(|holds| holds.updates > 0);
    tokens.write("revoked", "subject ben\n");
    assert_eq!(revoked.last_words().objects[0]["code"], 4009);
    eventually("both are gone", || server.metric("event_streams") == 0);
}

#[test]
fn what_may_be_seen_changes_while_it_is_open() {
    let tokens = Tokens::new();
    let server = tokens.serve(&[]);
    let bearer = format!("Bearer {}", tokens.mint("anna", &[]));
    let open = |id: &str| {
        let headers = [("Authorization", bearer.as_str()), ("Last-Event-ID", id)];
        Events::open(server.address, "channel=quote&symbols=*", &headers).expect("let in")
    };
    let mut events = open("");
    events.until_holds(|holds| holds.topics.len() == 3 && holds.updates > 0);
    let less = "[roles.all]\nsymbols = [\"SYM00001\"]\nchannels = [\"quote\"]\n";
    tokens.write("tickwire.toml", less);
    signal(&server.child, "HUP");
    let last = events.last_words();
    let closing = &last.objects[0];
    assert_eq!((&closing["type"], &closing["code"]), (&json!("closing"), &json!(1013)), "{last:?}");
    assert_eq!(closing["retry_after_ms"].as_u64(), last.retry);
    let mut again = open(&events.last_id.expect("an id"));
    assert_eq!(again.result()["granted"].as_array().map(Vec::len), Some(1));
    again.until_holds(|holds| holds.updates > 0);
    assert_eq!((again.holds.snapshots, again.holds.topics.len()), (1, 1));
}

#[test]
fn curl_follows_in_the_clear_and_in_tls() {
    if !is_there("curl", Command::new("curl").arg("--version")) {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let made = tickwire().args(["dev-cert", "--out"]).arg(folder.path()).status().expect("it runs");
    assert!(made.success());
    let path = |name: &str| folder.path().join(name).to_str().expect("UTF-8").to_owned();
    let market = ["--sim-mode", "market", "--sim-instruments", "3", "--sim-rate", "50"];
    let files = ["--tls-cert".to_owned(), path("cert.pem"), "--tls-key".to_owned(), path("key.pem")];
    let plain = Service::start(market);
    let secure = Service::start(market.iter().map(|flag| (*flag).to_owned()).chain(files));
    for (scheme, server) in [("http", &plain), ("https", &secure)] {
        let url = format!("{scheme}://localhost:{}/v1/sse?channel=book&symbols=*", server.address.port());
        let mut curl = Command::new("curl");
        curl.args([
            "--no-buffer",
            "--silent",
            "--show-error",
            "--include",
            "--cacert",
            &path("ca.pem"),
            &url,
        ]);
        let mut curl = curl.stdout(Stdio::piped()).stdin(Stdio::null()).spawn().expect("it runs");
        let mut events =
            Events::behind(BufReader::new(curl.stdout.take().expect("a pipe"))).expect("a stream");
        events.until_holds(|holds| holds.updates > 300);
        assert!(events.holds.checksums > 3);
        curl.kill().expect("it runs");
        curl.wait().expect("it ends");
    }
    eventually("it is noticed that they have left", || {
        secure.metric_over_tls_is_gone(&path("ca.pem")) && plain.metric("event_streams") == 0
    });
}

impl Service {
    /// Whether no stream is left, as curl reads it.
    fn metric_over_tls_is_gone(&self, authority: &str) -> bool {
        let url = format!("https://localhost:{}/metrics", self.address.port());
        let output =
            Command::new("curl").args(["--silent", "--cacert", authority, &url]).output().expect("it runs");
        String::from_utf8(output.stdout).expect("UTF-8").contains("\ntickwire_event_streams 0\n")
    }
}

#[test]
fn a_client_in_node_proves_what_it_holds_over_many_cuts() {
    let Some(mut node) = node("events.mjs", "ws") else { return };
    let server = Service::simulated("market", 3, 100);
    let url = format!("http://{}/v1/sse?channel=book&symbols=*", server.address);
    let output = node.args([&url, "2000", "9"]).output().expect("it runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let seen: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!((&seen["resumed"], &seen["snapshots"]), (&json!(9), &json!(3)), "{seen}");
    assert!(seen["checksums"].as_u64() > Some(20) && seen["retry"].is_u64(), "{seen}");
}

#[test]
fn an_event_source_comes_back_by_itself() {
    let Some(mut node) = node("eventsource.mjs", "eventsource") else { return };
    let mut server = Service::simulated("quotes", 3, 50);
    let address = server.address;
    let url = format!("http://{address}/v1/sse?channel=quote&symbols=*");
    let mut node =
        node.args([&url, "50", "2"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it runs");
    let mut line = String::new();
    BufReader::new(node.stderr.take().expect("a pipe")).read_line(&mut line).expect("text");
    assert_eq!(line, "enough\n");
    signal(&server.child, "TERM");
    server.child.wait().expect("it ends");
    drop(server);
    let market = ["--sim-mode", "quotes", "--sim-instruments", "3", "--sim-rate", "50"];
    let _again = Service::spawn(tickwire().args(["serve", "--listen", &address.to_string()]).args(market));
    let output = node.wait_with_output().expect("it ends");
    let seen: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(
        (&seen["connections"], &seen["shutdowns"], &seen["snapshots"]),
        (&json!(2), &json!(1), &json!(6)),
        "{seen}"
    );
    assert_eq!(seen["quotes"].as_array().map(Vec::len), Some(3), "{seen}");
}
