//! How long updates take from stage to stage.

use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// From the feed to the sockets. Measured once a batch, whatever the number of its clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// From the first message of the feed in a batch to the batch's hand-over to the shards: the market, the cache, the
    /// encoding.
    Publish,
    /// From there until a shard takes it.
    Wait,
    /// From there until all its clients' sockets or outboxes have it.
    Flush,
}

impl Stage {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Publish, Self::Wait, Self::Flush];

    /// As the label has it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Publish => "publish",
            Self::Wait => "wait",
            Self::Flush => "flush",
        }
    }
}

/// Upper bounds in microseconds, and as the label `le` has them in seconds.
const BOUNDS: [(u64, &str); 15] = [
    (10, "0.00001"),
    (25, "0.000025"),
    (50, "0.00005"),
    (100, "0.0001"),
    (250, "0.00025"),
    (500, "0.0005"),
    (1_000, "0.001"),
    (2_500, "0.0025"),
    (5_000, "0.005"),
    (10_000, "0.01"),
    (25_000, "0.025"),
    (50_000, "0.05"),
    (100_000, "0.1"),
    (250_000, "0.25"),
    (1_000_000, "1"),
];

#[derive(Debug, Default)]
struct Histogram {
    /// Each counts what is above the bound before and not above its own; the last, what is above all.
    counts: [AtomicU64; BOUNDS.len() + 1],
    nanos: AtomicU64,
}

/// A histogram of each stage.
#[derive(Debug, Default)]
pub struct Stages([Histogram; Stage::ALL.len()]);

impl Stages {
    /// Counts a batch that took so long.
    pub fn note(&self, stage: Stage, took: Duration) {
        let histogram = &self.0[stage as usize];
        let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        let bucket = BOUNDS.partition_point(|&(micros, _)| micros * 1_000 < nanos);
        histogram.counts[bucket].fetch_add(1, Ordering::Relaxed);
        histogram.nanos.fetch_add(nanos, Ordering::Relaxed);
    }

    pub(super) fn render(&self, name: &str, help: &str, text: &mut String) {
        let _ = write!(text, "# HELP {name} {help}\n# TYPE {name} histogram\n");
        for stage in Stage::ALL {
            let Histogram { counts, nanos } = &self.0[stage as usize];
            let stage = stage.as_str();
            let mut sum = 0;
            for (count, bound) in counts.iter().zip(BOUNDS.iter().map(|(_, bound)| bound).chain([&"+Inf"])) {
                sum += count.load(Ordering::Relaxed);
                let _ = writeln!(text, "{name}_bucket{{stage=\"{stage}\",le=\"{bound}\"}} {sum}");
            }
            let nanos = nanos.load(Ordering::Relaxed);
            let (seconds, rest) = (nanos / 1_000_000_000, nanos % 1_000_000_000);
            let _ = writeln!(text, "{name}_sum{{stage=\"{stage}\"}} {seconds}.{rest:09}");
            let _ = writeln!(text, "{name}_count{{stage=\"{stage}\"}} {sum}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_hold_what_is_not_above_their_bound() {
        let stages = Stages::default();
        for micros in [0, 10, 11, 1_000_000, 1_000_001] {
            stages.note(Stage::Wait, Duration::from_micros(micros));
        }
        stages.note(Stage::Wait, Duration::from_nanos(10_001));
        let mut text = String::new();
        stages.render("t", "help", &mut text);
        for line in [
            "t_bucket{stage=\"wait\",le=\"0.00001\"} 2",
            "t_bucket{stage=\"wait\",le=\"0.000025\"} 4",
            "t_bucket{stage=\"wait\",le=\"1\"} 5",
            "t_bucket{stage=\"wait\",le=\"+Inf\"} 6",
            "t_sum{stage=\"wait\"} 2.000032001",
            "t_count{stage=\"wait\"} 6",
            "t_count{stage=\"publish\"} 0",
        ] {
            assert!(text.lines().any(|other| other == line), "{line} in {text}");
        }
    }

    #[test]
    fn the_labels_are_the_bounds() {
        for (micros, label) in BOUNDS {
            let fraction = label.strip_prefix("0.").map(|digits| format!("{digits:0<6}"));
            assert_eq!(fraction.as_deref().unwrap_or("1000000").parse(), Ok(micros), "{label}");
        }
    }
}
