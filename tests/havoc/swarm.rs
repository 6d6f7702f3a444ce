//! Clients who prove what they are served, and are looked at from outside.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use feeds::clock::monotonic;
use tickwire::client::{Client, ClientSettings, Event, Stats};
use tickwire::state::Quote;
use tickwire::topic::{Channel, Depth};
use tickwire::wire::{Encoding, Symbols};
use tokio::runtime::{Builder, Runtime};

const CHANNELS: [Channel; 4] = [Channel::Status, Channel::Quote, Channel::Trade, Channel::Book(Depth::D10)];
/// Symbols that each client follows.
const LIST: usize = 3;

/// What is known of one client.
#[derive(Default)]
pub(crate) struct Seen {
    /// Since when it lacks something.
    pub(crate) cut_at: Option<Instant>,
    /// How long it did the last time.
    pub(crate) back_after: Duration,
    pub(crate) back_at: Option<Instant>,
    /// How often it was cut off.
    pub(crate) cuts: u64,
    pub(crate) epochs: u64,
    /// Of each symbol's `status`.
    pub(crate) stale: BTreeMap<String, bool>,
    /// Since when all are.
    pub(crate) stale_at: Option<Instant>,
    pub(crate) quotes: BTreeMap<String, (u64, Quote)>,
    /// Topics without a state.
    pub(crate) lacks: Vec<String>,
    /// Trades that it was told it would not get.
    pub(crate) lost: u64,
    pub(crate) stats: Stats,
    /// What may not be.
    pub(crate) wrong: Vec<String>,
    /// The newest number of each topic that it was shown, in this epoch.
    newest: BTreeMap<(Channel, String), u64>,
}

/// One of them.
#[derive(Clone, Default)]
pub(crate) struct Follower(Arc<Mutex<Seen>>);

impl Follower {
    pub(crate) fn seen(&self) -> MutexGuard<'_, Seen> {
        self.0.lock().expect("not poisoned")
    }

    /// One that follows for as long as the runtime lives.
    fn start(runtime: &Runtime, url: String, symbols: Vec<String>, settings: ClientSettings) -> Self {
        let follower = Self::default();
        follower.seen().cut_at = Some(monotonic());
        runtime.spawn(follower.clone().follow(url, symbols, settings));
        follower
    }

    async fn follow(self, url: String, symbols: Vec<String>, settings: ClientSettings) {
        let mut client = loop {
            match Client::connect(url.as_str(), settings.clone()).await {
                Ok(client) => break client,
                // At a start, many come at once.
                Err(_) => tokio::time::sleep(settings.backoff_first).await,
            }
        };
        let few = || Symbols::Named(symbols.clone());
        for channel in CHANNELS {
            client.subscribe(channel, few());
        }
        loop {
            let event = client.next().await;
            let mut seen = self.seen();
            match event {
                Ok(event) => seen.take(&event, &client),
                Err(error) => return seen.wrong.push(error.to_string()),
            }
            seen.stats = *client.stats();
            seen.lacks = Vec::new();
            for channel in CHANNELS {
                let unknown = symbols.iter().filter(|symbol| client.seq(channel, symbol).is_none());
                seen.lacks.extend(unknown.map(|symbol| format!("{channel} {symbol}")));
            }
            if seen.lacks.is_empty()
                && let Some(at) = seen.cut_at.take()
            {
                let now = monotonic();
                seen.back_after = now.duration_since(at);
                seen.back_at = Some(now);
            }
        }
    }
}

impl Seen {
    fn take(&mut self, event: &Event, client: &Client) {
        match event {
            Event::State(update) | Event::Trade(update, _) => {
                let symbol = update.symbol.as_str();
                if update.channel == Channel::Status {
                    let fields = client.fields(Channel::Status, symbol).unwrap_or_default();
                    let state = fields.iter().find(|(name, _)| *name == "state");
                    let is_stale = state.is_some_and(|(_, state)| state.as_deref() == Some("stale"));
                    self.stale.insert(symbol.to_owned(), is_stale);
                    let are_all = self.stale.values().all(|&is_stale| is_stale);
                    self.stale_at = are_all.then(|| self.stale_at.unwrap_or_else(monotonic));
                    // Gateways number statuses themselves.
                    return;
                }
                let newest = self.newest.entry((update.channel, symbol.to_owned())).or_default();
                let is_next = if update.is_snapshot { update.seq >= *newest } else { update.seq > *newest };
                if !is_next {
                    self.wrong.push(format!("{update:?} after {newest}"));
                }
                *newest = update.seq;
                if let (Channel::Quote, Some(quote), Some(seq)) =
                    (update.channel, client.quote(symbol), client.seq(Channel::Quote, symbol))
                {
                    self.quotes.insert(symbol.to_owned(), (seq, quote));
                }
            }
            Event::Gap { channel, symbol, lost } => {
                self.lost += lost;
                if *channel != Channel::Trade {
                    self.wrong.push(format!("a gap of {channel} {symbol}"));
                }
            }
            Event::Diverged { .. } | Event::Failed { .. } => self.wrong.push(format!("{event:?}")),
            Event::Epoch(_) => {
                self.epochs += 1;
                self.newest.clear();
                self.quotes.clear();
            }
            Event::Disconnected(_) => {
                self.cuts += 1;
                self.cut_at.get_or_insert_with(monotonic);
            }
            Event::Subscribed { rejected, .. } if !rejected.is_empty() => {
                self.wrong.push(format!("{event:?}"));
            }
            _ => {}
        }
    }
}

/// All of them.
pub(crate) struct Swarm {
    runtime: Runtime,
    pub(crate) followers: Vec<Follower>,
}

impl Swarm {
    /// So many clients of a few symbols each, in every encoding.
    pub(crate) fn start(clients: usize, address: SocketAddr, symbols: &[String]) -> Self {
        let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("threads");
        let followers = (0..clients)
            .map(|at| {
                let list = (0..LIST).map(|next| symbols[(at + next) % symbols.len()].clone()).collect();
                let encoding = if at % 2 == 0 { Encoding::Json } else { Encoding::Binary };
                let settings = ClientSettings { encoding, ..ClientSettings::default() };
                Follower::start(&runtime, format!("ws://{address}/v1/ws"), list, settings)
            })
            .collect();
        Self { runtime, followers }
    }

    /// One that takes every state of all symbols as it is published, from where that is done.
    pub(crate) fn oracle(&self, address: SocketAddr, symbols: &[String]) -> Oracle {
        let history = Arc::new(Mutex::new(BTreeMap::new()));
        let (kept, symbols) = (Arc::clone(&history), symbols.to_vec());
        self.runtime.spawn(async move {
            let url = format!("ws://{address}/v1/ws");
            let Ok(mut client) = Client::connect(url, ClientSettings::default()).await else { return };
            client.subscribe(Channel::Quote, Symbols::Named(symbols));
            while let Ok(event) = client.next().await {
                if let Event::State(update) = event
                    && let (Some(quote), Some(seq)) = (
                        client.quote(update.symbol.as_str()),
                        client.seq(Channel::Quote, update.symbol.as_str()),
                    )
                {
                    let mut history = kept.lock().expect("not poisoned");
                    let of: &mut BTreeMap<u64, Quote> =
                        history.entry(update.symbol.as_str().to_owned()).or_default();
                    of.insert(seq, quote);
                }
            }
        });
        Oracle(history)
    }
}

/// Every quote of one run of the stream, by symbol and number.
pub(crate) struct Oracle(Arc<Mutex<BTreeMap<String, BTreeMap<u64, Quote>>>>);

impl Oracle {
    /// The newest number of each symbol.
    pub(crate) fn newest(&self) -> BTreeMap<String, u64> {
        let history = self.0.lock().expect("not poisoned");
        history.iter().filter_map(|(symbol, of)| Some((symbol.clone(), *of.last_key_value()?.0))).collect()
    }

    /// Whether a client holds what was published, and nothing older than these numbers.
    pub(crate) fn agrees(&self, seen: &Seen, from: &BTreeMap<String, u64>) -> bool {
        let history = self.0.lock().expect("not poisoned");
        seen.quotes.len() == LIST
            && seen.quotes.iter().all(|(symbol, (seq, quote))| {
                *seq >= from[symbol] && history.get(symbol).and_then(|of| of.get(seq)) == Some(quote)
            })
    }
}
