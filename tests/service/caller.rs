//! Clients that present something, by raw HTTP and by a WebSocket library.

use std::collections::VecDeque;
use std::io::{BufReader, Write};
use std::net::{SocketAddr, TcpStream};

use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::{HeaderName, HeaderValue};
use tokio_tungstenite::tungstenite::{Error, HandshakeError, Message, WebSocket, client};

use super::http::{Response, connect, read_response};

/// An open connection.
pub(crate) struct Caller {
    socket: WebSocket<TcpStream>,
    waiting: VecDeque<Value>,
    /// The subprotocol that the server has chosen.
    pub(crate) subprotocol: Option<String>,
}

impl Caller {
    /// Opens a WebSocket with these headers.
    ///
    /// # Errors
    /// The status of the answer, and its body.
    pub(crate) fn open(address: SocketAddr, headers: &[(&str, &str)]) -> Result<Self, (u16, String)> {
        Self::open_at(address, "/v1/ws", headers)
    }

    pub(crate) fn open_at(
        address: SocketAddr,
        path: &str,
        headers: &[(&str, &str)],
    ) -> Result<Self, (u16, String)> {
        let mut request = format!("ws://{address}{path}").into_client_request().expect("a URL");
        for (name, value) in headers {
            let name: HeaderName = name.parse().expect("a name");
            request.headers_mut().append(name, HeaderValue::from_str(value).expect("a value"));
        }
        match client(request, connect(address)) {
            Ok((socket, answer)) => {
                let subprotocol = answer.headers().get("sec-websocket-protocol");
                let subprotocol = subprotocol.map(|value| value.to_str().expect("text").to_owned());
                Ok(Self { socket, waiting: VecDeque::new(), subprotocol })
            }
            Err(HandshakeError::Failure(Error::Http(answer))) => {
                let body = answer.body().clone().unwrap_or_default();
                Err((answer.status().as_u16(), String::from_utf8(body).expect("UTF-8")))
            }
            Err(error) => panic!("{error}"),
        }
    }

    pub(crate) fn bearer(address: SocketAddr, token: &str) -> Result<Self, (u16, String)> {
        Self::open(address, &[("authorization", &format!("Bearer {token}"))])
    }

    pub(crate) fn send(&mut self, request: &Value) {
        self.socket.send(Message::text(request.to_string())).expect("the service reads");
    }

    /// The next object; the code of the close frame at the end.
    pub(crate) fn next(&mut self) -> Result<Value, u16> {
        loop {
            if let Some(object) = self.waiting.pop_front() {
                return Ok(object);
            }
            match self.socket.read() {
                Ok(Message::Text(text)) => {
                    let objects: Vec<Value> = serde_json::from_str(&text).expect("an array");
                    self.waiting.extend(objects);
                }
                Ok(Message::Close(frame)) => return Err(frame.map_or(1005, |frame| frame.code.into())),
                Ok(_) => {}
                Err(error) => panic!("{error}"),
            }
        }
    }

    /// The next that is so; the code of the close frame where none comes.
    pub(crate) fn until(&mut self, is_it: impl Fn(&Value) -> bool) -> Result<Value, u16> {
        loop {
            let object = self.next()?;
            if is_it(&object) {
                return Ok(object);
            }
        }
    }

    /// The answer to a request.
    pub(crate) fn ask(&mut self, method: &str, params: &Value) -> Result<Value, u16> {
        self.send(&json!({"method": method, "params": params, "req_id": 1}));
        self.until(|object| object.get("method").is_some())
    }

    pub(crate) fn auth(&mut self, token: &str) -> Result<Value, u16> {
        self.ask("auth", &json!({ "token": token }))
    }

    /// Reads to the end, whose code it tells.
    pub(crate) fn end(&mut self) -> u16 {
        self.until(|_| false).expect_err("an end")
    }

    /// Whether it is sent quotes if it asks for them.
    pub(crate) fn follows(&mut self) -> bool {
        let answer = self.ask("subscribe", &json!({"channel": "quote", "symbols": ["SYM00000"]}));
        answer.is_ok_and(|answer| answer["success"] == true)
            && self.until(|object| object["channel"] == "quote").is_ok()
    }
}

/// A request with these headers.
pub(crate) fn ask(address: SocketAddr, method: &str, path: &str, headers: &[(&str, &str)]) -> Response {
    let mut stream = connect(address);
    let mut head = format!("{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n");
    for (name, value) in headers {
        head += &format!("{name}: {value}\r\n");
    }
    stream.write_all(format!("{head}\r\n").as_bytes()).expect("the service reads");
    read_response(&mut BufReader::new(stream), method)
}

pub(crate) fn get(address: SocketAddr, path: &str, token: &str) -> Response {
    ask(address, "GET", path, &[("Authorization", &format!("Bearer {token}"))])
}
