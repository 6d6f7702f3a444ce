//! The usual Rust server: axum, a task for each connection, a `tokio::sync::broadcast` for each symbol.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::extract::State;
use axum::extract::ws::{Message, Utf8Bytes, WebSocket, WebSocketUpgrade};
use axum::response::Response;
use axum::routing::any;
use axum::serve::ListenerExt;
use clap::Parser;
use futures_util::stream::{SelectAll, SplitSink};
use futures_util::{FutureExt, SinkExt, StreamExt};
use tickwire_peers::{Market, Options, SUBPROTOCOL, answer, listen, now_us, sleep_until_due};
use tokio::sync::broadcast;
use tokio_stream::wrappers::BroadcastStream;
use tokio_stream::wrappers::errors::BroadcastStreamRecvError;

/// Updates that a client may be behind by, of each symbol.
const BEHIND_MAX: usize = 1024;
/// Of 10,000 connections with the usual 128 KiB each there would be more than a gigabyte.
const READ_BUFFER_BYTES: usize = 2048;

/// axum with `tokio::sync::broadcast`
#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    options: Options,
    /// Feed all that is there to a socket, then flush, with a small read buffer; without it each update is a `send`
    #[arg(long)]
    flush_all: bool,
}

struct Hub {
    market: Mutex<Market>,
    updates: Vec<broadcast::Sender<Utf8Bytes>>,
    flush_all: bool,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let Cli { options, flush_all } = Cli::parse();
    let updates = (0..options.symbols).map(|_| broadcast::Sender::new(BEHIND_MAX)).collect();
    let hub = Arc::new(Hub { market: Mutex::new(Market::new(&options)), updates, flush_all });
    let listener = listen(options.port)?;
    let fed = Arc::clone(&hub);
    std::thread::spawn(move || play(&fed));
    let router = Router::new().route("/", any(upgrade)).route("/v1/ws", any(upgrade)).with_state(hub);
    let listener = listener.tap_io(|socket| {
        if let Err(error) = socket.set_nodelay(true) {
            eprintln!("cannot set TCP_NODELAY: {error}");
        }
    });
    axum::serve(listener, router).await?;
    Ok(())
}

/// The feed is a thread of its own: tokio's timers have whole milliseconds.
fn play(hub: &Hub) {
    loop {
        let turn = now_us();
        let due = {
            let mut market = hub.market();
            while let Some(index) = market.advance(turn) {
                if hub.updates[index].receiver_count() == 0 {
                    continue;
                }
                let mut text = vec![b'['];
                market.quotes[index].write_update(&mut text);
                text.push(b']');
                let text = Utf8Bytes::try_from(text).expect("JSON in ASCII");
                // Who followed it may have left since it was counted.
                let _followers = hub.updates[index].send(text);
            }
            market.due_us()
        };
        sleep_until_due(due, turn);
    }
}

async fn upgrade(upgrade: WebSocketUpgrade, State(hub): State<Arc<Hub>>) -> Response {
    let upgrade = upgrade.protocols([SUBPROTOCOL]);
    let upgrade = if hub.flush_all { upgrade.read_buffer_size(READ_BUFFER_BYTES) } else { upgrade };
    upgrade.on_upgrade(move |socket| async move {
        if let Err(error) = serve(socket, &hub).await {
            eprintln!("a client is gone: {error}");
        }
    })
}

async fn serve(socket: WebSocket, hub: &Hub) -> anyhow::Result<()> {
    let (mut outgoing, mut incoming) = socket.split();
    let mut updates = SelectAll::new();
    loop {
        tokio::select! {
            request = incoming.next() => match request {
                None | Some(Err(_) | Ok(Message::Close(_))) => return Ok(()),
                Some(Ok(Message::Text(text))) => {
                    let answer = {
                        // Nothing is published between the snapshots and the subscription to what follows them.
                        let market = hub.market();
                        let answer = answer(&market, &text)?;
                        updates.extend(answer.follow.iter().map(|&index| hub.updates[index].subscribe().into()));
                        answer
                    };
                    for message in answer.messages {
                        outgoing.send(Message::text(message)).await?;
                    }
                }
                Some(Ok(_)) => {}
            },
            Some(update) = updates.next() => {
                if hub.flush_all {
                    feed_all(&mut outgoing, update, &mut updates).await?;
                } else {
                    outgoing.send(Message::Text(update?)).await?;
                }
            }
        }
    }
}

async fn feed_all(
    outgoing: &mut SplitSink<WebSocket, Message>,
    first: Result<Utf8Bytes, BroadcastStreamRecvError>,
    updates: &mut SelectAll<BroadcastStream<Utf8Bytes>>,
) -> anyhow::Result<()> {
    let mut next = Some(first);
    while let Some(update) = next {
        outgoing.feed(Message::Text(update?)).await?;
        next = updates.next().now_or_never().flatten();
    }
    Ok(outgoing.flush().await?)
}

impl Hub {
    fn market(&self) -> MutexGuard<'_, Market> {
        self.market.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
