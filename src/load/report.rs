//! What came of a load: for programs as JSON, for people as a table. All numbers are integers, rounded down.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde::Serialize;

use super::Settings;
use super::counts::Counts;
use super::latency::Latencies;
use super::swarm::{ClientTally, Errors, State, Tally};

/// What came of a load.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The server.
    pub url: String,
    /// What was followed.
    pub channel: String,
    /// How many clients there were to be.
    pub clients: u64,
    /// How many of them proved what they got; the others only drained their sockets, and counted.
    pub verifying: u64,
    /// Threads that they lived on.
    pub threads: u64,
    /// Topics of all clients together.
    pub topics: u64,
    /// From the first connection to the last client's last snapshot.
    pub ready_ms: u64,
    /// Between that and the window.
    pub warmup_ms: u64,
    /// How long the window was in truth: that of the slowest thread.
    pub window_ms: u64,
    /// What came in the window.
    pub delivered: Delivered,
    /// What should have come of it; absent without a clock in common.
    pub due: Option<Due>,
    /// From due to verified, in microseconds; absent without a clock in common.
    pub latency_us: Option<Percentiles>,
    /// The 99th percentile of the age of what came, early and late in the window; absent without a clock in common, or where
    /// nothing came.
    pub age_p99_us: Option<Ages>,
    /// Why `latency_us` is absent.
    pub latency_absent: Option<LatencyAbsent>,
    /// Clients with a habit, which do not count in `due`, `latency_us` and `age_p99_us`, but everywhere else.
    pub groups: Vec<Group>,
    /// Checksums of books that agreed, in the whole run.
    pub checksums_ok: u64,
    /// What went wrong, in the whole run.
    pub faults: Faults,
    /// Texts of errors, and how often each came.
    pub errors: BTreeMap<String, u64>,
    /// The server's CPU time in the window, where its process was named.
    pub server_cpu: Option<Cpu>,
    /// The harness's own.
    pub harness_cpu: Cpu,
}

/// What came in the window.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Delivered {
    /// Updates: those that were verified and applied, and those that drains counted. Snapshots do not count.
    pub updates: u64,
    /// Where that number is from.
    pub counted: Counted,
    /// Changes of the feed that those updates stand for which were verified, and the snapshots that came in the place of
    /// updates: each is one or, where the server merges, more. Drains do not count them.
    pub changes_verified: u64,
    /// Of the updates and snapshots that these changes came with, those that stand for more than one.
    pub merges_verified: u64,
    /// Of the updates, in a second.
    pub updates_per_second: u64,
    /// Of those, by the client with the fewest.
    pub updates_per_client_min: u64,
    /// Of those, by the client with the most.
    pub updates_per_client_max: u64,
    /// Of those, by each thread of clients.
    pub updates_by_thread: Vec<u64>,
    /// Snapshots.
    pub snapshots: u64,
    /// Messages: objects of the protocol, of any kind. Drains do not count them.
    pub messages: u64,
    /// WebSocket messages, which carry one message or more each.
    pub frames: u64,
    /// Bytes of those, without headers.
    pub bytes: u64,
    /// Bytes on the wire: compressed where they are, and with headers.
    pub wire_bytes: u64,
    /// Thousandths of those by update; absent where there was none.
    pub wire_bytes_per_thousand_updates: Option<u64>,
}

/// How updates were counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Counted {
    /// One by one.
    #[default]
    Exactly,
    /// Drains cannot count what is compressed or binary: theirs are as many as the clients that verify got in as many bytes
    /// on the wire.
    Estimated,
    /// Not at all, for want of clients that verify.
    Unknown,
}

/// Updates of the clients that verify, and snapshots in the place of some, by the moment at which they were due, instead of that
/// at which they came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Due {
    /// Updates that were due in the window, and came, though it be later.
    pub updates: u64,
    /// Changes that they stand for. Where a server merges, those that straddle a border of the window are in it with their newest change,
    /// or not.
    pub changes: u64,
    /// Of the updates, how many came only after the window.
    pub came_after: u64,
    /// Updates that came in the window or after it, and were due before it.
    pub due_before: u64,
    /// How many the feed has by [`Settings::expect_rate`].
    pub expected: Option<u64>,
    /// Those that did not come: merged with a later one, lost, or still on their way to the clients that are behind.
    /// Any makes the run unsound. Not counted is one a topic, because the borders of the window fall between two changes of a topic or on one.
    pub missing: Option<u64>,
    /// Clients that were still waiting for something due in the window when the harness stopped waiting.
    pub clients_behind: u64,
}

/// A distribution. Values are exact to three digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[expect(missing_docs, reason = "percentiles are named by their numbers")]
pub struct Percentiles {
    /// How many values.
    pub samples: u64,
    pub p50: u64,
    pub p90: u64,
    pub p99: u64,
    pub p99_9: u64,
    pub max: u64,
}

/// How old updates were when they came, in microseconds, whenever they were due: what a server lags behind by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Ages {
    /// Of those that came in the first third of the window.
    pub first_third: u64,
    /// Of those that came in its last third. Much more than in the first: the backlog grows.
    pub last_third: u64,
}

/// Clients with one habit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Group {
    /// What they do.
    pub habit: String,
    /// How many they are.
    pub clients: u64,
    /// Updates in the window.
    pub updates: u64,
    /// Changes of the feed that came with those updates, and with snapshots in their place.
    pub changes: u64,
    /// How many of those updates and snapshots stand for more than one change.
    pub merges: u64,
    /// From due to verified, as of the others.
    pub latency_us: Option<Percentiles>,
    /// As of the others.
    pub age_p99_us: Option<Ages>,
    /// How often they did what their habit is, in the whole run: pauses, drops, or topics left or followed again.
    pub deeds: u64,
    /// How often they were closed with 4007, which is no disconnect of [`Faults`], and how many had not come back at the end.
    pub too_slow: u64,
    /// See `too_slow`.
    pub too_slow_at_end: u64,
}

/// Why there are no latencies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum LatencyAbsent {
    /// Nothing came that was due in the window.
    NoUpdates,
    /// Most updates carry times that lie in our future, or more than an hour ago: a recording, or another clock.
    NotALiveClock,
}

/// What went wrong, in the whole run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Faults {
    /// Clients that never had a connection.
    pub clients_unconnected: u64,
    /// Clients that never had all of their snapshots.
    pub clients_unready: u64,
    /// Clients that had them, lost their connection, and did not have them again at the end. One that was slow on purpose and
    /// was closed for it is none of them.
    pub clients_lost: u64,
    /// Clients that the server closed for good.
    pub clients_closed: u64,
    /// Updates whose `prev_seq` was not the state's number.
    pub gaps: u64,
    /// Changes that the numbers of a topic's states tell of, and that no update, snapshot or gap says that it stands for; or
    /// the other way round.
    pub changes_unaccounted: u64,
    /// Checksums of books that did not agree.
    pub checksums_failed: u64,
    /// Books with more levels than their depth.
    pub books_overfull: u64,
    /// Requests that failed, and symbols that were rejected.
    pub refusals: u64,
    /// Messages that the server said it lost: honest, and so no reason for a failed run.
    pub lost: u64,
    /// Connections that ended.
    pub disconnects: u64,
    /// Connections that were made after such.
    pub reconnects: u64,
    /// Attempts at that which failed before one succeeded; those of clients that are lost are not counted.
    pub reconnects_failed: u64,
}

/// CPU time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Cpu {
    /// User and system time in the window, in steps of 10 ms.
    pub ms: u64,
    /// Thousandths of the CPU seconds that a million delivered updates took, which is nanoseconds an update; absent
    /// where there was none.
    pub ms_per_million_updates: Option<u64>,
}

impl Report {
    pub(super) fn new(
        settings: &Settings,
        ready_after: Duration,
        tallies: Vec<Tally>,
        server_cpu: Option<Duration>,
        harness_cpu: Duration,
    ) -> Self {
        let window = tallies.iter().map(|tally| tally.window).max().unwrap_or_default();
        let mut by_group: Vec<Latencies> = (0..=settings.habits.len()).map(|_| Latencies::new()).collect();
        let mut errors = Errors::default();
        let threads = tallies.len() as u64;
        let mut clients = Vec::new();
        let mut updates_by_thread = Vec::new();
        for tally in tallies {
            by_group.iter_mut().zip(&tally.latencies).for_each(|(all, own)| all.add(own));
            tally.errors.0.into_iter().for_each(|(text, count)| errors.add(text, count));
            updates_by_thread.push(tally.clients.iter().map(updates_of).sum());
            clients.extend(tally.clients);
        }
        let delivered = Delivered::new(&clients, updates_by_thread, window);
        let faults = Faults::new(&clients);
        let latencies = &by_group[0];
        let (due, latency_us, latency_absent) = if latencies.off_clock() > latencies.due() {
            (None, None, Some(LatencyAbsent::NotALiveClock))
        } else {
            let due = Due::new(settings, latencies, &clients);
            let percentiles = Percentiles::of(latencies);
            (Some(due), percentiles, percentiles.is_none().then_some(LatencyAbsent::NoUpdates))
        };
        let groups = (1..).zip(&settings.habits).map(|(group, (_, habit))| {
            let clients: Vec<&ClientTally> = clients.iter().filter(|client| client.group == group).collect();
            Group::new(habit.to_string(), &clients, &by_group[group])
        });
        let groups = groups.collect();
        Self {
            url: settings.url.clone(),
            channel: settings.channel.to_string(),
            clients: clients.len() as u64,
            verifying: verifying(&clients).count() as u64,
            threads,
            topics: clients.iter().map(|client| client.topics).sum(),
            ready_ms: millis(ready_after),
            warmup_ms: millis(settings.warmup),
            window_ms: millis(window),
            due,
            latency_us,
            age_p99_us: Ages::of(latencies),
            latency_absent,
            groups,
            checksums_ok: clients.iter().map(|client| client.end.checksums_ok).sum(),
            faults,
            errors: errors.0,
            server_cpu: server_cpu.map(|cpu| Cpu::new(cpu, delivered.updates)),
            harness_cpu: Cpu::new(harness_cpu, delivered.updates),
            delivered,
        }
    }

    /// Whether every client has its states, nothing that it was sent was wrong, and, where a rate was expected, nothing
    /// is missing. What the server said that it lost is no fault of its own, and neither is what it merged, where no
    /// rate was expected, nor a connection that was lost and made again.
    #[must_use]
    pub const fn is_sound(&self) -> bool {
        let is_missing = matches!(self.due, Some(Due { missing: Some(1..), .. }));
        let has_faults = !matches!(
            self.faults,
            Faults {
                clients_unconnected: 0,
                clients_unready: 0,
                clients_lost: 0,
                clients_closed: 0,
                gaps: 0,
                changes_unaccounted: 0,
                checksums_failed: 0,
                books_overfull: 0,
                refusals: 0,
                lost: _,
                disconnects: _,
                reconnects: _,
                reconnects_failed: _,
            }
        );
        !is_missing && !has_faults
    }
}

impl Delivered {
    fn new(clients: &[ClientTally], updates_by_thread: Vec<u64>, window: Duration) -> Self {
        let (mut all, mut verified, mut opaque) = (Counts::default(), Counts::default(), Counts::default());
        for client in clients {
            let counts = client.in_window();
            all = all + counts;
            if client.verifies {
                verified = verified + counts;
            }
            if counts.opaque > 0 {
                opaque = opaque + counts;
            }
        }
        let (counted, updates) = match of(opaque.wire_bytes, verified.updates, verified.wire_bytes) {
            _ if opaque.opaque == 0 => (Counted::Exactly, all.updates),
            Some(estimated) => (Counted::Estimated, all.updates - opaque.updates + estimated),
            None => (Counted::Unknown, 0),
        };
        let micros = u64::try_from(window.as_micros()).unwrap_or(u64::MAX).max(1);
        Self {
            updates,
            counted,
            changes_verified: all.merged,
            merges_verified: all.merges,
            updates_per_second: of(updates, 1_000_000, micros).unwrap_or(0),
            updates_per_client_min: clients.iter().map(updates_of).min().unwrap_or(0),
            updates_per_client_max: clients.iter().map(updates_of).max().unwrap_or(0),
            updates_by_thread,
            snapshots: all.snapshots,
            messages: all.messages,
            frames: all.frames,
            bytes: all.bytes,
            wire_bytes: all.wire_bytes,
            wire_bytes_per_thousand_updates: of(all.wire_bytes, 1_000, updates),
        }
    }
}

/// `number` × `times` ÷ `by`, rounded down.
fn of(number: u64, times: u64, by: u64) -> Option<u64> {
    let product = u128::from(number) * u128::from(times);
    product.checked_div(u128::from(by)).and_then(|share| u64::try_from(share).ok())
}

fn verifying(clients: &[ClientTally]) -> impl Iterator<Item = &ClientTally> {
    clients.iter().filter(|client| client.verifies)
}

/// Those of which it can be known what should come: they verify, and are always there.
fn judged(clients: &[ClientTally]) -> impl Iterator<Item = &ClientTally> {
    verifying(clients).filter(|client| client.group == 0)
}

fn updates_of(client: &ClientTally) -> u64 {
    client.in_window().updates
}

impl Due {
    fn new(settings: &Settings, latencies: &Latencies, clients: &[ClientTally]) -> Self {
        let updates = latencies.due();
        let topics: u64 = judged(clients).map(|client| client.topics).sum();
        let expected = settings.expect_rate.map(|rate| {
            let all = u128::from(rate) * u128::from(topics) * settings.duration.as_micros() / 1_000_000;
            u64::try_from(all).unwrap_or(u64::MAX)
        });
        let is_behind =
            |client: &&ClientTally| client.verifies && client.state == State::Ready && !client.drained;
        Self {
            updates,
            changes: judged(clients).map(|client| client.due_changes).sum(),
            came_after: latencies.came_after(),
            due_before: latencies.due_before(),
            expected,
            missing: expected.map(|expected| expected.saturating_sub(updates).saturating_sub(topics)),
            clients_behind: judged(clients).filter(is_behind).count() as u64,
        }
    }
}

impl Ages {
    fn of(latencies: &Latencies) -> Option<Self> {
        latencies.of_thirds(0.99).map(|[first_third, last_third]| Self { first_third, last_third })
    }
}

impl Group {
    fn new(habit: String, clients: &[&ClientTally], latencies: &Latencies) -> Self {
        let sum = |what: fn(&ClientTally) -> u64| clients.iter().map(|client| what(client)).sum();
        let is_away = |client: &&&ClientTally| client.is_sent_away();
        Self {
            habit,
            clients: clients.len() as u64,
            updates: sum(updates_of),
            changes: sum(|client| client.in_window().merged),
            merges: sum(|client| client.in_window().merges),
            latency_us: Percentiles::of(latencies),
            age_p99_us: Ages::of(latencies),
            deeds: sum(|client| client.deeds),
            too_slow: sum(|client| client.too_slow),
            too_slow_at_end: clients.iter().filter(is_away).count() as u64,
        }
    }
}

impl Percentiles {
    fn of(latencies: &Latencies) -> Option<Self> {
        (latencies.off_clock() <= latencies.due() && latencies.due() > 0).then(|| Self {
            samples: latencies.due(),
            p50: latencies.at(0.5),
            p90: latencies.at(0.9),
            p99: latencies.at(0.99),
            p99_9: latencies.at(0.999),
            max: latencies.max(),
        })
    }
}

impl Faults {
    fn new(clients: &[ClientTally]) -> Self {
        let of_state = |state| clients.iter().filter(|client| client.state == state).count() as u64;
        let sum = |what: fn(&ClientTally) -> u64| clients.iter().map(what).sum();
        Self {
            clients_unconnected: of_state(State::Unconnected),
            clients_unready: of_state(State::Unready),
            clients_lost: clients.iter().filter(|c| c.state == State::Lost && !c.is_sent_away()).count()
                as u64,
            clients_closed: of_state(State::Closed),
            gaps: sum(|client| client.end.gaps),
            changes_unaccounted: sum(|client| client.end.unaccounted),
            checksums_failed: sum(|client| client.end.checksums_failed),
            books_overfull: sum(|client| client.overfull),
            refusals: sum(|client| client.refusals),
            lost: sum(|client| client.end.lost),
            disconnects: sum(|client| client.disconnects),
            reconnects: sum(|client| client.end.reconnects),
            reconnects_failed: sum(|client| client.end.connect_failures),
        }
    }
}

impl Cpu {
    fn new(time: Duration, updates: u64) -> Self {
        let each = time.as_nanos().checked_div(u128::from(updates));
        Self { ms: millis(time), ms_per_million_updates: each.and_then(|each| u64::try_from(each).ok()) }
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Delivered { updates, updates_per_second, .. } = self.delivered;
        writeln!(
            f,
            "clients     {}, {} of them verify (threads: {}), {} topics of {}, ready after {} s",
            self.clients,
            self.verifying,
            self.threads,
            Grouped(self.topics),
            self.channel,
            Thousandths(self.ready_ms)
        )?;
        writeln!(
            f,
            "delivered   {} updates in {} s: {} a second; {} to {} a client",
            Grouped(updates),
            Thousandths(self.window_ms),
            Grouped(updates_per_second),
            Grouped(self.delivered.updates_per_client_min),
            Grouped(self.delivered.updates_per_client_max)
        )?;
        writeln!(
            f,
            "received    {} messages in {} frames, {} bytes; on the wire {}",
            Grouped(self.delivered.messages),
            Grouped(self.delivered.frames),
            Grouped(self.delivered.bytes),
            Grouped(self.delivered.wire_bytes)
        )?;
        match (self.delivered.counted, self.delivered.wire_bytes_per_thousand_updates) {
            (Counted::Unknown, _) => {
                writeln!(f, "            updates cannot be counted without clients that verify")?
            }
            (_, None) => {}
            (counted, Some(each)) => {
                let note =
                    if counted == Counted::Estimated { " (updates of drains: by their bytes)" } else { "" };
                writeln!(f, "            {} bytes an update on the wire{note}", Thousandths(each))?;
            }
        }
        if let Some(due) = &self.due {
            self.write_due(f, due)?;
        }
        match (&self.latency_us, self.latency_absent) {
            (Some(latency), _) => latency.write(f, "latency ms  ")?,
            (None, Some(LatencyAbsent::NotALiveClock)) => {
                writeln!(f, "latency     unknown: the feed's times are not of this machine's clock")?;
            }
            (None, _) => writeln!(f, "latency     unknown: nothing came of what was due in the window")?,
        }
        if let Some(age) = &self.age_p99_us {
            age.write(f, "age ms      ")?;
        }
        for group in &self.groups {
            group.write(f)?;
        }
        if let Some(cpu) = &self.server_cpu {
            cpu.write(f, "server CPU  ")?;
        }
        self.harness_cpu.write(f, "own CPU     ")?;
        writeln!(
            f,
            "changes     {} verified, {} times several in one; {} unaccounted",
            Grouped(self.delivered.changes_verified),
            Grouped(self.delivered.merges_verified),
            self.faults.changes_unaccounted
        )?;
        self.faults.write(f, self.checksums_ok)?;
        for (text, count) in &self.errors {
            writeln!(f, "            {count} × {text}")?;
        }
        Ok(())
    }
}

impl Report {
    fn write_due(&self, f: &mut fmt::Formatter<'_>, due: &Due) -> fmt::Result {
        write!(f, "due         {} updates of {} changes", Grouped(due.updates), Grouped(due.changes))?;
        if let (Some(expected), Some(missing)) = (due.expected, due.missing) {
            write!(f, ", {} expected, {} missing", Grouped(expected), Grouped(missing))?;
        }
        writeln!(
            f,
            "; late: {} after the window, {} from before it; {} clients behind",
            Grouped(due.came_after),
            Grouped(due.due_before),
            due.clients_behind
        )
    }
}

impl Percentiles {
    fn write(&self, f: &mut fmt::Formatter<'_>, name: &str) -> fmt::Result {
        writeln!(
            f,
            "{name}p50 {}  p90 {}  p99 {}  p99.9 {}  max {}",
            Thousandths(self.p50),
            Thousandths(self.p90),
            Thousandths(self.p99),
            Thousandths(self.p99_9),
            Thousandths(self.max)
        )
    }
}

impl Ages {
    fn write(&self, f: &mut fmt::Formatter<'_>, name: &str) -> fmt::Result {
        let [first, last] = [self.first_third, self.last_third].map(Thousandths);
        writeln!(f, "{name}p99 of what came in the first third {first}, in the last {last}")
    }
}

impl Group {
    fn write(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [clients, updates, changes, merges, deeds] =
            [self.clients, self.updates, self.changes, self.merges, self.deeds].map(Grouped);
        writeln!(
            f,
            "apart       {clients} clients, {}: {updates} updates of {changes} changes, merged {merges} times, {deeds} times",
            self.habit
        )?;
        if self.too_slow > 0 {
            writeln!(
                f,
                "            closed as too slow {} times, {} at the end",
                self.too_slow, self.too_slow_at_end
            )?;
        }
        if let Some(latency) = &self.latency_us {
            latency.write(f, "  latency   ")?;
        }
        if let Some(age) = &self.age_p99_us {
            age.write(f, "  age       ")?;
        }
        Ok(())
    }
}

impl Cpu {
    fn write(&self, f: &mut fmt::Formatter<'_>, name: &str) -> fmt::Result {
        write!(f, "{name}{} s", Thousandths(self.ms))?;
        match self.ms_per_million_updates {
            Some(each) => writeln!(f, ", {} s per million updates", Thousandths(each)),
            None => writeln!(f),
        }
    }
}

impl Faults {
    fn write(&self, f: &mut fmt::Formatter<'_>, checksums_ok: u64) -> fmt::Result {
        writeln!(
            f,
            "verified    {} gaps, {} checksums failed ({} agreed), {} overfull books, {} lost as announced",
            self.gaps,
            self.checksums_failed,
            Grouped(checksums_ok),
            self.books_overfull,
            self.lost
        )?;
        writeln!(
            f,
            "connections {} clients unconnected, {} unready, {} lost, {} closed for good; {} refusals; {} disconnects, {} reconnects, {} failed ones",
            self.clients_unconnected,
            self.clients_unready,
            self.clients_lost,
            self.clients_closed,
            self.refusals,
            self.disconnects,
            self.reconnects,
            self.reconnects_failed
        )
    }
}

/// 1234567 as `1,234,567`.
struct Grouped(u64);

impl fmt::Display for Grouped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = self.0.to_string();
        for (at, digit) in digits.chars().enumerate() {
            if at > 0 && (digits.len() - at).is_multiple_of(3) {
                f.write_str(",")?;
            }
            write!(f, "{digit}")?;
        }
        Ok(())
    }
}

/// 1234 as `1.234`.
struct Thousandths(u64);

impl fmt::Display for Thousandths {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:03}", self.0 / 1_000, self.0 % 1_000)
    }
}

#[cfg(test)]
mod tests {
    use feeds::Timestamp;

    use super::super::{Follow, Window};
    use super::*;
    use crate::topic::{Channel, Rate};
    use crate::wire::Encoding;

    const SECOND: i64 = 1_000_000_000;
    const WINDOW: Window = Window { from: Timestamp(10_000 * SECOND), until: Timestamp(10_002 * SECOND) };

    fn client(state: State, updates: u64) -> ClientTally {
        let before = Counts { updates: 7, ..Counts::default() };
        let after = Counts {
            updates: 7 + updates,
            bytes: 100 * updates,
            wire_bytes: 104 * updates,
            ..Counts::default()
        };
        let end = Counts { checksums_ok: 2, ..after };
        ClientTally {
            state,
            verifies: true,
            group: 0,
            topics: 1,
            too_slow: 0,
            deeds: 0,
            before,
            after,
            end,
            due_changes: updates,
            overfull: 0,
            disconnects: 0,
            refusals: 0,
            drained: true,
        }
    }

    fn settings() -> Settings {
        Settings {
            url: "ws://127.0.0.1:8080/v1/ws".to_owned(),
            token: None,
            channel: Channel::Quote,
            follow: Follow::EachOf(1),
            clients: 3,
            habits: Vec::new(),
            verify: 3,
            encoding: Encoding::Json,
            compress: false,
            max_frequency: Rate::Raw,
            threads: 2,
            connect_rate: 1_000,
            warmup: Duration::from_secs(1),
            duration: Duration::from_secs(2),
            server_pid: None,
            expect_rate: Some(50),
        }
    }

    /// Two threads; so many of the updates that were due came, all `late` after they were due.
    fn report(clients: [ClientTally; 3], due: u32, late: Duration) -> Report {
        let mut latencies = Latencies::new();
        for number in 0..due {
            let at = WINDOW.from.plus(Duration::from_millis(1) * number);
            latencies.take(WINDOW, at, at.plus(late));
        }
        report_of(clients, latencies)
    }

    fn report_of(clients: [ClientTally; 3], latencies: Latencies) -> Report {
        let tally = |clients: &[ClientTally], latencies| {
            let mut errors = Errors::default();
            errors.add("late".to_owned(), 2);
            Tally {
                clients: clients.to_vec(),
                window: Duration::from_secs(2),
                latencies: vec![latencies],
                errors,
            }
        };
        let tallies = vec![tally(&clients[..2], latencies), tally(&clients[2..], Latencies::new())];
        let cpu = Duration::from_millis;
        Report::new(&settings(), cpu(40), tallies, Some(cpu(250)), cpu(30))
    }

    #[test]
    fn sums_and_rates_are_of_all_threads() {
        let ready = |updates| client(State::Ready, updates);
        let report = report([ready(100), ready(90), ready(60)], 250, Duration::from_micros(700));
        assert_eq!(report.delivered.updates, 250);
        assert_eq!(report.delivered.updates_by_thread, [190, 60]);
        assert_eq!(report.delivered.updates_per_second, 125);
        assert_eq!(
            (report.delivered.updates_per_client_min, report.delivered.updates_per_client_max),
            (60, 100)
        );
        assert_eq!(report.delivered.bytes, 25_000);
        // 3 topics × 50 a second × 2 seconds, and one a topic for the borders of the window.
        let due = Due {
            updates: 250,
            changes: 250,
            came_after: 0,
            due_before: 0,
            expected: Some(300),
            missing: Some(47),
            clients_behind: 0,
        };
        assert_eq!(report.due, Some(due));
        let latency = Percentiles { samples: 250, p50: 700, p90: 700, p99: 700, p99_9: 700, max: 700 };
        assert_eq!((report.latency_us, report.latency_absent), (Some(latency), None));
        assert_eq!(report.server_cpu, Some(Cpu { ms: 250, ms_per_million_updates: Some(1_000_000) }));
        assert_eq!(report.errors["late"], 4);
        assert_eq!(report.checksums_ok, 6);
        let shown = report.to_string();
        for part in [
            "250 updates in 2.000 s: 125 a second",
            "p50 0.700",
            "due         250 updates of 250 changes, 300 expected, 47 missing",
            "1000.000 s per million",
        ] {
            assert!(shown.contains(part), "no {part:?} in\n{shown}");
        }
    }

    #[test]
    fn what_drains_cannot_count_goes_by_its_bytes() {
        let drain = |updates, opaque| {
            let mut drain = client(State::Ready, updates);
            drain.verifies = false;
            drain.after.opaque = opaque;
            drain
        };
        let verifying = client(State::Ready, 100);
        let plain = report([verifying, drain(90, 0), drain(60, 0)], 100, Duration::ZERO).delivered;
        assert_eq!((plain.counted, plain.updates, plain.wire_bytes), (Counted::Exactly, 250, 26_000));
        assert_eq!(plain.wire_bytes_per_thousand_updates, Some(104_000));
        let mut zipped = drain(3, 7);
        zipped.after.wire_bytes = 5_200;
        let report_of_zipped = report([verifying, drain(90, 0), zipped], 100, Duration::ZERO);
        let guessed = &report_of_zipped.delivered;
        assert_eq!((guessed.counted, guessed.updates), (Counted::Estimated, 100 + 90 + 50));
        assert!(report_of_zipped.to_string().contains("by their bytes"));
        // One topic is followed by a client that verifies: of it alone it is known what came.
        assert_eq!(report_of_zipped.due.and_then(|due| due.expected), Some(100));
        let unknown = report([zipped, zipped, zipped], 0, Duration::ZERO);
        assert_eq!((unknown.delivered.counted, unknown.delivered.updates), (Counted::Unknown, 0));
        assert_eq!(unknown.server_cpu.and_then(|cpu| cpu.ms_per_million_updates), None);
    }

    #[test]
    fn what_is_missing_of_what_was_expected_spoils_it() {
        let ready = |updates| client(State::Ready, updates);
        let sound = |due| report([ready(100), ready(100), ready(100)], due, Duration::ZERO).is_sound();
        assert!(sound(300) && sound(297) && !sound(296));
    }

    /// A server that is so late that nothing of what was due in the window comes, though it sends as much as ever.
    #[test]
    fn a_server_that_lags_by_more_than_the_window_shows() {
        let ready = || client(State::Ready, 100);
        let lagging = report([ready(), ready(), ready()], 300, Duration::from_secs(2));
        let late = lagging.due.expect("a clock in common");
        assert_eq!((late.updates, late.came_after, late.missing), (300, 300, Some(0)));

        let mut latencies = Latencies::new();
        for number in 0..300 {
            let at = WINDOW.from.plus(Duration::from_millis(6) * number);
            latencies.take(WINDOW, Timestamp(at.0 - 30 * SECOND), at);
        }
        let lost = report_of([ready(), ready(), ready()], latencies);
        let late = lost.due.expect("a clock in common");
        assert_eq!((late.updates, late.due_before, late.missing), (0, 300, Some(297)));
        assert!(!lost.is_sound());
        let shown = lost.to_string();
        for part in [
            "0 updates of 300 changes, 300 expected, 297 missing",
            "300 from before it",
            "nothing came of what was due",
        ] {
            assert!(shown.contains(part), "no {part:?} in\n{shown}");
        }
    }

    #[test]
    fn times_of_another_clock_give_no_latency() {
        let ready = |updates| client(State::Ready, updates);
        let old = report([ready(100), ready(90), ready(60)], 250, Duration::from_secs(100_000));
        assert_eq!((old.latency_us, old.due), (None, None));
        assert_eq!(old.latency_absent, Some(LatencyAbsent::NotALiveClock));
        assert!(old.to_string().contains("not of this machine's clock"));
        let silent = report([ready(0), ready(0), ready(0)], 0, Duration::ZERO);
        assert_eq!(silent.latency_absent, Some(LatencyAbsent::NoUpdates));
        assert_eq!(silent.server_cpu, Some(Cpu { ms: 250, ms_per_million_updates: None }));
        assert!(!silent.is_sound(), "something was expected");
    }

    #[test]
    fn one_client_that_is_not_right_spoils_it() {
        let ready = client(State::Ready, 5);
        let spoilt = |spoil: fn(&mut ClientTally)| {
            let mut wrong = ready;
            spoil(&mut wrong);
            !report([ready, ready, wrong], 300, Duration::ZERO).is_sound()
        };
        assert!(spoilt(|client| client.state = State::Unready));
        assert!(spoilt(|client| client.state = State::Unconnected));
        assert!(spoilt(|client| client.state = State::Closed));
        assert!(spoilt(|client| client.state = State::Lost));
        assert!(spoilt(|client| client.end.gaps = 1));
        assert!(spoilt(|client| client.end.unaccounted = 1));
        assert!(spoilt(|client| client.end.checksums_failed = 1));
        assert!(spoilt(|client| client.overfull = 1));
        assert!(spoilt(|client| client.refusals = 1));
        assert!(!spoilt(|client| client.end.lost = 1));
        assert!(!spoilt(|client| client.disconnects = 1));
    }

    #[test]
    fn numbers_are_grouped() {
        let shown: Vec<String> = [0, 999, 1_000, 1_234_567].map(|number| Grouped(number).to_string()).into();
        assert_eq!(shown, ["0", "999", "1,000", "1,234,567"]);
    }
}
