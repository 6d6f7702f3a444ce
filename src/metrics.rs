//! Every metric, in one place, as the Prometheus text format shows it.

use std::fmt::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

macro_rules! metrics {
    ($($(#[$doc:meta])* $name:ident: $type:ident = $help:literal),* $(,)?) => {
        /// Counters and gauges of one process. Cheap to clone; relaxed, because no decision hangs on them.
        #[derive(Clone, Debug, Default)]
        pub struct Metrics(Arc<Values>);

        #[derive(Debug, Default)]
        struct Values {
            $($name: $type,)*
        }

        impl Metrics {
            $($(#[$doc])*
            #[doc = $help]
            #[must_use]
            pub fn $name(&self) -> &$type {
                &self.0.$name
            })*

            /// All of them in the Prometheus text exposition format, version 0.0.4.
            #[must_use]
            pub fn render(&self) -> String {
                let mut text = String::new();
                $(self.0.$name.render(concat!("tickwire_", stringify!($name)), $help, &mut text);)*
                text
            }
        }
    };
}

/// Only goes up.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

/// Goes up and down.
#[derive(Debug, Default)]
pub struct Gauge(AtomicI64);

impl Counter {
    /// Adds to it.
    pub fn add(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    /// What it stands at.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    /// Takes over a total that is counted elsewhere.
    pub fn set(&self, total: u64) {
        self.0.store(total, Ordering::Relaxed);
    }

    fn render(&self, name: &str, help: &str, text: &mut String) {
        // Writing to a String cannot fail.
        let _ = write!(text, "# HELP {name} {help}\n# TYPE {name} counter\n{name} {}\n", self.get());
    }
}

impl Gauge {
    /// Moves it.
    pub fn add(&self, change: i64) {
        self.0.fetch_add(change, Ordering::Relaxed);
    }

    /// What it stands at.
    #[must_use]
    pub fn get(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }

    /// Sets it.
    pub fn set(&self, value: i64) {
        self.0.store(value, Ordering::Relaxed);
    }

    /// Moves it by what one of the parts that it sums up has changed.
    pub fn shift(&self, from: usize, to: usize) {
        let [from, to] = [from, to].map(|count| i64::try_from(count).unwrap_or(i64::MAX));
        self.add(to - from);
    }

    fn render(&self, name: &str, help: &str, text: &mut String) {
        let _ = write!(text, "# HELP {name} {help}\n# TYPE {name} gauge\n{name} {}\n", self.get());
    }
}

metrics! {
    feed_messages_total: Counter = "Messages read from the feed",
    feed_events_total: Counter = "Market events that they held",
    feed_errors_total: Counter = "Feeds that ended in an error",
    feed_connections: Gauge = "Connections to the live venue that stand",
    feed_connections_lost_total: Counter = "Connections to the live venue that were lost, each of which is made anew",
    feed_resyncs_total: Counter = "Books that the live venue was asked for anew",
    recording_failures_total: Counter = "Times the disk of the recording failed",
    recording_records_lost_total: Counter = "Records that the recording had no room for",
    unknown_orders_total: Counter = "Messages that referred to an order nobody had added",
    book_checksums_ok_total: Counter = "Venue checksums that agreed with our book",
    book_checksums_failed_total: Counter = "Venue checksums that did not",
    sequence_gaps_total: Counter = "Holes in the venue's numbering",
    topic_messages_total: Counter = "Updates and states encoded",
    encoded_bytes_total: Counter = "Bytes of JSON encoded",
    batches_conflated_total: Counter = "Batches that a full shard could not take: their topics were sent as states",
    feed_late_microseconds: Gauge = "How late the feed's last message was applied",
    outbox_bytes: Gauge = "Bytes that wait for clients' sockets",
    inbox_bytes: Gauge = "Bytes held of clients' messages that have not come whole yet",
    connections: Gauge = "WebSocket connections open",
    connections_total: Counter = "WebSocket connections accepted",
    http_connections_refused_total: Counter = "HTTP connections closed unread, because their shard had too many",
    tls_handshakes_failed_total: Counter = "TLS handshakes that failed, or took too long",
    certificate_loads_total: Counter = "New certificates that were read while running",
    certificate_failures_total: Counter = "New certificates that cannot be used: the one before stays",
    connections_refused_total: Counter = "WebSocket handshakes refused",
    connections_overrun_total: Counter = "Connections closed with 4007, because too much waited for them",
    connections_crowded_total: Counter = "Connections closed with 1013, because too much was held of messages that had not come whole",
    requests_total: Counter = "Client messages answered",
    requests_bad_total: Counter = "Client messages answered with an error",
    laggards: Gauge = "Connections that read too slowly, and are sent merged states",
    cohorts: Gauge = "Sets of topics that several connections of a shard follow, which are sent the same bytes",
    cohort_connections: Gauge = "Connections in these cohorts",
    lone_connections: Gauge = "Connections that follow what no other of their shard does, or did so a moment ago",
    compressed_streams: Gauge = "Cohorts whose messages are compressed with those before as their context",
    key_frames_total: Counter = "Times that such a stream began anew, for those who waited to enter it",
    updates_out_total: Counter = "Updates and states written, one for each client that got it",
    messages_out_total: Counter = "WebSocket messages written",
    bytes_out_total: Counter = "Bytes of WebSocket frames written",
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shown_as_prometheus_reads_it() {
        let metrics = Metrics::default();
        metrics.connections().add(3);
        metrics.connections().add(-1);
        metrics.bytes_out_total().add(7);
        let text = metrics.render();
        assert!(text.contains("# TYPE tickwire_connections gauge\ntickwire_connections 2\n"));
        assert!(text.contains("# TYPE tickwire_bytes_out_total counter\ntickwire_bytes_out_total 7\n"));
    }
}
