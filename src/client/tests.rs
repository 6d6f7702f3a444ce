//! Against a server that speaks the protocol, rudely.

use std::net::SocketAddr;
use std::time::Duration;

use feeds::{Aggressor, Exponent, Level, Price, Size, Timestamp, Trade};
use futures_util::{SinkExt, StreamExt};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::machine::TryParse;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};
use tokio_tungstenite::tungstenite::protocol::CloseFrame;

mod presented;

use super::*;
use crate::limits::RESYNCS_IN_A_ROW_MAX;
use crate::state::{Bar, Status, StatusState, Ticker, Totals};
use crate::topic::Interval;
use crate::wire::binary::{BookSide, Held};
use crate::wire::{Envelope, binary, json};
use crate::ws::decode::{Decoder, Role};
use crate::ws::deflate::{Deflater, Inflater};
use crate::ws::frame::{Header, Opcode};
use crate::ws::{self, handshake};

struct Server {
    listener: TcpListener,
    address: SocketAddr,
}

/// One connection of a client, from the server's side.
struct Peer(WebSocketStream<TcpStream>);

impl Server {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("bound");
        Self { listener, address }
    }

    async fn accept(&self) -> Peer {
        let (stream, _) = within(self.listener.accept()).await.expect("a connection");
        let socket = tokio_tungstenite::accept_hdr_async(stream, agree).await.expect("a handshake");
        Peer(socket)
    }

    /// A client, and the server's side of it. Patient, so that a busy machine is no silence.
    async fn client(&self) -> (Client, Peer) {
        self.client_with(patient()).await
    }

    async fn client_with_patience(&self, silence: Duration) -> (Client, Peer) {
        self.client_with(ClientSettings { silence, ..ClientSettings::default() }).await
    }

    async fn client_with(&self, settings: ClientSettings) -> (Client, Peer) {
        let settings = ClientSettings {
            backoff_first: Duration::from_millis(2),
            backoff_max: Duration::from_millis(20),
            ..settings
        };
        let url = format!("ws://{}/v1/ws", self.address);
        let (client, peer) = tokio::join!(Client::connect(url, settings), self.accept());
        (client.expect("connected"), peer)
    }
}

/// As [`Server::client`] has them.
fn patient() -> ClientSettings {
    ClientSettings { silence: Duration::from_secs(20), compress: true, ..ClientSettings::default() }
}

#[expect(clippy::result_large_err, clippy::unnecessary_wraps, reason = "the signature is tungstenite's")]
fn agree(request: &Request, mut response: Response) -> Result<Response, ErrorResponse> {
    let offered = request.headers().get("Sec-WebSocket-Protocol").expect("the client offers a subprotocol");
    assert!(["tickwire.v1.json", "tickwire.v1.bin"].iter().any(|spoken| offered == spoken), "{offered:?}");
    response.headers_mut().insert("Sec-WebSocket-Protocol", offered.clone());
    Ok(response)
}

impl Peer {
    async fn send(&mut self, text: &str) {
        self.0.send(Message::text(text)).await.expect("the client is there");
    }

    /// A frame byte by byte, as a bad network has it.
    async fn send_in_crumbs(&mut self, text: &str) {
        let mut frame = vec![0x81];
        match u16::try_from(text.len()).expect("short") {
            short @ 0..=125 => frame.push(short.to_be_bytes()[1]),
            long => {
                frame.push(126);
                frame.extend(long.to_be_bytes());
            }
        }
        frame.extend(text.as_bytes());
        for crumb in frame.chunks(7) {
            self.0.get_mut().write_all(crumb).await.expect("the client is there");
            self.0.get_mut().flush().await.expect("the client is there");
            tokio::task::yield_now().await;
        }
    }

    async fn close(&mut self, code: u16) {
        let frame = CloseFrame { code: code.into(), reason: "why".into() };
        self.0.close(Some(frame)).await.expect("the client is there");
    }

    async fn send_records(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        let mut out = Vec::new();
        write(&mut out);
        self.0.send(Message::binary(out)).await.expect("the client is there");
    }

    async fn request_object(&mut self) -> Value {
        let message = within(self.0.next()).await.expect("a request").expect("a message");
        serde_json::from_str(message.to_text().expect("text")).expect("JSON")
    }

    /// The next request as (method, channel, symbols, number).
    async fn request(&mut self) -> (String, String, Vec<String>, i64) {
        let request = self.request_object().await;
        let text = |value: &Value| value.as_str().expect("a string").to_owned();
        (
            text(&request["method"]),
            text(&request["params"]["channel"]),
            request["params"]["symbols"].as_array().expect("an array").iter().map(text).collect(),
            request["req_id"].as_i64().expect("an integer"),
        )
    }

    /// Takes a request for `symbol` anew, and returns its number and what the client holds.
    async fn resync(&mut self, channel: &str, symbol: &str) -> (i64, Option<u64>) {
        let request = self.request_object().await;
        assert_eq!(request["method"], "resync");
        let params = &request["params"];
        assert_eq!((&params["channel"], &params["symbol"]), (&channel.into(), &symbol.into()));
        (request["req_id"].as_i64().expect("an integer"), params["seq"].as_u64())
    }

    async fn acknowledge_resync(&mut self, number: i64, channel: &str, symbol: &str) {
        let name = channel_fields(channel);
        self.send(&format!(
            r#"[{{"method":"resync","success":true,"req_id":{number},"result":{{{name},"epoch":"e1","symbol":"{symbol}","topic":{},"price_exponent":-2,"size_exponent":0,"seq":1}}}}]"#,
            topic(channel).0
        ))
        .await;
    }

    /// Takes a subscription to `channel` of `symbols` and grants it.
    async fn grant(&mut self, channel: &str, symbols: &[&str]) {
        let (method, asked, named, number) = self.request().await;
        assert_eq!((method.as_str(), asked.as_str()), ("subscribe", channel));
        assert_eq!(named, symbols);
        self.acknowledge(number, channel, symbols).await;
    }

    async fn acknowledge(&mut self, number: i64, channel: &str, symbols: &[&str]) {
        let granted: Vec<Value> = symbols
            .iter()
            .map(|symbol| {
                serde_json::json!({"symbol": symbol, "topic": topic(channel).0, "price_exponent": -2, "size_exponent": 0, "seq": 1})
            })
            .collect();
        let name = channel_fields(channel);
        let granted = Value::from(granted);
        self.send(&format!(
            r#"[{{"method":"subscribe","success":true,"req_id":{number},"result":{{{name},"epoch":"e1","granted":{granted},"rejected":[]}}}}]"#
        ))
        .await;
    }
}

fn channel_fields(channel: &str) -> String {
    match channel.split_once('.') {
        Some(("book", depth)) => format!(r#""channel":"book","depth":{depth}"#),
        Some((name, interval)) => format!(r#""channel":"{name}","interval":"{interval}""#),
        None => format!(r#""channel":"{channel}""#),
    }
}

/// The server's number of a topic of the channel.
fn topic(channel: &str) -> TopicId {
    let channel = Channel::ALL.into_iter().find(|known| known.to_string() == channel).expect("a channel");
    TopicId::new(channel, SymbolId(77))
}

async fn within<F: Future>(future: F) -> F::Output {
    timeout(Duration::from_secs(20), future).await.expect("in time")
}

/// Runs the client until an event of interest.
async fn until<T>(client: &mut Client, mut wanted: impl FnMut(&Event) -> Option<T>) -> T {
    within(async {
        loop {
            let event = client.next().await.expect("not closed for good");
            if let Some(found) = wanted(&event) {
                return found;
            }
        }
    })
    .await
}

/// Runs the client until that state of a topic.
async fn until_seq(client: &mut Client, symbol: &str, number: u64) {
    until(client, |event| match event {
        Event::State(update) | Event::Trade(update, _) => {
            (update.symbol.as_str() == symbol && update.seq == number).then_some(())
        }
        other => {
            assert!(!matches!(other, Event::Diverged { .. } | Event::Disconnected(_)), "{other:?}");
            None
        }
    })
    .await;
}

fn quote_snapshot(symbol: &str, epoch: &str, number: u64, bid: &str) -> String {
    format!(
        r#"{{"channel":"quote","type":"snapshot","symbol":"{symbol}","epoch":"{epoch}","seq":{number},"ts_event":1,"bid":"{bid}","bid_size":"1","ask":null,"ask_size":null}}"#
    )
}

fn quote_update(symbol: &str, number: u64, prev: u64, bid: &str) -> String {
    format!(
        r#"{{"channel":"quote","type":"update","symbol":"{symbol}","seq":{number},"prev_seq":{prev},"ts_event":2,"bid":"{bid}"}}"#
    )
}

fn bid(client: &Client, symbol: &str) -> Option<i64> {
    client.quote(symbol).and_then(|quote| quote.bid).map(|bid| bid.price.0)
}

fn named(symbols: &[&str]) -> Symbols {
    Symbols::Named(symbols.iter().map(|&symbol| symbol.to_owned()).collect())
}

fn exponent(value: i8) -> Exponent {
    Exponent::new(value).expect("within range")
}

fn envelope(number: u64) -> Envelope<'static> {
    Envelope {
        symbol: "AAPL",
        price_exponent: exponent(-2),
        size_exponent: exponent(0),
        seq: number,
        merged: 1,
        ts_event: Timestamp(1_000 * i64::try_from(number).expect("small")),
    }
}

/// An object of the server's own encoder, as a message.
fn message(write: impl FnOnce(&mut Vec<u8>)) -> String {
    let mut out = vec![b'['];
    write(&mut out);
    out.push(b']');
    String::from_utf8(out).expect("UTF-8")
}

/// The checksum of levels below 1.00 × 100, from numbers alone.
fn checksum(bids: &[Level], asks: &[Level]) -> u32 {
    let digits: String = asks
        .iter()
        .take(10)
        .chain(bids.iter().take(10))
        .map(|level| format!("{}{}", level.price.0, level.size.0))
        .collect();
    crc32fast::hash(digits.as_bytes())
}

#[tokio::test]
async fn quotes_follow_the_encoder_however_the_bytes_come() {
    let server = Server::start().await;
    let (mut client, mut peer) = server.client().await;
    let request = client.subscribe(Channel::Quote, named(&["AAPL"]));
    let serving = async {
        peer.grant("quote", &["AAPL"]).await;
        let mut quote = Quote::default();
        peer.send(&message(|out| json::quote_snapshot(out, &envelope(1), "e1", &quote))).await;
        for number in 2..=120_u64 {
            let mut next = quote;
            let value = i64::try_from(number * 7_919 % 101).expect("small");
            let level = (value > 20).then_some(Level { price: Price(value - 50), size: Size(value / 10) });
            if number % 3 == 0 {
                next.bid = level;
            } else {
                next.ask = level;
            }
            let text = message(|out| json::quote_update(out, &envelope(number), number - 1, &quote, &next));
            peer.send_in_crumbs(&text).await;
            quote = next;
        }
        quote
    };
    let following = async {
        let granted = until(&mut client, |event| match event {
            Event::Subscribed { request, granted, .. } => Some((*request, *granted)),
            _ => None,
        });
        assert_eq!(granted.await, (request, 1));
        // Dropped and asked again all the time: nothing may be lost by that.
        within(async {
            while client.seq(Channel::Quote, "AAPL") != Some(120) {
                let _ = timeout(Duration::from_micros(50), client.next()).await;
            }
        })
        .await;
    };
    let (quote, ()) = tokio::join!(serving, following);
    assert_eq!(client.quote("AAPL"), Some(quote));
    let stats = *client.stats();
    assert_eq!((stats.snapshots, stats.updates, stats.gaps, stats.reconnects), (1, 119, 0, 0));
    assert_eq!((stats.frames, stats.messages, stats.ignored), (121, 121, 0));
    assert_eq!(client.topics(), (1, 1));
}

#[tokio::test]
async fn books_follow_the_encoder_and_prove_themselves() {
    let server = Server::start().await;
    let (mut client, mut peer) = server.client().await;
    client.subscribe(Channel::Book(Depth::D10), named(&["AAPL"]));
    let ladder = |best: i64, step: i64| -> Vec<Level> {
        (0..10).map(|index| Level { price: Price(best + step * index), size: Size(5) }).collect()
    };
    let serving = async {
        peer.grant("book.10", &["AAPL"]).await;
        let (mut bids, asks) = (ladder(1_000, -1), ladder(1_001, 1));
        peer.send(&message(|out| {
            let (bids_then, asks_then) = (bids.iter().copied(), asks.iter().copied());
            json::book_snapshot(
                out,
                &envelope(1),
                "e1",
                Depth::D10,
                bids_then,
                asks_then,
                checksum(&bids, &asks),
            );
        }))
        .await;
        for number in 2..=60_u64 {
            // The best bid goes, and a deeper level comes into sight.
            let gone = Level { size: Size(0), ..bids.remove(0) };
            let deeper = Level { price: Price(bids[8].price.0 - 1), size: Size(7) };
            bids.push(deeper);
            let proof = (number % 2 == 0).then(|| checksum(&bids, &asks));
            peer.send(&message(|out| {
                json::book_update(
                    out,
                    &envelope(number),
                    number - 1,
                    Depth::D10,
                    &[gone, deeper],
                    &[],
                    proof,
                );
            }))
            .await;
        }
        (bids, asks)
    };
    let ((bids, asks), ()) = tokio::join!(serving, until_seq(&mut client, "AAPL", 60));
    let book = client.book("AAPL", Depth::D10).expect("known");
    assert_eq!(book.bids().collect::<Vec<_>>(), bids);
    assert_eq!(book.asks().collect::<Vec<_>>(), asks);
    assert_eq!((client.stats().checksums_ok, client.stats().checksums_failed), (31, 0));
    assert_eq!(client.book("AAPL", Depth::D25), None);
}

#[tokio::test]
async fn a_gap_costs_one_symbol_its_state_and_no_other() {
    let server = Server::start().await;
    let (mut client, mut peer) = server.client().await;
    client.subscribe(Channel::Quote, named(&["A", "B"]));
    let serving = async {
        peer.grant("quote", &["A", "B"]).await;
        let snapshots = [quote_snapshot("A", "e1", 10, "1.00"), quote_snapshot("B", "e1", 20, "2.00")];
        peer.send(&format!("[{}]", snapshots.join(","))).await;
        let updates = [quote_update("A", 12, 11, "1.10"), quote_update("B", 21, 20, "2.10")];
        peer.send(&format!("[{}]", updates.join(","))).await;
        let (number, held) = peer.resync("quote", "A").await;
        assert_eq!(held, Some(10));
        // Was on its way already.
        peer.send(&format!("[{}]", quote_update("A", 13, 12, "1.11"))).await;
        peer.acknowledge_resync(number, "quote", "A").await;
        let missed = [
            quote_update("A", 11, 10, "1.05"),
            quote_update("A", 14, 11, "1.20"),
            quote_update("A", 15, 14, "1.30"),
        ];
        peer.send(&format!("[{}]", missed.join(","))).await;
    };
    let following = async {
        let divergence = until(&mut client, |event| match event {
            Event::Diverged { symbol, divergence, .. } => {
                assert_eq!(symbol.as_str(), "A");
                Some(divergence.clone())
            }
            _ => None,
        });
        assert_eq!(divergence.await, Divergence::Gap { expected: 10, found: Some(11) });
        assert_eq!((bid(&client, "A"), client.seq(Channel::Quote, "A")), (None, None));
        until_seq(&mut client, "B", 21).await;
        assert_eq!(bid(&client, "B"), Some(210));
        until_seq(&mut client, "A", 15).await;
        assert_eq!(bid(&client, "A"), Some(130));
    };
    tokio::join!(serving, following);
    let stats = client.stats();
    assert_eq!((stats.gaps, stats.ignored, stats.reconnects), (1, 1, 0));
}

#[tokio::test]
async fn a_wrong_checksum_voids_the_book_and_at_last_the_connection() {
    let server = Server::start().await;
    let (mut client, mut peer) = server.client().await;
    client.subscribe(Channel::Book(Depth::D10), named(&["AAPL"]));
    let wrong = message(|out| {
        let bid = Level { price: Price(1_000), size: Size(1) };
        let none = std::iter::empty();
        json::book_snapshot(out, &envelope(1), "e1", Depth::D10, std::iter::once(bid), none, 1);
    });
    let serving = async {
        for attempt in 0..=RESYNCS_IN_A_ROW_MAX {
            if attempt == 0 {
                peer.grant("book.10", &["AAPL"]).await;
            } else {
                let (number, held) = peer.resync("book.10", "AAPL").await;
                assert_eq!(held, None);
                peer.acknowledge_resync(number, "book.10", "AAPL").await;
            }
            peer.send(&wrong).await;
        }
        let mut again = server.accept().await;
        again.grant("book.10", &["AAPL"]).await;
    };
    let following = async {
        let mut diverged = 0;
        let why = until(&mut client, |event| match event {
            Event::Diverged { divergence, .. } => {
                let ours = crc32fast::hash(b"10001");
                assert_eq!(*divergence, Divergence::Checksum { ours, theirs: 1 });
                diverged += 1;
                None
            }
            Event::Disconnected(why) => Some(why.clone()),
            _ => None,
        });
        assert_eq!(why.await, Disconnect::Hopeless);
        assert_eq!(diverged, RESYNCS_IN_A_ROW_MAX + 1);
        until(&mut client, |event| matches!(event, Event::Subscribed { .. }).then_some(())).await;
    };
    tokio::join!(serving, following);
    assert_eq!(client.stats().checksums_failed, u64::from(RESYNCS_IN_A_ROW_MAX) + 1);
    assert_eq!(client.stats().reconnects, 1);
}

#[tokio::test]
async fn a_book_deeper_than_its_topic_is_not_believed() {
    let server = Server::start().await;
    let (mut client, mut peer) = server.client().await;
    client.subscribe(Channel::Book(Depth::D10), named(&["AAPL"]));
    let serving = async {
        peer.grant("book.10", &["AAPL"]).await;
        let none = || std::iter::empty();
        peer.send(&message(|out| {
            json::book_snapshot(out, &envelope(1), "e1", Depth::D10, none(), none(), 0)
        }))
        .await;
        let levels: Vec<Level> = (0..11).map(|price| Level { price: Price(price), size: Size(1) }).collect();
        peer.send(&message(|out| json::book_update(out, &envelope(2), 1, Depth::D10, &levels, &[], None)))
            .await;
    };
    let following = until(&mut client, |event| match event {
        Event::Diverged { divergence, .. } => Some(divergence.clone()),
        _ => None,
    });
    let ((), divergence) = tokio::join!(serving, following);
    assert_eq!(divergence, Divergence::Overfull { levels: 11 });
}

#[tokio::test]
async fn whatever_ends_a_connection_the_client_comes_back_with_all_it_follows() {
    let server = Server::start().await;
    let (mut client, mut peer) = server.client_with_patience(Duration::from_secs(1)).await;
    client.subscribe(Channel::Quote, named(&["A"]));
    client.subscribe(Channel::Trade, Symbols::All);
    let serving = async {
        for end in 0..6 {
            peer.grant("quote", &["A"]).await;
            let (method, channel, symbols, number) = peer.request().await;
            assert_eq!(
                (method.as_str(), channel.as_str(), symbols),
                ("subscribe", "trade", vec!["*".to_owned()])
            );
            peer.acknowledge(number, "trade", &["A"]).await;
            peer.send(&format!("[{}]", quote_snapshot("A", "e1", 1, "1.00"))).await;
            match end {
                0 => {} // silence, with the connection open
                1 => peer.close(4007).await,
                2 => peer.close(4321).await,
                3 => peer.send("[{\"channel\":\"quote\"").await,
                4 => peer.send(&format!("[{}]", quote_snapshot("A", "e1", 2, "1.001"))).await,
                _ => peer.0.get_mut().shutdown().await.expect("open"),
            }
            let next = server.accept().await;
            drop(std::mem::replace(&mut peer, next));
        }
    };
    let following = async {
        let mut ends = Vec::new();
        while ends.len() < 6 {
            let end = until(&mut client, |event| match event {
                Event::Disconnected(why) => Some(why.clone()),
                _ => None,
            });
            ends.push(end.await);
            assert_eq!((client.topics(), client.quote("A")), ((0, 0), None));
        }
        until(&mut client, |event| matches!(event, Event::Reconnected).then_some(())).await;
        ends
    };
    let ((), ends) = tokio::join!(serving, following);
    assert_eq!(ends[0], Disconnect::Silent);
    assert_eq!(ends[1], Disconnect::Closed(4007, "why".to_owned()));
    assert_eq!(ends[2], Disconnect::Closed(4321, "why".to_owned()));
    assert!(
        matches!(&ends[3], Disconnect::Malformed(text) if text.contains("not a message")),
        "{:?}",
        ends[3]
    );
    assert!(matches!(&ends[4], Disconnect::Malformed(text) if text.contains("`1.001`")), "{:?}", ends[4]);
    assert!(matches!(&ends[5], Disconnect::Broken(_)), "{:?}", ends[5]);
    assert_eq!(client.stats().reconnects, 6);
}

#[tokio::test]
async fn a_server_that_says_no_is_not_asked_again() {
    let server = Server::start().await;
    let (mut client, mut peer) = server.client().await;
    let (end, ()) = tokio::join!(client.next(), peer.close(4009));
    assert_eq!(end.expect("the end itself"), Event::Disconnected(Disconnect::Closed(4009, "why".to_owned())));
    for _ in 0..2 {
        let error = within(client.next()).await.expect_err("for good");
        assert!(matches!(error, ClientError::Closed { code: 4009, .. }), "{error}");
    }
}

#[tokio::test]
async fn no_server_is_an_error_at_first_and_patience_later() {
    let server = Server::start().await;
    let url = format!("ws://{}/v1/ws", server.address);
    let (mut client, peer) = server.client().await;
    let address = server.address;
    drop((server, peer));
    assert!(matches!(
        Client::connect(url, ClientSettings::default()).await,
        Err(ClientError::Connect { .. })
    ));
    until(&mut client, |event| matches!(event, Event::Disconnected(_)).then_some(())).await;
    within(async {
        while client.stats().connect_failures < 2 {
            let _ = timeout(Duration::from_millis(1), client.next()).await;
        }
    })
    .await;
    let listener = TcpListener::bind(address).await.expect("the port is free again");
    let server = Server { listener, address };
    let (_peer, ()) = tokio::join!(
        server.accept(),
        until(&mut client, |event| matches!(event, Event::Reconnected).then_some(()))
    );
}

#[tokio::test]
async fn a_new_epoch_voids_what_the_old_one_said() {
    let server = Server::start().await;
    let (mut client, mut peer) = server.client().await;
    client.subscribe(Channel::Quote, named(&["A", "B"]));
    let serving = async {
        peer.grant("quote", &["A", "B"]).await;
        let old = [quote_snapshot("A", "e1", 10, "1.00"), quote_snapshot("B", "e1", 20, "2.00")];
        peer.send(&format!("[{}]", old.join(","))).await;
        let new = [quote_snapshot("A", "e2", 1, "3.00"), quote_update("B", 21, 20, "2.10")];
        peer.send(&format!("[{}]", new.join(","))).await;
        peer.send(&format!("[{}]", quote_snapshot("B", "e2", 1, "4.00"))).await;
    };
    let following = async {
        until_seq(&mut client, "B", 20).await;
        let epoch = until(&mut client, |event| match event {
            Event::Epoch(epoch) => Some(epoch.to_string()),
            _ => None,
        });
        assert_eq!(epoch.await, "e2");
        assert_eq!((bid(&client, "A"), bid(&client, "B")), (Some(300), None));
        until_seq(&mut client, "B", 1).await;
        assert_eq!((bid(&client, "A"), bid(&client, "B")), (Some(300), Some(400)));
    };
    tokio::join!(serving, following);
    assert_eq!((client.stats().ignored, client.stats().gaps), (1, 0));
}

#[tokio::test]
async fn trades_are_counted_and_a_gap_that_the_server_tells_is_no_fault() {
    let server = Server::start().await;
    let (mut client, mut peer) = server.client().await;
    client.subscribe(Channel::Trade, named(&["AAPL"]));
    let trade = Trade { price: Price(100), size: Size(3), aggressor: Aggressor::Sell, id: Some(u64::MAX) };
    let serving = async {
        peer.grant("trade", &["AAPL"]).await;
        peer.send(&message(|out| json::trade_snapshot(out, &envelope(5), "e1", Some(&trade)))).await;
        peer.send(&message(|out| json::gap(out, &envelope(8), Channel::Trade, 5))).await;
        peer.send(&message(|out| json::trade_update(out, &envelope(9), 8, &trade))).await;
    };
    let following = async {
        let lost = until(&mut client, |event| match event {
            Event::Gap { lost, .. } => Some(*lost),
            Event::Trade(..) => panic!("the newest trade of a snapshot is not new"),
            _ => None,
        });
        assert_eq!(lost.await, 3);
        until(&mut client, |event| match event {
            Event::Trade(update, found) => {
                assert_eq!((update.seq, update.ts_event, *found), (9, Timestamp(9_000), trade));
                Some(())
            }
            _ => None,
        })
        .await;
    };
    tokio::join!(serving, following);
    assert_eq!((client.stats().lost, client.stats().gaps), (3, 0));
}

#[tokio::test]
async fn fields_of_the_other_channels_stand_as_on_the_wire() {
    let server = Server::start().await;
    let (mut client, mut peer) = server.client().await;
    client.subscribe(Channel::Ticker, named(&["AAPL"]));
    let serving = async {
        peer.grant("ticker", &["AAPL"]).await;
        let mut ticker = Ticker::default();
        peer.send(&message(|out| json::ticker_snapshot(out, &envelope(1), "e1", &ticker))).await;
        let old = ticker;
        ticker.bid = Some(Price(1_234));
        peer.send(&message(|out| json::ticker_update(out, &envelope(2), 1, &old, &ticker))).await;
        let failure = r#"[{"method":"subscribe","success":false,"req_id":7,"error":{"code":"INTERNAL","message":"m","retryable":true}},{"channel":"heartbeat","ts":1,"lag_us":5,"laggard":false}]"#;
        peer.send(failure).await;
    };
    let following = async {
        until_seq(&mut client, "AAPL", 2).await;
        let failed = within(client.next()).await.expect("an event");
        assert_eq!(
            failed,
            Event::Failed { request: Some(7), code: "INTERNAL".to_owned(), message: "m".to_owned() }
        );
        let heartbeat = within(client.next()).await.expect("an event");
        assert_eq!(heartbeat, Event::Heartbeat { lag: Duration::from_micros(5), laggard: false });
    };
    tokio::join!(serving, following);
    let fields = client.fields(Channel::Ticker, "AAPL").expect("known");
    assert_eq!(fields.len(), 13);
    for (name, text) in fields.iter() {
        assert_eq!(text.as_deref(), (*name == "bid").then_some("12.34"), "{name}");
    }
}

#[tokio::test]
async fn a_slow_client_is_caught_up_and_no_change_is_missing_in_the_count() {
    let server = Server::start().await;
    let (mut client, mut peer) = server.client().await;
    client.subscribe(Channel::Quote, named(&["A"]));
    let caught_up = |snapshot: &str, prev: u64, changes: u64| {
        message(|out| json::caught_up(out, snapshot.as_bytes(), prev, changes))
    };
    let serving = async {
        peer.grant("quote", &["A"]).await;
        peer.send(&format!("[{}]", quote_snapshot("A", "e1", 10, "1.00"))).await;
        let merged = Envelope { symbol: "A", merged: 4, ..envelope(14) };
        let (old, new) = (Quote::default(), Quote { bid: Some(Level::default()), ask: None });
        peer.send(&message(|out| json::quote_update(out, &merged, 10, &old, &new))).await;
        peer.send(&caught_up(&quote_snapshot("A", "e1", 40, "1.40"), 14, 26)).await;
        peer.send(&format!("[{}]", quote_update("A", 41, 40, "1.41"))).await;
        peer.send(r#"[{"channel":"heartbeat","ts":1,"lag_us":900,"laggard":true}]"#).await;
        peer.send(&caught_up(&quote_snapshot("A", "e1", 50, "1.50"), 42, 8)).await;
    };
    let following = async {
        let mut merged = Vec::new();
        let divergence = until(&mut client, |event| match event {
            Event::State(update) => {
                merged.push((update.seq, update.is_snapshot, update.merged));
                None
            }
            Event::Heartbeat { lag, laggard } => {
                assert_eq!((*lag, *laggard), (Duration::from_micros(900), true));
                None
            }
            Event::Diverged { divergence, .. } => Some(divergence.clone()),
            _ => None,
        });
        assert_eq!(divergence.await, Divergence::Gap { expected: 41, found: Some(42) });
        assert_eq!(merged, [(10, true, 0), (14, false, 4), (40, true, 26), (41, false, 1)]);
    };
    tokio::join!(serving, following);
    let stats = client.stats();
    assert_eq!((stats.snapshots, stats.updates, stats.merged, stats.gaps), (2, 2, 31, 1));
    assert_eq!((stats.merges, stats.unaccounted), (2, 0));
}

#[tokio::test]
async fn changes_that_numbers_and_counts_do_not_agree_on_are_unaccounted() {
    let server = Server::start().await;
    let (mut client, mut peer) = server.client().await;
    client.subscribe(Channel::Quote, named(&["A"]));
    client.subscribe(Channel::Ticker, named(&["A"]));
    client.subscribe(Channel::Trade, named(&["A"]));
    let quote = |seq, prev_seq, n| {
        let envelope = Envelope { symbol: "A", merged: n, ..envelope(seq) };
        let quotes = [Quote::default(), Quote { bid: Some(Level::default()), ask: None }];
        message(|out| json::quote_update(out, &envelope, prev_seq, &quotes[0], &quotes[1]))
    };
    let ticker = |seq, prev_seq, n| {
        let envelope = Envelope { symbol: "A", merged: n, ..envelope(seq) };
        let new = Ticker { bid: Some(Price(1)), ..Ticker::default() };
        message(|out| json::ticker_update(out, &envelope, prev_seq, &Ticker::default(), &new))
    };
    let first = Envelope { symbol: "A", ..envelope(1) };
    let first = message(|out| json::ticker_snapshot(out, &first, "e1", &Ticker::default()));
    let none = message(|out| {
        json::caught_up(out, quote_snapshot("A", "e1", 21, "1.00").as_bytes(), 20, 0);
    });
    let gap = r#"[{"channel":"trade","type":"gap","symbol":"A","from":3,"to":4,"seq":4,"prev_seq":1,"ts_event":0}]"#;
    let trade = r#"[{"channel":"trade","type":"snapshot","symbol":"A","epoch":"e1","seq":1,"ts_event":0}]"#;
    // Each with the sum that stands after it.
    let sent = [
        (format!("[{}]", quote_snapshot("A", "e1", 10, "1.00")), 0),
        (quote(14, 10, 4), 0),
        (quote(15, 14, 1), 0),
        (quote(18, 15, 2), 1),
        (quote(20, 18, 5), 4),
        (none, 5),
        (first, 5),
        // Of a ticker, numbers are also of what does not show.
        (ticker(9, 1, 3), 5),
        (ticker(11, 9, 3), 6),
        (trade.to_owned(), 6),
        (gap.to_owned(), 7),
    ];
    let serving = async {
        for channel in ["quote", "ticker", "trade"] {
            peer.grant(channel, &["A"]).await;
        }
        for (text, _) in &sent {
            peer.send(text).await;
        }
    };
    let following = async {
        let is_data = |event: &Event| matches!(event, Event::State(_) | Event::Gap { .. }).then_some(());
        let mut answers = 0;
        until(&mut client, |event| {
            answers += u32::from(matches!(event, Event::Subscribed { .. }));
            (answers == 3).then_some(())
        })
        .await;
        for (text, unaccounted) in &sent {
            let before = *client.stats();
            until(&mut client, is_data).await;
            let stats = client.stats();
            assert_eq!(stats.unaccounted, *unaccounted, "{text}");
            let header = if text.len() > 125 { 4 } else { 2 };
            assert_eq!(stats.wire_bytes - before.wire_bytes, (header + text.len()) as u64, "{text}");
        }
    };
    tokio::join!(serving, following);
    let stats = client.stats();
    assert_eq!((stats.gaps, stats.merges, stats.merged), (0, 5, 4 + 1 + 2 + 5 + 3 + 3));
}

#[tokio::test]
async fn what_is_held_goes_on_after_a_reconnection_and_what_is_of_another_epoch_is_void() {
    let server = Server::start().await;
    let (mut client, mut peer) = server.client().await;
    client.subscribe(Channel::Quote, named(&["A", "B", "C"]));
    let granted = |event: &Event| matches!(event, Event::Subscribed { .. }).then_some(());
    let serving = async {
        peer.grant("quote", &["A", "B", "C"]).await;
        let states = [quote_snapshot("A", "e1", 10, "1.00"), quote_snapshot("B", "e1", 20, "2.00")];
        peer.send(&format!("[{}]", states.join(","))).await;
        peer.close(4007).await;

        let mut peer = server.accept().await;
        let request = peer.request_object().await;
        let resume = serde_json::json!({"epoch": "e1", "seq": {"A": 10, "B": 20}});
        assert_eq!(request["params"]["resume"], resume);
        peer.acknowledge(request["req_id"].as_i64().expect("a number"), "quote", &["A", "B", "C"]).await;
        let goes_on = [quote_update("A", 12, 10, "1.20"), quote_snapshot("B", "e1", 29, "2.90")];
        peer.send(&format!("[{}]", goes_on.join(","))).await;
        peer.close(4007).await;

        let mut peer = server.accept().await;
        let request = peer.request_object().await;
        let resume = serde_json::json!({"epoch": "e1", "seq": {"A": 12, "B": 29}});
        assert_eq!(request["params"]["resume"], resume);
        let number = request["req_id"].as_i64().expect("a number");
        peer.send(&format!(
            r#"[{{"method":"subscribe","success":true,"req_id":{number},"result":{{"channel":"quote","epoch":"e2","granted":[{{"symbol":"A","topic":0,"price_exponent":-2,"size_exponent":0,"seq":1}}],"rejected":[]}}}}]"#
        ))
        .await;
        peer.send(&format!("[{}]", quote_snapshot("A", "e2", 1, "9.00"))).await;
        peer
    };
    let following = async {
        until_seq(&mut client, "B", 20).await;
        until(&mut client, |event| matches!(event, Event::Disconnected(_)).then_some(())).await;
        assert_eq!((bid(&client, "A"), client.topics()), (None, (0, 0)));
        until(&mut client, granted).await;
        assert_eq!((bid(&client, "A"), client.topics()), (Some(100), (3, 2)));
        until_seq(&mut client, "B", 29).await;
        assert_eq!((bid(&client, "A"), bid(&client, "B")), (Some(120), Some(290)));
        until(&mut client, |event| matches!(event, Event::Disconnected(_)).then_some(())).await;
        let epoch = until(&mut client, |event| match event {
            Event::Epoch(epoch) => Some(epoch.to_string()),
            _ => None,
        });
        assert_eq!(epoch.await, "e2");
        until_seq(&mut client, "A", 1).await;
        assert_eq!((bid(&client, "A"), bid(&client, "B")), (Some(900), None));
    };
    let (_peer, ()) = tokio::join!(serving, following);
    let stats = client.stats();
    assert_eq!((stats.snapshots, stats.updates, stats.gaps, stats.reconnects), (4, 1, 0, 2));
}

#[tokio::test]
async fn what_was_left_before_it_was_granted_is_not_followed() {
    let server = Server::start().await;
    let (mut client, mut peer) = server.client().await;
    client.subscribe(Channel::Quote, named(&["A", "B"]));
    client.unsubscribe(Channel::Quote, &named(&["A"]));
    let serving = async {
        peer.grant("quote", &["A", "B"]).await;
        let states = [quote_snapshot("A", "e1", 10, "1.00"), quote_snapshot("B", "e1", 20, "2.00")];
        peer.send(&format!("[{}]", states.join(","))).await;
        let (method, _, symbols, number) = peer.request().await;
        assert_eq!((method.as_str(), symbols), ("unsubscribe", vec!["A".to_owned()]));
        peer.send(&format!(
            r#"[{{"method":"unsubscribe","success":true,"req_id":{number},"result":{{"channel":"quote","removed":["A"],"rejected":[]}}}}]"#
        ))
        .await;
        peer.send(&format!("[{}]", quote_update("B", 21, 20, "2.10"))).await;
    };
    tokio::join!(serving, until_seq(&mut client, "B", 21));
    assert_eq!((bid(&client, "A"), bid(&client, "B"), client.topics()), (None, Some(210), (1, 1)));
}

#[tokio::test]
async fn states_of_two_epochs_are_not_resumed_as_those_of_one() {
    let server = Server::start().await;
    let (mut client, mut peer) = server.client().await;
    client.subscribe(Channel::Quote, named(&["A", "B"]));
    let serving = async {
        peer.grant("quote", &["A", "B"]).await;
        let states = [quote_snapshot("A", "e1", 10, "1.00"), quote_snapshot("B", "e1", 20, "2.00")];
        peer.send(&format!("[{}]", states.join(","))).await;
        peer.close(4007).await;

        // The answer's first part; then the stream begins anew, and the connection ends.
        let mut peer = server.accept().await;
        let request = peer.request_object().await;
        peer.acknowledge(request["req_id"].as_i64().expect("a number"), "quote", &["A"]).await;
        peer.send(&format!("[{}]", quote_snapshot("A", "e2", 1, "9.00"))).await;
        peer.close(4007).await;

        let mut peer = server.accept().await;
        let request = peer.request_object().await;
        assert_eq!(request["params"]["resume"], serde_json::json!({"epoch": "e2", "seq": {"A": 1}}));
        peer
    };
    tokio::select! {
        _peer = serving => {}
        () = until(&mut client, |_| None) => {}
    }
}

#[tokio::test]
async fn no_number_of_a_server_is_too_large_to_count() {
    let server = Server::start().await;
    let (mut client, mut peer) = server.client().await;
    client.subscribe(Channel::Quote, named(&["A"]));
    client.subscribe(Channel::Trade, named(&["A"]));
    let merged = |update: String| {
        format!("[{}]", update.replacen("\"ts_event\"", "\"n\":18446744073709551615,\"ts_event\"", 1))
    };
    let gap = r#"[{"channel":"trade","type":"gap","symbol":"A","from":1,"to":18446744073709551615,"seq":18446744073709551615,"prev_seq":0,"ts_event":1}]"#;
    let serving = async {
        peer.grant("quote", &["A"]).await;
        peer.grant("trade", &["A"]).await;
        peer.send(gap).await;
        peer.send(gap).await;
        peer.send(&format!("[{}]", quote_snapshot("A", "e1", 10, "1.00"))).await;
        peer.send(&merged(quote_update("A", 11, 10, "1.10"))).await;
        peer.send(&gap.replace("\"from\":1,", "\"from\":7,")).await;
        peer.send(&merged(quote_update("A", 12, 11, "1.20"))).await;
    };
    tokio::join!(serving, until_seq(&mut client, "A", 12));
    assert_eq!((client.stats().merged, client.stats().lost), (u64::MAX, u64::MAX));
    assert_eq!(client.stats().unaccounted, u64::MAX);
}

#[tokio::test]
async fn a_topic_that_the_server_does_not_give_anew_costs_the_connection() {
    let server = Server::start().await;
    let (mut client, mut peer) = server.client().await;
    client.subscribe(Channel::Quote, named(&["A"]));
    let serving = async {
        peer.grant("quote", &["A"]).await;
        peer.send(&format!("[{},{}]", quote_snapshot("A", "e1", 1, "1.00"), quote_update("A", 3, 2, "1.10")))
            .await;
        let (number, _) = peer.resync("quote", "A").await;
        peer.send(&format!(
            r#"[{{"method":"resync","success":false,"req_id":{number},"error":{{"code":"BUSY","message":"m","retryable":true}}}}]"#
        ))
        .await;
        let mut peer = server.accept().await;
        assert_eq!(peer.request_object().await["params"]["resume"]["seq"]["A"], 1);
    };
    let following = async {
        let why = until(&mut client, |event| match event {
            Event::Disconnected(why) => Some(why.clone()),
            _ => None,
        });
        assert_eq!(why.await, Disconnect::Hopeless);
        until(&mut client, |event| matches!(event, Event::Reconnected).then_some(())).await;
        // The request is sent where the next event is waited for.
        let _ = client.next().await;
    };
    tokio::join!(serving, following);
}

fn binary_head(channel: &str, number: u64) -> binary::Head {
    binary::Head::new(topic(channel), number, envelope(number).ts_event)
}

fn held(number: u64) -> Held {
    Held { seq: number, ts_event: envelope(number).ts_event }
}

#[tokio::test]
async fn binary_states_are_those_of_json() {
    let server = Server::start().await;
    let settings = ClientSettings { encoding: Encoding::Binary, max_frequency: Rate::Ms250, ..patient() };
    let (mut client, mut peer) = server.client_with(settings).await;
    let bar = Channel::Bar(Interval::M1);
    for channel in [Channel::Quote, Channel::Trade, Channel::Ticker, bar, Channel::Status] {
        client.subscribe(channel, named(&["AAPL"]));
    }
    let level = |price, size| Some(Level { price: Price(price), size: Size(size) });
    let quotes = [
        Quote { bid: level(18_910, 300), ask: level(18_911, 500) },
        Quote { bid: level(18_911, 300), ask: None },
    ];
    let trade = |price, id| Trade { price: Price(price), size: Size(7), aggressor: Aggressor::Buy, id };
    let trades = [trade(100, Some(5)), trade(-3, Some(9)), trade(2, None)];
    let totals = Totals {
        high: Price(19_001),
        close: Price(19_001),
        volume: 7,
        notional: 18_900 * 3 + 19_001 * 4,
        trades: 2,
        ..Totals::first(Price(18_900), Size(3))
    };
    let tickers =
        [Ticker::default(), Ticker { last: level(19_001, 4), session: Some(totals), ..Ticker::default() }];
    let bars = [None, Some(Bar { start: Timestamp(60_000_000_000), totals, closed: true })];
    let status = Status { state: StatusState::Halted, reason: "LULD".into() };
    let serving = async {
        for channel in ["quote", "trade", "ticker", "bar.1m", "status"] {
            let request = peer.request_object().await;
            let params = &request["params"];
            assert_eq!(params["channel"], channel);
            let rate = params.get("max_frequency").and_then(Value::as_str);
            assert_eq!(rate, (channel != "trade").then_some("250ms"));
            peer.acknowledge(request["req_id"].as_i64().expect("a number"), channel, &["AAPL"]).await;
        }
        peer.send_records(|out| {
            binary::quote_snapshot(out, &binary_head("quote", 1), "e1", &quotes[0]);
            let merged = binary::Head { merged: 8, ..binary_head("quote", 9) };
            binary::quote_update(out, &merged, &held(1), &quotes[0], &quotes[1]);
            binary::trade_snapshot(out, &binary_head("trade", 1), "e1", Some(&trades[0]));
            binary::trade_update(out, &binary_head("trade", 2), &held(1), Some(&trades[0]), &trades[1]);
            binary::gap(out, topic("trade"), 2, 4, envelope(4).ts_event);
            binary::trade_snapshot(out, &binary_head("trade", 4), "e1", Some(&trades[0]));
        })
        .await;
        peer.send_records(|out| {
            binary::trade_update(out, &binary_head("trade", 5), &held(4), Some(&trades[0]), &trades[2]);
            binary::ticker_snapshot(out, &binary_head("ticker", 1), "e1", &tickers[0]);
            binary::ticker_update(out, &binary_head("ticker", 2), &held(1), &tickers[0], &tickers[1]);
            binary::bar_snapshot(out, &binary_head("bar.1m", 1), "e1", None);
            binary::bar_update(out, &binary_head("bar.1m", 2), &held(1), bars[0].as_ref(), &bars[1].unwrap());
            binary::status_snapshot(out, &binary_head("status", 3), "e1", &status);
        })
        .await;
    };
    let following = async {
        let mut seen = Vec::new();
        let mut found = Vec::new();
        until(&mut client, |event| {
            match event {
                Event::State(update) => seen.push((update.channel, update.seq, update.merged)),
                Event::Trade(update, trade) => found.push((update.seq, *trade)),
                Event::Gap { lost, .. } => assert_eq!(*lost, 2),
                Event::Subscribed { .. } => {}
                other => panic!("{other:?}"),
            }
            matches!(event, Event::State(Update { channel: Channel::Status, .. })).then_some(())
        })
        .await;
        assert_eq!(seen[..2], [(Channel::Quote, 1, 0), (Channel::Quote, 9, 8)]);
        assert_eq!(found, [(2, trades[1]), (5, trades[2])]);
    };
    tokio::join!(serving, following);
    assert_eq!(client.quote("AAPL"), Some(quotes[1]));
    let field = |channel, wanted: &str| {
        let fields = client.fields(channel, "AAPL").expect("known");
        let (_, text) = fields.iter().find(|(name, _)| *name == wanted).expect("a field").clone();
        text.map(String::from)
    };
    assert_eq!(client.fields(Channel::Ticker, "AAPL").expect("known").len(), 13);
    assert_eq!(field(Channel::Ticker, "vwap").as_deref(), Some("189.577143"));
    assert_eq!(field(Channel::Ticker, "bid"), None);
    assert_eq!(field(bar, "start").as_deref(), Some("60000000"));
    assert_eq!(field(bar, "final").as_deref(), Some("true"));
    assert_eq!(field(Channel::Status, "reason").as_deref(), Some("LULD"));
    let stats = client.stats();
    assert_eq!((stats.messages, stats.lost, stats.merged, stats.gaps), (5 + 12, 2, 8 + 4, 0));
}

#[tokio::test]
async fn binary_books_prove_themselves_catch_up_and_get_what_they_miss() {
    let server = Server::start().await;
    let settings = ClientSettings { encoding: Encoding::Binary, ..patient() };
    let (mut client, mut peer) = server.client_with(settings).await;
    client.subscribe(Channel::Book(Depth::D10), named(&["AAPL"]));
    let level = |price, size| Level { price: Price(price), size: Size(size) };
    let snapshot = |out: &mut Vec<u8>, number: u64, bids: &[Level]| {
        let head = binary_head("book.10", number);
        let (bids_then, proof) = (bids.iter().copied(), checksum(bids, &[]));
        binary::book_snapshot(out, &head, "e1", Depth::D10, bids_then, std::iter::empty(), proof);
    };
    let update =
        |out: &mut Vec<u8>, number: u64, before: u64, best: i64, change: Level, proof: Option<u32>| {
            let bids = BookSide { best: Some(Price(best)), changed: &[change], last: None };
            let asks = BookSide { best: None, changed: &[], last: None };
            binary::book_update(out, &binary_head("book.10", number), &held(before), &bids, &asks, proof);
        };
    let serving = async {
        peer.grant("book.10", &["AAPL"]).await;
        peer.send_records(|out| {
            snapshot(out, 10, &[level(1_000, 5)]);
            let after = checksum(&[level(1_001, 7), level(1_000, 5)], &[]);
            update(out, 11, 10, 1_000, level(1_001, 7), Some(after));
            binary::merged_prefix(out, topic("book.10"), 11, 9);
            snapshot(out, 20, &[level(990, 1)]);
            // One is missing.
            update(out, 22, 21, 990, level(991, 4), None);
        })
        .await;
        let (number, held) = peer.resync("book.10", "AAPL").await;
        assert_eq!(held, Some(20));
        peer.send_records(|out| update(out, 23, 22, 990, level(991, 5), None)).await;
        peer.acknowledge_resync(number, "book.10", "AAPL").await;
        peer.send_records(|out| {
            update(out, 21, 20, 990, level(992, 2), None);
            update(out, 22, 21, 992, level(991, 4), None);
            update(out, 23, 22, 992, level(991, 5), Some(1));
        })
        .await;
        let (_, held) = peer.resync("book.10", "AAPL").await;
        assert_eq!(held, None);
        peer.send_records(|out| out.extend([0x3b, 0x05])).await;
    };
    let following = async {
        let mut seen = Vec::new();
        let mut diverged = Vec::new();
        let why = until(&mut client, |event| match event {
            Event::State(update) => {
                seen.push((update.seq, update.merged));
                None
            }
            Event::Diverged { divergence, .. } => {
                diverged.push(divergence.clone());
                None
            }
            Event::Disconnected(why) => Some(why.clone()),
            _ => None,
        });
        let why = why.await;
        assert!(matches!(&why, Disconnect::Malformed(text) if text.contains("no kind 5")), "{why:?}");
        assert_eq!(seen, [(10, 0), (11, 1), (20, 9), (21, 1), (22, 1)]);
        let ours = checksum(&[level(992, 2), level(991, 5), level(990, 1)], &[]);
        let gap = Divergence::Gap { expected: 20, found: None };
        assert_eq!(diverged, [gap, Divergence::Checksum { ours, theirs: 1 }]);
    };
    tokio::join!(serving, following);
    let stats = client.stats();
    assert_eq!((stats.checksums_ok, stats.checksums_failed, stats.gaps, stats.ignored), (3, 1, 1, 1));
}

/// The server's side of a connection whose frames are made by hand.
struct RawPeer {
    stream: TcpStream,
    decoder: Decoder,
    inflater: Inflater,
    deflater: Deflater,
}

impl RawPeer {
    /// Agrees to all that is offered; `early` is sent right behind the answer.
    async fn accept(server: &Server, early: &str) -> Self {
        let (mut stream, _) = within(server.listener.accept()).await.expect("a connection");
        let mut head = Vec::new();
        let request = loop {
            within(stream.read_buf(&mut head)).await.expect("a request");
            if let Some((_, request)) = Request::try_parse(&head).expect("a request") {
                break request;
            }
        };
        let accepted = handshake::accept(request.method(), request.headers(), &["tickwire.v1.json"], true)
            .expect("an offer");
        let deflate = accepted.deflate.expect("compression is offered");
        let answer = format!(
            "HTTP/1.1 101 Switching Protocols\r\nupgrade: WebSocket\r\nconnection: upgrade\r\n\
             Sec-WebSocket-Accept: {}\r\nSec-WebSocket-Protocol: tickwire.v1.json\r\n\
             Sec-WebSocket-Extensions: {}\r\n\r\n",
            accepted.accept,
            deflate.to_header()
        );
        let deflater = Deflater::new(deflate.server_max_window_bits);
        let decoder = Decoder::new(Role::Server, true, 1 << 20);
        let mut peer = Self { stream, decoder, inflater: Inflater::without_context(), deflater };
        let early = peer.frame(early);
        peer.stream.write_all(&[answer.as_bytes(), &early].concat()).await.expect("the client is there");
        peer
    }

    fn frame(&mut self, text: &str) -> Vec<u8> {
        let mut payload = Vec::new();
        self.deflater.compress(text.as_bytes(), &mut payload);
        [Header::new(Opcode::Text, true, payload.len()).as_bytes(), &payload].concat()
    }

    async fn send_in_crumbs(&mut self, text: &str) {
        let frame = self.frame(text);
        for crumb in frame.chunks(7) {
            self.stream.write_all(crumb).await.expect("the client is there");
            tokio::task::yield_now().await;
        }
    }

    /// What the client sends next, as text.
    async fn receive(&mut self) -> String {
        let mut byte = [0];
        loop {
            let count = within(self.stream.read(&mut byte)).await.expect("the client is there");
            assert_eq!(count, 1, "the client ended the connection");
            let (mut input, mut inflated) = (&mut byte[..], Vec::new());
            match self.decoder.next(&mut input, &mut self.inflater, &mut inflated).expect("a frame") {
                Some(ws::decode::Event::Text(text)) => return text.to_owned(),
                Some(other) => return format!("{other:?}"),
                None => {}
            }
        }
    }
}

#[tokio::test]
async fn a_compressed_stream_is_followed_and_frames_are_answered_as_rfc_6455_has_it() {
    let server = Server::start().await;
    let url = format!("ws://{}/v1/ws", server.address);
    let early = r#"[{"channel":"heartbeat","ts":1,"lag_us":7,"laggard":false}]"#;
    let (client, mut peer) = tokio::join!(Client::connect(url, patient()), RawPeer::accept(&server, early));
    let mut client = client.expect("connected");
    let request = client.subscribe(Channel::Quote, named(&["A"]));
    let serving = async {
        assert!(peer.receive().await.contains(r#""method":"subscribe""#));
        peer.send_in_crumbs(&format!(
            r#"[{{"method":"subscribe","success":true,"req_id":{request},"result":{{"channel":"quote","epoch":"e1","granted":[{{"symbol":"A","topic":0,"price_exponent":-2,"size_exponent":0,"seq":1}}],"rejected":[]}}}}]"#
        ))
        .await;
        peer.send_in_crumbs(&format!("[{}]", quote_snapshot("A", "e1", 1, "1.00"))).await;
        for number in 2..=40 {
            peer.send_in_crumbs(&format!("[{}]", quote_update("A", number, number - 1, "1.25"))).await;
        }
        peer.stream.write_all(&[0x89, 2, b'h', b'i']).await.expect("the client is there");
        assert_eq!(peer.receive().await, "Pong([104, 105])");
        // A server's frame is not masked.
        peer.stream.write_all(&[0x81, 0x80, 0, 0, 0, 0]).await.expect("the client is there");
        assert_eq!(peer.receive().await, r#"Close(Some((1002, "")))"#);
    };
    let following = async {
        let heartbeat = within(client.next()).await.expect("an event");
        assert_eq!(heartbeat, Event::Heartbeat { lag: Duration::from_micros(7), laggard: false });
        until_seq(&mut client, "A", 40).await;
        assert_eq!(bid(&client, "A"), Some(125));
        let why = until(&mut client, |event| match event {
            Event::Disconnected(why) => Some(why.clone()),
            _ => None,
        });
        assert_eq!(why.await, Disconnect::Malformed("a server's frame is masked".to_owned()));
    };
    tokio::join!(serving, following);
    assert_eq!((client.stats().updates, client.stats().frames), (39, 42));
}

#[tokio::test]
async fn the_servers_time_and_lateness_are_told() {
    let server = Server::start().await;
    let (mut client, mut peer) = server.client().await;
    let ping = client.ping();
    let request = client.subscribe(Channel::Quote, named(&["A"]));
    let serving = async {
        let asked = peer.request_object().await;
        assert_eq!((asked["method"].as_str(), asked["req_id"].as_i64()), (Some("ping"), Some(ping)));
        peer.send(&format!(r#"[{{"method":"ping","success":true,"req_id":{ping},"result":{{"ts":7}}}}]"#))
            .await;
        for late in ["", r#""delayed":true,"#] {
            peer.send(&format!(
                r#"[{{"method":"subscribe","success":true,"req_id":{request},"result":{{"channel":"quote",{late}"epoch":"e1","granted":[],"rejected":[]}}}}]"#
            ))
            .await;
        }
    };
    let following = async {
        let pong = within(client.next()).await.expect("an event");
        assert_eq!(pong, Event::Pong { request: ping, ts: Timestamp(7_000) });
        for late in [false, true] {
            let answer = within(client.next()).await.expect("an event");
            assert!(matches!(answer, Event::Subscribed { delayed, .. } if delayed == late), "{answer:?}");
        }
    };
    tokio::join!(serving, following);
}

#[tokio::test]
async fn an_answer_that_opens_no_websocket_is_told() {
    let server = Server::start().await;
    let url = format!("ws://{}/v1/ws", server.address);
    let json = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n";
    for (answer, reason) in [
        ("HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n", "answered 503"),
        (json, "`Sec-WebSocket-Accept` does not belong"),
        ("nonsense\r\n\r\n", "no connection to"),
        ("HTTP/1.1 101", "unexpected end of file"),
    ] {
        let refusing = async {
            let (mut stream, _) = server.listener.accept().await.expect("a connection");
            let _ = stream.read(&mut [0; 4096]).await;
            stream.write_all(answer.as_bytes()).await.expect("the client is there");
        };
        let (refused, ()) =
            within(async { tokio::join!(Client::connect(url.as_str(), patient()), refusing) }).await;
        let error = refused.expect_err("no connection").to_string();
        assert!(error.contains(reason), "{answer:?}: {error}");
    }
    let error = Client::connect("http://127.0.0.1/v1/ws", patient()).await.expect_err("another scheme");
    assert!(error.to_string().contains("begins with ws://"), "{error}");
}
