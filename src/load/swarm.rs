//! The clients of one thread.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use feeds::clock::{Clock, monotonic};
use tokio::runtime::Runtime;
use tokio::sync::oneshot;
use tokio::task::{LocalSet, spawn_local};
use tokio::time::{sleep, timeout};

use super::counts::Counts;
use super::drain::{Basin, Dialect, Drain, DrainError, Read};
use super::habit::{Habit, Rhythm, Urge};
use super::latency::{Latencies, Moment};
use super::{Settled, Window};
use crate::client::{Client, ClientError, ClientSettings, Disconnect, Divergence, Event, Token, Update};
use crate::limits::{
    LOAD_DRAIN_WAIT, LOAD_ERRORS_MAX, LOAD_HABIT_STEP, LOAD_RECEIVE_BUFFER_BYTES, LOAD_RECONNECT_WAIT,
};
use crate::topic::Channel;
use crate::wire::{CloseCode, Symbols};

/// The clients of a thread, and where they go.
#[derive(Debug)]
pub(super) struct Swarm {
    pub(super) url: String,
    pub(super) token: Option<Token>,
    pub(super) channel: Channel,
    pub(super) dialect: Dialect,
    pub(super) seats: Vec<Seat>,
    /// How many groups there are: one of steady clients, and one for each habit.
    pub(super) groups: usize,
    pub(super) settled: Arc<Settled>,
}

/// A client to be.
#[derive(Debug)]
pub(super) struct Seat {
    pub(super) connect_after: Duration,
    pub(super) symbols: Vec<String>,
    /// Whether it proves what it gets, or only drains its socket.
    pub(super) verifies: bool,
    pub(super) habit: Habit,
    /// The number of its habit in [`Settings::habits`](super::Settings::habits), from 1; 0 of a steady client.
    pub(super) group: usize,
    /// How far it is towards its first deed, a share of 256.
    pub(super) phase: u8,
}

impl Seat {
    fn client_settings(&self, dialect: Dialect, token: Option<Token>) -> ClientSettings {
        let Dialect { encoding, compress, max_frequency } = dialect;
        let receive_buffer = Some(LOAD_RECEIVE_BUFFER_BYTES);
        let usual = ClientSettings {
            encoding,
            compress,
            max_frequency,
            receive_buffer,
            token,
            ..ClientSettings::default()
        };
        match self.habit {
            Habit::Steady => usual,
            // It may be sent away again and again, and is to come back soon each time.
            _ => ClientSettings { backoff_max: LOAD_RECONNECT_WAIT, ..usual },
        }
    }
}

/// What a thread's clients came to.
#[derive(Debug)]
pub(super) struct Tally {
    pub(super) clients: Vec<ClientTally>,
    /// How long the window was in truth.
    pub(super) window: Duration,
    /// Of each group.
    pub(super) latencies: Vec<Latencies>,
    pub(super) errors: Errors,
}

/// What one client came to.
#[derive(Clone, Copy, Debug)]
pub(super) struct ClientTally {
    pub(super) state: State,
    pub(super) verifies: bool,
    pub(super) group: usize,
    pub(super) topics: u64,
    /// When the window opened.
    pub(super) before: Counts,
    /// When it closed.
    pub(super) after: Counts,
    /// At the very end.
    pub(super) end: Counts,
    /// Changes in the updates that were due in the window.
    pub(super) due_changes: u64,
    pub(super) overfull: u64,
    pub(super) disconnects: u64,
    /// How often it was closed with 4007, which is no disconnect where it was slow on purpose.
    pub(super) too_slow: u64,
    /// What it did of its habit: stalls, drops, or topics left and followed again.
    pub(super) deeds: u64,
    pub(super) refusals: u64,
    /// Whether something came that shows that all which was due in the window is there.
    pub(super) drained: bool,
}

impl ClientTally {
    /// What it counted in the window.
    pub(super) fn in_window(&self) -> Counts {
        self.after - self.before
    }

    /// Whether it was slow on purpose, closed for that, and is not back.
    pub(super) fn is_sent_away(&self) -> bool {
        self.too_slow > 0 && self.state == State::Lost
    }
}

/// How far a client came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// No connection yet, or not all snapshots.
    Unready,
    /// It has all snapshots; a drain: all of its topics were granted.
    Ready,
    /// It had them, lost its connection, and does not have them again.
    Lost,
    /// There was no connection to begin with.
    Unconnected,
    /// The server closed it for good.
    Closed,
}

/// Texts of errors, and how often each came.
#[derive(Debug, Default)]
pub(super) struct Errors(pub(super) BTreeMap<String, u64>);

impl Errors {
    pub(super) fn add(&mut self, text: String, count: u64) {
        let others = || "others".to_owned();
        let is_known = self.0.len() < LOAD_ERRORS_MAX || self.0.contains_key(&text);
        *self.0.entry(if is_known { text } else { others() }).or_default() += count;
    }
}

/// Connects the clients, lets them follow, and measures once `go` names a window.
pub(super) fn run(runtime: &Runtime, swarm: Swarm, go: oneshot::Receiver<Window>) -> Tally {
    LocalSet::new().block_on(runtime, async move {
        let desk = Rc::new(Desk::new(
            swarm.url,
            swarm.token,
            swarm.channel,
            swarm.dialect,
            swarm.groups,
            swarm.settled,
        ));
        let clients: Vec<Rc<Record>> = swarm.seats.into_iter().map(|seat| desk.admit(seat)).collect();
        let each = |what: fn(&Record)| clients.iter().for_each(|record| what(record));

        let mut length = Duration::ZERO;
        // The other end is dropped only where the load as a whole has failed.
        if let Ok(window) = go.await {
            desk.window.set(Some(window));
            sleep(window.from.since(Clock::System.now())).await;
            let opened = monotonic();
            each(|record| record.before.set(record.counts.get()));
            sleep(window.until.since(Clock::System.now())).await;
            each(|record| record.after.set(record.counts.get()));
            length = monotonic().duration_since(opened);
            // Clients that are odd are given the time to come back.
            let is_drained = |record: &Rc<Record>| match record.state.get() {
                State::Ready => !record.verifies || record.drained.get(),
                State::Lost | State::Unready => record.group == 0,
                State::Unconnected | State::Closed => true,
            };
            let patience = length + LOAD_DRAIN_WAIT;
            while monotonic().duration_since(opened) < patience && !clients.iter().all(is_drained) {
                sleep(Duration::from_millis(10)).await;
            }
        }
        Tally {
            clients: clients.iter().map(|record| record.tally()).collect(),
            window: length,
            latencies: desk.latencies.take(),
            errors: desk.errors.take(),
        }
    })
}

/// What the clients of a thread share.
struct Desk {
    url: String,
    token: Option<Token>,
    channel: Channel,
    dialect: Dialect,
    basin: Basin,
    settled: Arc<Settled>,
    window: Cell<Option<Window>>,
    latencies: RefCell<Vec<Latencies>>,
    errors: RefCell<Errors>,
}

/// A client as the others see it while it runs. The counts are copied here after every event, so that all are read in one
/// moment, and no client is asked for anything at the borders of the window.
struct Record {
    state: Cell<State>,
    verifies: bool,
    group: usize,
    topics: usize,
    counts: Cell<Counts>,
    before: Cell<Counts>,
    after: Cell<Counts>,
    due_changes: Cell<u64>,
    overfull: Cell<u64>,
    disconnects: Cell<u64>,
    too_slow: Cell<u64>,
    deeds: Cell<u64>,
    refusals: Cell<u64>,
    drained: Cell<bool>,
}

impl Desk {
    fn new(
        url: String,
        token: Option<Token>,
        channel: Channel,
        dialect: Dialect,
        groups: usize,
        settled: Arc<Settled>,
    ) -> Self {
        Self {
            url,
            token,
            channel,
            dialect,
            basin: Basin::new(),
            settled,
            window: Cell::new(None),
            latencies: RefCell::new((0..groups).map(|_| Latencies::new()).collect()),
            errors: RefCell::default(),
        }
    }

    fn admit(self: &Rc<Self>, seat: Seat) -> Rc<Record> {
        let record = Rc::new(Record::new(&seat));
        let (desk, own) = (Rc::clone(self), Rc::clone(&record));
        spawn_local(async move {
            sleep(seat.connect_after).await;
            let (state, error) = if seat.verifies {
                let Err(error) = desk.follow(seat, &own).await;
                let state = match error {
                    ClientError::Connect { .. } | ClientError::ConnectTimeout { .. } => State::Unconnected,
                    ClientError::Closed { .. } | ClientError::Refused { .. } => State::Closed,
                };
                (state, error.to_string())
            } else {
                let Err(error) = desk.drain(&seat, &own).await;
                (State::Unconnected, error.to_string())
            };
            let was_settled = own.state.replace(state) != State::Unready;
            desk.error(error);
            if !was_settled {
                desk.settled.add_one();
            }
        });
        record
    }

    /// Runs a client until it is over for good; dropped at the end of the load.
    async fn follow(&self, seat: Seat, record: &Record) -> Result<Infallible, ClientError> {
        let mut rhythm = None;
        loop {
            // What it counted on the connections that it dropped itself.
            let earlier = record.counts.get();
            let settings = seat.client_settings(self.dialect, self.token.clone());
            let mut client = Client::connect(self.url.as_str(), settings).await?;
            if client.is_compressed() != self.dialect.compress {
                self.refuse(record, "the server does not compress".to_owned());
            }
            client.subscribe(self.channel, Symbols::Named(seat.symbols.clone()));
            self.read(&seat, &mut client, earlier, &mut rhythm, record).await?;
        }
    }

    /// Reads until the client's habit is to drop its connection.
    async fn read(
        &self,
        seat: &Seat,
        client: &mut Client,
        earlier: Counts,
        rhythm: &mut Option<Rhythm>,
        record: &Record,
    ) -> Result<(), ClientError> {
        let topics = seat.symbols.len();
        let mut counts = Counts::default();
        // The topic that was left and is to be followed again, and how many were.
        let (mut left, mut switches) = (None, 0);
        loop {
            if let Some(rhythm) = rhythm {
                match self.urge(rhythm, counts.bytes, left.is_some()) {
                    Urge::Read => {}
                    Urge::Wait(wait) => {
                        record.deed();
                        self.pause(wait).await;
                    }
                    Urge::Drop => {
                        record.deed();
                        record.state.set(State::Lost);
                        return Ok(());
                    }
                    Urge::Switch => {
                        record.deed();
                        let symbol = left.take();
                        if let Some(symbol) = symbol {
                            client.subscribe(self.channel, Symbols::Named(vec![symbol]));
                        } else {
                            let symbol = seat.symbols[switches % topics].clone();
                            switches += 1;
                            client.unsubscribe(self.channel, &Symbols::Named(vec![symbol.clone()]));
                            record.state.set(State::Lost);
                            left = Some(symbol);
                        }
                    }
                }
            }
            let event = if seat.habit == Habit::Steady {
                client.next().await?
            } else {
                match timeout(LOAD_HABIT_STEP, client.next()).await {
                    Ok(event) => event?,
                    Err(_elapsed) => continue,
                }
            };
            counts = Counts::of(client.stats());
            record.counts.set(earlier + counts);
            self.take(event, record);
            if record.state.get() != State::Ready
                && client.stats().snapshots >= topics as u64
                && client.topics() == (topics, topics)
            {
                self.ready(record);
                if seat.habit != Habit::Steady && rhythm.is_none() {
                    *rhythm = Some(Rhythm::new(seat.habit, counts.bytes, seat.phase));
                }
            }
        }
    }

    /// What a client's habit makes it do: nothing any more behind the window, but to follow again what it has left.
    fn urge(&self, rhythm: &mut Rhythm, bytes: u64, has_left: bool) -> Urge {
        if !self.is_over() {
            rhythm.urge(monotonic(), bytes)
        } else if has_left {
            Urge::Switch
        } else {
            Urge::Read
        }
    }

    fn is_over(&self) -> bool {
        self.window.get().is_some_and(|window| Clock::System.now() >= window.until)
    }

    /// Waits, but not past the window's end.
    async fn pause(&self, wait: Duration) {
        let start = monotonic();
        while !self.is_over() {
            let left = wait.saturating_sub(monotonic().duration_since(start));
            if left.is_zero() {
                break;
            }
            sleep(left.min(LOAD_HABIT_STEP)).await;
        }
    }

    /// Runs a drain; over only where it has no connection to begin with.
    async fn drain(&self, seat: &Seat, record: &Record) -> Result<Infallible, DrainError> {
        let open = || Drain::open(&self.url, self.token.as_ref(), self.dialect, self.channel, &seat.symbols);
        let mut drain = open().await?;
        loop {
            let earlier = record.counts.get();
            let why = loop {
                match drain.read(&self.basin).await {
                    Ok(Read::More) => {}
                    Ok(Read::Answered(refusals)) => {
                        refusals.into_iter().for_each(|refusal| self.refuse(record, refusal));
                        self.ready(record);
                    }
                    Err(why) => break why,
                }
                record.counts.set(earlier + drain.counts);
            };
            self.disconnect(record, why.to_string());
            drain = loop {
                sleep(LOAD_RECONNECT_WAIT).await;
                let mut counts = record.counts.get();
                match open().await {
                    Ok(drain) => {
                        counts.reconnects += 1;
                        record.counts.set(counts);
                        break drain;
                    }
                    Err(_) => {
                        counts.connect_failures += 1;
                        record.counts.set(counts);
                    }
                }
            };
        }
    }

    fn ready(&self, record: &Record) {
        if record.state.replace(State::Ready) == State::Unready {
            self.settled.add_one();
        }
    }

    fn disconnect(&self, record: &Record, why: String) {
        record.disconnects.set(record.disconnects.get() + 1);
        if record.state.get() == State::Ready {
            record.state.set(State::Lost);
        }
        self.error(why);
    }

    fn refuse(&self, record: &Record, why: String) {
        record.refusals.set(record.refusals.get() + 1);
        self.error(why);
    }

    fn take(&self, event: Event, record: &Record) {
        match event {
            Event::State(update) | Event::Trade(update, _) => {
                // A snapshot that comes in the place of changes is as old as the newest of them.
                if update.merged > 0
                    && let Some(window) = self.window.get()
                {
                    self.time(&update, window, record);
                }
            }
            Event::Heartbeat { .. } => {
                // Nothing waits for this client at the server: that is when heartbeats are sent.
                if self.is_over() {
                    record.drained.set(true);
                }
            }
            Event::Diverged { channel, symbol, divergence } => {
                if matches!(divergence, Divergence::Overfull { .. }) {
                    record.overfull.set(record.overfull.get() + 1);
                }
                self.error(format!("{channel} of {symbol} diverged: {}", kind(&divergence)));
            }
            Event::Disconnected(Disconnect::Closed(code, _))
                if record.group > 0 && CloseCode::from_code(code) == Some(CloseCode::TooSlow) =>
            {
                record.too_slow.set(record.too_slow.get() + 1);
                record.state.set(State::Lost);
            }
            Event::Disconnected(why) => self.disconnect(record, why.to_string()),
            Event::Failed { code, message, .. } => self.refuse(record, format!("{code}: {message}")),
            Event::Subscribed { rejected, .. } => {
                for (symbol, code) in rejected {
                    self.refuse(record, format!("{symbol}: {code}"));
                }
            }
            Event::Gap { .. }
            | Event::Epoch(_)
            | Event::Pong { .. }
            | Event::Reconnected
            | Event::TokenExpiring(_)
            | Event::TokenRenewed
            | Event::Entitled { .. } => {}
        }
    }

    fn time(&self, update: &Update, window: Window, record: &Record) {
        let now = Clock::System.now();
        let moment = self.latencies.borrow_mut()[record.group].take(window, update.ts_event, now);
        if moment == Moment::Inside {
            record.due_changes.set(record.due_changes.get() + update.merged);
        }
        // A client gets its updates in the order in which they were due. Without a clock in common there is nothing to
        // wait for.
        let is_later = update.ts_event >= window.until || moment == Moment::OffClock;
        if is_later && now >= window.until {
            record.drained.set(true);
        }
    }

    fn error(&self, text: String) {
        self.errors.borrow_mut().add(text, 1);
    }
}

/// Without the numbers, so that the same failure of many clients is one line.
const fn kind(divergence: &Divergence) -> &'static str {
    match divergence {
        Divergence::Gap { .. } => "gap",
        Divergence::Checksum { .. } => "checksum",
        Divergence::Overfull { .. } => "too many levels",
        Divergence::Malformed(_) => "malformed",
    }
}

impl Record {
    fn new(seat: &Seat) -> Self {
        Self {
            state: Cell::new(State::Unready),
            verifies: seat.verifies,
            group: seat.group,
            topics: seat.symbols.len(),
            counts: Cell::default(),
            before: Cell::default(),
            after: Cell::default(),
            due_changes: Cell::new(0),
            overfull: Cell::new(0),
            disconnects: Cell::new(0),
            too_slow: Cell::new(0),
            deeds: Cell::new(0),
            refusals: Cell::new(0),
            drained: Cell::new(false),
        }
    }

    fn deed(&self) {
        self.deeds.set(self.deeds.get() + 1);
    }

    fn tally(&self) -> ClientTally {
        ClientTally {
            state: self.state.get(),
            verifies: self.verifies,
            group: self.group,
            topics: self.topics as u64,
            before: self.before.get(),
            after: self.after.get(),
            end: self.counts.get(),
            due_changes: self.due_changes.get(),
            overfull: self.overfull.get(),
            disconnects: self.disconnects.get(),
            too_slow: self.too_slow.get(),
            deeds: self.deeds.get(),
            refusals: self.refusals.get(),
            drained: self.drained.get(),
        }
    }
}
