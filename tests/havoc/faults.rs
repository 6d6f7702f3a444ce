//! What happens to the cluster, and what of it clients may notice.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::{Duration, Instant};

use feeds::clock::monotonic;

use super::cluster::{Cluster, GATEWAYS};
use super::network::Dropping;
use super::swarm::{Oracle, Seen, Swarm};
use crate::service::signal::signal;

/// Anything takes less, or the test fails.
const PATIENCE: Duration = Duration::from_secs(60);
/// What is promised: clients of a gateway that has died are back, all but one of a thousand.
const BACK_WITHIN: Duration = Duration::from_secs(10);
/// All of them.
const ALL_BACK_WITHIN: Duration = Duration::from_secs(30);
/// That nothing new comes is told.
const STALE_WITHIN: Duration = Duration::from_secs(2);
/// States are those of the ingest after an outage.
const EQUAL_WITHIN: Duration = Duration::from_secs(5);
/// Of the clients that have to come back, so many of a hundred at most do in one second.
const HERD_PERCENT: usize = 15;

pub(crate) type Fault = fn(&mut Trial) -> String;

/// Their names, whether the network is theirs, and what they do.
pub(crate) const FAULTS: [(&str, bool, Fault); 9] = [
    ("a gateway is killed", false, Trial::kill_gateway),
    ("the active ingest is killed", false, Trial::kill_ingest),
    ("the active ingest is frozen", false, Trial::freeze_ingest),
    ("the broker is killed", false, Trial::kill_broker),
    ("the broker is frozen", false, Trial::freeze_broker),
    ("a gateway freezes", false, Trial::freeze_gateway),
    ("gateways are restarted in turn", false, Trial::restart_gateways),
    ("a gateway is cut off from the broker", true, Trial::cut_gateway),
    ("5 % of all packets are lost", true, Trial::lose_packets),
];

pub(crate) struct Trial {
    cluster: Cluster,
    swarm: Swarm,
    oracle: Oracle,
    outage: Duration,
    is_strict: bool,
    /// How far it has come, for who waits in vain.
    note: Cell<String>,
}

/// How long clients were away, in order.
struct Away(Vec<Duration>);

impl Away {
    /// Within which time so many of a thousand were back.
    fn share(&self, of_thousand: usize) -> Duration {
        let at = (self.0.len() * of_thousand).div_ceil(1_000);
        self.0.get(at.saturating_sub(1)).copied().unwrap_or_default()
    }
}

impl fmt::Display for Away {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [half, most, all] = [500, 999, 1_000].map(|of_thousand| self.share(of_thousand));
        write!(
            f,
            "{} clients cut off, back in {half:.1?} (p50), {most:.1?} (p99.9), {all:.1?} (all)",
            self.0.len()
        )
    }
}

impl Trial {
    pub(crate) fn new(cluster: Cluster, swarm: Swarm, outage: Duration, is_strict: bool) -> Self {
        let active = cluster.active().expect("one is active");
        let oracle = swarm.oracle(cluster.ingests[active].address, &cluster.symbols());
        let mut trial = Self { cluster, swarm, oracle, outage, is_strict, note: Cell::default() };
        trial.until_equal();
        trial
    }

    /// Nothing was ever wrong.
    pub(crate) fn end(mut self) {
        self.until_equal();
        for (at, follower) in self.swarm.followers.iter().enumerate() {
            let seen = follower.seen();
            assert!(seen.wrong.is_empty(), "client {at}: {:?}", seen.wrong);
            let stats = &seen.stats;
            assert_eq!(
                (stats.unaccounted, stats.gaps, stats.checksums_failed),
                (0, 0, 0),
                "client {at}: {stats:?}"
            );
            assert!(stats.checksums_ok > 0, "client {at}: {stats:?}");
        }
    }

    fn kill_gateway(&mut self) -> String {
        let (before, clients) = (self.cuts(), self.cluster.clients_of(0));
        self.cluster.gateways[0].child.kill().expect("it runs");
        self.cluster.gateways[0].child.wait().expect("it has ended");
        let away = self.until_back(&before, clients);
        self.until_equal();
        self.cluster.replace_gateway(0);
        self.within(away.share(999), BACK_WITHIN, "99.9 % are back");
        self.within(away.share(1_000), ALL_BACK_WITHIN, "all are back");
        away.to_string()
    }

    fn freeze_gateway(&mut self) -> String {
        let (before, clients) = (self.cuts(), self.cluster.clients_of(1));
        signal(&self.cluster.gateways[1].child, "STOP");
        self.until("its clients have given it up", |trial| clients == 0 || trial.away() > 0);
        signal(&self.cluster.gateways[1].child, "CONT");
        let away = self.until_back(&before, clients.min(1));
        let equal = self.until_equal();
        format!("{away}; equal after {equal:.1?}")
    }

    fn kill_ingest(&mut self) -> String {
        let (before, epochs) = (self.cuts(), self.epochs());
        let active = self.cluster.active().expect("one is active");
        self.cluster.ingests[active].child.kill().expect("it runs");
        drop(self.cluster.ingests.swap_remove(active));
        let told = self.until_taken_over(&epochs);
        self.assert_none_cut(&before);
        let standby = self.cluster.new_ingest();
        // Who has never heard the one that is active would take over from it in the first term, and give it up again.
        self.until("the next one has heard it", |_| standby.metric("bus_term") > 0);
        self.cluster.ingests.push(standby);
        told
    }

    fn freeze_ingest(&mut self) -> String {
        let (before, epochs) = (self.cuts(), self.epochs());
        let active = self.cluster.active().expect("one is active");
        let frozen = self.cluster.ingests.swap_remove(active);
        signal(&frozen.child, "STOP");
        let told = self.until_taken_over(&epochs);
        signal(&frozen.child, "CONT");
        // It learns that it is not the one any more, and nobody notices.
        self.until("it stands by", |_| frozen.metric("bus_active") == 0);
        self.cluster.ingests.push(frozen);
        self.until_equal();
        self.assert_none_cut(&before);
        assert!(self.epochs().iter().zip(&epochs).all(|(now, before)| *now == before + 1), "one epoch more");
        told
    }

    fn kill_broker(&mut self) -> String {
        let (before, epochs) = (self.cuts(), self.epochs());
        self.cluster.broker.kill();
        let stale = self.until_stale(monotonic());
        self.pass(self.outage);
        self.cluster.broker.start_again();
        let told = self.until_fresh(stale);
        self.assert_none_cut(&before);
        assert_eq!(self.epochs(), epochs, "the same ingest goes on");
        told
    }

    fn freeze_broker(&mut self) -> String {
        let (before, epochs) = (self.cuts(), self.epochs());
        signal(&self.cluster.broker.child, "STOP");
        let stale = self.until_stale(monotonic());
        self.pass(self.outage);
        signal(&self.cluster.broker.child, "CONT");
        let told = self.until_fresh(stale);
        self.assert_none_cut(&before);
        assert_eq!(self.epochs(), epochs, "the same ingest goes on");
        told
    }

    fn restart_gateways(&mut self) -> String {
        let (start, lost) = (monotonic(), self.lost());
        // Clients who came back in each second.
        let mut seconds: BTreeMap<u64, usize> = BTreeMap::new();
        for at in 0..GATEWAYS {
            let (before, clients) = (self.cuts(), self.cluster.clients_of(at));
            signal(&self.cluster.gateways[at].child, "TERM");
            let status = self.cluster.gateways[at].child.wait().expect("it ends");
            assert!(status.success(), "{status}");
            self.cluster.replace_gateway(at);
            self.until_back(&before, clients);
            for (follower, before) in self.swarm.followers.iter().zip(&before) {
                let seen = follower.seen();
                if let Some(at) = seen.back_at.filter(|_| seen.cuts > *before) {
                    *seconds.entry(at.duration_since(start).as_secs()).or_default() += 1;
                }
            }
            self.until_equal();
        }
        let moved: usize = seconds.values().sum();
        let fullest = seconds.values().max().copied().unwrap_or_default();
        let is_herd = fullest * 100 > moved * HERD_PERCENT;
        assert!(!self.is_strict || !is_herd, "{fullest} of {moved} came back in one second");
        let lost = self.lost() - lost;
        assert!(!self.is_strict || lost == 0, "{lost} trades that another gateway could have told");
        format!("{moved} clients moved, at most {fullest} in one second; {lost} trades told as lost")
    }

    fn cut_gateway(&mut self) -> String {
        let before = self.cuts();
        let start = monotonic();
        let cut = Dropping::all_of(&self.cluster.way_to_broker(2));
        let clients = self.cluster.clients_of(2);
        self.until("its clients are told", |trial| trial.count(|seen| seen.stale_at.is_some()) >= clients);
        let stale = monotonic().duration_since(start);
        self.pass(self.outage);
        drop(cut);
        let told = self.until_fresh(stale);
        self.assert_none_cut(&before);
        told
    }

    fn lose_packets(&mut self) -> String {
        let (cuts, epochs): (u64, _) = (self.cuts().iter().sum(), self.epochs());
        let lossy = Dropping::percent(5);
        self.pass(self.outage * 4);
        drop(lossy);
        let start = monotonic();
        // Who is not heard for a second, because the same packet is lost three times, is taken over from; and what was
        // lost last may be about to show.
        self.pass(STALE_WITHIN);
        self.follow_active();
        self.until_equal();
        let after = monotonic().duration_since(start);
        let broke = self.cuts().iter().sum::<u64>() - cuts;
        let new_epochs = self.epochs().iter().zip(epochs).map(|(now, before)| now - before).max();
        format!(
            "{broke} connections broke, {} new epochs; equal {after:.1?} after",
            new_epochs.unwrap_or_default()
        )
    }

    /// Clients are of another ingest.
    fn until_taken_over(&mut self, epochs: &[u64]) -> String {
        let start = monotonic();
        self.follow_active();
        self.until("all are told", |trial| {
            trial.epochs().iter().zip(epochs).all(|(now, before)| now > before)
        });
        let told = monotonic().duration_since(start);
        self.until_equal();
        let equal = monotonic().duration_since(start);
        format!("another epoch after {told:.1?}, equal after {equal:.1?}")
    }

    /// Clients are held to what the ingest says that is active now.
    fn follow_active(&mut self) {
        self.until("one ingest is active", |trial| trial.cluster.active().is_some());
        let active = self.cluster.active().expect("one is");
        self.oracle = self.swarm.oracle(self.cluster.ingests[active].address, &self.cluster.symbols());
    }

    /// Every client is told that what it has is old; says how long that took.
    fn until_stale(&self, start: Instant) -> Duration {
        self.until("all are stale", |trial| trial.count(|seen| seen.stale_at.is_none()) == 0);
        let last = self.swarm.followers.iter().filter_map(|follower| follower.seen().stale_at).max();
        last.expect("clients").duration_since(start)
    }

    /// Nobody is stale, and all have what the ingest has.
    fn until_fresh(&mut self, stale: Duration) -> String {
        let start = monotonic();
        self.until("nobody is stale", |trial| {
            trial.count(|seen| seen.stale.values().any(|&is_stale| is_stale)) == 0
        });
        self.until_equal();
        let equal = monotonic().duration_since(start);
        self.within(stale, STALE_WITHIN, "all are stale");
        self.within(equal, EQUAL_WITHIN, "all are equal");
        format!("stale within {stale:.1?}, equal {equal:.1?} after its return")
    }

    /// Whoever was cut off is back: so many at least.
    fn until_back(&self, before: &[u64], least: usize) -> Away {
        self.until("all are back", |trial| {
            let cut = trial.cuts().iter().zip(before).filter(|(now, before)| now > before).count();
            trial.note.set(format!("{cut} of {least} were cut off, {} are away", trial.away()));
            trial.away() == 0 && cut >= least
        });
        let cut = self.swarm.followers.iter().zip(before);
        let mut away: Vec<_> = cut
            .filter_map(|(follower, before)| {
                let seen = follower.seen();
                (seen.cuts > *before).then_some(seen.back_after)
            })
            .collect();
        away.sort_unstable();
        Away(away)
    }

    /// Every client holds what the ingest published a moment ago, or later; says how long that took.
    fn until_equal(&mut self) -> Duration {
        let start = monotonic();
        let all = self.cluster.symbols().len();
        self.until("the oracle is there", |trial| trial.oracle.newest().len() == all);
        let from = self.oracle.newest();
        let is_unlike = |seen: &Seen, oracle: &Oracle| seen.cut_at.is_some() || !oracle.agrees(seen, &from);
        self.until("all are equal", |trial| {
            let unlike = trial.count(|seen| is_unlike(seen, &trial.oracle));
            let lacks = trial.swarm.followers.iter().map(|follower| follower.seen().lacks.join(", "));
            let lacks: BTreeSet<_> = lacks.filter(|lacks| !lacks.is_empty()).collect();
            trial.note.set(format!("{unlike} are not, and {} are away, without {lacks:?}", trial.away()));
            unlike == 0
        });
        monotonic().duration_since(start)
    }

    /// Lets an outage be as long as it is to be.
    fn pass(&self, duration: Duration) {
        let start = monotonic();
        while monotonic().duration_since(start) < duration {
            std::thread::park_timeout(Duration::from_millis(50));
        }
    }

    #[track_caller]
    fn until(&self, what: &str, mut holds: impl FnMut(&Self) -> bool) {
        let start = monotonic();
        while !holds(self) {
            if let Some(wrong) = self.swarm.followers.iter().find_map(|it| it.seen().wrong.first().cloned()) {
                panic!("while it is not so that {what}: {wrong}");
            }
            let note = self.note.take();
            assert!(monotonic().duration_since(start) < PATIENCE, "still not so: {what}; {note}");
            std::thread::park_timeout(Duration::from_millis(20));
        }
    }

    #[track_caller]
    fn within(&self, took: Duration, promised: Duration, what: &str) {
        assert!(!self.is_strict || took <= promised, "{what} after {took:?}, not within {promised:?}");
    }

    #[track_caller]
    fn assert_none_cut(&self, before: &[u64]) {
        assert_eq!(self.cuts(), before, "connections stay");
    }

    fn count(&self, mut holds: impl FnMut(&Seen) -> bool) -> usize {
        self.swarm.followers.iter().filter(|follower| holds(&follower.seen())).count()
    }

    fn away(&self) -> usize {
        self.count(|seen| seen.cut_at.is_some())
    }

    fn cuts(&self) -> Vec<u64> {
        self.swarm.followers.iter().map(|follower| follower.seen().cuts).collect()
    }

    fn epochs(&self) -> Vec<u64> {
        self.swarm.followers.iter().map(|follower| follower.seen().epochs).collect()
    }

    fn lost(&self) -> u64 {
        self.swarm.followers.iter().map(|follower| follower.seen().lost).sum()
    }
}
