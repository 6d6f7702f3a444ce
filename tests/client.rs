//! The Rust client against the real service, in each form that data is sent in.

mod service {
    pub(crate) mod process;
    pub(crate) mod program;
    pub(crate) mod simulated;
}

use service::process::Service;
use service::program::PATIENCE;
use tickwire::client::{Client, ClientSettings, Event, Stats};
use tickwire::topic::{Channel, Depth, Interval};
use tickwire::wire::{Encoding, Symbols};
use tokio::runtime::Builder;
use tokio::time::timeout;

const CHANNELS: [Channel; 7] = [
    Channel::Quote,
    Channel::Trade,
    Channel::Book(Depth::D10),
    Channel::Book(Depth::D100),
    Channel::Ticker,
    Channel::Bar(Interval::S1),
    Channel::Status,
];

/// Follows everything until so many books were proven, and panics at anything that is not as it should be.
async fn follow(url: &str, settings: ClientSettings) -> Stats {
    let mut client = Client::connect(url, settings).await.expect("a connection");
    for channel in CHANNELS {
        client.subscribe(channel, Symbols::All);
    }
    while client.stats().checksums_ok < 500 {
        match client.next().await.expect("the connection stays") {
            Event::Diverged { channel, symbol, divergence } => {
                panic!("{channel} of {symbol}: {divergence:?}")
            }
            Event::Failed { code, message, .. } => panic!("{code}: {message}"),
            Event::Disconnected(why) => panic!("{why}"),
            _ => {}
        }
    }
    let (followed, known) = client.topics();
    assert_eq!((followed, known), (20 * CHANNELS.len(), 20 * CHANNELS.len()));
    *client.stats()
}

#[test]
fn every_form_of_the_data_is_understood() {
    let server = Service::simulated("market", 20, 100);
    let url = format!("ws://{}/v1/ws", server.address);
    let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
    for (encoding, compress) in
        [(Encoding::Json, false), (Encoding::Json, true), (Encoding::Binary, false), (Encoding::Binary, true)]
    {
        let settings = ClientSettings { encoding, compress, ..ClientSettings::default() };
        let stats = runtime
            .block_on(async { timeout(PATIENCE, follow(&url, settings)).await })
            .unwrap_or_else(|_| panic!("not in time: {encoding:?}, compressed: {compress}"));
        assert_eq!(
            (stats.gaps, stats.checksums_failed, stats.reconnects),
            (0, 0, 0),
            "{encoding:?} {compress}"
        );
        assert!(stats.updates > 500, "{} updates", stats.updates);
    }
}
