//! A client of server-sent events that proves what it is sent.

use std::collections::{BTreeMap, VecDeque};
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};

use serde_json::Value;

use super::http::{Response, connect, read_response};

/// An event as it came.
#[derive(Clone, Debug, Default)]
pub(crate) struct Event {
    pub(crate) objects: Vec<Value>,
    pub(crate) id: Option<String>,
    pub(crate) retry: Option<u64>,
    pub(crate) comment: Option<String>,
}

/// An open stream.
pub(crate) struct Events<S: Read = TcpStream> {
    pub(crate) reader: BufReader<S>,
    pub(crate) head: Response,
    waiting: VecDeque<Value>,
    /// The last id that came, as a browser keeps it.
    pub(crate) last_id: Option<String>,
    pub(crate) holds: Holds,
}

/// What a client holds.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Holds {
    /// By channel, parameter and symbol.
    pub(crate) topics: BTreeMap<String, Topic>,
    pub(crate) updates: u64,
    pub(crate) checksums: u64,
    pub(crate) merges: u64,
    pub(crate) snapshots: u64,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Topic {
    pub(crate) epoch: String,
    pub(crate) seq: u64,
    fields: BTreeMap<String, Value>,
    bids: BTreeMap<i128, i128>,
    asks: BTreeMap<i128, i128>,
}

impl Events {
    /// Opens a stream.
    ///
    /// # Errors
    /// The answer, where it is another.
    pub(crate) fn open(address: SocketAddr, query: &str, headers: &[(&str, &str)]) -> Result<Self, Response> {
        Self::over(connect(address), address, query, headers)
    }

    /// A stream that there must be.
    #[track_caller]
    pub(crate) fn follow(address: SocketAddr, query: &str) -> Self {
        Self::open(address, query, &[]).unwrap_or_else(|answer| panic!("{answer:?}"))
    }

    /// Comes back after a cut, with what it holds.
    #[track_caller]
    pub(crate) fn resume(self, address: SocketAddr, query: &str) -> Self {
        let id = self.last_id.clone().expect("an id");
        drop(self.reader);
        let mut again = Self::open(address, query, &[("Last-Event-ID", &id)]).expect("a stream");
        again.holds = self.holds;
        again
    }
}

impl<S: Read + Write> Events<S> {
    pub(crate) fn over(
        mut stream: S,
        address: SocketAddr,
        query: &str,
        headers: &[(&str, &str)],
    ) -> Result<Self, Response> {
        let mut request = format!("GET /v1/sse?{query} HTTP/1.1\r\nHost: {address}\r\n");
        for (name, value) in headers {
            request.push_str(&format!("{name}: {value}\r\n"));
        }
        stream.write_all(format!("{request}\r\n").as_bytes()).expect("the service reads");
        Self::behind(BufReader::new(stream))
    }
}

impl<S: Read> Events<S> {
    /// What comes behind a request that was sent.
    pub(crate) fn behind(mut reader: BufReader<S>) -> Result<Self, Response> {
        let head = read_response(&mut reader, "GET");
        if head.status != 200 {
            return Err(head);
        }
        assert_eq!(head.header("content-type"), "text/event-stream");
        let holds = Holds::default();
        Ok(Self { reader, head, waiting: VecDeque::new(), last_id: None, holds })
    }

    /// The next event; `None` at the end.
    pub(crate) fn event(&mut self) -> Option<Event> {
        let mut event = Event::default();
        let mut is_empty = true;
        loop {
            let mut line = String::new();
            match self.reader.read_line(&mut line) {
                Ok(0) => {
                    assert!(is_empty, "cut within an event: {event:?}");
                    return None;
                }
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => panic!("the service is silent"),
                Err(_) => return None,
            }
            let line = line.strip_suffix('\n').expect("a whole line");
            if line.is_empty() {
                break;
            }
            is_empty = false;
            let (name, value) = line.split_once(':').expect("a field");
            let value = value.strip_prefix(' ').expect("a space");
            match name {
                "data" => {
                    assert!(event.objects.is_empty(), "one message an event");
                    event.objects = serde_json::from_str(value).expect("a JSON array");
                    assert!(!event.objects.is_empty() && event.objects.iter().all(Value::is_object));
                }
                "id" => event.id = Some(value.to_owned()),
                "retry" => event.retry = Some(value.parse().expect("a number")),
                "" => event.comment = Some(value.to_owned()),
                _ => panic!("{line}"),
            }
        }
        if event.id.is_some() {
            self.last_id.clone_from(&event.id);
        }
        for object in &event.objects {
            self.holds.take(object);
        }
        Some(event)
    }

    /// The next object; `None` at the end.
    pub(crate) fn next(&mut self) -> Option<Value> {
        while self.waiting.is_empty() {
            let objects = self.event()?.objects;
            self.waiting.extend(objects);
        }
        self.waiting.pop_front()
    }

    /// Reads to the first object for which `is` says yes.
    #[track_caller]
    pub(crate) fn until(&mut self, is: impl Fn(&Value) -> bool) -> Value {
        loop {
            let object = self.next().expect("the stream goes on");
            if is(&object) {
                return object;
            }
        }
    }

    /// Reads whole events until what is held is so.
    #[track_caller]
    pub(crate) fn until_holds(&mut self, is: impl Fn(&Holds) -> bool) {
        while !is(&self.holds) {
            self.event().expect("the stream goes on");
        }
    }

    /// The answer to the subscription that the stream is.
    #[track_caller]
    pub(crate) fn result(&mut self) -> Value {
        let answer = self.until(|object| object.get("method").is_some());
        assert_eq!((&answer["method"], &answer["success"]), (&"subscribe".into(), &true.into()), "{answer}");
        answer["result"].clone()
    }

    /// What it is told at the end, and whether anything came behind.
    pub(crate) fn last_words(&mut self) -> Event {
        let mut last = Event::default();
        while let Some(event) = self.event() {
            // `retry` stands before what the last message says.
            let retry = event.retry.or(last.retry.filter(|_| last.objects.is_empty()));
            last = Event { retry, ..event };
        }
        last
    }
}

impl Holds {
    /// Takes over a message, which must continue what is held.
    #[track_caller]
    pub(crate) fn take(&mut self, object: &Value) {
        let Some(symbol) = object.get("symbol").and_then(Value::as_str) else { return };
        let number = |name: &str| object[name].as_u64();
        let key = format!("{}{}{}:{symbol}", object["channel"], object["depth"], object["interval"]);
        let seq = number("seq").expect("a number");
        match object["type"].as_str() {
            Some("snapshot") => {
                self.snapshots += 1;
                let epoch = object["epoch"].as_str().expect("an epoch").to_owned();
                if let Some(prev_seq) = number("prev_seq") {
                    let held = self.topics.get(&key).expect("a state before");
                    assert_eq!((prev_seq, &epoch), (held.seq, &held.epoch), "{object}");
                    assert!(number("n").is_some_and(|n| n >= 1), "{object}");
                    self.merges += 1;
                }
                self.topics.insert(key.clone(), Topic { epoch, seq, ..Topic::default() });
            }
            Some("update" | "gap") => {
                let held = self.topics.get(&key).unwrap_or_else(|| panic!("no state before: {object}"));
                assert_eq!(number("prev_seq"), Some(held.seq), "a hole: {object}");
                self.updates += 1;
            }
            _ => panic!("{object}"),
        }
        let topic = self.topics.get_mut(&key).expect("it is held");
        topic.seq = seq;
        for (name, value) in object.as_object().expect("an object") {
            match name.as_str() {
                "type" | "seq" | "prev_seq" | "n" | "epoch" | "ts_event" | "checksum" => {}
                "bids" => set(&mut topic.bids, value),
                "asks" => set(&mut topic.asks, value),
                _ => drop(topic.fields.insert(name.clone(), value.clone())),
            }
        }
        if let Some(checksum) = number("checksum") {
            self.checksums += 1;
            assert_eq!(u64::from(topic.checksum()), checksum, "{object}");
        }
    }
}

impl Topic {
    pub(crate) fn checksum(&self) -> u32 {
        let asks = self.asks.iter().take(10);
        let bids = self.bids.iter().rev().take(10);
        let digits =
            |number: &i128| if *number == 0 { String::new() } else { number.unsigned_abs().to_string() };
        let text: String = asks.chain(bids).flat_map(|(price, size)| [digits(price), digits(size)]).collect();
        crc32fast::hash(text.as_bytes())
    }
}

fn set(side: &mut BTreeMap<i128, i128>, levels: &Value) {
    let mantissa = |text: &Value| -> i128 {
        text.as_str().expect("a decimal").replace('.', "").parse().expect("digits")
    };
    for level in levels.as_array().expect("levels") {
        let (price, size) = (mantissa(&level[0]), mantissa(&level[1]));
        if size == 0 {
            side.remove(&price)
        } else {
            side.insert(price, size)
        };
    }
}
