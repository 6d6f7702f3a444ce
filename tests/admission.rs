//! Who comes in, how often and with how much, and how it ends: each refusal by its status or close code, and counted.

mod service {
    pub(crate) mod client;
    pub(crate) mod clients;
    pub(crate) mod eventually;
    pub(crate) mod http;
    pub(crate) mod metrics;
    pub(crate) mod needed;
    pub(crate) mod process;
    pub(crate) mod program;
    pub(crate) mod python;
    pub(crate) mod raw;
    pub(crate) mod run;
    pub(crate) mod signal;
    pub(crate) mod upgrade;
}

use std::io::{BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::time::Duration;

use feeds::clock::monotonic;
use serde_json::{Value, json};
use tickwire::metrics::Refused;

use service::client::Client;
use service::clients::node;
use service::eventually::eventually;
use service::http::{Response, connect, read_response};
use service::process::Service;
use service::program::tickwire;
use service::python::python;
use service::raw::{CLOSE, FIN, Frame, RawClient, frame, text};
use service::run::run;
use service::signal::signal;
use service::upgrade::{HANDSHAKE, upgrade};

const PING: u8 = 0x9;
const PONG: u8 = 0xa;

fn start(flags: &[&str]) -> Service {
    Service::start([&["--sim-mode", "quotes", "--sim-instruments", "5", "--sim-rate", "10"], flags].concat())
}

/// A handshake with these lines in its head.
fn shake(server: &Service, lines: &str) -> (BufReader<TcpStream>, Response) {
    upgrade(server.address, HANDSHAKE.replace("\r\n\r\n", &format!("\r\n{lines}\r\n\r\n")).as_bytes())
}

fn shake_for(server: &Service, client: &str) -> (BufReader<TcpStream>, Response) {
    shake(server, &format!("X-Forwarded-For: {client}"))
}

/// The answer to bytes on a connection of their own.
fn ask(server: &Service, bytes: &[u8]) -> Response {
    upgrade(server.address, bytes).1
}

fn refused(server: &Service, reason: Refused) -> i64 {
    server.metric(&format!("refusals_total{{reason=\"{}\"}}", reason.as_str()))
}

#[track_caller]
fn assert_refused(response: &Response, status: u16, body: &str) {
    assert_eq!(response.status, status, "{response:?}");
    assert_eq!(response.body, body);
    let seconds: u64 = response.header("retry-after").parse().expect("whole seconds");
    assert!(seconds >= 1, "{response:?}");
}

#[test]
fn every_refusal_is_a_metric_from_the_start() {
    let server = start(&[]);
    for reason in Refused::ALL {
        assert_eq!(refused(&server, reason), 0, "{reason:?}");
    }
}

#[test]
fn an_address_has_so_many_connections() {
    let server = start(&["--max-connections-per-address", "2", "--exempt-addresses", ""]);
    let first = RawClient::connect(server.address);
    let _second = RawClient::connect(server.address);
    let (_, third) = upgrade(server.address, HANDSHAKE.as_bytes());
    assert_refused(&third, 429, "too many connections of this address\n");
    assert_eq!(refused(&server, Refused::AddressConnections), 1);
    drop(first);
    eventually("a place that was left is given again", || {
        upgrade(server.address, HANDSHAKE.as_bytes()).1.status == 101
    });
    assert_eq!(refused(&server, Refused::Handshake), 0);
}

#[test]
fn all_have_so_many_connections_and_this_machine_is_exempt_from_the_rest() {
    let flags = ["--max-connections-per-address", "1", "--max-handshakes-per-second", "1"];
    let server =
        start(&[&flags[..], &["--max-connections", "20", "--max-requests-per-second", "1"]].concat());
    let held: Vec<_> = (0..20).map(|_| RawClient::connect(server.address)).collect();
    let (_, one_more) = upgrade(server.address, HANDSHAKE.as_bytes());
    assert_refused(&one_more, 503, "too many connections\n");
    assert_eq!(refused(&server, Refused::Connections), 1);
    for _ in 0..20 {
        assert_eq!(server.get("/v1/instruments").status, 200);
    }
    drop(held);
}

#[test]
fn a_trusted_proxy_speaks_for_its_clients() {
    let flags = ["--max-connections-per-address", "1", "--trusted-proxies", "127.0.0.0/8,10.0.0.0/8"];
    let server = start(&flags);
    let mut held = Vec::new();
    for (client, status) in [
        ("192.0.2.1", 101),
        ("192.0.2.1", 429),
        ("192.0.2.2", 101),
        ("192.0.2.1, 192.0.2.3", 101),
        ("192.0.2.4, 192.0.2.3, 10.1.1.1", 429),
        ("2001:db8::1", 101),
        ("2001:db8::ffff", 429),
        ("2001:db8:0:1::1", 101),
    ] {
        let (stream, response) = shake_for(&server, client);
        assert_eq!(response.status, status, "{client}");
        held.push(stream);
    }
    let (_, twofold) = shake(&server, "X-Forwarded-For: 192.0.2.9\r\nForwarded: for=192.0.2.8");
    assert_eq!(twofold.status, 400);
    let (_, standard) = shake(&server, "Forwarded: for=192.0.2.2;proto=https");
    assert_eq!(standard.status, 429);
    assert_eq!(refused(&server, Refused::AddressConnections), 4);
    assert_eq!(refused(&server, Refused::Forwarded), 1);

    let server = start(&["--max-connections-per-address", "1", "--exempt-addresses="]);
    let _held = shake_for(&server, "192.0.2.1");
    let (_, again) = shake_for(&server, "192.0.2.2");
    assert_eq!(again.status, 429, "nobody is trusted");
}

#[test]
fn handshakes_have_a_rate() {
    let server = start(&["--max-handshakes-per-second", "1", "--trusted-proxies", "127.0.0.1"]);
    let wrong = HANDSHAKE
        .replace("Version: 13", "Version: 8")
        .replace("\r\n\r\n", "\r\nX-Forwarded-For: 192.0.2.1\r\n\r\n");
    let answers: Vec<_> = (0..20).map(|_| ask(&server, wrong.as_bytes())).collect();
    let (limited, others): (Vec<_>, Vec<_>) = answers.into_iter().partition(|answer| answer.status == 429);
    assert!(!limited.is_empty() && others.iter().all(|answer| answer.status == 426), "{others:?}");
    for answer in &limited {
        assert_refused(answer, 429, "too many handshakes\n");
    }
    assert_eq!(refused(&server, Refused::HandshakeRate), i64::try_from(limited.len()).expect("a few"));
    assert_eq!(shake_for(&server, "192.0.2.2").1.status, 101, "each address has its own");
}

#[test]
fn requests_have_a_rate() {
    let server = start(&["--max-requests-per-second", "1", "--exempt-addresses", ""]);
    let answers: Vec<_> = (0..20).map(|_| server.get("/v1/quotes")).collect();
    let limited: Vec<_> = answers.iter().filter(|answer| answer.status != 200).collect();
    assert!(!limited.is_empty() && limited.len() < answers.len());
    for answer in &limited {
        assert_refused(answer, 429, &answer.body);
        let problem: Value = serde_json::from_str(&answer.body).expect("JSON");
        assert_eq!((&problem["code"], &problem["retryable"]), (&json!("RATE_LIMITED"), &json!(true)));
    }
    for path in ["/health/live", "/health/ready", "/metrics"] {
        for _ in 0..20 {
            assert_eq!(server.get(path).status, 200, "{path}");
        }
    }
    assert_eq!(refused(&server, Refused::RequestRate), i64::try_from(limited.len()).expect("a few"));
}

#[test]
fn messages_have_a_rate() {
    let server = start(&["--max-messages-per-second", "1"]);
    let mut client = RawClient::connect(server.address);
    client.send(&text(r#"{"method":"ping"}"#).repeat(60));
    let frames = client.read_to_end();
    let [answers @ .., closing, close] = &frames[..] else { panic!("{frames:?}") };
    // Several may come together.
    let answered: usize = answers.iter().map(|frame| frame.text().matches(r#""success":true"#).count()).sum();
    assert!((10..60).contains(&answered), "{answered}");
    let closing: Value = serde_json::from_str(closing.text()).expect("JSON");
    let wait = closing[0]["retry_after_ms"].as_u64().expect("a number");
    assert!((1..=1_000).contains(&wait), "{closing}");
    assert_eq!(
        closing[0],
        json!({"channel": "system", "type": "closing", "code": 4029, "retry_after_ms": wait})
    );
    assert_eq!((close.close_code(), &close.payload[2..]), (Some(4029), &b"rate limited"[..]));
    assert_eq!(refused(&server, Refused::MessageRate), 1);
    eventually("it is gone", || server.metric("connections") == 0);
}

#[test]
fn a_connection_has_so_many_subscriptions() {
    let server = start(&["--max-subscriptions", "3"]);
    let mut client = server.client();
    let result = client.result("subscribe", &json!({"channel": "quote", "symbols": ["*"]}));
    let rejected = result["rejected"].as_array().expect("an array");
    assert_eq!((result["granted"].as_array().map(Vec::len), rejected.len()), (Some(3), 2));
    assert!(rejected.iter().all(|rejected| rejected["code"] == "TOO_MANY_SUBSCRIPTIONS"), "{result}");
    eventually("each is counted", || refused(&server, Refused::TooManySubscriptions) == 2);
}

#[test]
fn what_is_refused_on_a_socket_and_by_rest_is_counted_by_its_reason() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("tickwire.toml");
    let role = "symbols = [\"SYM00000\"]\nchannels = [\"quote\", \"book\"]\ndepth = 10\n";
    write_settings(folder.path(), &format!("[anonymous]\nrole = \"small\"\n[roles.small]\n{role}"));
    let server = Service::start([
        "--config",
        path.to_str().expect("UTF-8"),
        "--sim-instruments",
        "5",
        "--sim-mode",
        "quotes",
    ]);
    let count = |reason: &str| server.metric(&format!("refusals_total{{reason=\"{reason}\"}}"));
    let mut expected = std::collections::BTreeMap::new();
    let mut expect = |reason: &'static str, times: i64| *expected.entry(reason).or_insert(0) += times;

    for (path, status, reason) in [
        ("/v1/books/SYM00001", 403, "entitlement_denied"),
        ("/v1/trades/SYM00000", 403, "entitlement_denied"),
        ("/v1/books/SYM00000?depth=25", 403, "entitlement_denied"),
        ("/v1/quotes?symbols=SYM00004", 403, "entitlement_denied"),
        ("/v1/quotes?symbols=NOPE", 404, "unknown_symbol"),
        ("/v1/nothing", 404, "not_found"),
        ("/v1/quotes?symbols=SYM00000&symbols=SYM00000", 400, "bad_request"),
        ("/v1/books/SYM00000?depth=11", 400, "bad_parameter"),
    ] {
        assert_eq!(server.get(path).status, status, "{path}");
        expect(reason, 1);
    }
    let posted = ask(&server, b"POST /v1/quotes HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n");
    assert_eq!(posted.status, 405);
    expect("method_not_allowed", 1);
    assert_eq!(ask(&server, b"GET / HTTP/9.9\r\nHost: here\r\n\r\n").status, 400);
    expect("http", 1);
    assert_eq!(server.get("/v1/quotes").status, 200);

    let mut client = server.client();
    let symbols = ["SYM00000", "SYM00001", "SYM00002", "NOPE"];
    let result = client.result("subscribe", &json!({"channel": "quote", "symbols": symbols}));
    assert_eq!(result["rejected"].as_array().map(Vec::len), Some(3), "{result}");
    expect("entitlement_denied", 2);
    expect("unknown_symbol", 1);
    let result =
        client.result("unsubscribe", &json!({"channel": "book", "depth": 10, "symbols": ["SYM00000"]}));
    assert_eq!(result["rejected"][0]["code"], "NOT_SUBSCRIBED", "{result}");
    expect("not_subscribed", 1);
    for (method, params, code, reason) in [
        (
            "subscribe",
            json!({"channel": "trade", "symbols": ["*"]}),
            "ENTITLEMENT_DENIED",
            "entitlement_denied",
        ),
        (
            "subscribe",
            json!({"channel": "book", "depth": 25, "symbols": ["*"]}),
            "ENTITLEMENT_DENIED",
            "entitlement_denied",
        ),
        (
            "resync",
            json!({"channel": "quote", "symbol": "SYM00001"}),
            "ENTITLEMENT_DENIED",
            "entitlement_denied",
        ),
        ("subscribe", json!({"channel": "news", "symbols": ["*"]}), "UNKNOWN_CHANNEL", "unknown_channel"),
        (
            "subscribe",
            json!({"channel": "book", "depth": 11, "symbols": ["*"]}),
            "BAD_PARAMETER",
            "bad_parameter",
        ),
        ("subscribe", json!({"channel": "quote"}), "BAD_REQUEST", "bad_request"),
        ("dance", json!({}), "UNKNOWN_METHOD", "unknown_method"),
    ] {
        let answer = client.ask(&json!({"method": method, "params": params}));
        assert_eq!(answer["error"]["code"], code, "{answer}");
        expect(reason, 1);
    }
    client.send_message("?".into());
    assert_eq!(client.until(|object| object.get("error").is_some())["error"]["code"], "BAD_JSON");
    expect("bad_json", 1);
    for (reason, times) in expected {
        assert_eq!(count(reason), times, "{reason}");
    }
}

#[test]
fn who_does_not_answer_a_ping_is_cut_off_and_who_does_stays() {
    let server = start(&["--ping-interval", "400ms", "--ping-timeout", "600ms"]);
    let _deaf = RawClient::connect(server.address);
    let mut silent = RawClient::connect(server.address);
    let mut alive = RawClient::connect(server.address);
    let is_ping = |frame: &Frame| frame.first == FIN | PING;
    let mut pings = 0;
    while pings < 5 {
        let frame = alive.read().expect("it stays");
        if is_ping(&frame) {
            pings += 1;
            alive.send(&service::raw::frame(FIN | PONG, &frame.payload));
        }
    }
    let frames = silent.read_to_end();
    assert_eq!(frames.iter().filter(|frame| is_ping(frame)).count(), 1, "{frames:?}");
    assert!(!frames.iter().any(|frame| frame.first == FIN | CLOSE), "without a word: {frames:?}");
    eventually("both are counted", || refused(&server, Refused::Idle) == 2);
    alive.send(&text(r#"{"method":"ping"}"#));
    let is_answer = |frame: &Frame| frame.first == FIN | 1 && frame.text().contains(r#""method":"ping""#);
    while !is_answer(&alive.read().expect("it stays")) {}
    drop(alive);
    eventually("nobody is left", || server.metric("connections") == 0);
}

/// Drops whatever comes, unacknowledged, as a line does that is cut.
fn cut_line(client: &RawClient) {
    const RETURN: u16 = 0x06;
    let nothing = socket2::SockFilter::new(RETURN, 0, 0, 0);
    socket2::SockRef::from(client.reader.get_ref()).attach_filter(&[nothing]).expect("Linux");
}

#[test]
fn who_is_gone_without_a_word_is_freed_in_time() {
    let silence_max = Duration::from_secs(2 + 2);
    let server = start(&["--ping-interval", "2s", "--ping-timeout", "2s"]);
    let follow = text(r#"{"method":"subscribe","params":{"channel":"quote","symbols":["*"]}}"#);
    for (kind, is_following, is_cut_off) in [
        ("silent", false, false),
        ("silent, with all that it follows unread", true, false),
        ("behind a line that is cut", false, true),
        ("behind such a line, following", true, true),
    ] {
        let began = monotonic();
        let gone: Vec<_> = (0..10)
            .map(|_| {
                let mut client = RawClient::connect(server.address);
                if is_following {
                    client.send(&follow);
                }
                if is_cut_off {
                    cut_line(&client);
                }
                client
            })
            .collect();
        let silent_since = monotonic();
        eventually("all are in", || server.metric("connections") == 10);
        eventually("all are freed", || server.metric("connections") == 0);
        let (most, least) = (monotonic().duration_since(began), monotonic().duration_since(silent_since));
        eprintln!("{kind}: freed after {most:?}, which may take {:?}", silence_max + Duration::from_secs(2));
        assert!(least + Duration::from_secs(1) > silence_max, "{kind}: {least:?} is too soon");
        assert!(most < silence_max + Duration::from_secs(2), "{kind}: {most:?}");
        drop(gone);
    }
    assert_eq!(refused(&server, Refused::Idle), 40);
}

#[test]
fn libraries_answer_pings_by_themselves() {
    for client in [node("quotes.mjs", "ws"), python("quotes.py")].into_iter().flatten() {
        let server = start(&["--ping-interval", "200ms", "--ping-timeout", "800ms"]);
        let mut client = client;
        // Two seconds' worth.
        client.args([&format!("ws://{}/v1/ws", server.address), "100", "*"]);
        let output = run(&mut client);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(refused(&server, Refused::Idle), 0);
    }
}

#[test]
fn a_page_from_elsewhere_may_not_connect() {
    let server = start(&["--allowed-origins", "https://dash.example.com"]);
    for (origin, status) in [
        ("http://tickwire", 101),
        ("https://tickwire", 101),
        ("https://dash.example.com", 101),
        ("http://dash.example.com", 403),
        ("https://evil.example", 403),
        ("http://tickwire.evil.example", 403),
        ("http://tickwire:81", 403),
        ("null", 403),
        ("http://tickwire\r\nOrigin: http://tickwire", 403),
    ] {
        let (_, response) = shake(&server, &format!("Origin: {origin}"));
        assert_eq!(response.status, status, "{origin}");
    }
    assert_eq!(refused(&server, Refused::Origin), 6);
    let open = start(&["--allowed-origins", "*"]);
    assert_eq!(shake(&open, "Origin: https://evil.example").1.status, 101);
}

#[test]
fn a_request_is_for_one_host_of_ours() {
    let get = |host: &str| format!("GET /v1/quotes HTTP/1.1\r\n{host}Connection: close\r\n\r\n");
    let server = start(&["--allowed-hosts", "127.0.0.1,ticks.example.com"]);
    for (host, status) in [
        ("Host: ticks.example.com\r\n", 200),
        ("Host: TICKS.example.com:8443\r\n", 200),
        ("Host: evil.example\r\n", 421),
        ("Host: \r\n", 421),
        ("", 400),
        ("Host: ticks.example.com\r\nHost: ticks.example.com\r\n", 400),
        ("Host: a b\r\n", 400),
        ("Host: u@ticks.example.com\r\n", 400),
    ] {
        assert_eq!(ask(&server, get(host).as_bytes()).status, status, "{host}");
    }
    let health = get("Host: evil.example\r\n").replace("/v1/quotes", "/health/live");
    assert_eq!(ask(&server, health.as_bytes()).status, 200);
    let (_, response) = upgrade(server.address, HANDSHAKE.as_bytes());
    assert_eq!(response.status, 421, "`tickwire` is none of them");
    assert_eq!(refused(&server, Refused::Host), 7);
}

/// A PROXY header, version 2, of a client with this address.
fn proxied(client: [u8; 4]) -> Vec<u8> {
    let head = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c";
    [&head[..], &client, b"\xc6\x33\x64\x01\x12\x67\x1f\x90"].concat()
}

#[test]
fn a_proxy_says_first_who_its_client_is() {
    let flags = ["--proxy-protocol", "--max-connections-per-address", "1"];
    let server = start(&[&flags[..], &["--trusted-proxies", "127.0.0.1"]].concat());
    let shake = |client| upgrade(server.address, &[&proxied(client)[..], HANDSHAKE.as_bytes()].concat());
    let (_first, response) = shake([192, 0, 2, 1]);
    assert_eq!(response.status, 101);
    assert_eq!(shake([192, 0, 2, 1]).1.status, 429);
    assert_eq!(shake([192, 0, 2, 2]).1.status, 101);
    for bytes in [HANDSHAKE.as_bytes(), b"PROXY TCP4 192.0.2.1 198.51.100.1 1 2\r\n"] {
        let mut stream = connect(server.address);
        stream.write_all(bytes).expect("the service reads");
        let mut rest = Vec::new();
        // It may end in a reset.
        let _ = stream.read_to_end(&mut rest);
        assert_eq!(String::from_utf8_lossy(&rest), "");
    }
    let mut stream = connect(server.address);
    let get = b"GET /metrics HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n";
    stream.write_all(&[&proxied([192, 0, 2, 9])[..], get].concat()).expect("the service reads");
    let metrics = read_response(&mut BufReader::new(stream), "GET").body;
    assert!(metrics.contains("tickwire_refusals_total{reason=\"proxy_header\"} 2\n"), "{metrics}");

    let server = start(&["--proxy-protocol", "--trusted-proxies", "10.0.0.0/8"]);
    let mut stream = connect(server.address);
    // It may be closed before all of it is sent.
    let _ = stream.write_all(&[&proxied([192, 0, 2, 1])[..], HANDSHAKE.as_bytes()].concat());
    let mut rest = Vec::new();
    let _ = stream.read_to_end(&mut rest);
    assert_eq!(String::from_utf8_lossy(&rest), "", "we are none that is trusted");
}

fn write_settings(folder: &Path, text: &str) {
    // At once: the service is never to see a half.
    std::fs::write(folder.join("new.toml"), text).expect("a file");
    std::fs::rename(folder.join("new.toml"), folder.join("tickwire.toml")).expect("a file");
}

#[test]
fn settings_are_read_again_and_wrong_ones_change_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("tickwire.toml");
    let base = "sim_instruments = 5\n";
    write_settings(folder.path(), &format!("{base}allowed_origins = [\"https://a.example\"]\n"));
    let server = Service::start(["--config", path.to_str().expect("UTF-8")]);
    let status = |origin: &str| shake(&server, &format!("Origin: {origin}")).1.status;
    assert_eq!((status("https://a.example"), status("https://b.example")), (101, 403));

    write_settings(folder.path(), &format!("{base}allowed_origins = [\"b.example\"]\n"));
    signal(&server.child, "HUP");
    eventually("it is said", || server.metric("configuration_failures_total") == 1);
    eventually("the log says so", || server.log().contains("allowed_origins = `b.example`"));
    assert_eq!((status("https://a.example"), status("https://b.example")), (101, 403));

    write_settings(
        folder.path(),
        "sim_instruments = 6\nallowed_origins = [\"https://b.example\"]\nmax_connections = 3\n",
    );
    let client = server.client();
    signal(&server.child, "HUP");
    eventually("they are taken", || server.metric("configuration_loads_total") == 1);
    assert_eq!((status("https://a.example"), status("https://b.example")), (403, 101));
    eventually("what cannot be is said", || server.log().contains("settings=\"sim_instruments\""));
    eventually("only this client is left", || server.metric("connections") == 1);
    let held = [RawClient::connect(server.address), RawClient::connect(server.address)];
    assert_eq!(upgrade(server.address, HANDSHAKE.as_bytes()).1.status, 503, "three are as many as may be");
    drop((client, held));
}

#[test]
fn memory_that_is_in_use_before_anybody_comes_is_a_mistake_that_is_told() {
    let flags = ["serve", "--listen", "127.0.0.1:0", "--sim-instruments", "5", "--max-memory", "1MiB"];
    let output = tickwire().args(flags).output().expect("it is built");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(
        said.contains("`max_memory` is 1048576 bytes") && said.contains("nobody would be let in"),
        "{said}"
    );
}

#[test]
fn without_memory_nobody_comes_in_and_the_newest_go() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("tickwire.toml");
    write_settings(folder.path(), "max_memory = \"64GiB\"\n");
    let server = Service::start(["--config", path.to_str().expect("UTF-8"), "--sim-instruments", "5"]);
    let mut older = server.client();
    let mut newest = server.client();
    older.subscribe("quote", &["*"]);
    newest.subscribe("quote", &["*"]);
    write_settings(folder.path(), "max_memory = \"1MiB\"\n");
    signal(&server.child, "HUP");
    let closing = newest.until(|object| object["type"] == "closing");
    let wait = closing["retry_after_ms"].as_u64().expect("a number");
    assert!((100..60_000).contains(&wait), "{closing}");
    assert_eq!(closing["code"], 1013);
    assert_eq!(newest.try_until(|_| false), Err(Some((1013, "try again later".to_owned()))));
    older.result("ping", &json!({}));
    let (_, response) = upgrade(server.address, HANDSHAKE.as_bytes());
    assert_refused(&response, 503, "too many connections\n");
    assert_eq!(refused(&server, Refused::Memory), 1);
    assert!(refused(&server, Refused::Shed) >= 1);
    assert!(server.metric("resident_bytes") > 1 << 20);

    write_settings(folder.path(), "max_memory = \"64GiB\"\n");
    signal(&server.child, "HUP");
    eventually("there is memory again", || upgrade(server.address, HANDSHAKE.as_bytes()).1.status == 101);
}

#[test]
fn it_drains_before_it_ends() {
    let mut server = start(&["--drain", "2s"]);
    let mut clients: Vec<_> = (0..8).map(|_| server.client()).collect();
    for client in &mut clients {
        client.subscribe("quote", &["*"]);
    }
    assert_eq!(server.get("/health/ready").status, 200);
    signal(&server.child, "TERM");
    eventually("it is not ready", || server.get("/health/ready").status == 503);
    assert!(server.get("/health/ready").body.contains(r#""draining":true"#));
    assert_eq!(server.get("/v1/quotes").status, 200, "still asked");
    let (_, response) = upgrade(server.address, HANDSHAKE.as_bytes());
    assert_refused(&response, 503, "the service is about to end\n");
    assert_eq!(refused(&server, Refused::Draining), 1);
    let updates = |clients: &[Client]| clients.iter().map(|client| client.updates).sum::<u64>();
    let before = updates(&clients);
    let mut waits = Vec::new();
    for client in &mut clients {
        let shutdown = client.until(|object| object["channel"] == "system");
        waits.push(shutdown["reconnect_after_ms"].as_u64().expect("a number"));
        assert_eq!(client.try_until(|_| false), Err(Some((1012, "restart".to_owned()))));
    }
    assert!(updates(&clients) > before, "they are served to their last moment");
    waits.sort_unstable();
    waits.dedup();
    assert!(waits.len() > 1, "not all come back at once");
    assert_eq!(server.child.wait().expect("our child").code(), Some(0), "{}", server.log());
    assert!(TcpStream::connect(server.address).is_err(), "nobody listens");
}

#[test]
fn a_second_signal_ends_it_at_once() {
    let mut server = start(&["--drain", "1h"]);
    let mut client = RawClient::connect(server.address);
    signal(&server.child, "TERM");
    eventually("it drains", || server.get("/health/ready").status == 503);
    // To read settings is no end.
    signal(&server.child, "HUP");
    assert_eq!(server.get("/health/live").status, 200);
    signal(&server.child, "TERM");
    assert_eq!(server.child.wait().expect("our child").code(), Some(0), "{}", server.log());
    let last = client.read_to_end().pop().expect("a frame");
    assert_eq!(last.close_code(), Some(1012));
}

#[test]
fn pings_of_a_client_are_no_messages() {
    let server = start(&["--max-messages-per-second", "1"]);
    let mut client = RawClient::connect(server.address);
    client.send(&frame(FIN | PING, b"x").repeat(200));
    client.send(&text(r#"{"method":"ping"}"#));
    let is_answer = |frame: &Frame| frame.first == FIN | 1 && frame.text().contains(r#""method":"ping""#);
    while !is_answer(&client.read().expect("it stays")) {}
    assert_eq!(refused(&server, Refused::MessageRate), 0);
}

#[test]
fn what_is_nested_deep_is_refused_and_the_connection_stays() {
    let server = start(&[]);
    let mut client = server.client();
    let (open, close) = ("[".repeat(100_000), "]".repeat(100_000));
    let objects = format!("{}1{}", r#"{"a":"#.repeat(40_000), "}".repeat(40_000));
    for request in [
        open.clone(),
        format!("{open}{close}"),
        objects.clone(),
        format!(r#"{{"method":{open}{close}}}"#),
        format!(r#"{{"method":"ping","params":{open}{close}}}"#),
        format!(r#"{{"method":"ping","req_id":{objects}}}"#),
        format!(r#"{{"method":"subscribe","params":{{"channel":"quote","symbols":{open}{close}}}}}"#),
        format!(
            r#"{{"method":"subscribe","params":{{"channel":"quote","symbols":["*"],"resume":{objects}}}}}"#
        ),
        format!(r#"{{"unknown":{objects},"method":"ping"}}"#),
    ] {
        client.send_message(request.clone().into());
        let answer = client.answer();
        let code = answer["error"]["code"].as_str();
        assert!(matches!(code, Some("BAD_JSON" | "BAD_REQUEST")), "{}…: {answer}", &request[..60]);
    }
    client.result("ping", &json!({}));
}
