//! `tickwire replay-capture --against`: captures of the real server, compared with it, with another one, and with fakes.

mod service {
    pub(crate) mod captured;
    pub(crate) mod eventually;
    pub(crate) mod http;
    pub(crate) mod json;
    pub(crate) mod metrics;
    pub(crate) mod process;
    pub(crate) mod program;
    pub(crate) mod run;
    pub(crate) mod signal;
}

use std::io::{BufRead, BufReader, ErrorKind};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Output, Stdio};
use std::time::Duration;

use data_encoding::BASE64;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::{Error, Message, WebSocket, accept};

use service::captured::{Captured, objects, replay, url, with_objects};
use service::eventually::eventually;
use service::process::Service;
use service::program::tickwire;
use service::signal::signal;

const KRAKEN: &str = "kraken-20210417.jsonl.zst";
const COINBASE: &str = "coinbase-20210417.jsonl.zst";

/// A recording, from its first event on, to the first who subscribes.
fn replaying(recording: &str, speed: &str) -> Service {
    let feed = format!("replay:{}/feeds/recordings/{recording}", env!("CARGO_MANIFEST_DIR"));
    Service::start(["--feed", &feed, "--speed", speed, "--wait-clients", "1", "--stale-after", "24h"])
}

/// A capture of a whole recording: it is over when there is a second of silence behind its end.
fn captured(recording: &str, arguments: &[&str]) -> Captured {
    let server = replaying(recording, "max");
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("capture");
    let mut command = tickwire();
    command.args(["tap", &url(&server)]).args(arguments).arg("--out").arg(&path);
    let mut child = command.stdout(Stdio::piped()).spawn().expect("the program is built");
    let mut lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
    let is_over = |line: std::io::Result<String>| {
        line.expect("UTF-8").contains(r#"[{"channel":"heartbeat""#)
            && server.json("/health/ready")["feed"] == "ended"
    };
    assert!(lines.any(is_over), "it goes on");
    signal(&child, "TERM");
    lines.for_each(drop);
    assert_eq!(child.wait().expect("our child").code(), Some(0));
    Captured { folder, path }
}

fn against(path: &Path, server: &str, more: &[&str]) -> Output {
    replay(path, &[&["--against", server], more].concat())
}

/// What is told, and that it ends so.
#[track_caller]
fn told(output: &Output, code: i32) -> String {
    let text = [&output.stdout[..], &output.stderr].concat();
    let text = String::from_utf8(text).expect("UTF-8");
    assert_eq!(output.status.code(), Some(code), "{text}");
    text
}

#[track_caller]
fn report(output: &Output, code: i32) -> Value {
    let text = told(output, code);
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

#[test]
fn what_a_recording_was_it_is_again() {
    for (recording, arguments, states_min) in [
        (KRAKEN, &["quote", "*"][..], 50),
        (KRAKEN, &["book.25", "*", "--compress"], 200),
        (KRAKEN, &["book", "*", "--encoding", "binary"], 200),
        (COINBASE, &["trade", "*", "--encoding", "binary"], 10),
        (COINBASE, &["ticker", "*", "--encoding", "binary", "--compress"], 10),
        (COINBASE, &["bar.1s", "*"], 5),
        (COINBASE, &["status", "*"], 2),
    ] {
        let captured = captured(recording, arguments);
        let compress = arguments.iter().filter(|argument| **argument == "--compress");
        let compress: Vec<&str> = compress.copied().chain(["--json"]).collect();
        let server = replaying(recording, "max");
        let report = report(&against(&captured.path, &url(&server), &compress), 0);
        assert_eq!(report["verdict"], "equal", "{arguments:?}: {report}");
        assert_eq!(report["differences_total"], 0, "{arguments:?}: {report}");
        assert_eq!((&report["answers"], &report["requests"]), (&json!(1), &json!(1)), "{report}");
        assert_eq!(report["later_us"], 0, "{report}");
        assert!(report["states"].as_u64() >= Some(states_min), "{arguments:?}: {report}");
    }
}

#[test]
fn a_market_of_today_is_the_same_later() {
    let server = || Service::start(["--sim-instruments", "3", "--sim-rate", "100", "--wait-clients", "1"]);
    let captured = Captured::of(&server(), &["book", "*", "--count", "50"], 0);
    let report = report(&against(&captured.path, &url(&server()), &["--json"]), 0);
    assert!(report["later_us"].as_i64() > Some(0) && report["states"].as_u64() >= Some(40), "{report}");
}

#[test]
fn another_recording_is_another_answer() {
    let captured = captured(KRAKEN, &["quote", "*"]);
    let output = against(&captured.path, &url(&replaying(COINBASE, "max")), &[]);
    let text = told(&output, 1);
    assert!(text.contains("line 3: answer to subscribe 1: `result.granted."), "{text}");
    assert!(text.contains(" is nothing, and was `") && text.ends_with("it is not the same\n"), "{text}");
}

/// The first update of a message that `is_it`, and where it stands: line, and place in the message.
fn find(lines: &[Value], is_it: impl Fn(&Value) -> bool) -> (usize, usize, Value) {
    let of_line = |(line, value)| {
        let objects = objects(value)?;
        let at = objects.iter().position(|object| object["type"] == "update" && is_it(object))?;
        Some((line, at, objects[at].clone()))
    };
    lines.iter().enumerate().find_map(of_line).expect("there is one")
}

fn changed(lines: &[Value], line: usize, change: impl FnOnce(&mut Vec<Value>)) -> Vec<Value> {
    let mut lines = lines.to_vec();
    let mut objects = objects(&lines[line]).expect("of the server");
    change(&mut objects);
    lines[line] = with_objects(&lines[line], &objects);
    lines
}

#[test]
fn one_price_that_is_another_is_named() {
    let captured = captured(KRAKEN, &["quote", "*"]);
    let lines = captured.lines();
    let (line, at, update) = find(&lines, |update| update["bid"].is_string());
    let bid = update["bid"].as_str().expect("a text");
    let other = format!("{}{}", &bid[..bid.len() - 1], if bid.ends_with('1') { "2" } else { "1" });
    let path = captured.with(&changed(&lines, line, |objects| objects[at]["bid"] = json!(other)));
    let text = told(&against(&path, &url(&replaying(KRAKEN, "max")), &[]), 1);
    let (symbol, seq) = (update["symbol"].as_str().expect("a text"), &update["seq"]);
    let expected = format!("line {}: quote:{symbol} at {seq}: `bid` is `{bid}`, and was `{other}`", line + 1);
    assert!(text.contains(&expected), "no {expected:?} in {text}");

    let report = report(&against(&path, &url(&replaying(KRAKEN, "max")), &["--json"]), 1);
    assert_eq!(report["verdict"], "differs", "{report}");
    assert_eq!(
        report["differences"][0],
        json!({"what": "value", "line": line + 1, "subject": format!("quote:{symbol}"), "seq": seq,
               "field": "bid", "captured": other, "server": bid})
    );
}

#[test]
fn an_update_that_is_dropped_is_missed() {
    let captured = captured(KRAKEN, &["book", "*"]);
    let lines = captured.lines();
    let (line, at, update) = find(&lines, |_| true);
    let path = captured.with(&changed(&lines, line, |objects| {
        objects.remove(at);
    }));
    let text = told(&against(&path, &url(&replaying(KRAKEN, "max")), &[]), 1);
    let symbol = update["symbol"].as_str().expect("a text");
    assert!(text.contains(&format!("book.10:{symbol}: in the capture: a gap: the state is")), "{text}");

    // Nothing follows the last one, but the end knows of it.
    let is_update = |line: &Value| {
        objects(line).is_some_and(|objects| objects.iter().any(|object| object["type"] == "update"))
    };
    let line = lines.iter().rposition(is_update).expect("an update");
    let path = captured.with(&changed(&lines, line, |objects| {
        objects.pop();
    }));
    let text = told(&against(&path, &url(&replaying(KRAKEN, "max")), &[]), 1);
    assert!(text.contains(&format!("line {}: in the capture: ", lines.len())), "{text}");
}

#[test]
fn an_error_has_a_code() {
    let captured = Captured::of(&replaying(KRAKEN, "max"), &["quote", "ETH/CHF", "NOPE"], 1);
    let output = against(&captured.path, &url(&replaying(KRAKEN, "max")), &["--json"]);
    assert_eq!(report(&output, 0)["answers"], 1);
    let lines = captured.lines();
    let is_answer = |line: &Value| objects(line).is_some_and(|objects| objects[0]["success"] == true);
    let line = lines.iter().position(is_answer).expect("an answer");
    let path = captured.with(&changed(&lines, line, |objects| {
        objects[0]["result"]["rejected"][0]["code"] = json!("ENTITLEMENT_DENIED");
    }));
    let text = told(&against(&path, &url(&replaying(KRAKEN, "max")), &[]), 1);
    let expected = format!(
        "line {}: answer to subscribe 1: `result.rejected.NOPE.code` is `UNKNOWN_SYMBOL`, and was `ENTITLEMENT_DENIED`",
        line + 1
    );
    assert!(text.contains(&expected), "{text}");
}

#[test]
fn a_server_that_goes_midway_leaves_it_open() {
    let captured = captured(KRAKEN, &["book", "*"]);
    // It takes a quarter of a minute.
    let server = replaying(KRAKEN, "1");
    let child = tickwire()
        .arg("replay-capture")
        .arg(&captured.path)
        .args(["--against", &url(&server)])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program is built");
    eventually("it has connected", || server.metric("connections") == 1);
    drop(server);
    let text = told(&child.wait_with_output().expect("it ends"), 2);
    assert!(text.contains("not all       before all had come: connection lost: "), "{text}");
    assert!(text.ends_with("it cannot be told whether it is the same\n"), "{text}");
}

/// A capture of these messages of a server, behind one request, whose end is what they lead to.
fn capture(folder: &Path, messages: &[Value]) -> std::path::PathBuf {
    let frame = |from: &str, text: &Value| {
        let payload = BASE64.encode(text.to_string().as_bytes());
        json!({"frame": {"at": 1, "from": from, "opcode": "text", "wire_bytes": 1, "compressed": false, "payload": payload}})
    };
    let head = json!({"capture": {"version": 1, "url": "ws://x/v1/ws", "subprotocol": "tickwire.v1.json"}});
    let request =
        json!({"method": "subscribe", "params": {"channel": "status", "symbols": ["A"]}, "req_id": 1});
    let mut lines = vec![head, frame("client", &request)];
    lines.extend(messages.iter().map(|message| frame("server", message)));
    let objects = messages.iter().flat_map(|message| message.as_array().expect("objects"));
    let topics: serde_json::Map<String, Value> = objects
        .clone()
        .filter(|object| object["seq"].is_u64())
        .map(|object| {
            (format!("{}:A", object["channel"].as_str().expect("a channel")), object["seq"].clone())
        })
        .collect();
    lines.push(json!({"end": {"messages": objects.count(), "checksums": 0, "topics": topics}}));
    let text: Vec<String> = lines.iter().map(|line| format!("{line}\n")).collect();
    let path = folder.join("capture");
    std::fs::write(&path, text.concat()).expect("a file");
    path
}

fn granted(channel: &str, epoch: &str) -> Value {
    json!([{"method": "subscribe", "success": true, "req_id": 1, "result": {"channel": channel, "epoch": epoch,
        "granted": [{"symbol": "A", "topic": 7, "price_exponent": 0, "size_exponent": 0, "seq": 1}], "rejected": []}}])
}

fn snapshot(epoch: &str, seq: u64, reason: &str) -> Value {
    json!([{"channel": "status", "type": "snapshot", "symbol": "A", "epoch": epoch, "seq": seq, "ts_event": seq,
        "state": "halted", "reason": reason}])
}

fn update(prev_seq: u64, seq: u64, n: u64, reason: &str) -> Value {
    json!([{"channel": "status", "type": "update", "symbol": "A", "prev_seq": prev_seq, "seq": seq, "n": n,
        "ts_event": seq, "state": "halted", "reason": reason}])
}

fn trade(prev_seq: u64, seq: u64) -> Value {
    json!([{"channel": "trade", "type": "update", "symbol": "A", "prev_seq": prev_seq, "seq": seq, "ts_event": seq,
        "price": seq.to_string(), "size": "1", "side": "buy"}])
}

/// Answers each request with the next of these lots of messages, and lives on with a sign of life from time to time; but no
/// request may come before the lot that answers the one before is sent.
fn fake(lots: Vec<Vec<Value>>) -> String {
    let (listener, url) = listener();
    std::thread::spawn(move || {
        let (stream, _) = listener.accept().expect("a client");
        let mut socket = accept(stream).expect("a handshake");
        socket.get_ref().set_read_timeout(Some(Duration::from_millis(200))).expect("a socket");
        for lot in lots {
            while !is_asked(&mut socket) {}
            assert!(!is_asked(&mut socket), "it waits for what came then");
            for message in lot {
                socket.send(Message::text(message.to_string())).expect("a client");
            }
        }
        loop {
            let heartbeat = r#"[{"channel":"heartbeat","ts":1,"lag_us":0,"laggard":false}]"#;
            if is_asked(&mut socket) || socket.send(Message::text(heartbeat)).is_err() {
                return;
            }
        }
    });
    url
}

fn listener() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address: SocketAddr = listener.local_addr().expect("bound");
    (listener, format!("ws://{address}"))
}

/// Whether a request comes soon, or the client is gone.
fn is_asked(socket: &mut WebSocket<TcpStream>) -> bool {
    !matches!(socket.read(), Err(Error::Io(error)) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut))
}

#[test]
fn what_the_protocol_allows_is_no_difference() {
    let folder = tempfile::tempdir().expect("a folder");
    let begin = |epoch: &str| vec![granted("status", epoch), snapshot(epoch, 1, "a")];
    let three = [begin("x"), vec![update(1, 2, 1, "b"), update(2, 3, 1, "c")]].concat();
    let trades = |rest: Vec<Value>| {
        let first = json!([{"channel": "trade", "type": "snapshot", "symbol": "A", "epoch": "x", "seq": 1, "ts_event": 0}]);
        [vec![granted("trade", "x"), first], rest].concat()
    };
    let gap = json!([{"channel": "trade", "type": "gap", "symbol": "A", "from": 2, "to": 3, "seq": 3, "prev_seq": 1,
        "ts_event": 3}]);
    let mut newest = trade(1, 3);
    newest[0]["type"] = json!("snapshot");
    newest[0]["epoch"] = json!("x");
    newest[0].as_object_mut().expect("an object").remove("prev_seq");
    let trades_of = |seqs: &[u64]| trades(seqs.iter().map(|&seq| trade(seq - 1, seq)).collect());
    let with_a_gap = trades(vec![gap, newest, trade(3, 4)]);
    let merged = [begin("y"), vec![update(1, 3, 2, "c")]].concat();
    let anew = [begin("y"), vec![update(1, 2, 1, "b"), snapshot("z", 1, "c")]].concat();
    let later = vec![granted("status", "y"), snapshot("y", 2, "b"), update(2, 3, 1, "c")];
    for (captured, served, passed_over) in [
        (&three, &three, [0, 0, 0]),
        (&three, &merged, [1, 0, 0]),
        (&merged, &three, [1, 0, 0]),
        (&three, &anew, [0, 1, 0]),
        (&three, &later, [0, 1, 0]),
        (&trades_of(&[2, 3, 4]), &with_a_gap, [0, 0, 1]),
        (&with_a_gap, &trades_of(&[2, 3, 4]), [0, 0, 1]),
    ] {
        let path = capture(folder.path(), captured);
        let report = report(&against(&path, &fake(vec![served.clone()]), &["--json"]), 0);
        let found =
            ["merged", "anew", "lost"].map(|name| report["passed_over"][name].as_u64().expect("a number"));
        assert_eq!(found, passed_over, "{served:?}: {report}");
    }
}

#[test]
fn what_it_does_not_allow_is_one() {
    let folder = tempfile::tempdir().expect("a folder");
    let begin = [granted("status", "x"), snapshot("x", 1, "a")];
    let of = |rest: &[Value]| [&begin[..], rest].concat();
    let three = of(&[update(1, 2, 1, "b"), update(2, 3, 1, "c")]);
    let two = of(&[update(1, 3, 1, "c")]);
    let mut exponent = three.clone();
    exponent[0][0]["result"]["granted"][0]["size_exponent"] = json!(-1);
    let mut late = three.clone();
    late[2][0]["ts_event"] = json!(7);
    let refused = |code: &str| {
        let error = json!({"code": code, "message": "no", "retryable": false});
        vec![json!([{"method": "subscribe", "success": false, "req_id": 1, "error": error}])]
    };
    for (captured, served, expected) in [
        (&three, &two, "line 5: status:A at 2: the server passes over it without a word"),
        (&two, &three, "line 5: status:A at 2: the server has it, and the capture goes on without it"),
        (
            &three,
            &of(&[update(1, 2, 1, "B"), update(2, 3, 1, "c")]),
            "line 5: status:A at 2: `reason` is `B`, and was `b`",
        ),
        (
            &of(&[update(1, 4, 2, "c")]),
            &of(&[update(1, 4, 3, "c")]),
            "line 5: status:A at 4: `n` is `3`, and was `2`",
        ),
        (&three, &late, "line 5: status:A at 2: `ts_event` is `7`, and was `2`"),
        (
            &three,
            &exponent,
            "line 3: answer to subscribe 1: `result.granted.A.size_exponent` is `-1`, and was `0`",
        ),
        (&three, &of(&[update(2, 3, 1, "c")]), "line 5: status:A: of the server: a gap: the state is 1"),
        (
            &three,
            &of(&[json!([{"channel": "status", "type": "update"}])]),
            "of the server: the server does not keep",
        ),
        (
            &refused("UNSUPPORTED"),
            &refused("BUSY"),
            "line 3: answer to subscribe 1: `error.code` is `BUSY`, and was `UNSUPPORTED`",
        ),
        (&three, &refused("BUSY"), "line 3: answer to subscribe 1: `success` is `false`, and was `true`"),
    ] {
        let path = capture(folder.path(), captured);
        let text = told(&against(&path, &fake(vec![served.clone()]), &[]), 1);
        assert!(text.contains(&format!("difference    {expected}")), "no {expected:?} in {text}");
    }
}

#[test]
fn differences_are_all_counted_and_some_are_told() {
    let folder = tempfile::tempdir().expect("a folder");
    let of = |reason: &str| -> Vec<Value> {
        let updates = (1..50).map(|seq| update(seq, seq + 1, 1, reason));
        [granted("status", "x"), snapshot("x", 1, "a")].into_iter().chain(updates).collect()
    };
    let path = capture(folder.path(), &of("b"));
    let hostile = "\u{1b}[2J".to_owned() + &"c".repeat(1_000);
    let text = told(&against(&path, &fake(vec![of(&hostile)]), &[]), 1);
    assert!(text.matches("difference ").count() == 16 && text.contains("and 33 more\n"), "{text}");
    assert!(!text.contains('\u{1b}') && text.len() < 10_000, "{}", text.escape_debug());
}

#[test]
fn times_are_later_by_one_span() {
    let folder = tempfile::tempdir().expect("a folder");
    let messages = [granted("status", "x"), snapshot("x", 1, "a"), update(1, 2, 1, "b")];
    let later = |by: [u64; 2]| {
        let mut later = messages.to_vec();
        later[1][0]["ts_event"] = json!(1 + by[0]);
        later[2][0]["ts_event"] = json!(2 + by[1]);
        later
    };
    let path = capture(folder.path(), &messages);
    let output = against(&path, &fake(vec![later([86_400, 86_401])]), &["--json"]);
    assert_eq!(report(&output, 0)["later_us"], 86_400);
    let text = told(&against(&path, &fake(vec![later([86_400, 86_402])]), &[]), 1);
    assert!(text.contains("`ts_event` is `86404`, and was `2`"), "{text}");
}

#[test]
fn a_request_waits_for_what_came_before_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let lots = [
        vec![granted("status", "x"), snapshot("x", 1, "a"), update(1, 2, 1, "b")],
        vec![
            json!([{"method": "ping", "success": true, "req_id": 2, "result": {"ts": 5}}]),
            update(2, 3, 1, "c"),
        ],
    ];
    let path = capture(folder.path(), &lots.concat());
    let text = std::fs::read_to_string(&path).expect("a file");
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    let ping = BASE64.encode(br#"{"method":"ping","req_id":2}"#);
    let auth = BASE64.encode(r#"{"method":"auth","params":{"token":"…"},"req_id":-1}"#.as_bytes());
    for payload in [ping, auth] {
        let (before, _) = lines[1].split_once(r#""payload":"#).expect("a request");
        lines.insert(5, format!("{before}\"payload\":\"{payload}\",\"wire_bytes\":1}}}}"));
    }
    std::fs::write(&path, lines.join("\n") + "\n").expect("a file");
    let report = report(&against(&path, &fake(lots.to_vec()), &["--json"]), 0);
    assert_eq!((&report["requests"], &report["answers"]), (&json!(2), &json!(2)), "{report}");
}

#[test]
fn what_does_not_come_is_waited_for_only_so_long() {
    let folder = tempfile::tempdir().expect("a folder");
    let messages = vec![granted("status", "x"), snapshot("x", 1, "a"), update(1, 2, 1, "b")];
    let path = capture(folder.path(), &messages);
    // Both take their time.
    let (listener, silent) = listener();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let text = told(&against(&path, &fake(vec![Vec::new()]), &[]), 1);
            assert!(text.contains("line 3: answer to subscribe 1: it has not come\n"), "{text}");
            assert!(text.contains("line 5: status:A at 2: it has not come\n"), "{text}");
        });
        scope.spawn(move || {
            let (stream, _) = listener.accept().expect("a client");
            let mut socket = accept(stream).expect("a handshake");
            // It reads to the end, and says nothing.
            let _ = std::io::copy(socket.get_mut(), &mut std::io::sink());
        });
        let text = told(&against(&path, &silent, &[]), 2);
        assert!(text.contains("before all had come: the server is silent"), "{text}");
    });
}

#[test]
fn what_cannot_be_compared_is_said() {
    let folder = tempfile::tempdir().expect("a folder");
    let messages = vec![granted("status", "x"), snapshot("x", 1, "a"), update(1, 2, 1, "b")];
    let path = capture(folder.path(), &messages);
    let whole = std::fs::read_to_string(&path).expect("a file");
    let server = || fake(vec![messages.clone()]);
    let write = |text: &str| std::fs::write(&path, text).expect("a file");

    let (nobody, url) = listener();
    drop(nobody);
    assert!(told(&against(&path, &url, &[]), 2).contains(&format!("no connection to {url}/v1/ws")));
    assert!(told(&against(&path, "nonsense", &[]), 2).contains("URL `nonsense`"));
    assert!(told(&against(&folder.path().join("none"), &server(), &[]), 2).contains("cannot read"));

    for alone in [&["--json"][..], &["--compress"], &["--token-file", "token"]] {
        assert!(told(&replay(&path, alone), 2).contains("--against"), "{alone:?}");
    }

    let late = vec![granted("status", "y"), snapshot("y", 3, "c")];
    let text = told(&against(&path, &fake(vec![late]), &[]), 2);
    assert!(text.contains("the server has no state of status:A that was captured"), "{text}");

    write(whole.trim_end().rsplit_once('\n').expect("lines").0);
    assert!(told(&against(&path, &server(), &[]), 2).contains("capture: line 5: it is cut off"));
    let without: Vec<String> = whole.lines().take(5).map(|line| format!("{line}\n")).collect();
    write(&without.concat());
    assert!(told(&against(&path, &server(), &[]), 2).contains("the capture has no end"));
    write(&whole.replacen("\"from\":\"server\"", "\"from\":\"me\"", 1));
    assert!(told(&against(&path, &server(), &[]), 2).contains("capture: line 3: "));
    let (head, _) = whole.split_once('\n').expect("lines");
    write(&format!("{head}\n{{\"end\":{{\"messages\":0,\"checksums\":0,\"topics\":{{}}}}}}\n"));
    assert!(told(&against(&path, &server(), &[]), 2).contains("nothing in the capture to be compared"));
}
