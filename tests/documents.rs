//! The descriptions that the real program gives of itself: they hold by their own tools, and what is sent is what they say.

mod service {
    #[expect(dead_code, reason = "nothing here runs in Node")]
    pub(crate) mod clients;
    pub(crate) mod eventually;
    pub(crate) mod http;
    pub(crate) mod json;
    pub(crate) mod metrics;
    pub(crate) mod needed;
    pub(crate) mod process;
    pub(crate) mod program;
    pub(crate) mod python;
    pub(crate) mod signal;
    pub(crate) mod simulated;
    #[expect(dead_code, reason = "API keys and forgeries are not described")]
    pub(crate) mod tokens;
}

use std::fmt::Write;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::{Message, WebSocket, client};

use service::eventually::eventually;
use service::http::{connect, request};
use service::needed::is_there;
use service::process::Service;
use service::python::python;
use service::signal::signal;
use service::tokens::Tokens;

/// A connection that writes down all that is said.
struct Recorder<'a> {
    socket: WebSocket<std::net::TcpStream>,
    lines: &'a mut String,
}

impl<'a> Recorder<'a> {
    fn connect(address: SocketAddr, lines: &'a mut String) -> Self {
        let (socket, _) = client(format!("ws://{address}/v1/ws"), connect(address)).expect("a handshake");
        Self { socket, lines }
    }

    /// What is right by the description is written down as such.
    fn ask(&mut self, request: &Value) {
        writeln!(self.lines, "client {request}").expect("a text");
        self.say(&request.to_string());
    }

    fn say(&mut self, text: &str) {
        self.socket.send(Message::text(text)).expect("it reads");
    }

    /// Reads to the first object that is so, or to the end.
    fn until(&mut self, is: impl Fn(&Value) -> bool) -> Option<Value> {
        loop {
            match self.socket.read() {
                Ok(Message::Text(text)) => {
                    writeln!(self.lines, "server {text}").expect("a text");
                    let objects: Vec<Value> = serde_json::from_str(&text).expect("an array");
                    if let Some(found) = objects.into_iter().find(&is) {
                        return Some(found);
                    }
                }
                Ok(Message::Close(_)) | Err(_) => return None,
                Ok(_) => {}
            }
        }
    }

    fn answer(&mut self) -> Value {
        self.until(|object| object.get("method").is_some()).expect("an answer")
    }
}

fn follow_everything(lines: &mut String) {
    let mut server = Service::simulated("market", 6, 40);
    let mut recorder = Recorder::connect(server.address, lines);
    for (number, channel) in
        ["quote", "trade", "book", "book.25", "book.100", "ticker", "bar.1s", "bar", "bar.5m", "status"]
            .into_iter()
            .enumerate()
    {
        let params = json!({"channel": channel, "symbols": ["*"]});
        recorder.ask(&json!({"method": "subscribe", "params": params, "req_id": number}));
        recorder.answer();
    }
    let slow = json!({"channel": "book", "depth": 10, "symbols": ["*", ], "max_frequency": "250ms"});
    recorder.ask(&json!({"method": "subscribe", "params": slow, "req_id": "slow"}));
    recorder.answer();
    for _ in 0..20 {
        recorder.until(|object| object["n"].as_u64() > Some(1)).expect("merged");
    }
    recorder.until(|object| object["final"] == true).expect("a bar that closes");
    let instruments = server.json("/v1/instruments");
    let symbol = &instruments["instruments"][0]["symbol"];
    for request in [
        json!({"method": "ping"}),
        json!({"method": "list", "req_id": 7}),
        json!({"method": "resync", "params": {"channel": "quote", "symbol": symbol}}),
        json!({"method": "subscribe", "params": {"channel": "quote", "symbols": ["NOPE"], "snapshot": false}}),
        json!({"method": "subscribe", "params": {"channel": "trade", "symbols": ["*"], "on_overflow": "conflate", "resume": {"epoch": "old", "seq": {"NOPE": 1}}}}),
        json!({"method": "unsubscribe", "params": {"channel": "ticker", "symbols": [symbol, "NOPE"]}}),
        json!({"method": "unsubscribe", "params": {"channel": "quote", "symbols": ["*"]}}),
        json!({"method": "auth", "params": {"token": "anything"}}),
    ] {
        recorder.ask(&request);
        recorder.answer();
    }
    for wrong in [
        "{",
        "[]",
        "{}",
        r#"{"method":"dance"}"#,
        r#"{"method":"ping","req_id":[]}"#,
        r#"{"method":"subscribe","params":{"channel":"nope","symbols":["A"]},"req_id":"x"}"#,
    ] {
        recorder.say(wrong);
        assert_eq!(recorder.answer()["success"], false, "{wrong}");
    }
    signal(&server.child, "TERM");
    assert_eq!(recorder.until(|_| false), None, "to the end");
    server.child.wait().expect("it ends");
}

/// From a number that is older than what is remembered, trades have a gap.
fn lose_trades(lines: &mut String) {
    let server = Service::simulated("market", 1, 4000);
    let symbol = server.json("/v1/instruments")["instruments"][0]["symbol"].clone();
    let path = format!("/v1/trades/{}", symbol.as_str().expect("a text"));
    eventually("the first trades are forgotten", || server.json(&path)["seq"].as_u64() > Some(400));
    let resume = json!({"epoch": server.json(&path)["epoch"], "seq": {symbol.as_str().expect("a text"): 1}});
    let mut recorder = Recorder::connect(server.address, lines);
    let params = json!({"channel": "trade", "symbols": [symbol], "resume": resume});
    recorder.ask(&json!({"method": "subscribe", "params": params}));
    recorder.until(|object| object["type"] == "gap").expect("some are lost");
}

/// A recording ends, and then nothing is sent but heartbeats.
fn come_to_an_end(lines: &mut String) {
    let feed = format!("replay:{}/feeds/recordings/kraken-20210417.jsonl.zst", env!("CARGO_MANIFEST_DIR"));
    let server = Service::start(["--feed", &feed, "--speed", "max", "--wait-clients", "1"]);
    let mut recorder = Recorder::connect(server.address, lines);
    recorder.ask(&json!({"method": "subscribe", "params": {"channel": "status", "symbols": ["*"]}}));
    recorder.until(|object| object["state"] == "ended").expect("its end");
    recorder.until(|object| object["channel"] == "heartbeat").expect("a heartbeat");
}

fn be_let_in(lines: &mut String) {
    let tokens = Tokens::new();
    let server = tokens.serve(&["--max-messages-per-second", "5"]);
    let mut recorder = Recorder::connect(server.address, lines);
    recorder.ask(&json!({"method": "subscribe", "params": {"channel": "quote", "symbols": ["*"]}}));
    assert_eq!(recorder.answer()["error"]["code"], "AUTH_REQUIRED");
    recorder.ask(&json!({"method": "auth", "params": {"token": tokens.mint("anna", &[])}, "req_id": 1}));
    assert_eq!(recorder.answer()["success"], true);
    for channel in ["quote", "trade"] {
        recorder.ask(&json!({"method": "subscribe", "params": {"channel": channel, "symbols": ["*"]}}));
        recorder.answer();
    }
    let slower = r#"{"symbols":["SYM00000"],"channels":["quote"],"max_frequency":"250ms"}"#;
    let token = tokens.mint("anna", &["--entitlement", slower, "--lifetime", "4s"]);
    recorder.ask(&json!({"method": "auth", "params": {"token": token}}));
    recorder.until(|object| object["type"] == "entitlement").expect("less is seen");
    recorder.until(|object| object["type"] == "token_expiring").expect("it is over soon");
    recorder.ask(&json!({"method": "auth", "params": {"token": tokens.mint("anna", &[])}}));
    recorder.answer();
    for _ in 0..200 {
        if recorder.socket.send(Message::text(r#"{"method":"ping"}"#)).is_err() {
            break;
        }
    }
    recorder.until(|object| object["type"] == "closing").expect("too many messages");
}

#[test]
fn every_message_is_one_that_is_described_and_each_that_is_described_comes() {
    let Some(mut check) = python("documents.py") else { return };
    let modules = "import jsonschema, openapi_spec_validator";
    let python = std::env::var_os("CLIENTS_PYTHON").unwrap_or_else(|| "python3".into());
    if !is_there("python's `openapi-spec-validator`", Command::new(python).args(["-c", modules])) {
        return;
    }
    let mut lines = String::new();
    follow_everything(&mut lines);
    lose_trades(&mut lines);
    come_to_an_end(&mut lines);
    be_let_in(&mut lines);
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("messages");
    std::fs::write(&file, &lines).expect("a file");
    let server = Service::simulated("quotes", 1, 1);
    let output = check.arg(server.address.to_string()).arg(&file).output().expect("it runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let said: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(said["missing"], json!([]), "{said}");
}

#[test]
fn schemathesis_finds_nothing() {
    let python = std::env::var_os("CLIENTS_PYTHON").unwrap_or_else(|| "python3".into());
    let program = Path::new(&python).with_file_name("schemathesis");
    if !is_there("python's `schemathesis`", Command::new(&program).arg("--version")) {
        return;
    }
    let server = Service::simulated("market", 6, 20);
    let folder = tempfile::tempdir().expect("a folder");
    let mut fuzz = Command::new(&program);
    fuzz.current_dir(folder.path()).args(["run", &format!("http://{}/v1/openapi.json", server.address)]);
    // A stream of events has no end to wait for.
    fuzz.args(["--exclude-path", "/v1/sse", "--max-time", "25", "--max-examples", "60", "--no-color"]);
    // Another scheme than Bearer is refused with 400, whatever the route.
    fuzz.args([
        "--seed",
        "1",
        "--generation-database",
        "none",
        "--generation-with-security-parameters",
        "false",
        "--request-timeout",
        "10",
    ]);
    let output = fuzz.output().expect("it runs");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(server.metric("connection_panics_total"), 0);
}

#[test]
fn the_page_has_each_route_and_each_code_and_no_script() {
    let server = Service::simulated("quotes", 1, 1);
    let openapi = server.json("/v1/openapi.json");
    let page = server.get("/v1/docs");
    assert_eq!((page.status, page.header("content-type")), (200, "text/html; charset=utf-8"));
    let policy = page.header("content-security-policy");
    assert!(policy.contains("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
    assert!(!page.body.contains("<script") && !page.body.contains("style="), "{}", page.body);
    let paths: Vec<_> = openapi["paths"].as_object().expect("an object").keys().collect();
    assert_eq!(paths.len(), 10, "{paths:?}");
    for path in paths {
        assert!(
            page.body.contains(&format!("<h2><code>GET {path}</code></h2>"))
                || page.body.contains(&format!("POST {path}<")),
            "{path}"
        );
    }
    let problem = request(server.address, "GET", "/v1/nothing").json();
    let anchor =
        problem["type"].as_str().and_then(|uri| uri.strip_prefix("/v1/docs#")).expect("a part of the page");
    assert!(page.body.contains(&format!("<tr id=\"{anchor}\">")), "{problem}");
    assert_eq!(server.get("/v1/docs.css").header("content-type"), "text/css; charset=utf-8");
    assert_eq!(server.json("/v1/asyncapi.json")["asyncapi"], "3.0.0");
}
