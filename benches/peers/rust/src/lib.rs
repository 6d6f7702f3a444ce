//! What the peers in Rust share: the stream of quotes, and the little of Tickwire's protocol (`src/wire/protocol.md`)
//! that `tickwire load` needs. How updates are sent is each peer's own.

mod market;
mod request;

use std::net::Ipv4Addr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::net::{TcpListener, TcpSocket};

pub use market::{Market, Quote};
pub use request::{Answer, answer};

/// The subprotocol that clients ask for.
pub const SUBPROTOCOL: &str = "tickwire.v1.json";

/// The stream that a peer serves, and where.
#[derive(clap::Args)]
pub struct Options {
    /// Port of 127.0.0.1; 0 takes a free one
    #[arg(long, default_value_t = 0)]
    pub port: u16,
    /// Instruments
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..))]
    pub symbols: u32,
    /// Updates per second and instrument
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..))]
    pub rate: u32,
    /// Taken because the others take it: the thread that makes the updates is always precise here
    #[arg(long)]
    pub precise: bool,
}

/// Connections that the kernel holds until they are taken: a thousand may come in a second, and a turn may be long.
const BACKLOG_MAX: u32 = 4_096;

/// The socket that clients come to; its URL is printed.
///
/// # Errors
/// When the port is taken.
pub fn listen(port: u16) -> anyhow::Result<TcpListener> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind((Ipv4Addr::LOCALHOST, port).into())?;
    let listener = socket.listen(BACKLOG_MAX)?;
    println!("http://{}", listener.local_addr()?);
    Ok(listener)
}

/// From one turn to the next at least.
const TURN_US: u64 = 1_000;

/// Sleeps until the next event is due, and until a millisecond after the turn's begin at least.
#[expect(clippy::disallowed_methods, reason = "there is nothing to wait for but the time")]
pub fn sleep_until_due(due_us: u64, turn_us: u64) {
    let wake = due_us.max(turn_us + TURN_US);
    std::thread::sleep(Duration::from_micros(wake.saturating_sub(now_us())));
}

/// Microseconds since the Unix epoch.
#[expect(clippy::disallowed_methods, reason = "a peer has no clock but this one")]
pub fn now_us() -> u64 {
    let elapsed = SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is past 1970");
    u64::try_from(elapsed.as_micros()).expect("584,000 years")
}
