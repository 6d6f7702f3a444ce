//! The protocol as clients meet it: each method and channel, each wrong message, and those who harm themselves alone.

mod service {
    pub(crate) mod client;
    pub(crate) mod eventually;
    pub(crate) mod http;
    pub(crate) mod json;
    #[allow(dead_code, reason = "peaks are those of hostile clients")]
    pub(crate) mod memory;
    pub(crate) mod metrics;
    pub(crate) mod process;
    pub(crate) mod program;
    pub(crate) mod raw;
    pub(crate) mod reading;
    pub(crate) mod recorded;
    pub(crate) mod rude;
    pub(crate) mod simulated;
    pub(crate) mod upgrade;
}

use std::collections::BTreeMap;
use std::io::Write;
use std::time::Duration;

use feeds::clock::monotonic;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Value, json};
use tickwire::limits::{MESSAGE_IN_BYTES_MAX, MESSAGES_IN_BYTES_MAX};
use tokio_tungstenite::tungstenite::Message;

use service::client::Client;
use service::eventually::eventually;
use service::http;
use service::process::Service;
use service::program::PATIENCE;
use service::raw::{CLOSE, FIN, RawClient, TEXT, frame, text};
use service::rude::{BINARY, CONTINUATION, PING, PONG};
use service::upgrade::{HANDSHAKE, upgrade};

/// Wrong messages, each with the code of its answer and a text that the answer's message contains.
fn wrong_messages() -> Vec<(Message, &'static str, &'static str)> {
    let mut wrong = vec![
        (Message::text("{\"method\":"), "BAD_JSON", "EOF"),
        (Message::text(""), "BAD_JSON", "EOF"),
        (Message::text("{\"method\":\"ping\"} {}"), "BAD_JSON", "trailing"),
        (Message::text("[".repeat(200_000)), "BAD_JSON", "recursion"),
        (Message::binary(&b"{\"method\":\"ping\"}"[..]), "BAD_JSON", "binary"),
        (Message::binary(&b"\xff\xfe"[..]), "BAD_JSON", "binary"),
        (Message::text("[{\"method\":\"ping\"}]"), "BAD_REQUEST", "object"),
        (Message::text("null"), "BAD_REQUEST", "object"),
        (
            Message::text(format!("{{\"method\":\"{}\"}}", "x".repeat(300 * 1024))),
            "MESSAGE_TOO_LARGE",
            "262144",
        ),
    ];
    let symbols: Vec<_> = (0..10_001).map(|number| format!("S{number}")).collect();
    let wrong_requests = [
        (json!({}), "BAD_REQUEST", "`method`"),
        (json!({"method": 1}), "BAD_REQUEST", "`method`"),
        (json!({"method": "dance"}), "UNKNOWN_METHOD", "`method`"),
        (json!({"method": "Ping"}), "UNKNOWN_METHOD", "`method`"),
        (json!({"method": "ping", "params": 1}), "BAD_REQUEST", "`params`"),
        (json!({"method": "ping", "params": {"hello": 1}}), "BAD_REQUEST", "`params.hello`"),
        (json!({"method": "ping", "id": 1}), "BAD_REQUEST", "`id`"),
        (json!({"method": "ping", "req_id": 1.5}), "BAD_REQUEST", "`req_id`"),
        (json!({"method": "auth"}), "BAD_REQUEST", "`params.token`"),
        (
            json!({"method": "resync", "params": {"channel": "quote", "symbol": "A"}}),
            "UNKNOWN_SYMBOL",
            "instrument",
        ),
        (json!({"method": "resync", "params": {"channel": "quote"}}), "BAD_REQUEST", "`params.symbol`"),
        (json!({"method": "subscribe"}), "BAD_REQUEST", "`params.channel`"),
    ];
    wrong.extend(
        wrong_requests.map(|(request, code, named)| (Message::text(request.to_string()), code, named)),
    );
    let wrong_subscriptions = [
        (json!({"symbols": ["*"]}), "BAD_REQUEST", "`params.channel`"),
        (json!({"channel": 7, "symbols": ["*"]}), "BAD_REQUEST", "`params.channel`"),
        (json!({"channel": "quotes", "symbols": ["*"]}), "UNKNOWN_CHANNEL", "quotes"),
        (json!({"channel": "heartbeat", "symbols": ["*"]}), "UNKNOWN_CHANNEL", "always on"),
        (json!({"channel": "quote"}), "BAD_REQUEST", "`params.symbols`"),
        (json!({"channel": "quote", "symbols": "AAPL"}), "BAD_REQUEST", "`params.symbols`"),
        (json!({"channel": "quote", "symbols": []}), "BAD_REQUEST", "`params.symbols`"),
        (json!({"channel": "quote", "symbols": ["A", 1]}), "BAD_REQUEST", "`params.symbols[1]`"),
        (json!({"channel": "quote", "symbols": ["*", "A"]}), "BAD_REQUEST", "alone"),
        (json!({"channel": "quote", "symbols": symbols}), "BAD_REQUEST", "10001"),
        (json!({"channel": "quote", "symbols": ["*"], "depth": 10}), "BAD_REQUEST", "`params.depth`"),
        (json!({"channel": "quote", "symbols": ["*"], "snapshot": 1}), "BAD_REQUEST", "`params.snapshot`"),
        (json!({"channel": "quote", "symbols": ["*"], "snaphot": true}), "BAD_REQUEST", "`params.snaphot`"),
        (
            json!({"channel": "quote", "symbols": ["*"], "max_frequency": "2s"}),
            "BAD_PARAMETER",
            "`params.max_frequency`",
        ),
        (json!({"channel": "quote", "symbols": ["*"], "resume": {}}), "BAD_REQUEST", "`params.resume.epoch`"),
        (json!({"channel": "book", "symbols": ["*"], "depth": 11}), "BAD_PARAMETER", "`params.depth`"),
        (json!({"channel": "book", "symbols": ["*"], "depth": "10"}), "BAD_REQUEST", "`params.depth`"),
        (json!({"channel": "book.11", "symbols": ["*"]}), "BAD_PARAMETER", "`params.depth`"),
        (json!({"channel": "bar", "symbols": ["*"], "interval": "2m"}), "BAD_PARAMETER", "`params.interval`"),
        (json!({"channel": "bar", "symbols": ["*"], "interval": 60}), "BAD_REQUEST", "`params.interval`"),
    ];
    for (params, code, named) in wrong_subscriptions {
        for method in ["subscribe", "unsubscribe"] {
            let is_of_subscribe =
                ["`params.snapshot`", "`params.max_frequency`", "`params.resume.epoch`"].contains(&named);
            if method == "unsubscribe" && is_of_subscribe {
                continue;
            }
            let request = json!({"method": method, "params": params});
            wrong.push((Message::text(request.to_string()), code, named));
        }
    }
    wrong
}

#[test]
fn each_wrong_message_gets_its_code_and_all_go_on() {
    let server = Service::simulated("quotes", 8, 50);
    let (mut wrong, mut other) = (server.client(), server.client());
    for client in [&mut wrong, &mut other] {
        client.subscribe("quote", &["*"]);
    }
    let messages = wrong_messages();
    let count = messages.len();
    for (message, code, named) in messages {
        let shown = message.to_string().chars().take(100).collect::<String>();
        wrong.send_message(message);
        let answer = wrong.answer();
        assert_eq!(answer["success"], false, "{shown}: {answer}");
        let error = &answer["error"];
        assert_eq!((&error["code"], &error["retryable"]), (&json!(code), &json!(false)), "{shown}: {answer}");
        let text = error["message"].as_str().expect("a text");
        assert!(text.contains(named), "{shown}: {answer}");
        assert!(answer.to_string().len() < 1_000, "nothing long is echoed: {answer}");
        wrong.read_updates(1);
        // The hundredth in a row would be one too many.
        wrong.result("ping", &json!({}));
    }
    wrong.read_updates(400);
    other.read_updates(400);
    assert_eq!(server.metric("requests_bad_total"), i64::try_from(count).expect("a few"));
    assert_eq!(server.metric("connections"), 2);
}

#[test]
fn the_number_and_the_method_of_a_wrong_request_come_back() {
    let server = Service::simulated("quotes", 1, 1);
    let mut client = server.client();
    let cases = [
        (json!({"method": "dance", "req_id": "a\"b"}), json!("dance"), json!("a\"b")),
        (json!({"method": "ping", "params": [], "req_id": -3}), json!("ping"), json!(-3)),
        (json!({"method": "ping", "req_id": []}), json!("ping"), Value::Null),
        (json!({"req_id": 5}), Value::Null, json!(5)),
        (json!([1]), Value::Null, Value::Null),
    ];
    for (request, method, req_id) in cases {
        let answer = client.ask(&request);
        assert_eq!((&answer["method"], &answer["req_id"]), (&method, &req_id), "{request}: {answer}");
        assert_eq!(
            answer.as_object().expect("an object").contains_key("req_id"),
            !req_id.is_null(),
            "{answer}"
        );
    }
}

#[test]
fn a_hundred_wrong_messages_in_a_row_are_one_too_many() {
    let server = Service::simulated("quotes", 2, 20);
    let mut other = server.client();
    other.subscribe("quote", &["*"]);
    let mut client = server.client();
    for _ in 0..99 {
        assert_eq!(client.ask(&json!({"method": "dance"}))["error"]["code"], "UNKNOWN_METHOD");
    }
    // A right one between makes them begin anew.
    client.result("ping", &json!({}));
    for number in 1..=100 {
        client.send_message(Message::text(format!("wrong {number}")));
    }
    let Err(Some((code, reason))) = client.try_until(|_| false) else { panic!("no close frame") };
    assert_eq!((code, reason.as_str()), (1008, "too many malformed requests in a row"));
    other.read_updates(20);
}

#[test]
fn a_message_far_too_large_closes_with_1009() {
    let server = Service::simulated("quotes", 2, 20);
    let mut other = server.client();
    other.subscribe("quote", &["*"]);
    let large = vec![b' '; 2 * 1024 * 1024];
    let mut whole = RawClient::connect(server.address);
    let mut pieces = RawClient::connect(server.address);
    let head = frame(FIN | TEXT, &large);
    // The service may stop reading in the midst of it.
    let _ = whole.try_send(&head);
    let _ = pieces.try_send(&frame(TEXT, &large[..600_000]));
    let _ = pieces.try_send(&frame(FIN | CONTINUATION, &large[..600_000]));
    for client in [&mut whole, &mut pieces] {
        let last = client.read_to_end().pop().expect("a frame");
        assert_eq!(last.close_code(), Some(1009), "{last:?}");
    }
    other.read_updates(20);
    eventually("both are gone", || server.metric("connections") == 1);
}

#[test]
fn broken_frames_close_with_the_code_of_the_rfc() {
    let server = Service::simulated("quotes", 2, 20);
    let mut other = server.client();
    other.subscribe("quote", &["*"]);
    let unmasked = b"\x81\x02{}".to_vec();
    let cases = [
        (unmasked, 1002),
        (frame(FIN | 0x3, b"reserved opcode"), 1002),
        (frame(FIN | 0x40 | TEXT, b"reserved bit"), 1002),
        (frame(FIN | CONTINUATION, b"of nothing"), 1002),
        ([frame(TEXT, b"begun"), frame(FIN | TEXT, b"and begun again")].concat(), 1002),
        (frame(PING, b"a ping in pieces"), 1002),
        (frame(FIN | PING, &[b'x'; 126]), 1002),
        (frame(FIN | CLOSE, &[3]), 1002),
        (frame(FIN | TEXT, b"\xff not UTF-8"), 1007),
        ([frame(TEXT, b"\xe2\x82"), frame(FIN | CONTINUATION, b"(")].concat(), 1007),
    ];
    for (bytes, code) in cases {
        let mut client = RawClient::connect(server.address);
        client.send(&bytes);
        let last = client.read_to_end().pop();
        let last = last.unwrap_or_else(|| panic!("no close frame for {bytes:?}"));
        assert_eq!(last.close_code(), Some(code), "{bytes:?}: {last:?}");
    }
    other.read_updates(20);
    eventually("all are gone", || server.metric("connections") == 1);
}

#[test]
fn every_channel_begins_with_its_acknowledged_state_and_goes_on_from_it() {
    let server = Service::simulated("market", 4, 200);
    let instruments = server.json("/v1/instruments");
    let symbol = instruments["instruments"][0]["symbol"].as_str().expect("a text").to_owned();
    let channels = [
        (json!({"channel": "quote"}), json!({"channel": "quote"})),
        (json!({"channel": "trade"}), json!({"channel": "trade"})),
        (json!({"channel": "book"}), json!({"channel": "book", "depth": 10})),
        (json!({"channel": "book", "depth": 25}), json!({"channel": "book", "depth": 25})),
        (json!({"channel": "book.100"}), json!({"channel": "book", "depth": 100})),
        (json!({"channel": "ticker"}), json!({"channel": "ticker"})),
        (json!({"channel": "bar"}), json!({"channel": "bar", "interval": "1m"})),
        (json!({"channel": "bar", "interval": "1s"}), json!({"channel": "bar", "interval": "1s"})),
        (json!({"channel": "bar.5m"}), json!({"channel": "bar", "interval": "5m"})),
        (json!({"channel": "bar.1h"}), json!({"channel": "bar", "interval": "1h"})),
        (json!({"channel": "bar.1d"}), json!({"channel": "bar", "interval": "1d"})),
        (json!({"channel": "status"}), json!({"channel": "status"})),
    ];
    let mut topics = Vec::new();
    for (mut params, named) in channels {
        let mut client = server.client();
        params["symbols"] = json!([symbol.to_ascii_lowercase()]);
        let result = client.result("subscribe", &params);
        let granted = &result["granted"][0];
        assert_eq!(granted["symbol"], symbol.as_str());
        topics.push(granted["topic"].as_u64().expect("a number"));
        let snapshot = client.next();
        assert_eq!(snapshot["type"], "snapshot", "{snapshot}");
        assert_eq!(snapshot["seq"], granted["seq"], "{snapshot}");
        assert_eq!(snapshot["epoch"], result["epoch"], "{snapshot}");
        for (field, value) in named.as_object().expect("an object") {
            assert_eq!((&snapshot[field], &result[field]), (value, value), "{snapshot}");
        }
        if named["channel"] != "status" {
            client.read_updates(2);
        }
        let list = client.result("list", &json!({}));
        let listed = list["subscriptions"].as_array().expect("an array");
        assert_eq!(listed.len(), 1);
        for (field, value) in named.as_object().expect("an object") {
            assert_eq!(&listed[0][field], value);
        }
    }
    topics.sort_unstable();
    topics.dedup();
    assert_eq!(topics.len(), 12, "a number for each channel and symbol");
}

#[test]
fn without_a_snapshot_updates_go_on_from_the_answer() {
    let server = Service::simulated("quotes", 4, 50);
    let mut client = server.client();
    let result =
        client.result("subscribe", &json!({"channel": "quote", "symbols": ["*"], "snapshot": false}));
    assert_eq!(result["granted"].as_array().map(Vec::len), Some(4));
    // The client holds the first update's `prev_seq` against the answer's `seq`.
    for _ in 0..100 {
        let object = client.next();
        assert_eq!(object["type"], "update", "{object}");
    }
}

#[test]
fn one_wrong_symbol_fails_none_of_the_others() {
    let server = Service::simulated("quotes", 3, 20);
    let mut client = server.client();
    let symbols = json!(["sym00000", "nope", "SYM00002", "SYM00000", "é\n\"", ""]);
    let result = client.result("subscribe", &json!({"channel": "quote", "symbols": symbols}));
    let granted: Vec<_> =
        result["granted"].as_array().expect("an array").iter().map(|g| &g["symbol"]).collect();
    assert_eq!(granted, ["SYM00000", "SYM00002"]);
    let unknown = |symbol: &str| json!({"symbol": symbol, "code": "UNKNOWN_SYMBOL"});
    assert_eq!(result["rejected"], json!([unknown("NOPE"), unknown("é\n\""), unknown("")]));
    client.read_updates(20);

    let result = client.result("subscribe", &json!({"channel": "quote", "symbols": ["NOPE"]}));
    assert_eq!((&result["granted"], &result["rejected"]), (&json!([]), &json!([unknown("NOPE")])));
    client.read_updates(20);
}

#[test]
fn a_topic_that_is_followed_is_granted_again_with_its_state() {
    let server = Service::simulated("quotes", 2, 200);
    let mut client = server.client();
    client.subscribe("quote", &["SYM00000"]);
    for round in 0..50 {
        let result = client.subscribe("quote", &["SYM00000"]);
        let seq = &result["granted"][0]["seq"];
        let snapshot = client.until(|object| object["type"] == "snapshot");
        assert_eq!(&snapshot["seq"], seq, "round {round}");
        client.read_updates(3);
    }
    let list = client.result("list", &json!({}));
    assert_eq!(list["subscriptions"].as_array().map(Vec::len), Some(1));
    // And is left at once.
    client.result("unsubscribe", &json!({"channel": "quote", "symbols": ["SYM00000"]}));
    let heartbeat = client.next();
    assert_eq!(heartbeat["channel"], "heartbeat");
}

#[test]
fn granted_again_without_a_snapshot_updates_go_on_from_the_answer() {
    let server = Service::simulated("quotes", 1, 2_000);
    let mut client = server.client();
    client.subscribe("quote", &["SYM00000"]);
    client.read_updates(10);
    for _ in 0..200 {
        let request = json!({"channel": "quote", "symbols": ["SYM00000"], "snapshot": false});
        let result = client.result("subscribe", &request);
        let update = client.next();
        assert_eq!(update["prev_seq"], result["granted"][0]["seq"], "{update}");
    }
}

#[test]
fn nothing_comes_after_the_answer_to_unsubscribe() {
    let server = Service::simulated("quotes", 4, 100);
    let mut client = server.client();
    client.subscribe("quote", &["*"]);
    client.read_updates(50);
    let symbols = json!(["SYM00001", "NOPE", "SYM00001"]);
    let result = client.result("unsubscribe", &json!({"channel": "quote", "symbols": symbols}));
    let rejected = |symbol: &str, code: &str| json!({"symbol": symbol, "code": code});
    assert_eq!(result["removed"], json!(["SYM00001"]));
    assert_eq!(result["rejected"], json!([rejected("NOPE", "UNKNOWN_SYMBOL")]));
    // The client refuses what it does not follow.
    client.read_updates(100);
    let result =
        client.result("unsubscribe", &json!({"channel": "quote", "symbols": ["SYM00001", "SYM00002"]}));
    assert_eq!(result["removed"], json!(["SYM00002"]));
    assert_eq!(result["rejected"], json!([rejected("SYM00001", "NOT_SUBSCRIBED")]));
    let result = client.result("unsubscribe", &json!({"channel": "trade", "symbols": ["*"]}));
    assert_eq!((&result["removed"], &result["rejected"]), (&json!([]), &json!([])));
    client.read_updates(50);
    let result = client.result("unsubscribe", &json!({"channel": "quote", "symbols": ["*"]}));
    assert_eq!(result["removed"], json!(["SYM00000", "SYM00003"]));
    let object = client.next();
    assert_eq!(object["channel"], "heartbeat", "{object}");
    assert_eq!(client.result("list", &json!({}))["subscriptions"], json!([]));
}

#[test]
fn the_small_methods_are_answered_in_order() {
    let server = Service::simulated("quotes", 2, 1);
    let mut client = server.client();
    assert_eq!(client.result("auth", &json!({"token": "any"})), json!({}));
    let before = client.result("ping", &json!({}))["ts"].as_i64().expect("a time");
    for number in 0..200 {
        let method = ["ping", "list", "dance"][number % 3];
        client.send(&json!({"method": method, "req_id": number}));
    }
    for number in 0..200 {
        let answer = client.answer();
        assert_eq!(answer["req_id"], number, "{answer}");
    }
    let after = client.result("ping", &json!({}))["ts"].as_i64().expect("a time");
    assert!(before > 1_700_000_000_000_000 && after >= before, "microseconds since 1970: {before} {after}");
}

#[test]
fn silence_is_broken_by_heartbeats() {
    let server = Service::ended("kraken-20210417.jsonl.zst");
    let (mut idle, mut follower) = (server.client(), server.client());
    follower.subscribe("book", &["*"]);
    follower.until(|object| object["channel"] == "heartbeat");
    for client in [&mut idle, &mut follower] {
        let mut last = 0;
        for _ in 0..2 {
            let heartbeat = client.next();
            assert_eq!(heartbeat["channel"], "heartbeat", "{heartbeat}");
            assert_eq!((&heartbeat["lag_us"], &heartbeat["laggard"]), (&json!(0), &json!(false)));
            let ts = heartbeat["ts"].as_i64().expect("a time");
            assert!(last == 0 || (800_000..3_000_000).contains(&(ts - last)), "{} us apart", ts - last);
            last = ts;
        }
    }
    // Who is sent something all the time needs none.
    let server = Service::simulated("quotes", 1, 20);
    let mut busy = server.client();
    busy.subscribe("quote", &["*"]);
    let start = monotonic();
    while monotonic().duration_since(start) < Duration::from_millis(2_500) {
        let object = busy.next();
        assert_ne!(object["channel"], "heartbeat");
    }
}

#[test]
fn frames_right_behind_the_handshake_are_read() {
    let server = Service::ended("binance-20211012.jsonl.zst");
    // More than the reader takes at once, and one that ends in the middle of a frame.
    for (padding, cut) in [(0, 0), (30_000, 0), (100, 50)] {
        let mut bytes = HANDSHAKE.as_bytes().to_vec();
        let first = text(r#"{"method":"ping","req_id":1}"#);
        let second = text(&format!(r#"{{"method":"ping",{}"req_id":2}}"#, " ".repeat(padding)));
        bytes.extend(first.iter().chain(&second[..second.len() - cut]));
        let (reader, response) = upgrade(server.address, &bytes);
        assert_eq!(response.status, 101);
        let mut client = RawClient { reader };
        // Together in one message, or each in its own.
        let answer = client.read_answer().expect("an answer");
        let mut answers = answer.text().to_owned();
        assert!(answers.starts_with(r#"[{"method":"ping","success":true,"req_id":1,"#), "{answers}");
        client.send(&second[second.len() - cut..]);
        if !answers.contains(r#""req_id":2,"#) {
            answers = client.read_answer().expect("an answer").text().to_owned();
        }
        assert!(answers.contains(r#"{"method":"ping","success":true,"req_id":2,"#), "{answers}");
    }
}

#[test]
fn messages_in_pieces_are_put_together_around_control_frames() {
    let server = Service::simulated("quotes", 1, 1);
    let mut client = RawClient::connect(server.address);
    let request = br#"{"method":"ping","req_id":"pieces"}"#;
    let mut bytes = frame(TEXT, &request[..1]);
    for (index, byte) in request[1..].iter().enumerate() {
        bytes.extend(frame(FIN | PING, &[u8::try_from(index).expect("short")]));
        bytes.extend(frame(CONTINUATION, &[*byte]));
    }
    bytes.extend(frame(FIN | CONTINUATION, b""));
    // Nothing of the frames' borders shows in the packets, and nothing of the packets' in the frames.
    for byte in bytes {
        client.send(&[byte]);
    }
    let mut pongs = Vec::new();
    let answer = loop {
        let frame = client.read_answer().expect("an answer");
        if frame.first != FIN | PONG {
            break frame;
        }
        pongs.extend(frame.payload);
    };
    assert!(answer.text().contains(r#""req_id":"pieces""#), "{}", answer.text());
    // Of several pings that wait, only the newest needs an answer: RFC 6455 section 5.5.3.
    assert!(pongs.is_sorted() && !pongs.is_empty(), "{pongs:?}");
    assert_eq!(pongs.last(), Some(&33), "the newest ping is answered");
}

#[test]
fn pings_are_answered_in_their_order() {
    let server = Service::simulated("quotes", 4, 100);
    let mut client = RawClient::connect(server.address);
    let mut burst = Vec::new();
    for number in 0..100_u8 {
        burst.extend(frame(FIN | PING, &[number]));
    }
    client.send(&burst);
    let mut pongs = Vec::new();
    while pongs.last() != Some(&99) {
        let frame = client.read_answer().expect("a pong");
        assert_eq!(frame.first, FIN | PONG);
        pongs.extend(frame.payload);
        assert!(pongs.is_sorted(), "{pongs:?}");
    }
}

#[test]
fn a_close_frame_is_answered_with_its_code_and_the_connection_ends() {
    let server = Service::simulated("quotes", 4, 100);
    for (sent, echoed) in
        [(Some(1000), Some(1000)), (Some(1001), Some(1001)), (Some(4321), Some(4321)), (None, None)]
    {
        let mut client = RawClient::connect(server.address);
        client.send(&text(r#"{"method":"subscribe","params":{"channel":"quote","symbols":["*"]}}"#));
        client.read_answer().expect("an answer");
        let payload = sent.map_or(Vec::new(), |code: u16| code.to_be_bytes().to_vec());
        client.send(&frame(FIN | CLOSE, &payload));
        let last = client.read_to_end().pop().expect("a close frame");
        assert_eq!((last.first, last.close_code()), (FIN | CLOSE, echoed), "{last:?}");
    }
    eventually("all are gone", || server.metric("connections") == 0);
}

#[test]
fn nothing_follows_the_answer_to_a_close_frame() {
    // Fast enough that much waits for the client, but not so much that it is closed as too slow.
    let server = Service::simulated("quotes", 100, 1_000);
    let mut client = RawClient::connect(server.address);
    client.send(&text(r#"{"method":"subscribe","params":{"channel":"quote","symbols":["*"]}}"#));
    eventually("more than the kernel holds waits", || server.metric("laggards") == 1);
    client.send(&frame(FIN | CLOSE, &1000_u16.to_be_bytes()));
    let frames = client.read_to_end();
    let closes = frames.iter().position(|frame| frame.close_code() == Some(1000)).expect("a close frame");
    assert_eq!(closes + 1, frames.len(), "{} frames after the close frame", frames.len() - closes - 1);
}

/// Each shard counts its own, and what is shown is of all.
#[test]
fn how_connections_stand_is_told_of_all_shards_together() {
    let server = Service::start(["--sim-mode", "quotes", "--sim-instruments", "20", "--shards", "2"]);
    let offer = HANDSHAKE.replace("\r\n\r\n", "\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n");
    let clients: Vec<_> = (0..7)
        .map(|_| {
            let (mut reader, response) = upgrade(server.address, offer.as_bytes());
            assert_eq!(response.status, 101);
            let subscribe = text(r#"{"method":"subscribe","params":{"channel":"quote","symbols":["*"]}}"#);
            reader.get_mut().write_all(&subscribe).expect("the service reads");
            reader
        })
        .collect();
    let standing = || {
        ["cohorts", "cohort_connections", "lone_connections", "compressed_streams"]
            .map(|name| server.metric(name))
    };
    eventually("each shard has a cohort, or a lone connection, or nothing", || {
        let [cohorts, members, lone, streams] = standing();
        members + lone == 7 && (1..=2).contains(&(cohorts + lone)) && streams == cohorts && cohorts > 0
    });
    eventually("each stream began with a key frame", || {
        server.metric("key_frames_total") >= server.metric("cohorts")
    });
    drop(clients);
    eventually("nobody is left", || standing() == [0; 4]);
}

#[test]
fn half_a_message_and_an_end_leave_nothing_behind() {
    let server = Service::simulated("quotes", 2, 20);
    let mut other = server.client();
    other.subscribe("quote", &["*"]);
    for cut in [1, 2, 5, 20] {
        let mut client = RawClient::connect(server.address);
        client.send(&text(r#"{"method":"ping","req_id":1}"#)[..cut]);
        client.finish();
        assert_eq!(client.read_answer(), None);
    }
    for _ in 0..20 {
        let mut client = RawClient::connect(server.address);
        client.send(&text(r#"{"method":"subscribe","params":{"channel":"quote","symbols":["*"]}}"#));
        client.vanish();
    }
    eventually("all but one are gone", || server.metric("connections") == 1);
    assert_eq!(server.metric("connections_total"), 25);
    other.read_updates(20);
}

/// Long messages that do not come to their end are held, up to a bound on all of them together.
#[test]
fn unfinished_messages_of_all_clients_together_are_bounded() {
    const MESSAGE: usize = MESSAGE_IN_BYTES_MAX as usize;
    let server = Service::simulated("quotes", 2, 20);
    let inbox = || usize::try_from(server.metric("inbox_bytes")).expect("a count");
    let ping = text(r#"{"method":"ping","req_id":1}"#);
    let mut short = RawClient::connect(server.address);
    short.send(&ping[..ping.len() - 1]);
    eventually("its part is counted", || inbox() > 0);

    let whole = frame(FIN | TEXT, &[b' '; MESSAGE]);
    let (last, most) = whole.split_last().expect("a frame");
    let mut held: Vec<RawClient> = Vec::new();
    while server.metric("refusals_total{reason=\"crowded\"}") == 0 {
        let (before, count) = (inbox(), held.len());
        assert!(count * MESSAGE <= MESSAGES_IN_BYTES_MAX, "{before} bytes, and nobody is closed");
        let mut long = RawClient::connect(server.address);
        long.send(most);
        held.push(long);
        eventually("it is held, or refused", || {
            inbox() >= before + MESSAGE - 1 || server.metric("refusals_total{reason=\"crowded\"}") == 1
        });
    }
    let mut refused = held.pop().expect("the one that was too much");
    assert_eq!(refused.read_to_end().pop().and_then(|frame| frame.close_code()), Some(1013));
    // It takes as much again while it grows.
    assert!(held.len() * 2 * MESSAGE >= MESSAGES_IN_BYTES_MAX - 2 * MESSAGE, "only {} are held", held.len());

    // What is held goes on, and whoever needs little too.
    let mut other = server.client();
    other.subscribe("quote", &["*"]);
    other.read_updates(20);
    short.send(&ping[ping.len() - 1..]);
    assert!(short.read_answer().expect("an answer").text().contains(r#""req_id":1"#));
    let mut finished = held.pop().expect("there are several");
    finished.send(&[*last]);
    assert!(finished.read_answer().expect("an answer").text().contains("MESSAGE_TOO_LARGE"));
    held.into_iter().for_each(RawClient::vanish);
    eventually("all is given back", || inbox() == 0);
    assert_eq!(server.metric("refusals_total{reason=\"crowded\"}"), 1);
}

#[test]
fn who_never_reads_is_closed_with_4007_and_harms_nobody() {
    let server = Service::simulated("quotes", 200, 1_000);
    let mut other = server.client();
    other.subscribe("quote", &["SYM00000", "SYM00199"]);
    let mut deaf = RawClient::connect(server.address);
    deaf.send(&text(
        r#"{"method":"subscribe","params":{"channel":"quote","symbols":["*"],"on_overflow":"disconnect"}}"#,
    ));
    let start = monotonic();
    while server.metric("refusals_total{reason=\"overrun\"}") == 0 {
        other.read_updates(20);
        assert!(monotonic().duration_since(start) < PATIENCE, "nobody is closed");
    }
    // What the kernel held still comes; the close frame follows if the client reads in time, else the end.
    if let Some(close) = deaf.read_to_end().iter().rev().find_map(|frame| frame.close_code()) {
        assert_eq!(close, 4007);
    }
    other.read_updates(500);
    eventually("it is gone", || server.metric("connections") == 1);
    assert_eq!(server.metric("refusals_total{reason=\"overrun\"}"), 1);
}

#[test]
fn who_reads_after_being_too_slow_is_told_so() {
    let server = Service::simulated("quotes", 200, 1_000);
    let mut slow = RawClient::connect(server.address);
    slow.send(&text(
        r#"{"method":"subscribe","params":{"channel":"quote","symbols":["*"],"on_overflow":"disconnect"}}"#,
    ));
    eventually("it is closed", || server.metric("refusals_total{reason=\"overrun\"}") == 1);
    let last = slow.read_to_end().pop().expect("a frame");
    assert_eq!(last.close_code(), Some(4007), "{:x}", last.first);
}

#[test]
fn who_asks_without_end_and_never_reads_takes_no_memory() {
    let server = Service::simulated("quotes", 2, 20);
    let mut other = server.client();
    other.subscribe("quote", &["*"]);
    let before = server.resident_kib();
    let mut deaf = RawClient::connect(server.address);
    deaf.stream().set_write_timeout(Some(Duration::from_secs(1))).expect("a socket");
    let pings = frame(FIN | PING, &[b'x'; 125]).repeat(8_000);
    for _ in 0..128 {
        // A service that has closed the connection, or does not read on, is right as well.
        if deaf.try_send(&pings).is_err() {
            break;
        }
    }
    other.read_updates(20);
    let grown = server.resident_kib().saturating_sub(before);
    assert!(grown < 48 * 1024, "{grown} KiB more");
}

#[test]
fn who_floods_a_shard_leaves_time_for_the_others() {
    let floods = [
        ("requests", text(r#"{"method":"ping"}"#).repeat(4_000)),
        ("pings", frame(FIN | PING, b"").repeat(16_000)),
        ("pieces", frame(CONTINUATION, b"").repeat(16_000)),
        // Closed after a hundred, and sent on nevertheless.
        ("nonsense", text("nonsense").repeat(4_000)),
    ];
    for (name, flood) in floods {
        let server = Service::start([
            "--shards",
            "1",
            "--sim-mode",
            "quotes",
            "--sim-instruments",
            "4",
            "--sim-rate",
            "50",
        ]);
        let mut other = server.client();
        other.subscribe("quote", &["*"]);
        let loud = RawClient::connect(server.address);
        let mut ear = loud.stream().try_clone().expect("a socket");
        let mut mouth = loud.stream().try_clone().expect("a socket");
        let reader = std::thread::spawn(move || {
            // Until the end or the shutdown below.
            let _ = std::io::copy(&mut ear, &mut std::io::sink());
        });
        let writer = std::thread::spawn(move || {
            use std::io::Write;
            if name == "pieces" {
                mouth.write_all(&frame(TEXT, b"")).expect("the service reads");
            }
            while mouth.write_all(&flood).is_ok() {}
        });
        let mut longest = Duration::ZERO;
        let start = monotonic();
        while monotonic().duration_since(start) < Duration::from_secs(1) {
            let before = monotonic();
            other.read_updates(1);
            longest = longest.max(monotonic().duration_since(before));
        }
        // Either end may be gone already.
        let _ = loud.stream().shutdown(std::net::Shutdown::Both);
        writer.join().expect("no panic");
        reader.join().expect("no panic");
        // The flood lasts as long as they wait: without turns they would wait for ever.
        assert!(longest < Duration::from_secs(5), "{name}: others waited {longest:?}");
    }
}

#[test]
fn no_bytes_behind_the_handshake_end_the_service() {
    let server = Service::simulated("quotes", 2, 50);
    let mut other = server.client();
    other.subscribe("quote", &["*"]);
    let mut runner = TestRunner::new(Config { cases: 200, failure_persistence: None, ..Config::default() });
    let bytes = proptest::collection::vec(proptest::num::u8::ANY, 0..600);
    runner
        .run(&(bytes, proptest::bool::ANY), |(bytes, framed)| {
            let mut client = RawClient::connect(server.address);
            let bytes = if framed {
                frame(FIN | if bytes.len() % 2 == 0 { TEXT } else { BINARY }, &bytes)
            } else {
                bytes
            };
            let _ = client.try_send(&bytes);
            client.finish();
            client.read_to_end();
            Ok(())
        })
        .expect("every connection ends");
    other.read_updates(100);
    eventually("all but one are gone", || server.metric("connections") == 1);
}

#[test]
fn no_request_ends_the_service() {
    let server = Service::simulated("quotes", 2, 50);
    let mut client = server.client();
    let mut runner = TestRunner::new(Config { cases: 300, failure_persistence: None, ..Config::default() });
    let value = proptest::sample::select(vec![
        json!(null),
        json!(1),
        json!("*"),
        json!("quote"),
        json!("book"),
        json!(["*"]),
        json!(["SYM00000"]),
        json!([""]),
        json!(-1),
        json!(10),
        json!(true),
        json!({}),
        json!("1m"),
        json!(1e300),
        json!([[]]),
    ]);
    let names = ["channel", "symbols", "depth", "interval", "snapshot", "token", "max_frequency"];
    let field = (proptest::sample::select(names.to_vec()), value.clone());
    let params = proptest::collection::vec(field, 0..4);
    let method =
        proptest::sample::select(vec!["subscribe", "unsubscribe", "auth", "ping", "list", "resync", "x"]);
    let client = std::cell::RefCell::new(&mut client);
    runner
        .run(&(method, params), |(method, params)| {
            let params: serde_json::Map<String, Value> =
                params.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
            let mut client = client.borrow_mut();
            let answer = client.ask(&json!({"method": method, "params": params, "req_id": 9}));
            assert_eq!(answer["req_id"], 9, "{answer}");
            if answer["success"] == false {
                assert!(answer["error"]["code"].is_string(), "{answer}");
                client.result("ping", &json!({}));
            }
            Ok(())
        })
        .expect("every request is answered");
}

#[test]
fn many_come_and_go_while_others_follow() {
    let server = Service::simulated("market", 20, 50);
    let mut other: Client = server.client();
    other.subscribe("book", &["*"]);
    let mut clients: Vec<Client> = Vec::new();
    for number in 0..60 {
        let mut client = server.client();
        client.subscribe(["quote", "book", "trade", "ticker"][number % 4], &["*"]);
        clients.push(client);
        if number % 3 == 2 {
            drop(clients.remove(number % clients.len()));
        }
    }
    for client in &mut clients {
        client.read_updates(50);
    }
    other.read_updates(500);
    let count = i64::try_from(clients.len()).expect("a few") + 1;
    eventually("as many as are left", || server.metric("connections") == count);
    drop(clients);
    eventually("one is left", || server.metric("connections") == 1);
}

#[test]
fn a_recording_that_begins_again_is_a_new_epoch_for_everyone() {
    let feed =
        concat!("replay:", env!("CARGO_MANIFEST_DIR"), "/feeds/recordings/coinbase-20210417.jsonl.zst");
    let server = Service::start(["--feed", feed, "--speed", "200", "--loop"]);
    let mut client = server.client();
    for channel in ["quote", "trade", "book.25"] {
        client.send(&json!({"method": "subscribe", "params": {"channel": channel, "symbols": ["*"]}}));
    }
    let topic = |object: &Value| format!("{} {}", object["channel"], object["symbol"]);
    // Until all have begun in one and the same run.
    let mut states = BTreeMap::new();
    while states.len() < 15 || states.values().any(|epoch| Some(epoch) != states.values().next()) {
        let snapshot = client.until(|object| object["type"] == "snapshot");
        states.insert(topic(&snapshot), snapshot["epoch"].clone());
    }
    let mut epochs: Vec<_> = states.into_values().take(1).collect();
    while epochs.len() < 5 {
        let mut begun = Vec::new();
        while begun.len() < 15 {
            let object = client.next();
            let topic = topic(&object);
            match object["type"].as_str() {
                Some("snapshot") => {
                    assert!(!epochs.contains(&object["epoch"]), "{object}");
                    begun.push((object["epoch"].clone(), topic));
                }
                Some("update") => {
                    let has_begun = begun.iter().any(|(_, other)| *other == topic);
                    assert!(begun.is_empty() || has_begun, "of the run before: {object}");
                }
                _ => {}
            }
        }
        let epoch = begun[0].0.clone();
        assert!(begun.iter().all(|(other, _)| *other == epoch), "{begun:?}");
        begun.sort_unstable_by(|(_, a), (_, b)| a.cmp(b));
        begun.dedup();
        assert_eq!(begun.len(), 15, "each topic begins once");
        epochs.push(epoch);
    }
}

#[test]
fn the_limit_of_open_files_ends_nothing() {
    let mut command = std::process::Command::new("sh");
    command
        .args(["-c", "ulimit -n 48; exec \"$0\" serve --listen 127.0.0.1:0 --sim-mode quotes --sim-rate 50"]);
    command.arg(env!("CARGO_BIN_EXE_tickwire"));
    let server = Service::spawn(&mut command);
    let mut other = server.client();
    other.subscribe("quote", &["*"]);
    let clients: Vec<_> = (0..60)
        .map(|_| {
            let mut stream = http::connect(server.address);
            Write::write_all(&mut stream, HANDSHAKE.as_bytes()).expect("the kernel takes it");
            stream
        })
        .collect();
    other.read_updates(50);
    drop(clients);
    eventually("one is left", || server.metric("connections") == 1);
    server.client().subscribe("quote", &["*"]);
    other.read_updates(50);
}

#[test]
fn a_very_large_subscription_is_answered_in_parts_each_before_its_states() {
    let server = Service::simulated("quotes", 2_500, 1);
    let mut client = server.client();
    client
        .send(&json!({"method": "subscribe", "params": {"channel": "quote", "symbols": ["*"]}, "req_id": 3}));
    let mut granted = BTreeMap::new();
    let mut parts = 0;
    let mut snapshots = 0;
    while snapshots < 2_500 {
        let object = client.until(|object| object["method"] == "subscribe" || object["type"] == "snapshot");
        if object["type"] == "snapshot" {
            assert_eq!(granted.get(&object["symbol"].to_string()), Some(&object["seq"]), "{object}");
            snapshots += 1;
            continue;
        }
        assert_eq!((&object["success"], &object["req_id"]), (&json!(true), &json!(3)));
        parts += 1;
        let is_last = parts == 3;
        assert_eq!(object["result"].get("more"), (!is_last).then_some(&json!(true)), "part {parts}");
        for topic in object["result"]["granted"].as_array().expect("an array") {
            assert!(granted.insert(topic["symbol"].to_string(), topic["seq"].clone()).is_none());
        }
    }
    assert_eq!((parts, granted.len()), (3, 2_500));
}
