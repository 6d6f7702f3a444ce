//! Clients of the real program, which keep every byte.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::thread;

use feeds::Timestamp;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::{Message, WebSocket, client};

use super::stream::{Stream, parse, without_epoch};
use crate::service::http;
use crate::service::process::Service;

const CHANNELS: [&str; 12] = [
    "quote", "trade", "book.10", "book.25", "book.100", "ticker", "bar.1s", "bar.1m", "bar.5m", "bar.1h",
    "bar.1d", "status",
];
/// More than one, so that with several shards several are at work.
const CLIENTS: usize = 3;

/// Serves recordings, from a time on, to clients of everything, to the end. They must agree.
pub(crate) fn serve(files: &[PathBuf], from: Option<Timestamp>, speed: &str, shards: usize) -> Stream {
    let files: Vec<&str> = files.iter().map(|file| file.to_str().expect("text")).collect();
    let feed = format!("replay:{}", files.join(","));
    let (shards, wait) = (shards.to_string(), (CLIENTS + 1).to_string());
    let flags = ["--feed", &feed, "--speed", speed, "--shards", &shards, "--wait-clients", &wait];
    let from = from.map(|from| from.0.to_string());
    let from = from.iter().flat_map(|from| ["--from", from.as_str()]);
    let service = Service::start(flags.into_iter().chain(["--stale-after", "24h"]).chain(from));
    let mut clients: Vec<_> = (0..CLIENTS).map(|_| Client::new(&service)).collect();
    for client in &mut clients {
        for channel in CHANNELS {
            client.subscribe(channel);
        }
    }
    let mut starter = Client::new(&service);
    starter.subscribe("status");

    let instruments = service.json("/v1/instruments");
    let symbols: Vec<String> = instruments["instruments"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|instrument| instrument["symbol"].as_str().expect("a text").to_owned())
        .collect();
    let read: Vec<Vec<String>> = thread::scope(|scope| {
        let readers = clients.into_iter().map(|client| {
            let (service, symbols) = (&service, &symbols);
            scope.spawn(move || client.read_to_end(service, symbols))
        });
        let readers: Vec<_> = readers.collect();
        readers.into_iter().map(|reader| reader.join().expect("it reads to the end")).collect()
    });

    let epoch = service.json("/v1/quotes")["quotes"][0]["epoch"].as_str().expect("a text").to_owned();
    let state = paths(&symbols).map(|path| {
        let body = without_epoch(&service.get(&path).body, &epoch);
        (path, body)
    });
    let state: BTreeMap<_, _> = state.collect();
    let streams = read.iter().map(|texts| Stream { topics: by_topic(texts, &epoch), state: state.clone() });
    // The most complete one stands for all.
    let mut streams: Vec<Stream> = streams.collect();
    streams.sort_by_key(|stream| stream.is_complete());
    let best = streams.pop().expect("several");
    for other in streams {
        if other.is_complete() {
            assert!(other.topics == best.topics, "two clients were told otherwise");
        } else {
            super::stream::assert_leads_to(&best, &other);
        }
    }
    best
}

fn paths(symbols: &[String]) -> impl Iterator<Item = String> {
    let of_all = ["/v1/quotes", "/v1/tickers"].map(str::to_owned);
    let of_each = symbols.iter().flat_map(|symbol| {
        let symbol = symbol.replace('/', "%2F");
        let bars = ["1s", "1m", "5m", "1h", "1d"]
            .map(|interval| format!("/v1/bars/{symbol}?interval={interval}&limit=1000"));
        let books = [10, 25, 100].map(|depth| format!("/v1/books/{symbol}?depth={depth}"));
        [format!("/v1/trades/{symbol}?limit=1000")].into_iter().chain(books).chain(bars)
    });
    of_all.into_iter().chain(of_each)
}

/// The objects of each topic, exactly as they came but for the epoch.
fn by_topic(texts: &[String], epoch: &str) -> BTreeMap<String, Vec<Vec<u8>>> {
    let mut topics: BTreeMap<String, Vec<Vec<u8>>> = BTreeMap::new();
    for text in texts {
        let objects: Vec<&RawValue> = serde_json::from_str(text).expect("an array");
        for object in objects {
            if let Some(topic) = topic_of(&parse(object.get().as_bytes())) {
                topics.entry(topic).or_default().push(without_epoch(object.get(), epoch).into_bytes());
            }
        }
    }
    topics
}

/// `None`: it is of no topic.
fn topic_of(object: &Value) -> Option<String> {
    let (channel, symbol) = (object.get("channel")?, object.get("symbol")?);
    Some(format!("{channel} {} {} {symbol}", object["depth"], object["interval"]))
}

struct Client {
    socket: WebSocket<std::net::TcpStream>,
    texts: Vec<String>,
}

impl Client {
    fn new(service: &Service) -> Self {
        let stream = http::connect(service.address);
        let (socket, _) = client(format!("ws://{}/v1/ws", service.address), stream).expect("a handshake");
        Self { socket, texts: Vec::new() }
    }

    /// Follows all symbols of a channel.
    fn subscribe(&mut self, channel: &str) {
        let request = json!({"method": "subscribe", "params": {"channel": channel, "symbols": ["*"]}});
        self.socket.send(Message::text(request.to_string())).expect("the service reads");
        while !self.read().contains("\"method\":\"subscribe\"") {}
        assert!(self.texts.last().is_some_and(|text| text.contains("\"success\":true")), "{channel}");
    }

    fn read(&mut self) -> &str {
        loop {
            match self.socket.read().expect("the service talks") {
                Message::Text(text) => {
                    self.texts.push(text.as_str().to_owned());
                    return self.texts.last().expect("it was just pushed");
                }
                Message::Ping(_) | Message::Pong(_) => {}
                other => panic!("the server speaks text alone: {other:?}"),
            }
        }
    }

    /// Reads until the recording has ended, and then until every topic has come to the number that REST tells.
    fn read_to_end(mut self, service: &Service, symbols: &[String]) -> Vec<String> {
        let ended = |text: &str| text.matches("\"state\":\"ended\"").count();
        let mut left = symbols.len();
        while left > 0 {
            left -= ended(self.read());
        }
        let last: BTreeMap<String, u64> =
            paths(symbols).flat_map(|path| last_of(&service.json(&path))).collect();
        while !is_at(&self.texts, &last) {
            self.read();
        }
        self.texts
    }
}

/// The newest number of each topic that an answer of REST is about.
fn last_of(answer: &Value) -> Vec<(String, u64)> {
    let listed = ["quotes", "tickers"].iter().find_map(|name| answer[name].as_array());
    let of_topic = |object: &Value| topic_of(object).zip(object["seq"].as_u64());
    match listed {
        Some(objects) => objects.iter().filter_map(of_topic).collect(),
        None => of_topic(answer).into_iter().collect(),
    }
}

fn is_at(texts: &[String], last: &BTreeMap<String, u64>) -> bool {
    let mut found: BTreeMap<String, u64> = BTreeMap::new();
    for text in texts {
        for object in parse(text.as_bytes()).as_array().expect("an array") {
            if let Some(topic) = topic_of(object) {
                found.insert(topic, object["seq"].as_u64().expect("a number"));
            }
        }
    }
    last.iter().all(|(topic, seq)| found.get(topic) == Some(seq))
}
