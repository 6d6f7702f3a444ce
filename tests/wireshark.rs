//! The dissector of `tools/wireshark` in the real tshark: a session of the real service beside what our own client made
//! of it, every golden vector, and what is no record.

mod service {
    pub(crate) mod needed;
    pub(crate) mod process;
    pub(crate) mod program;
    pub(crate) mod simulated;
}
mod dissection {
    pub(crate) mod capture;
    pub(crate) mod relay;
    pub(crate) mod tshark;
}

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use tickwire::client::{Client, ClientSettings, Event};
use tickwire::topic::{Channel, Depth, Interval};
use tickwire::wire::{Encoding, Symbols};
use tickwire::ws::frame::{Header, Opcode};
use tokio::runtime::Builder;
use tokio::time::timeout;

use dissection::capture::{Capture, Connection, From};
use dissection::relay::Relay;
use dissection::tshark::{Packet, Record, dissect, is_tshark_there};
use service::process::Service;
use service::program::PATIENCE;

const CHANNELS: [Channel; 6] = [
    Channel::Quote,
    Channel::Trade,
    Channel::Book(Depth::D10),
    Channel::Ticker,
    Channel::Bar(Interval::S1),
    Channel::Status,
];

/// A topic's state: its fields, or of a book its levels, by name.
type State = BTreeMap<String, String>;

/// By channel, symbol and number.
type States = BTreeMap<(String, String, u64), State>;

#[test]
fn a_session_shows_what_our_client_made_of_it() {
    if !is_tshark_there() {
        return;
    }
    let service = Service::simulated("market", 5, 40);
    let relay = Relay::to(service.address);
    let url = format!("ws://{}/v1/ws", relay.address);
    let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
    let expected =
        runtime.block_on(async { timeout(PATIENCE, follow(&url)).await }).expect("a session in time");

    let mut capture = Capture::new();
    let mut connection = capture.connect(40_000);
    for (from, bytes) in relay.passed() {
        capture.send(&mut connection, from, &bytes);
    }
    let packets = dissect(&capture, &[]);
    let remarks: Vec<_> = packets.iter().flat_map(|packet| &packet.remarks).collect();
    assert!(remarks.is_empty(), "{remarks:?}");
    let shown = states(&packets);
    for ((channel, symbol, seq), state) in &expected {
        let key = (channel.clone(), symbol.clone(), *seq);
        assert_eq!(shown.get(&key), Some(state), "{channel} of {symbol}, {seq}");
    }
    for channel in CHANNELS {
        let count = expected.keys().filter(|(name, ..)| *name == channel.to_string()).count();
        assert!(count >= 5, "{count} states of {channel}");
    }
    // A second look at the same packets, in which nothing is decoded anew.
    assert_eq!(states(&dissect(&capture, &["-2"])), shown);
}

/// The states that a client has come to, until it has seen enough of all channels.
async fn follow(url: &str) -> States {
    let settings = ClientSettings { encoding: Encoding::Binary, ..ClientSettings::default() };
    let mut client = Client::connect(url, settings).await.expect("a connection");
    for channel in CHANNELS {
        client.subscribe(channel, Symbols::All);
    }
    let mut states = States::new();
    let mut trades = 0;
    while trades < 60 || states.len() < 600 {
        let event = client.next().await.expect("the connection stays");
        let update = match &event {
            Event::Trade(update, _) => {
                trades += 1;
                update
            }
            Event::State(update) => update,
            Event::Subscribed { .. } | Event::Heartbeat { .. } | Event::Epoch(_) => continue,
            other => panic!("{other:?}"),
        };
        let (channel, symbol) = (update.channel, update.symbol.as_str());
        let scale = client.exponents(channel, symbol).expect("followed");
        let mut state = State::new();
        match (channel, &event) {
            (Channel::Quote, _) => {
                let quote = client.quote(symbol).expect("followed");
                for (side, level) in [("bid", quote.bid), ("ask", quote.ask)] {
                    let shown = |text: Option<String>| text.unwrap_or_else(|| "null".to_owned());
                    let price = level.map(|level| level.price.display(scale.0).to_string());
                    let size = level.map(|level| level.size.display(scale.1).to_string());
                    state.insert(side.to_owned(), shown(price));
                    state.insert(format!("{side}_size"), shown(size));
                }
            }
            (Channel::Trade, Event::Trade(_, trade)) => {
                state.insert("price".to_owned(), trade.price.display(scale.0).to_string());
                state.insert("size".to_owned(), trade.size.display(scale.1).to_string());
                state.extend(trade.id.map(|id| ("id".to_owned(), id.to_string())));
            }
            (Channel::Trade, _) => continue,
            (Channel::Book(depth), _) => {
                let book = client.book(symbol, depth).expect("followed");
                for (side, level) in
                    book.bids().map(|level| ("bid", level)).chain(book.asks().map(|level| ("ask", level)))
                {
                    let (price, size) = (level.price.display(scale.0), level.size.display(scale.1));
                    state.insert(format!("{side} {price}"), size.to_string());
                }
            }
            _ => {
                let fields = client.fields(channel, symbol).expect("followed");
                let shown = fields.iter().filter(|(name, _)| !DERIVED.contains(&&**name));
                state.extend(shown.map(|(name, value)| {
                    ((*name).to_owned(), value.as_deref().unwrap_or("null").to_owned())
                }));
            }
        }
        // Of several changes in one message the newest is readable.
        let seq = if channel == Channel::Trade {
            update.seq
        } else {
            client.seq(channel, symbol).expect("followed")
        };
        states.insert((channel.to_string(), symbol.to_owned(), seq), state);
    }
    states
}

/// What follows from other fields, and is left to clients.
const DERIVED: [&str; 3] = ["vwap", "change", "change_percent"];
/// What is no part of a state.
const NUMBERS: [&str; 11] =
    ["channel", "symbol", "kind", "topic", "check", "seq", "prev_seq", "n", "ts_event", "epoch", "checksum"];

/// The states that records lead to, each from the one before.
fn states(packets: &[Packet]) -> States {
    let mut states = States::new();
    let mut held: BTreeMap<(String, String), (u64, State)> = BTreeMap::new();
    for record in packets.iter().flat_map(|packet| &packet.records) {
        let (channel, symbol) = (record.field("channel").to_owned(), record.field("symbol").to_owned());
        let seq = record.field("seq").parse().expect("a number");
        let (held_seq, state) = held.entry((channel.clone(), symbol.clone())).or_default();
        match record.field("kind") {
            "snapshot" => state.clear(),
            "update" => assert_eq!(record.field("prev_seq"), held_seq.to_string(), "{record:?}"),
            other => panic!("nobody lags, but there is a {other}"),
        }
        if channel == "trade" {
            state.clear();
        }
        let told = record.fields.iter().filter(|(name, _)| !NUMBERS.contains(&&***name));
        state.extend(told.map(|(name, value)| (name.clone(), value.clone())));
        state.remove("notional");
        if channel == "trade" {
            state.remove("side");
        }
        for [side, price, size] in &record.levels {
            let level = format!("{side} {price}");
            if size.bytes().all(|byte| matches!(byte, b'0' | b'.')) {
                state.remove(&level);
            } else {
                state.insert(level, size.clone());
            }
        }
        *held_seq = seq;
        states.insert((channel, symbol, seq), state.clone());
    }
    states
}

#[test]
fn every_vector_is_shown_as_the_message_that_it_means() {
    if !is_tshark_there() {
        return;
    }
    let mut capture = Capture::new();
    let mut expected: BTreeMap<u16, Vec<Record>> = BTreeMap::new();
    for (at, sequence) in sequences().iter().enumerate() {
        let port = 40_000 + u16::try_from(at).expect("some");
        let mut connection = shake_hands(&mut capture, port);
        grant(&mut capture, &mut connection, sequence);
        for vector in sequence["records"].as_array().expect("records") {
            let message = frame(Opcode::Binary, &bytes(&vector["hex"]));
            capture.send(&mut connection, From::Server, &message);
            let messages = vector["messages"].as_array().expect("messages");
            expected
                .entry(port)
                .or_default()
                .extend(messages.iter().map(|message| as_shown(sequence, message)));
        }
    }
    let packets = dissect(&capture, &[]);
    let mut shown: BTreeMap<u16, Vec<Record>> = BTreeMap::new();
    for packet in packets {
        assert!(packet.remarks.is_empty(), "{packet:?}");
        // A prefix is part of what its snapshot shows.
        let records = packet.records.into_iter().filter(|record| record.field("kind") != "prefix");
        shown.entry(packet.port).or_default().extend(records.map(|mut record| {
            record.fields.retain(|name, _| name != "topic" && name != "check");
            record.levels.sort();
            record
        }));
    }
    shown.retain(|_, records| !records.is_empty());
    for (port, records) in &expected {
        assert_eq!(shown.get(port), Some(records), "{port}");
    }
    assert!(expected.values().map(Vec::len).sum::<usize>() > 60);
}

/// A message of `tickwire.v1.json` in the words of the dissector.
fn as_shown(sequence: &Value, message: &Value) -> Record {
    let mut record = Record::default();
    let parameter = [&sequence["depth"], &sequence["interval"]]
        .into_iter()
        .find(|parameter| !parameter.is_null())
        .map(|parameter| format!(".{}", text(parameter)));
    for (name, value) in message.as_object().expect("an object") {
        let (name, value) = match &**name {
            "channel" => (name, text(value) + &parameter.clone().unwrap_or_default()),
            "type" => (&"kind".to_owned(), text(value)),
            "bids" | "asks" => {
                let levels = value.as_array().expect("levels").iter();
                let side = name.trim_end_matches('s');
                record.levels.extend(levels.map(|level| [side.to_owned(), text(&level[0]), text(&level[1])]));
                continue;
            }
            // Both are the numbers of a gap in other words.
            "from" | "to" => continue,
            "depth" | "interval" => continue,
            name if DERIVED.contains(&name) => continue,
            _ => (name, text(value)),
        };
        record.fields.insert(name.clone(), value);
    }
    record.fields.insert("symbol".to_owned(), "AAPL".to_owned());
    record.levels.sort();
    record
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

#[test]
fn what_is_no_record_is_remarked_on_and_harms_nothing() {
    if !is_tshark_there() {
        return;
    }
    let text = fs::read_to_string(vectors().join("refused.json")).expect("a file of vectors");
    let refused: Value = serde_json::from_str(&text).expect("JSON");
    let topics = [
        (0, "quote", None),
        (1, "trade", None),
        (2, "book", Some(10)),
        (5, "ticker", None),
        (11, "status", None),
    ];
    let mut capture = Capture::new();
    let mut expected = BTreeMap::new();
    for (at, refusal) in refused["refused"].as_array().expect("refusals").iter().enumerate() {
        let port = 40_000 + u16::try_from(at).expect("some");
        let mut connection = shake_hands(&mut capture, port);
        for (topic, channel, depth) in topics {
            let topic = json!({"topic": topic, "channel": channel, "depth": depth, "price_exponent": -2, "size_exponent": 0});
            grant(&mut capture, &mut connection, &topic);
        }
        capture.send(&mut connection, From::Server, &frame(Opcode::Binary, &bytes(&refusal["hex"])));
        expected.insert(
            port,
            format!("at byte {}: {}", refusal["offset"], refusal["fault"].as_str().expect("a text")),
        );
    }
    let packets = dissect(&capture, &[]);
    for (port, remark) in expected {
        let remarks: Vec<_> = packets
            .iter()
            .filter(|packet| packet.port == port)
            .flat_map(|packet| &packet.remarks)
            // That no snapshot came before is true of some too.
            .filter(|remark| remark.starts_with("at byte"))
            .collect();
        assert_eq!(remarks, [&remark]);
    }
}

#[test]
fn what_is_missing_is_remarked_on_until_a_snapshot_comes() {
    if !is_tshark_there() {
        return;
    }
    let sequences = sequences();
    let quote = sequences.iter().find(|sequence| sequence["channel"] == "quote").expect("quotes");
    let hex = |at: usize| frame(Opcode::Binary, &bytes(&quote["records"][at]["hex"]));
    let mut capture = Capture::new();

    let mut lossy = shake_hands(&mut capture, 40_000);
    grant(&mut capture, &mut lossy, quote);
    for at in [0, 2, 3, 0, 1] {
        capture.send(&mut lossy, From::Server, &hex(at));
    }
    let mut late = shake_hands(&mut capture, 40_001);
    capture.send(&mut late, From::Server, &hex(0));

    let packets = dissect(&capture, &[]);
    let of = |port| packets.iter().filter(move |packet| packet.port == port);
    let remarks: Vec<_> =
        of(40_000).flat_map(|packet| packet.remarks.iter().map(|text| &text[..20])).collect();
    assert_eq!(remarks, ["a step of 1 and chec", "its topic's snapshot"]);
    let bids: Vec<_> = of(40_000)
        .flat_map(|packet| packet.records.iter())
        .map(|record| record.fields.get("bid").map(String::as_str))
        .collect();
    assert_eq!(bids, [Some("189.10"), None, None, Some("189.10"), Some("189.11")]);
    let remarks: Vec<_> = of(40_001).flat_map(|packet| &packet.remarks).collect();
    assert_eq!(remarks, ["at byte 0: the answer that grants topic 12 is not in this capture"]);
}

/// Records and answers that are damaged at each of their bytes: tshark ends well, and no fault of the dissector is told.
#[test]
fn damage_is_no_fault_of_the_dissector() {
    if !is_tshark_there() {
        return;
    }
    let mut capture = Capture::new();
    let mut port = 40_000;
    for sequence in &sequences() {
        let mut connection = shake_hands(&mut capture, port);
        port += 1;
        grant(&mut capture, &mut connection, sequence);
        let records = sequence["records"].as_array().expect("records");
        for record in records {
            for damaged in damaged(&bytes(&record["hex"])) {
                for message in [bytes(&records[0]["hex"]), damaged] {
                    capture.send(&mut connection, From::Server, &frame(Opcode::Binary, &message));
                }
            }
        }
        for damaged in damaged(answer(sequence).as_bytes()) {
            let mut connection = shake_hands(&mut capture, port);
            port += 1;
            // Of a text that is not UTF-8 nobody says that it is one.
            let text = String::from_utf8_lossy(&damaged).into_owned();
            capture.send(&mut connection, From::Server, &frame(Opcode::Text, text.as_bytes()));
            let message = frame(Opcode::Binary, &bytes(&records[0]["hex"]));
            capture.send(&mut connection, From::Server, &message);
        }
    }
    let packets = dissect(&capture, &[]);
    assert!(packets.iter().any(|packet| !packet.remarks.is_empty()));
    assert!(packets.iter().any(|packet| !packet.records.is_empty()));
}

/// Cut, or changed, at each byte.
fn damaged(bytes: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    (1..bytes.len()).flat_map(move |at| {
        let changed = [0x01, 0x80, 0xff].map(|bits| {
            let mut changed = bytes.to_vec();
            changed[at] ^= bits;
            changed
        });
        [bytes[..at].to_vec()].into_iter().chain(changed)
    })
}

#[test]
fn a_capture_without_the_handshake_is_read_when_the_port_is_told() {
    if !is_tshark_there() {
        return;
    }
    let sequences = sequences();
    let mut capture = Capture::new();
    let mut connection = capture.connect(40_000);
    grant(&mut capture, &mut connection, &sequences[0]);
    let message = frame(Opcode::Binary, &bytes(&sequences[0]["records"][0]["hex"]));
    capture.send(&mut connection, From::Server, &message);
    let packets = dissect(&capture, &["-d", "tcp.port==8080,websocket", "-o", "tickwire.port:8080"]);
    let bids: Vec<_> =
        packets.iter().flat_map(|packet| &packet.records).map(|record| record.field("bid")).collect();
    assert_eq!(bids, ["189.10"]);
}

fn vectors() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors")
}

/// All sequences of golden vectors.
fn sequences() -> Vec<Value> {
    let mut sequences = Vec::new();
    for channel in ["quote", "trade", "book", "ticker", "bar", "status"] {
        let text = fs::read_to_string(vectors().join(format!("{channel}.json"))).expect("a file of vectors");
        let file: Value = serde_json::from_str(&text).expect("JSON");
        sequences.extend(file["sequences"].as_array().expect("sequences").iter().cloned());
    }
    sequences
}

fn bytes(hex: &Value) -> Vec<u8> {
    let hex = hex.as_str().expect("a text");
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).expect("hex")).collect()
}

/// A message of the server in one frame.
fn frame(opcode: Opcode, payload: &[u8]) -> Vec<u8> {
    [Header::new(opcode, false, payload.len()).as_bytes(), payload].concat()
}

fn shake_hands(capture: &mut Capture, port: u16) -> Connection {
    let mut connection = capture.connect(port);
    let request = "GET /v1/ws HTTP/1.1\r\nHost: tickwire\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
         Sec-WebSocket-Protocol: tickwire.v1.bin\r\n\r\n";
    let response = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nSec-WebSocket-Protocol: tickwire.v1.bin\r\n\r\n";
    capture.send(&mut connection, From::Client, request.as_bytes());
    capture.send(&mut connection, From::Server, response.as_bytes());
    connection
}

/// The answer that grants a sequence's topic.
fn grant(capture: &mut Capture, connection: &mut Connection, sequence: &Value) {
    capture.send(connection, From::Server, &frame(Opcode::Text, answer(sequence).as_bytes()));
}

fn answer(sequence: &Value) -> String {
    let mut result = json!({
        "channel": sequence["channel"], "epoch": "k3f9", "rejected": [],
        "granted": [{"symbol": "AAPL", "topic": sequence["topic"], "price_exponent": sequence["price_exponent"],
            "size_exponent": sequence["size_exponent"], "seq": 0}],
    });
    for parameter in ["depth", "interval"] {
        if !sequence[parameter].is_null() {
            result[parameter] = sequence[parameter].clone();
        }
    }
    json!([{"method": "subscribe", "success": true, "req_id": 1, "result": result}]).to_string()
}
