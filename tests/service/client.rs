//! A client of the protocol that proves what it is sent: no hole in any topic, nothing that was not asked for.

use std::collections::{BTreeMap, VecDeque};
use std::net::{SocketAddr, TcpStream};

use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::{Error, Message, WebSocket, client};

use super::http;
use super::process::Service;

impl Service {
    /// Another client.
    pub(crate) fn client(&self) -> Client {
        Client::connect(self.address)
    }
}

/// How a connection has ended: the code and reason of the close frame, if one came.
pub(crate) type Ended = Option<(u16, String)>;

/// A connection, and the number of the state that it has of each topic.
pub(crate) struct Client {
    socket: WebSocket<TcpStream>,
    waiting: VecDeque<Value>,
    /// By channel, parameter and symbol. A topic that is not there is not followed.
    seqs: BTreeMap<String, u64>,
    pub(crate) updates: u64,
}

impl Client {
    pub(crate) fn connect(address: SocketAddr) -> Self {
        let stream = http::connect(address);
        let (socket, _) = client(format!("ws://{address}/v1/ws"), stream).expect("a handshake");
        Self { socket, waiting: VecDeque::new(), seqs: BTreeMap::new(), updates: 0 }
    }

    pub(crate) fn send(&mut self, request: &Value) {
        // What is resumed goes on from what is held, and the answer names the number after all that was missed.
        let params = &request["params"];
        for (symbol, seq) in params["resume"]["seq"].as_object().into_iter().flatten() {
            if let Some(held) = seq.as_u64() {
                self.seqs.insert(topic(params, &json!(symbol)), held);
            }
        }
        self.send_message(Message::text(request.to_string()));
    }

    pub(crate) fn send_message(&mut self, message: Message) {
        self.socket.send(message).expect("the service reads");
    }

    /// Sends a request, and reads to its answer.
    pub(crate) fn ask(&mut self, request: &Value) -> Value {
        self.send(request);
        self.answer()
    }

    /// Reads to the next answer.
    pub(crate) fn answer(&mut self) -> Value {
        self.until(|object| object.get("method").is_some())
    }

    /// Sends a request that must succeed, and gives its result.
    pub(crate) fn result(&mut self, method: &str, params: &Value) -> Value {
        let answer = self.ask(&json!({"method": method, "params": params, "req_id": 7}));
        assert_eq!(answer["success"], true, "{answer}");
        assert_eq!((&answer["method"], &answer["req_id"]), (&json!(method), &json!(7)), "{answer}");
        answer["result"].clone()
    }

    /// Follows symbols of a channel without parameters, all of which there are.
    pub(crate) fn subscribe(&mut self, channel: &str, symbols: &[&str]) -> Value {
        let result = self.result("subscribe", &json!({"channel": channel, "symbols": symbols}));
        assert_eq!(result["rejected"], json!([]), "{result}");
        result
    }

    /// Reads to the first object for which `is` says yes.
    pub(crate) fn until(&mut self, is: impl Fn(&Value) -> bool) -> Value {
        self.try_until(is).unwrap_or_else(|ended| panic!("closed with {ended:?}"))
    }

    /// Reads to the first object for which `is` says yes, or to the connection's end.
    pub(crate) fn try_until(&mut self, is: impl Fn(&Value) -> bool) -> Result<Value, Ended> {
        loop {
            let object = self.try_next()?;
            if is(&object) {
                return Ok(object);
            }
        }
    }

    fn try_next(&mut self) -> Result<Value, Ended> {
        while self.waiting.is_empty() {
            match self.read()? {
                Message::Text(text) => {
                    let objects: Vec<Value> = serde_json::from_str(&text).expect("a JSON array");
                    assert!(!objects.is_empty() && objects.iter().all(Value::is_object), "{text}");
                    self.waiting.extend(objects);
                }
                Message::Close(close) => {
                    return Err(close.map(|close| (close.code.into(), close.reason.to_string())));
                }
                Message::Ping(_) | Message::Pong(_) => {}
                other => panic!("the server speaks text alone: {other:?}"),
            }
        }
        let object = self.waiting.pop_front().expect("something waits");
        self.take(&object);
        Ok(object)
    }

    fn read(&mut self) -> Result<Message, Ended> {
        match self.socket.read() {
            Ok(message) => Ok(message),
            Err(Error::Io(error)) if error.kind() == std::io::ErrorKind::WouldBlock => {
                panic!("the service is silent")
            }
            Err(_) => Err(None),
        }
    }

    fn take(&mut self, object: &Value) {
        if object["method"] == "subscribe" && object["success"] == true {
            for granted in object["result"]["granted"].as_array().expect("an array") {
                let seq = granted["seq"].as_u64().expect("a number");
                self.seqs.entry(topic(&object["result"], &granted["symbol"])).or_insert(seq);
            }
        } else if object["method"] == "unsubscribe" && object["success"] == true {
            for symbol in object["result"]["removed"].as_array().expect("an array") {
                assert!(
                    self.seqs.remove(&topic(&object["result"], symbol)).is_some(),
                    "was not followed: {object}"
                );
            }
        } else if let Some(symbol) = object.get("symbol") {
            let seq = object["seq"].as_u64().expect("a number");
            let held = self
                .seqs
                .get_mut(&topic(object, symbol))
                .unwrap_or_else(|| panic!("not asked for: {object}"));
            match object["type"].as_str() {
                Some("snapshot") => assert!(object["epoch"].is_string(), "{object}"),
                Some("update") => {
                    assert_eq!(object["prev_seq"], *held, "a hole: {object}");
                    assert!(seq > *held, "{object}");
                    self.updates += 1;
                }
                _ => panic!("neither snapshot nor update: {object}"),
            }
            *held = seq;
        }
    }
}

fn topic(object: &Value, symbol: &Value) -> String {
    format!("{}.{}{}:{symbol}", object["channel"], object["depth"], object["interval"])
}
