//! Others' connections, as administrators look at them: the list, what goes over one, and what of it nobody is shown.

mod service {
    #[expect(
        dead_code,
        reason = "which subprotocol was chosen, and with which code it closes, is looked at elsewhere"
    )]
    pub(crate) mod caller;
    pub(crate) mod clients;
    pub(crate) mod eventually;
    #[expect(dead_code, reason = "nobody comes back here")]
    pub(crate) mod events;
    pub(crate) mod http;
    #[expect(dead_code, reason = "who asks presents something")]
    pub(crate) mod json;
    pub(crate) mod metrics;
    pub(crate) mod needed;
    pub(crate) mod process;
    pub(crate) mod program;
    pub(crate) mod run;
    pub(crate) mod signal;
    #[expect(dead_code, reason = "nothing is forged here")]
    pub(crate) mod tokens;
}

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use data_encoding::BASE64;
use serde_json::{Value, json};

use service::caller::{Caller, ask, get};
use service::clients::node;
use service::events::Events;
use service::eventually::eventually;
use service::http::{Response, connect, read_response};
use service::process::Service;
use service::program::tickwire;
use service::run::run;
use service::signal::signal;
use service::tokens::{ROLES, Tokens};

const CHANNELS: &str = "channels = [\"quote\", \"trade\", \"book\", \"ticker\", \"bar\", \"status\"]";

/// The roles of everybody, and of two administrators: one who may see everything, and one who may see no prices.
fn roles() -> String {
    format!(
        "{ROLES}[roles.operator]\nsymbols = [\"*\"]\n{CHANNELS}\nadmin = true\n\
         [roles.blind]\nsymbols = []\nchannels = []\nadmin = true\n"
    )
}

/// A service with tokens, and the token of an administrator.
fn serve(more: &[&str]) -> (Tokens, Service, String) {
    serve_market("3", "10", more)
}

/// The same of so many instruments, whose quotes change so often a second each.
fn serve_market(instruments: &str, rate: &str, more: &[&str]) -> (Tokens, Service, String) {
    let tokens = Tokens::new();
    tokens.write("tickwire.toml", &roles());
    let server = tokens.serve_market(instruments, rate, more);
    let operator = tokens.mint("olga", &["--role", "operator", "--lifetime", "1h"]);
    (tokens, server, operator)
}

fn list(server: &Service, token: &str, query: &str) -> Vec<Value> {
    let answer = get(server.address, &format!("/v1/admin/connections{query}"), token);
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.json()["connections"].as_array().expect("a list").clone()
}

/// The number of the only connection of a subject.
fn id_of(server: &Service, token: &str, subject: &str) -> u64 {
    let mut found = Vec::new();
    eventually("it is connected", || {
        found = list(server, token, &format!("?subject={subject}"));
        !found.is_empty()
    });
    assert_eq!(found.len(), 1, "{found:?}");
    found[0]["id"].as_u64().expect("a number")
}

/// An open tap.
struct Tap {
    reader: BufReader<TcpStream>,
    /// All that has come, as it is.
    raw: String,
    head: Value,
}

impl Tap {
    fn open(server: &Service, token: &str, id: u64, query: &str) -> Result<Self, Response> {
        Self::over(connect(server.address), server.address, token, id, query).map(|mut tap| {
            tap.head = tap.next().expect("a head")["tap"].clone();
            tap
        })
    }

    fn over(
        mut stream: TcpStream,
        address: SocketAddr,
        token: &str,
        id: u64,
        query: &str,
    ) -> Result<Self, Response> {
        let request = format!(
            "GET /v1/admin/connections/{id}/tap{query} HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {token}\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).expect("the service reads");
        let mut reader = BufReader::new(stream);
        let head = read_response(&mut reader, "GET");
        if head.status != 200 {
            return Err(head);
        }
        assert_eq!(head.header("content-type"), "application/x-ndjson");
        Ok(Self { reader, raw: String::new(), head: Value::Null })
    }

    /// The next line; `None` at the end.
    fn next(&mut self) -> Option<Value> {
        let mut line = String::new();
        if self.reader.read_line(&mut line).expect("the service goes on") == 0 {
            return None;
        }
        self.raw.push_str(&line);
        Some(serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}")))
    }

    /// Frames to the first that is so, which is the last of them.
    fn until(&mut self, is_it: impl Fn(&Value) -> bool) -> Vec<Value> {
        let mut frames = Vec::new();
        loop {
            let line = self.next().expect("the tap goes on");
            let frame = line.get("frame").unwrap_or_else(|| panic!("{line}")).clone();
            let is_last = is_it(&frame);
            frames.push(frame);
            if is_last {
                return frames;
            }
        }
    }

    /// Why it ends, and the frames before.
    fn read_to_end(&mut self) -> (Vec<Value>, String) {
        let mut frames = Vec::new();
        loop {
            let line = self.next().expect("a reason before the end");
            if let Some(ended) = line.get("ended") {
                assert!(self.next().is_none(), "nothing follows the end");
                return (frames, ended["reason"].as_str().expect("a reason").to_owned());
            }
            frames.push(line.get("frame").unwrap_or_else(|| panic!("{line}")).clone());
        }
    }
}

fn payload(frame: &Value) -> Vec<u8> {
    let text = frame["payload"].as_str().unwrap_or_else(|| panic!("{frame}"));
    BASE64.decode(text.as_bytes()).expect("base64")
}

/// The objects that a text of the server says.
fn objects(frame: &Value) -> Vec<Value> {
    if frame["opcode"] != "text" || frame["from"] != "server" {
        return Vec::new();
    }
    match frame.get("objects") {
        Some(objects) => objects.as_array().expect("a list").clone(),
        None => serde_json::from_slice(&payload(frame)).expect("an array"),
    }
}

fn has_update(frame: &Value) -> bool {
    objects(frame).iter().any(|object| object["type"] == "update")
}

#[test]
fn connections_are_listed_with_how_they_stand_filtered_and_in_parts() {
    let (tokens, server, operator) = serve(&["--shards", "2"]);
    let before = feeds::Clock::System.now().micros();
    let mut callers: Vec<Caller> = ["anna", "ben"]
        .map(|name| Caller::bearer(server.address, &tokens.mint(name, &[])).expect("let in"))
        .into();
    assert!(callers[0].follows());
    let binary = [("sec-websocket-protocol", "tickwire.v1.bin")];
    let nobody = Caller::open(server.address, &binary).expect("open");
    let bearer = format!("Bearer {}", tokens.mint("carl", &[]));
    let mut events = Events::open(server.address, "channel=quote&symbols=*", &[("Authorization", &bearer)])
        .expect("a stream");
    events.result();

    let mut all = Vec::new();
    eventually("all are connected", || {
        all = list(&server, &operator, "");
        all.len() == 4
    });
    let of = |subject: Value| all.iter().find(|row| row["subject"] == subject).expect("it is listed");
    let anna = of(json!("anna"));
    assert_eq!(
        (&anna["transport"], &anna["encoding"], &anna["compressed"], &anna["topics"], &anna["address"]),
        (&json!("ws"), &json!("json"), &json!(false), &json!(1), &json!("127.0.0.1"))
    );
    assert_eq!((&anna["laggard"], &anna["conflated"]), (&json!(false), &json!(0)));
    assert!(anna["opened_at"].as_i64().expect("a time") >= before, "{anna} {before}");
    assert_eq!(of(json!("ben"))["topics"], 0);
    assert_eq!((&of(json!("carl"))["transport"], &of(json!("carl"))["topics"]), (&json!("sse"), &json!(3)));
    assert_eq!(of(Value::Null)["encoding"], "binary");
    let text = serde_json::to_string(&all).expect("JSON");
    assert!(!text.contains("token") && !text.contains("jti"), "{text}");

    let ids: Vec<u64> = all.iter().map(|row| row["id"].as_u64().expect("a number")).collect();
    assert!(ids.is_sorted(), "{ids:?}");
    let (mut parts, mut query) = (Vec::new(), "?limit=1".to_owned());
    loop {
        let part = get(server.address, &format!("/v1/admin/connections{query}"), &operator).json();
        parts.extend(part["connections"].as_array().expect("a list").iter().map(|row| row["id"].as_u64()));
        let Some(next) = part["next"].as_str() else { break };
        query = format!("?limit=1&cursor={next}");
    }
    assert_eq!(parts, ids.iter().copied().map(Some).collect::<Vec<_>>());
    assert_eq!(list(&server, &operator, "?subject=ben").len(), 1);
    assert_eq!(list(&server, &operator, "?address=127.0.0.1").len(), 4);
    assert_eq!(list(&server, &operator, "?address=192.0.2.1").len(), 0);
    for (query, code) in [
        ("?address=here", "BAD_PARAMETER"),
        ("?limit=0", "BAD_PARAMETER"),
        ("?cursor=x", "BAD_PARAMETER"),
        ("?name=anna", "BAD_REQUEST"),
    ] {
        let answer = get(server.address, &format!("/v1/admin/connections{query}"), &operator);
        assert_eq!((answer.status, &answer.json()["code"]), (400, &json!(code)), "{query}");
    }
    drop((callers, nobody, events));
    eventually("nobody is left", || list(&server, &operator, "").is_empty());
}

#[test]
fn it_is_for_administrators_alone() {
    let (tokens, server, operator) = serve(&[]);
    let caller = Caller::bearer(server.address, &tokens.mint("anna", &[])).expect("let in");
    let id = id_of(&server, &operator, "anna");
    let tap = format!("/v1/admin/connections/{id}/tap");
    let own = tokens.mint("own", &["--entitlement", r#"{"symbols":[],"channels":["status"],"admin":true}"#]);
    let all = tokens.mint("anna", &[]);
    for path in ["/v1/admin/connections", &tap] {
        let nothing = ask(server.address, "GET", path, &[]);
        assert_eq!((nothing.status, &nothing.json()["code"]), (401, &json!("AUTH_REQUIRED")), "{path}");
        assert_eq!(nothing.header("www-authenticate"), "Bearer realm=\"tickwire\"");
        assert_eq!(get(server.address, path, "a.b.c").status, 401, "{path}");
        let everybody = get(server.address, path, &all);
        assert_eq!(
            (everybody.status, &everybody.json()["code"]),
            (403, &json!("ENTITLEMENT_DENIED")),
            "{path}"
        );
        let in_url = get(server.address, &format!("{path}?token={operator}"), &operator);
        assert_eq!(in_url.status, 400, "never in a URL");
    }
    assert_eq!(list(&server, &own, "").len(), 1, "a token may say it itself");
    for (path, status, code) in [
        (format!("/v1/admin/connections/{}/tap", id + 1_000), 404, "NOT_FOUND"),
        ("/v1/admin/connections/x/tap".to_owned(), 400, "BAD_REQUEST"),
        (format!("{tap}?payload=all"), 400, "BAD_PARAMETER"),
        (format!("{tap}?whole=1"), 400, "BAD_REQUEST"),
    ] {
        let answer = get(server.address, &path, &operator);
        assert_eq!((answer.status, &answer.json()["code"]), (status, &json!(code)), "{path}");
    }
    let posted = ask(server.address, "POST", &tap, &[("Authorization", &format!("Bearer {operator}"))]);
    assert_eq!((posted.status, posted.header("allow")), (405, "GET"));
    assert_eq!((server.metric("taps"), server.metric("taps_total")), (0, 0));
    drop(caller);

    // Where nobody is asked who it is, nobody is an administrator; unless the role of those who present nothing says it.
    let open = Service::simulated_quotes();
    assert_eq!(open.get("/v1/admin/connections").status, 403);
    tokens.write("tickwire.toml", &format!("{}[anonymous]\nrole = \"small\"\n", roles()));
    let known = tokens.serve(&[]);
    assert_eq!(known.get("/v1/admin/connections").status, 401);
    tokens.write("tickwire.toml", &format!("{}[anonymous]\nrole = \"operator\"\n", roles()));
    let development = tokens.serve(&[]);
    assert_eq!(development.get("/v1/admin/connections").status, 200);
}

impl Service {
    fn simulated_quotes() -> Self {
        Self::start(["--sim-mode", "quotes", "--sim-instruments", "1", "--sim-rate", "1"])
    }
}

/// A client in Node that writes down what it gets.
struct Recorder {
    child: Child,
    input: ChildStdin,
    lines: BufReader<ChildStdout>,
}

impl Recorder {
    fn start(mut command: Command, server: &Service, arguments: [&str; 3]) -> Self {
        command.arg(format!("ws://{}/v1/ws", server.address)).args(arguments);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("node is there");
        let (input, output) = (child.stdin.take().expect("a pipe"), child.stdout.take().expect("a pipe"));
        let mut recorder = Self { child, input, lines: BufReader::new(output) };
        assert_eq!(recorder.line().as_deref(), Some("open"));
        recorder
    }

    fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        let len = self.lines.read_line(&mut line).expect("a text");
        (len > 0).then(|| line.trim_end().to_owned())
    }

    fn begin(&mut self) {
        self.input.write_all(b"go\n").expect("it reads");
    }

    /// What it got to its end, from the answer to its request on.
    fn messages(mut self) -> Vec<(String, Vec<u8>)> {
        let mut messages = Vec::new();
        while let Some(line) = self.line() {
            let (kind, text) = line.split_once(' ').expect("two words");
            messages.push((kind.to_owned(), BASE64.decode(text.as_bytes()).expect("base64")));
        }
        assert!(self.child.wait().expect("our child").success());
        from_the_answer(messages)
    }
}

fn from_the_answer(messages: Vec<(String, Vec<u8>)>) -> Vec<(String, Vec<u8>)> {
    let is_answer = |(kind, text): &(String, Vec<u8>)| {
        kind == "text" && text.windows(11).any(|part| part == b"\"subscribe\"")
    };
    let at = messages.iter().position(is_answer).expect("an answer");
    messages.into_iter().skip(at).collect()
}

#[test]
fn an_administrator_sees_exactly_what_the_client_gets() {
    if node("recorder.mjs", "ws").is_none() {
        return;
    }
    let tokens = Tokens::new();
    tokens.write("tickwire.toml", &format!("{}[anonymous]\nrole = \"all\"\n", roles()));
    // In one shard, those who follow the same share a compressed stream.
    let server = tokens.serve_market("20", "50", &["--shards", "1"]);
    let operator = tokens.mint("olga", &["--role", "operator"]);
    for (subprotocol, form, updates) in [
        ("tickwire.v1.json", "plain", "500"),
        ("tickwire.v1.bin", "plain", "200"),
        ("tickwire.v1.json", "compressed", "3000"),
    ] {
        let start = || {
            let command = node("recorder.mjs", "ws").expect("it was there");
            Recorder::start(command, &server, [subprotocol, form, updates])
        };
        let mut recorder = start();
        let rows = list(&server, &operator, "");
        let row = rows.last().expect("it is the newest");
        assert_eq!(row["compressed"], form == "compressed", "{row}");
        let mut other = (form == "compressed").then(start);
        let id = row["id"].as_u64().expect("a number");
        let mut tap = Tap::open(&server, &operator, id, "?payload=whole").expect("a tap");
        assert_eq!((&tap.head["connection"]["id"], &tap.head["payload"]), (&row["id"], &json!("whole")));
        // All are read at once: a pipe that is full would make somebody slow.
        let tapping = std::thread::spawn(move || tap.read_to_end());
        recorder.begin();
        let beside = other.take().map(|mut other| {
            other.begin();
            std::thread::spawn(|| other.messages())
        });
        let got = recorder.messages();
        let (frames, reason) = tapping.join().expect("a whole tap");
        assert_eq!(reason, "the connection has ended");

        let request = frames.iter().find(|frame| frame["from"] == "client").expect("a request");
        let request: Value = serde_json::from_slice(&payload(request)).expect("JSON");
        assert_eq!((&request["method"], &request["req_id"]), (&json!("subscribe"), &json!(7)));
        let is_data = |frame: &&Value| {
            frame["from"] == "server" && (frame["opcode"] == "text" || frame["opcode"] == "binary")
        };
        let seen: Vec<_> = frames
            .iter()
            .filter(is_data)
            .map(|frame| (frame["opcode"].as_str().expect("a kind").to_owned(), payload(frame)))
            .collect();
        let seen = from_the_answer(seen);
        assert!(got.len() > 10 && seen.len() >= got.len(), "{} of {}", seen.len(), got.len());
        // The last were on their way when it closed.
        assert!(seen[..got.len()] == got[..], "{subprotocol} {form}: something else than the client has got");
        let compressed: Vec<_> = frames.iter().filter(|frame| frame["compressed"] == true).collect();
        assert_eq!(compressed.is_empty(), form == "plain", "{subprotocol} {form}");
        for frame in compressed {
            assert!(frame["wire_bytes"].as_u64() < frame["bytes"].as_u64(), "{frame}");
        }
        let close = frames.iter().find(|frame| frame["opcode"] == "close" && frame["from"] == "client");
        assert_eq!(payload(close.expect("it closes")), b"\x03\xe8seen enough");
        if let Some(beside) = beside {
            assert!(!beside.join().expect("a client").is_empty());
        }
    }
}

#[test]
fn what_a_client_presents_is_never_shown() {
    let (tokens, server, operator) = serve(&[]);
    let mut caller = Caller::open(server.address, &[]).expect("open");
    let mut rows = Vec::new();
    eventually("it is there", || {
        rows = list(&server, &operator, "");
        rows.len() == 1
    });
    let id = rows[0]["id"].as_u64().expect("a number");
    let mut taps = ["?payload=whole", "?payload=redacted"]
        .map(|query| Tap::open(&server, &operator, id, query).expect("a tap"));
    let token = tokens.mint("anna", &[]);
    let canary = token.rsplit('.').next().expect("a signature").to_owned();
    for params in [json!({"token": [token]}), json!({"token": token, "more": 1})] {
        caller.ask("auth", &params).expect("open");
    }
    caller.ask("ping", &json!({ "token": token })).expect("open");
    assert_eq!(caller.auth(&token).expect("open")["success"], true);
    assert!(caller.follows());
    drop(caller);
    for tap in &mut taps {
        let (frames, _) = tap.read_to_end();
        let said: Vec<Value> = frames
            .iter()
            .filter(|frame| frame["from"] == "client" && frame["opcode"] == "text")
            .map(|frame| match frame.get("objects") {
                Some(objects) => objects[0].clone(),
                None => serde_json::from_slice(&payload(frame)).expect("JSON"),
            })
            .collect();
        let hidden = json!({"hidden": "BAD_REQUEST"});
        assert_eq!(said[..3], [hidden.clone(), hidden.clone(), hidden], "{said:?}");
        assert_eq!(said[3], json!({"method": "auth", "params": {"token": "…"}, "req_id": 1}));
        assert_eq!(said[4]["method"], "subscribe");
        let length =
            frames.iter().filter(|frame| frame["from"] == "client").nth(3).expect("auth")["bytes"].as_u64();
        assert!(length > Some(token.len() as u64), "its length is the message's: {length:?}");
        let everything: Vec<u8> =
            frames.iter().filter(|frame| frame.get("payload").is_some()).flat_map(payload).collect();
        let everything = String::from_utf8_lossy(&everything).into_owned() + &tap.raw;
        assert!(everything.len() > 1_000 && !everything.contains(&canary), "shown: {canary}");
    }
    assert!(!server.log().contains(&canary));
}

#[test]
fn prices_are_shown_to_no_administrator_who_may_not_see_them() {
    let (tokens, server, operator) = serve(&[]);
    let blind = tokens.mint("bert", &["--role", "blind"]);
    let part = r#"{"symbols":["SYM00001"],"channels":["quote"],"admin":true}"#;
    let part = tokens.mint("paul", &["--entitlement", part]);
    let bearer = format!("Bearer {}", tokens.mint("anna", &[]));
    for subprotocol in ["tickwire.v1.json", "tickwire.v1.bin"] {
        let headers = [("authorization", &*bearer), ("sec-websocket-protocol", subprotocol)];
        let mut caller = Caller::open(server.address, &headers).expect("let in");
        let id = id_of(&server, &operator, "anna");
        let mut taps = [(&operator, ""), (&blind, "?payload=whole"), (&part, "?payload=whole")]
            .map(|(token, query)| Tap::open(&server, token, id, query).expect("a tap"));
        let is_binary = subprotocol.ends_with("bin");
        caller.send(&json!({"method": "subscribe", "params": {"channel": "quote", "symbols": ["SYM00000"]}, "req_id": 1}));
        for tap in &mut taps {
            let is_update = |frame: &Value| {
                frame["objects"]
                    .as_array()
                    .is_some_and(|objects| objects.iter().any(|object| object["type"] == "update"))
            };
            let frames = tap.until(is_update);
            assert!(frames.iter().any(|frame| frame["from"] == "client"));
            let told: Vec<_> =
                frames.iter().filter_map(|frame| frame["objects"].as_array()).flatten().collect();
            let update = told.iter().find(|object| object["type"] == "update").expect("an update");
            assert_eq!(
                (&update["channel"], &update["symbol"]),
                (&json!("quote"), &json!("SYM00000")),
                "{update}"
            );
            assert!(update.get(if is_binary { "step" } else { "seq" }).is_some(), "{update}");
            for object in &told {
                for field in ["bid", "ask", "bid_size", "ask_size"] {
                    assert!(object.get(field).is_none_or(|value| value == "…"), "{object}");
                }
            }
            let data =
                frames.iter().filter(|frame| frame["from"] == "server" && frame.get("payload").is_some());
            assert!(data.flat_map(objects).all(|object| object.get("bid").is_none()), "{frames:?}");
        }
        // What may be seen is whole.
        caller.send(&json!({"method": "unsubscribe", "params": {"channel": "quote", "symbols": ["*"]}}));
        caller.send(&json!({"method": "subscribe", "params": {"channel": "quote", "symbols": ["SYM00001"]}}));
        let [_, _, part] = &mut taps;
        part.until(|frame| {
            frame["opcode"] == if is_binary { "binary" } else { "text" }
                && frame.get("payload").is_some()
                && (is_binary || has_update(frame))
        });
        drop(caller);
        eventually("it is gone", || list(&server, &operator, "?subject=anna").is_empty());
    }
}

#[test]
fn a_tap_that_does_not_read_harms_nobody_and_is_told_what_is_missing() {
    let (tokens, server, operator) = serve_market("100", "20", &["--shards", "1"]);
    let bearer = format!("Bearer {}", tokens.mint("anna", &[]));
    let mut events = Events::open(server.address, "channel=quote&symbols=*", &[("Authorization", &bearer)])
        .expect("a stream");
    let id = id_of(&server, &operator, "anna");
    let small = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).expect("a socket");
    small.set_recv_buffer_size(4_096).expect("a socket");
    small.connect(&server.address.into()).expect("the service listens");
    let stream = TcpStream::from(small);
    stream.set_read_timeout(Some(service::program::PATIENCE)).expect("a socket");
    let mut tap = Tap::over(stream, server.address, &operator, id, "?payload=whole").expect("a tap");
    while server.metric("tap_dropped_total") == 0 {
        // Each update is held to the one before.
        events.event().expect("the stream goes on");
    }
    assert_eq!((server.metric("laggards"), server.metric("taps")), (0, 1));
    assert_eq!(events.holds.merges, 0, "the client misses nothing");
    drop(events);
    let (mut frames, mut missing, mut last) = (0, 0, Value::Null);
    while let Some(line) = tap.next() {
        if let Some(dropped) = line.get("dropped") {
            missing += dropped["messages"].as_i64().expect("a number");
        }
        frames += usize::from(line.get("frame").is_some());
        last = line;
    }
    assert_eq!(last["ended"]["reason"], "the connection has ended", "{last}");
    assert_eq!(missing, server.metric("tap_dropped_total"));
    assert!(missing > 0 && frames > 0, "{missing} {frames}");
}

#[test]
fn of_a_stream_of_events_the_data_is_shown() {
    let (tokens, server, operator) = serve(&[]);
    let bearer = format!("Bearer {}", tokens.mint("anna", &[]));
    let mut events = Events::open(server.address, "channel=quote&symbols=*", &[("Authorization", &bearer)])
        .expect("a stream");
    events.result();
    let id = id_of(&server, &operator, "anna");
    let mut tap = Tap::open(&server, &operator, id, "?payload=whole").expect("a tap");
    let topics = tap.head["topics"].as_object().expect("topics");
    assert_eq!((topics.len(), &tap.head["connection"]["transport"]), (3, &json!("sse")));
    assert!(topics.values().any(|name| name == "quote:SYM00002"), "{topics:?}");
    let seen = objects(tap.until(has_update).last().expect("an update"));
    let same = events.until(|object| *object == seen[0]);
    assert_eq!(same, seen[0], "the client gets it too");
}

#[test]
fn a_tap_ends_with_the_right_to_it_and_there_are_few_at_once() {
    let (tokens, server, _) = serve(&[]);
    let operator = tokens.mint("olga", &["--role", "operator"]);
    let caller = Caller::bearer(server.address, &tokens.mint("anna", &[])).expect("let in");
    let id = id_of(&server, &operator, "anna");
    let open = || Tap::open(&server, &operator, id, "");
    let mut taps: Vec<Tap> = (0..4).map(|_| open().expect("a tap")).collect();
    let refused = open().err().expect("as many as may be");
    assert_eq!((refused.status, refused.header("retry-after")), (503, "1"));
    assert_eq!(server.metric("taps"), 4);
    taps.pop();
    eventually("it is noticed that one has left", || server.metric("taps") == 3);
    taps.push(open().expect("room again"));
    let log = server.log();
    let line = log.lines().find(|line| line.contains("a connection is tapped")).expect("it is told");
    for part in [
        "admin=\"olga\" from=127.0.0.1",
        &format!("connection={id}"),
        "subject=\"anna\"",
        "address=127.0.0.1",
    ] {
        assert!(line.contains(part), "no {part} in {line}");
    }

    let short = tokens.mint("kurt", &["--role", "operator", "--lifetime", "4s"]);
    drop(taps.pop());
    eventually("there is room", || server.metric("taps") == 3);
    let mut ending = Tap::open(&server, &short, id, "").expect("a tap");
    assert_eq!(ending.read_to_end().1, "the token has expired");

    tokens.write("tickwire.toml", &roles().replace("admin = true\n[roles.blind]", "[roles.blind]"));
    signal(&server.child, "HUP");
    for tap in &mut taps {
        assert_eq!(tap.read_to_end().1, "this is for administrators alone");
    }
    eventually("none is left", || server.metric("taps") == 0);
    assert_eq!(server.metric("taps_total"), 6);
    assert_eq!(get(server.address, "/v1/admin/connections", &operator).status, 403);
    drop(caller);
}

/// `tickwire tap` with a token.
fn tap_command(server: &Service, tokens: &Tokens, token: &str, arguments: &[&str]) -> Command {
    tokens.write("admin-token", token);
    let mut command = tickwire();
    command.args(["tap", &format!("http://{}", server.address), "--token-file"]);
    command.arg(tokens.path("admin-token")).args(arguments);
    command
}

#[test]
fn the_command_lists_and_shows_and_captures() {
    let (tokens, server, operator) = serve_market("3", "50", &[]);
    let mut caller = Caller::bearer(server.address, &tokens.mint("anna", &[])).expect("let in");
    assert!(caller.follows());
    let id = id_of(&server, &operator, "anna").to_string();
    let reading = std::thread::spawn(move || while caller.next().is_ok() {});
    let said = |arguments: &[&str]| {
        let output = run(&mut tap_command(&server, &tokens, &operator, arguments));
        let (text, error) =
            (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{arguments:?}: {text}{error}");
        text.into_owned()
    };
    let listed = said(&["--connections"]);
    let row = listed.lines().find(|line| line.contains(" anna ")).expect("a row");
    assert!(
        row.trim_start().starts_with(&id) && row.contains(" 127.0.0.1 ") && row.contains(" json "),
        "{listed}"
    );

    let shown = said(&["--connection", &id, "--count", "20"]);
    assert_eq!(shown.lines().count(), 20, "{shown}");
    assert!(shown.lines().all(|line| line.contains(" ← text ")), "{shown}");
    assert!(
        shown.contains(r#""type":"update","symbol":"SYM00000""#) && shown.contains(r#""bid":""#),
        "{shown}"
    );
    let redacted = said(&["--connection", &id, "--count", "20", "--redact"]);
    assert!(redacted.contains("\"symbol\":\"SYM00000\"") && redacted.contains("\"bid\":\"…\""), "{redacted}");

    let file = tokens.path("another.capture");
    let captured = said(&["--connection", &id, "--count", "20", "--out", file.to_str().expect("UTF-8")]);
    assert_eq!(captured.lines().count(), 20);
    let head = std::fs::read_to_string(&file).expect("a file");
    assert!(head.lines().next().expect("a line").contains(&format!("\"connection\":{id}")), "{head}");
    let replayed = run(tickwire().arg("replay-capture").arg(&file));
    let text = String::from_utf8_lossy(&replayed.stdout);
    assert!(replayed.status.success() && text.contains("frames        20"), "{text}");

    let blind = tokens.mint("bert", &["--role", "blind"]);
    let out = tokens.path("none.capture");
    let out = out.to_str().expect("UTF-8");
    for (token, arguments, part) in [
        (&tokens.mint("anna", &[]), &["--connections"][..], "ENTITLEMENT_DENIED"),
        (&operator, &["--connection", "1000"], "404"),
        (&operator, &["--connection", &id, "quote", "*"], "URL alone"),
        (&blind, &["--connection", &id, "--out", out], "cannot be captured"),
    ] {
        let output = run(&mut tap_command(&server, &tokens, token, arguments));
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.code() == Some(1) && error.contains(part), "{arguments:?}: {error}");
    }
    let both = run(&mut tap_command(&server, &tokens, &operator, &["--connection", &id, "--connections"]));
    assert_eq!(both.status.code(), Some(2));
    drop(server);
    reading.join().expect_err("its server has gone");
}

#[test]
fn over_tls_it_is_the_same() {
    let tokens = Tokens::new();
    tokens.write("tickwire.toml", &roles());
    assert!(run(tickwire().current_dir(tokens.path(".")).arg("dev-cert")).status.success());
    let server = tokens.serve(&["--tls-cert", "cert.pem", "--tls-key", "key.pem"]);
    tokens.write("client-token", &tokens.mint("anna", &["--lifetime", "1h"]));
    tokens.write("admin-token", &tokens.mint("olga", &["--role", "operator", "--lifetime", "1h"]));
    let command = |name: &str, token: &str, arguments: &[&str]| {
        let mut command = tickwire();
        command.env("SSL_CERT_FILE", tokens.path("ca.pem")).args([name, "--token-file"]);
        command.arg(tokens.path(token)).arg(format!("https://{}", server.address)).args(arguments);
        command
    };
    let mut watching =
        command("watch", "client-token", &["quote", "*"]).stdout(Stdio::null()).spawn().expect("it is built");
    let mut id = None;
    eventually("it is listed", || {
        let listed = run(&mut command("tap", "admin-token", &["--connections"]));
        let text = String::from_utf8_lossy(&listed.stdout);
        let row = text.lines().find(|line| line.contains(" anna ")).map(|row| row.trim_start().to_owned());
        id = row.and_then(|row| Some(row.split_once(' ')?.0.to_owned()));
        id.is_some()
    });
    let shown =
        run(&mut command("tap", "admin-token", &["--connection", &id.expect("a number"), "--count", "30"]));
    watching.kill().expect("it goes on");
    watching.wait().expect("our child");
    let text = String::from_utf8_lossy(&shown.stdout);
    assert!(shown.status.success() && text.lines().count() == 30 && text.contains(r#""bid":""#), "{shown:?}");
}
