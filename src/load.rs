//! The load harness: any number of clients that verify what they get, on a few threads, and what they measured.
//!
//! # What a latency is here
//!
//! From the moment at which a change was *due* to the moment at which a client has verified it. The simulated market
//! stamps each event with the time that its schedule says, whether or not the server was late to emit it, and every
//! change that was due in the window is a sample, also one that arrives only after the window's end. So there is no
//! coordinated omission: a server (or network, or client) that stalls for a second shows as a second of late changes,
//! not as one late change and a pause, because nothing here waits for an answer before the next change is due.
//!
//! It is a comparison of two clocks, the feed's and ours. On one machine they are the same. The times of a recording
//! are not of our clock at all, which shows: [`Report::latency_us`] is absent then, and
//! [`Report::latency_absent`] says why. In the mode `quotes` of the simulated market each time stamp belongs to one
//! change; on other channels it is that of the newest event of the state.
//!
//! What never came, or not before the harness stopped waiting, has no latency. It is seen only where it is known how
//! much should have come ([`Settings::expect_rate`]): then it is counted, and the run fails. A server that merges
//! updates (conflates) delivers fewer on purpose, so that no rate is to be expected of it.
//!
//! # What was merged
//!
//! A server that is asked for more than it, or the client, can take merges changes, and says so in `n`. Each client that verifies holds
//! it to that: every update, snapshot in place of updates, and gap must follow the state that the client holds, and `n` must
//! be what the numbers of the two states leave room for: of quotes and trades their difference, of other channels, whose
//! numbers also count what does not show, at most that. What does not fit is a fault.
//!
//! The kernel holds no more for a client than [`LOAD_RECEIVE_BUFFER_BYTES`](crate::limits::LOAD_RECEIVE_BUFFER_BYTES) tells it, so
//! that ages at overload are the server's.
//!
//! # Structure
//!
//! Threads share nothing but the word "go": each has its own runtime, its own clients and its own histogram, added up
//! at the end. Clients are connected at an even rate, and the window opens when all of them have all of their
//! snapshots, and the warm-up is over. The CPU time of the harness itself is part of the report: who wants to know how
//! fast a server is must see that it was not the harness that was slow.

mod counts;
mod drain;
mod habit;
mod latency;
mod process;
mod report;
mod scanner;
mod scout;
mod swarm;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use feeds::Timestamp;
use feeds::clock::{Clock, monotonic};
use tokio::sync::{Notify, oneshot};
use tokio::time::{sleep, timeout};

use crate::client::{ClientError, Token};
use crate::limits::{LOAD_READY_WAIT, LOAD_TELL_EVERY};
use crate::topic::{Channel, Rate};
use crate::wire::Encoding;

pub use habit::Habit;
pub use process::ProcessError;
pub use report::{Ages, Counted, Cpu, Delivered, Due, Faults, Group, LatencyAbsent, Percentiles, Report};

use drain::Dialect;
use process::Process;
use swarm::{Seat, Swarm, Tally};

/// From the decision that the window opens to its first moment: every thread has heard of it by then.
const LEAD: Duration = Duration::from_millis(50);

/// What to do.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The server's WebSocket, such as `ws://127.0.0.1:8080/v1/ws`.
    pub url: String,
    /// What clients say who they are by.
    pub token: Option<Token>,
    /// What is followed.
    pub channel: Channel,
    /// Of which instruments.
    pub follow: Follow,
    /// How many clients.
    pub clients: usize,
    /// So many of them have such a habit; the others read steadily.
    pub habits: Vec<(usize, Habit)>,
    /// How many of those that read steadily prove what they get, and time it. The others only drain their sockets, and count.
    /// All, if there are not so many. Clients with another habit always verify.
    pub verify: usize,
    /// How messages are encoded.
    pub encoding: Encoding,
    /// Whether `permessage-deflate` is negotiated.
    pub compress: bool,
    /// How often each topic is to be sent at most.
    pub max_frequency: Rate,
    /// Threads that they live on.
    pub threads: usize,
    /// Clients that connect in a second.
    pub connect_rate: u32,
    /// From the moment at which all clients have their snapshots to the window.
    pub warmup: Duration,
    /// The window.
    pub duration: Duration,
    /// The server's process, where it is on this machine: its CPU time is measured.
    pub server_pid: Option<u32>,
    /// Changes per second and symbol that the server's feed has, where that is known: what is missing is counted, and makes
    /// the run unsound. Not for a server that merges updates, and not for times of another clock.
    pub expect_rate: Option<u64>,
}

impl Settings {
    const fn dialect(&self) -> Dialect {
        Dialect { encoding: self.encoding, compress: self.compress, max_frequency: self.max_frequency }
    }
}

/// Which instruments a client follows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Follow {
    /// So many of those that the server has, in the order of their names: client `i` begins at the `i`-th and goes
    /// round, so that each instrument has as many followers as any other, and neighbours differ.
    EachOf(usize),
    /// So many, in that many different lists, which begin evenly spread over all instruments: client `i` follows the list
    /// `i` modulo their number.
    Lists {
        /// Symbols of a list.
        of: usize,
        /// How many lists.
        lists: usize,
    },
    /// These, for every client.
    These(Vec<String>),
}

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// There is nobody at that address, or nobody who speaks the protocol.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The server did not tell its instruments.
    #[error("{url} does not tell its instruments: {reason}")]
    Instruments {
        /// The server.
        url: String,
        /// Why not.
        reason: String,
    },
    /// Symbols that the server does not have.
    #[error("unknown symbols: {}", .0.join(", "))]
    UnknownSymbols(Vec<String>),
    /// A client cannot follow more symbols than there are.
    #[error("the server has {there} instruments, fewer than the {wanted} that a client should follow")]
    TooFewInstruments {
        /// How many there are.
        there: usize,
        /// How many were asked for.
        wanted: usize,
    },
    /// More clients with habits than clients.
    #[error("{odd} clients are to be slow or to come and go, which is more than the {clients} there are")]
    TooFewClients {
        /// How many there are.
        clients: usize,
        /// How many were asked for.
        odd: usize,
    },
    /// The server's process cannot be measured.
    #[error(transparent)]
    Process(#[from] ProcessError),
    /// A thread or its runtime cannot be started, or has died.
    #[error("{0}")]
    Thread(String),
}

/// Loads a server, and says what came of it. Takes as long as connecting, warm-up and window do;
/// `tell` is told about once a second how far it is.
///
/// # Errors
/// [`LoadError`] when the load could not begin, or the server's process is gone. Clients that fail are no error but part of
/// the report, see [`Report::is_sound`].
pub fn run(settings: &Settings, tell: impl FnMut(Stage)) -> Result<Report, LoadError> {
    let runtime = single_threaded()?;
    runtime.block_on(measure(settings, tell))
}

/// How far a load is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Clients connect, and wait for their snapshots.
    Connecting {
        /// How many need not be waited for any more.
        ready: usize,
        /// Of how many.
        clients: usize,
    },
    /// What comes does not count yet.
    WarmingUp {
        /// How long already.
        passed: Duration,
        /// Of how long.
        of: Duration,
    },
    /// The window.
    Measuring {
        /// How long already.
        passed: Duration,
        /// Of how long.
        of: Duration,
    },
    /// What was due in the window is still received.
    Finishing,
}

/// Lets that time pass, and tells now and then how much has.
async fn pass(time: Duration, mut tell: impl FnMut(Duration)) {
    let start = monotonic();
    loop {
        let passed = monotonic().duration_since(start);
        if passed >= time {
            return;
        }
        tell(passed);
        sleep(LOAD_TELL_EVERY.min(time - passed)).await;
    }
}

/// The first and the last moment (excluded) of what is measured, by our clock.
#[derive(Clone, Copy, Debug)]
struct Window {
    from: Timestamp,
    until: Timestamp,
}

/// How many clients need not be waited for any more.
#[derive(Debug, Default)]
struct Settled {
    count: AtomicUsize,
    changed: Notify,
}

impl Settled {
    fn add_one(&self) {
        self.count.fetch_add(1, Ordering::Relaxed);
        self.changed.notify_one();
    }

    async fn reach(&self, clients: usize) {
        while self.count.load(Ordering::Relaxed) < clients {
            self.changed.notified().await;
        }
    }
}

async fn measure(settings: &Settings, mut tell: impl FnMut(Stage)) -> Result<Report, LoadError> {
    let server = settings.server_pid.map(Process::of).transpose()?;
    let symbols = scout::instruments(&settings.url, settings.token.clone()).await?;
    let seats = seats(settings, &symbols)?;
    let settled = Arc::new(Settled::default());
    let started = monotonic();
    let mut threads = Vec::new();
    for seats in deal(seats, settings.threads) {
        let (go, gone) = oneshot::channel();
        let swarm = Swarm {
            url: settings.url.clone(),
            token: settings.token.clone(),
            channel: settings.channel,
            dialect: settings.dialect(),
            seats,
            groups: 1 + settings.habits.len(),
            settled: Arc::clone(&settled),
        };
        let runtime = single_threaded()?;
        let thread = std::thread::Builder::new()
            .name("load".to_owned())
            .spawn(move || swarm::run(&runtime, swarm, gone))
            .map_err(|error| LoadError::Thread(format!("cannot start a thread: {error}")))?;
        threads.push((thread, go));
    }

    let connecting =
        Duration::from_secs(1) * u32::try_from(settings.clients).unwrap_or(u32::MAX) / settings.connect_rate;
    // Who is not ready then is counted in the report as unready; the others are measured.
    let all_settled = timeout(connecting + LOAD_READY_WAIT, settled.reach(settings.clients));
    tokio::pin!(all_settled);
    loop {
        let ready = settled.count.load(Ordering::Relaxed);
        tell(Stage::Connecting { ready, clients: settings.clients });
        if timeout(LOAD_TELL_EVERY, &mut all_settled).await.is_ok() {
            break;
        }
    }
    let ready_after = monotonic().duration_since(started);
    pass(settings.warmup, |passed| tell(Stage::WarmingUp { passed, of: settings.warmup })).await;

    let ourselves = Process::ourselves()?;
    let from = Clock::System.now().plus(LEAD);
    let window = Window { from, until: from.plus(settings.duration) };
    let mut joining = Vec::new();
    for (thread, go) in threads {
        // A thread that does not hear it is dead, which joining it says.
        let _heard = go.send(window);
        joining.push(thread);
    }
    sleep(LEAD).await;
    let server_before = server.as_ref().map(Process::cpu).transpose()?;
    let ours_before = ourselves.cpu()?;
    pass(settings.duration, |passed| tell(Stage::Measuring { passed, of: settings.duration })).await;
    tell(Stage::Finishing);
    let ours = ourselves.cpu()?.saturating_sub(ours_before);
    let theirs = match (&server, server_before) {
        (Some(server), Some(before)) => Some(server.cpu()?.saturating_sub(before)),
        _ => None,
    };

    let tallies: Vec<Tally> = joining
        .into_iter()
        .map(|thread| {
            thread.join().map_err(|_| LoadError::Thread("a thread of clients has panicked".to_owned()))
        })
        .collect::<Result<_, _>>()?;
    Ok(Report::new(settings, ready_after, tallies, theirs, ours))
}

/// What each client follows, and when it connects.
fn seats(settings: &Settings, symbols: &[String]) -> Result<Vec<Seat>, LoadError> {
    let of_client: Box<dyn Fn(usize) -> Vec<String>> = match &settings.follow {
        Follow::These(names) => {
            let unknown: Vec<String> =
                names.iter().filter(|name| symbols.binary_search(name).is_err()).cloned().collect();
            if !unknown.is_empty() {
                return Err(LoadError::UnknownSymbols(unknown));
            }
            Box::new(|_| names.clone())
        }
        &(Follow::EachOf(wanted) | Follow::Lists { of: wanted, .. })
            if wanted > symbols.len() || symbols.is_empty() =>
        {
            return Err(LoadError::TooFewInstruments { there: symbols.len(), wanted });
        }
        &Follow::Lists { of: wanted, lists } => Box::new(move |client| {
            let first = client % lists * symbols.len() / lists;
            symbols.iter().cycle().skip(first).take(wanted).cloned().collect()
        }),
        &Follow::EachOf(wanted) => Box::new(move |client| {
            symbols.iter().cycle().skip(client % symbols.len()).take(wanted).cloned().collect()
        }),
    };
    let odd: usize = settings.habits.iter().map(|&(clients, _)| clients).sum();
    let clients = settings.clients;
    if odd > clients {
        return Err(LoadError::TooFewClients { clients, odd });
    }
    let mut habits = (1..)
        .zip(&settings.habits)
        .flat_map(|(group, &(clients, habit))| std::iter::repeat_n((group, habit), clients));
    let steady = clients - odd;
    let mut seated = 0;
    let seats = (0..clients).map(|client| {
        let chosen = if is_chosen(client, odd, clients) { habits.next() } else { None };
        let verifies = chosen.is_some() || {
            seated += 1;
            is_chosen(seated - 1, settings.verify.min(steady), steady)
        };
        let (group, habit) = chosen.unwrap_or((0, Habit::Steady));
        Seat {
            connect_after: Duration::from_secs(1) * u32::try_from(client).unwrap_or(u32::MAX)
                / settings.connect_rate,
            symbols: of_client(client),
            verifies,
            habit,
            group,
            // Neighbouring numbers lie far from each other by the golden section.
            phase: u8::try_from(client.wrapping_mul(158) % 256).unwrap_or(0),
        }
    });
    Ok(seats.collect())
}

/// Whether `index` of `all` is one of those `chosen` that are spread evenly, the first among them.
fn is_chosen(index: usize, chosen: usize, all: usize) -> bool {
    index * chosen % all < chosen
}

/// Deals the clients out to threads like cards, so that all threads connect at the same pace; and the drains from the other
/// end, so that each thread has as many clients that verify as any other.
fn deal(seats: Vec<Seat>, threads: usize) -> Vec<Vec<Seat>> {
    let mut hands: Vec<Vec<Seat>> = (0..threads.clamp(1, seats.len().max(1))).map(|_| Vec::new()).collect();
    let count = hands.len();
    let (mut verifying, mut draining) = (0, 0);
    for seat in seats {
        let hand = if seat.verifies {
            verifying += 1;
            (verifying - 1) % count
        } else {
            draining += 1;
            count - 1 - (draining - 1) % count
        };
        hands[hand].push(seat);
    }
    hands
}

fn single_threaded() -> Result<tokio::runtime::Runtime, LoadError> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| LoadError::Thread(format!("cannot start a runtime: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(clients: usize, follow: Follow) -> Settings {
        Settings {
            url: "ws://127.0.0.1:1/v1/ws".to_owned(),
            token: None,
            channel: Channel::Quote,
            follow,
            clients,
            habits: Vec::new(),
            verify: clients,
            encoding: Encoding::Json,
            compress: false,
            max_frequency: Rate::Raw,
            threads: 1,
            connect_rate: 4,
            warmup: Duration::ZERO,
            duration: Duration::from_secs(1),
            server_pid: None,
            expect_rate: None,
        }
    }

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|&name| name.to_owned()).collect()
    }

    #[test]
    fn windows_of_symbols_go_round_and_connecting_is_spread() {
        let there = names(&["A", "B", "C"]);
        let dealt = seats(&settings(4, Follow::EachOf(2)), &there).unwrap();
        assert!(dealt.iter().all(|seat| seat.verifies));
        let followed: Vec<String> = dealt.iter().map(|seat| seat.symbols.concat()).collect();
        assert_eq!(followed, ["AB", "BC", "CA", "AB"]);
        let millis: Vec<u128> = dealt.iter().map(|seat| seat.connect_after.as_millis()).collect();
        assert_eq!(millis, [0, 250, 500, 750]);

        let hands = deal(dealt, 3);
        assert_eq!(hands.iter().map(Vec::len).collect::<Vec<_>>(), [2, 1, 1]);
        assert_eq!(hands[0][1].symbols.concat(), "AB");
        assert_eq!(deal(seats(&settings(1, Follow::EachOf(1)), &there).unwrap(), 8).len(), 1);
    }

    #[test]
    fn those_that_verify_are_spread_over_clients_and_threads() {
        let there = names(&["A"]);
        let hands = |verify, threads| {
            let settings = Settings { verify, ..settings(8, Follow::EachOf(1)) };
            let seats = seats(&settings, &there).unwrap();
            let chosen: String = seats.iter().map(|seat| if seat.verifies { 'v' } else { '-' }).collect();
            let hands = deal(seats, threads);
            let of_hand = |hand: &Vec<Seat>| (hand.iter().filter(|seat| seat.verifies).count(), hand.len());
            (chosen, hands.iter().map(of_hand).collect::<Vec<_>>())
        };
        assert_eq!(hands(0, 2), ("--------".to_owned(), vec![(0, 4), (0, 4)]));
        assert_eq!(hands(1, 2), ("v-------".to_owned(), vec![(1, 4), (0, 4)]));
        assert_eq!(hands(3, 2), ("v--v--v-".to_owned(), vec![(2, 4), (1, 4)]));
        assert_eq!(hands(4, 2), ("v-v-v-v-".to_owned(), vec![(2, 4), (2, 4)]));
        assert_eq!(hands(100, 3), ("vvvvvvvv".to_owned(), vec![(3, 3), (3, 3), (2, 2)]));
    }

    #[test]
    fn clients_with_habits_verify_beside_those_that_do() {
        let there = names(&["A"]);
        let (slow, dropping) =
            (Habit::Slow { bytes_per_second: 1 }, Habit::Dropping { every: Duration::from_secs(1) });
        let settings =
            Settings { verify: 2, habits: vec![(1, slow), (2, dropping)], ..settings(9, Follow::EachOf(1)) };
        let dealt = seats(&settings, &there).unwrap();
        let groups: Vec<usize> = dealt.iter().map(|seat| seat.group).collect();
        assert_eq!(groups, [1, 0, 0, 2, 0, 0, 2, 0, 0]);
        assert!(dealt[0].habit == slow && dealt[6].habit == dropping && dealt[1].habit == Habit::Steady);
        let verify: Vec<usize> = (0..9).filter(|&client| dealt[client].verifies).collect();
        assert_eq!(verify, [0, 1, 3, 5, 6]);
        let too_many = Settings { clients: 2, ..settings };
        let error = seats(&too_many, &there).map(drop).unwrap_err().to_string();
        assert!(error.starts_with("3 clients") && error.contains("the 2"), "{error}");
    }

    #[test]
    fn lists_are_shared_and_spread() {
        let there = names(&["A", "B", "C", "D", "E", "F"]);
        let dealt = seats(&settings(5, Follow::Lists { of: 2, lists: 3 }), &there).unwrap();
        let followed: Vec<String> = dealt.iter().map(|seat| seat.symbols.concat()).collect();
        assert_eq!(followed, ["AB", "CD", "EF", "AB", "CD"]);
    }

    #[test]
    fn symbols_that_are_not_there_are_named() {
        let there = names(&["A", "B", "C"]);
        let wrong = settings(1, Follow::These(names(&["B", "X", "Y"])));
        assert_eq!(seats(&wrong, &there).map(drop).unwrap_err().to_string(), "unknown symbols: X, Y");
        let too_many = seats(&settings(1, Follow::EachOf(4)), &there).map(drop).unwrap_err().to_string();
        assert!(too_many.contains("3 instruments") && too_many.contains("the 4"), "{too_many}");
        let right = seats(&settings(2, Follow::These(names(&["C", "A"]))), &there).unwrap();
        assert_eq!(right[1].symbols, names(&["C", "A"]));
    }
}
