//! What a client presents, when, and what it does when that is not taken.

use std::path::Path;
use std::sync::{Arc, Mutex};

use feeds::Symbol;

use super::*;

/// The server's side of the next connection, and what was presented on it.
async fn accept(server: &Server) -> (Peer, Option<String>) {
    let (stream, _) = within(server.listener.accept()).await.expect("a connection");
    let mut presented = None;
    #[expect(clippy::result_large_err, reason = "the signature is tungstenite's")]
    let callback = |request: &Request, response: Response| {
        let header = request.headers().get("Authorization");
        presented = header.map(|value| value.to_str().expect("text").to_owned());
        agree(request, response)
    };
    let socket = tokio_tungstenite::accept_hdr_async(stream, callback).await.expect("a handshake");
    (Peer(socket), presented)
}

fn bearer(token: &str) -> Option<String> {
    Some(format!("Bearer {token}"))
}

async fn connected(server: &Server, file: &Path) -> (Client, Peer) {
    let settings = ClientSettings {
        token: Some(Token::File(file.to_owned())),
        backoff_first: Duration::from_millis(2),
        backoff_max: Duration::from_millis(20),
        ..patient()
    };
    let url = format!("ws://{}/v1/ws", server.address);
    let (client, (peer, presented)) = tokio::join!(Client::connect(url, settings), accept(server));
    assert_eq!(presented, bearer("one"));
    (client.expect("connected"), peer)
}

fn file() -> (tempfile::TempDir, std::path::PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("token");
    std::fs::write(&path, "one\n").expect("a file");
    (folder, path)
}

#[tokio::test]
async fn each_connection_presents_what_the_file_has_then() {
    let server = Server::start().await;
    let (_folder, path) = file();
    let (mut client, mut peer) = connected(&server, &path).await;
    std::fs::write(&path, "two\n").expect("a file");
    let reconnected = until(&mut client, |event| matches!(event, Event::Reconnected).then_some(()));
    let serving = async {
        peer.close(4004).await;
        accept(&server).await
    };
    let ((), (mut peer, presented)) = tokio::join!(reconnected, serving);
    assert_eq!(presented, bearer("two"));

    // With the same again it would be refused again.
    let (end, ()) = tokio::join!(client.next(), peer.close(4004));
    assert!(matches!(end, Ok(Event::Disconnected(Disconnect::Closed(4004, _)))), "{end:?}");
    let error = within(client.next()).await.expect_err("for good").to_string();
    assert!(error.contains("4004") && error.contains("present another token"), "{error}");
}

#[tokio::test]
async fn another_token_is_presented_once_the_one_before_is_over_soon_and_there_is_one() {
    let server = Server::start().await;
    let (_folder, path) = file();
    let (mut client, mut peer) = connected(&server, &path).await;
    let seen = Arc::new(Mutex::new(Vec::new()));
    let tapped = Arc::clone(&seen);
    client.tap(Box::new(move |observed| {
        let text = String::from_utf8_lossy(observed.payload).into_owned();
        tapped.lock().expect("no panic").push((observed.sender, text));
    }));
    let heartbeat = r#"[{"channel":"heartbeat","ts":1,"lag_us":0,"laggard":false}]"#;
    let serving = async {
        std::fs::write(&path, "two").expect("a file");
        peer.send(heartbeat).await;
        peer.send(r#"[{"channel":"system","type":"token_expiring","expires":1763848800000000}]"#).await;
        let request = peer.request_object().await;
        assert_eq!((&request["method"], &request["params"]["token"]), (&"auth".into(), &"two".into()));
        let ack = serde_json::json!([{"method": "auth", "success": true, "req_id": request["req_id"], "result": {"expires": 1}}]);
        peer.send(&ack.to_string()).await;
    };
    let following = async {
        let expires = until(&mut client, |event| match event {
            Event::TokenExpiring(expires) => Some(*expires),
            _ => None,
        });
        assert_eq!(expires.await, Timestamp(1_763_848_800_000_000_000));
        until(&mut client, |event| matches!(event, Event::TokenRenewed).then_some(())).await;
    };
    tokio::join!(serving, following);
    assert!(!format!("{client:?} {:?}", client.settings).contains("two"));
    let seen = seen.lock().expect("no panic");
    assert!(seen.iter().all(|(_, text)| !text.contains("two")), "{seen:?}");
    let auth = seen.iter().find(|(sender, _)| *sender == Sender::Client).expect("what was asked");
    assert!(auth.1.starts_with(r#"{"method":"auth","params":{"token":"…"}"#), "{auth:?}");
    assert!(seen.contains(&(Sender::Server, heartbeat.to_owned())), "{seen:?}");
}

#[tokio::test]
async fn who_is_not_let_in_again_is_told_why_and_does_not_ask_for_ever() {
    let server = Server::start().await;
    let (_folder, path) = file();
    let (mut client, peer) = connected(&server, &path).await;
    drop(peer);
    let refusing = async {
        let (mut stream, _) = within(server.listener.accept()).await.expect("a connection");
        let _ = stream.read(&mut [0; 4096]).await.expect("a request");
        let body = r#"{"code":"AUTH_FAILED","detail":"the token is \u00fcber"}"#;
        let head = format!("HTTP/1.1 401 Unauthorized\r\nContent-Length: {}\r\n\r\n", body.len());
        stream.write_all(head.as_bytes()).await.expect("a client");
        stream.write_all(body.as_bytes()).await.expect("a client");
        stream
    };
    let ended = async {
        loop {
            if let Err(error) = client.next().await {
                break error;
            }
        }
    };
    let (_stream, error) = within(async { tokio::join!(refusing, ended) }).await;
    assert!(matches!(&error, ClientError::Refused { reason } if reason == "the token is über"), "{error}");
    assert!(within(client.next()).await.is_err(), "again the same");
}

#[tokio::test]
async fn what_may_not_be_seen_any_more_is_known_no_longer() {
    let server = Server::start().await;
    let (mut client, mut peer) = server.client().await;
    client.subscribe(Channel::Quote, named(&["A", "B", "C"]));
    let serving = async {
        peer.grant("quote", &["A", "B", "C"]).await;
        let states = ["A", "B", "C"].map(|symbol| quote_snapshot(symbol, "e1", 10, "1.00"));
        peer.send(&format!("[{}]", states.join(","))).await;
        let of = |symbol: &str| format!(r#"{{"channel":"quote","symbol":"{symbol}"}}"#);
        let told = format!(
            r#"[{{"channel":"system","type":"entitlement","delayed":true,"removed":[{}],"moved":[{}]}}]"#,
            of("A"),
            of("B")
        );
        peer.send(&told).await;
    };
    let following = async {
        let event = until(&mut client, |event| match event {
            Event::Entitled { delayed, removed } => Some((*delayed, removed.clone())),
            _ => None,
        });
        let gone = Symbol::new("A").expect("a symbol");
        assert_eq!(event.await, (true, vec![(Channel::Quote, gone)]));
    };
    tokio::join!(serving, following);
    assert_eq!((bid(&client, "A"), bid(&client, "B"), bid(&client, "C")), (None, None, Some(100)));
    assert_eq!(client.topics(), (2, 1), "what is late from now on is known again with its state");
}
