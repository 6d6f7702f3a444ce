//! Every metric, in one place, as the Prometheus text format shows it.

mod stages;

use std::fmt::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use crate::directory::Class;
use crate::state::StatusState;

pub use stages::{Stage, Stages};

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

/// How many instruments are in which state, of those at once and of those served late.
#[derive(Debug, Default)]
pub struct Instruments([[Gauge; StatusState::ALL.len()]; Class::ALL.len()]);

impl Instruments {
    /// Of a class and in a state.
    #[must_use]
    pub const fn of(&self, class: Class, state: StatusState) -> &Gauge {
        &self.0[class as usize][state as usize]
    }

    fn render(&self, name: &str, help: &str, text: &mut String) {
        let _ = write!(text, "# HELP {name} {help}\n# TYPE {name} gauge\n");
        for class in Class::ALL {
            for state in StatusState::ALL {
                let (count, class, state) = (self.of(class, state).get(), class.as_str(), state.as_str());
                let _ = writeln!(text, "{name}{{class=\"{class}\",state=\"{state}\"}} {count}");
            }
        }
    }
}

/// Which program this is: always 1.
#[derive(Debug, Default)]
pub struct Build;

impl Build {
    fn render(&self, name: &str, help: &str, text: &mut String) {
        let (version, os, arch) = (env!("CARGO_PKG_VERSION"), std::env::consts::OS, std::env::consts::ARCH);
        let _ = write!(
            text,
            "# HELP {name} {help}\n# TYPE {name} gauge\n\
             {name}{{version=\"{version}\",os=\"{os}\",arch=\"{arch}\"}} 1\n"
        );
    }
}

/// Reasons, and a counter for each: one metric, with the reason as its label.
macro_rules! reasons {
    ($(#[$doc:meta])* $reason:ident, $(#[$counters_doc:meta])* $counters:ident {
        $($(#[$reason_doc:meta])* $name:ident = $label:literal,)*
    }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $reason {
            $($(#[$reason_doc])* $name,)*
        }

        impl $reason {
            /// All of them.
            pub const ALL: [Self; [$($label),*].len()] = [$(Self::$name),*];

            /// As the label has it.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $label,)*
                }
            }
        }

        $(#[$counters_doc])*
        #[derive(Debug)]
        pub struct $counters([Counter; $reason::ALL.len()]);

        impl Default for $counters {
            fn default() -> Self {
                Self(std::array::from_fn(|_| Counter::default()))
            }
        }

        impl $counters {
            /// The counter of a reason.
            #[must_use]
            pub const fn of(&self, reason: $reason) -> &Counter {
                &self.0[reason as usize]
            }

            fn render(&self, name: &str, help: &str, text: &mut String) {
                let _ = write!(text, "# HELP {name} {help}\n# TYPE {name} counter\n");
                for reason in $reason::ALL {
                    let _ = writeln!(text, "{name}{{reason=\"{}\"}} {}", reason.as_str(), self.of(reason).get());
                }
            }
        }
    };
}

reasons! {
    /// Why something was refused, or somebody sent away.
    Refused,
    /// How often each was.
    Refusals {
        /// A connection by HTTP, closed unread: its shard has too many.
        HttpConnections = "http_connections",
        /// The same: its address has too many.
        AddressHttpConnections = "address_http_connections",
        /// Closed: not from a trusted proxy, or without a right header of the PROXY protocol.
        ProxyHeader = "proxy_header",
        /// Closed: a TLS handshake that failed, or took too long.
        TlsHandshake = "tls_handshake",
        /// Closed: no whole request in time.
        Silent = "silent",
        /// Closed: too many TLS handshakes of an address.
        TlsRate = "tls_rate",
        /// 400: a request whose end others might see elsewhere.
        Framing = "framing",
        /// 400 or 421: no host, or not one of ours.
        Host = "host",
        /// 400: trusted proxies that contradict each other.
        Forwarded = "forwarded",
        /// 429: too many requests by HTTP of an address.
        RequestRate = "request_rate",
        /// 400, 414 or 431: no request of HTTP, or one without end.
        Http = "http",
        /// `BAD_JSON` on a socket: no JSON, or with a key twice.
        BadJson = "bad_json",
        /// `BAD_REQUEST`, on a socket or with 400: a field or a parameter is missing, unknown or wrong.
        BadRequest = "bad_request",
        /// `UNKNOWN_METHOD` on a socket.
        UnknownMethod = "unknown_method",
        /// `UNKNOWN_CHANNEL` on a socket.
        UnknownChannel = "unknown_channel",
        /// `UNKNOWN_SYMBOL`, for each symbol on a socket, or with 404.
        UnknownSymbol = "unknown_symbol",
        /// `BAD_PARAMETER`, on a socket or with 400.
        BadParameter = "bad_parameter",
        /// `NOT_SUBSCRIBED`, for each symbol on a socket.
        NotSubscribed = "not_subscribed",
        /// `TOO_MANY_SUBSCRIPTIONS`, for each symbol on a socket.
        TooManySubscriptions = "too_many_subscriptions",
        /// `ENTITLEMENT_DENIED`, for each symbol or channel on a socket, or with 403.
        EntitlementDenied = "entitlement_denied",
        /// `MESSAGE_TOO_LARGE` on a socket.
        MessageTooLarge = "message_too_large",
        /// `UNSUPPORTED`: the protocol has it, and this server does not.
        Unsupported = "unsupported",
        /// 404: there is nothing at that path.
        NotFound = "not_found",
        /// 405: not by that method.
        MethodNotAllowed = "method_not_allowed",
        /// 503 by HTTP, `BUSY` on a socket: too much is asked of the service at once.
        Busy = "busy",
        /// 429: too many handshakes of an address.
        HandshakeRate = "handshake_rate",
        /// 400, 405 or 426: no right handshake.
        Handshake = "handshake",
        /// 403: a page from elsewhere.
        Origin = "origin",
        /// 503: draining.
        Draining = "draining",
        /// 503: hardly any memory is left.
        Memory = "memory",
        /// 503: too many WebSockets.
        Connections = "connections",
        /// 429: too many WebSockets of an address.
        AddressConnections = "address_connections",
        /// 1013: sent away for want of memory.
        Shed = "shed",
        /// 4029: too many messages.
        MessageRate = "message_rate",
        /// Cut off: no answer to a ping.
        Idle = "idle",
        /// 4007: too much waits for it.
        Overrun = "overrun",
        /// 1013: too much is held of messages that have not come whole.
        Crowded = "crowded",
        /// 1002, 1007 or 1009: not the protocol, or too large.
        Protocol = "protocol",
        /// 1008: too many malformed requests in a row.
        BadRequests = "bad_requests",
    }
}

reasons! {
    /// Why somebody is not let in, or not any longer.
    AuthRefusal,
    /// How often each was.
    AuthRefusals {
        /// Nothing was presented where something has to be.
        Missing = "missing",
        /// No `auth` came in time.
        Timeout = "timeout",
        /// It was presented in a URL, twice, or by another scheme than `Bearer`.
        Misplaced = "misplaced",
        /// It is neither a token nor an API key.
        Malformed = "malformed",
        /// No key that is known signs by that algorithm.
        Algorithm = "algorithm",
        /// The key that the token names is not known.
        UnknownKey = "unknown_key",
        /// The signature is not that of the key.
        Signature = "signature",
        /// Its time is over.
        Expired = "expired",
        /// Its time has not come.
        NotYet = "not_yet",
        /// It is of another issuer.
        Issuer = "issuer",
        /// It is for somebody else.
        Audience = "audience",
        /// A claim is missing, or says what cannot be.
        Claims = "claims",
        /// It was taken back.
        Revoked = "revoked",
        /// There is no such API key.
        ApiKey = "api_key",
        /// The connection is another's.
        Subject = "subject",
        /// The same has too many connections.
        Connections = "connections",
    }
}

metrics! {
    build_info: Build = "Which program this is",
    instruments: Instruments = "Instruments by the state that they are in; class delayed: as they are served late",
    stage_seconds: Stages = "How long batches of updates took: publish, from the feed's message to the hand-over to shards; wait, until a shard takes it; flush, until it is written or in outboxes",
    feed_messages_total: Counter = "Messages read from the feed",
    feed_events_total: Counter = "Market events that they held",
    feed_errors_total: Counter = "Feeds that ended in an error",
    feed_unknown_lines_total: Counter = "Lines of recordings of a kind that is not known here: they made no events",
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
    bus_messages_in_total: Counter = "Messages that came by the bus",
    bus_messages_out_total: Counter = "Messages sent by the bus",
    bus_bytes_in_total: Counter = "Bytes of messages that came by the bus",
    bus_bytes_out_total: Counter = "Bytes of messages sent by the bus",
    bus_messages_bad_total: Counter = "Messages of the bus that made no sense",
    bus_holes_total: Counter = "Times something was missing before a message of the bus",
    bus_refills_total: Counter = "Holes that were filled with all that was missing",
    bus_jumps_total: Counter = "Holes that a state stands for: updates were merged, lost trades told as gaps",
    bus_overruns_total: Counter = "Times more messages of a subject came than may wait: the newest was lost, which shows by its number",
    bus_messages_aside_total: Counter = "Messages of Kafka that were read and left aside: nobody here listens to their subjects, which share a partition with others",
    bus_reconnects_total: Counter = "Times the connection to the broker was made anew",
    bus_active: Gauge = "Of an ingest on a bus: whether it is the one that publishes, and does not stand by",
    bus_term: Gauge = "Of an ingest on a bus: how often one has taken over, as far as it has heard; 0: it has heard nobody",
    bus_subscriptions: Gauge = "Topics listened to on the bus; of an ingest, those that gateways follow",
    delay_bytes: Gauge = "Bytes of events that wait to be seen late",
    delay_gaps_total: Counter = "Times there was no room for more of them: the late data has a gap there",
    feed_late_microseconds: Gauge = "How late the feed's last message was applied",
    outbox_bytes: Gauge = "Bytes that wait for clients' sockets",
    inbox_bytes: Gauge = "Bytes held of clients' messages that have not come whole yet",
    connections: Gauge = "Connections of clients open: WebSockets and streams of events",
    event_streams: Gauge = "Of the connections open, those that are streams of server-sent events",
    connections_total: Counter = "Connections of clients accepted",
    certificate_loads_total: Counter = "New certificates that were read while running",
    certificate_failures_total: Counter = "New certificates that cannot be used: the one before stays",
    refusals_total: Refusals = "What was refused, and who was sent away, by reason",
    resident_bytes: Gauge = "Bytes of the process that are in memory",
    connection_panics_total: Counter = "Connections that ended in a fault of ours",
    configuration_loads_total: Counter = "New settings that were taken while running",
    configuration_failures_total: Counter = "New settings that cannot be: the ones before stay",
    auth_refused_total: AuthRefusals = "Clients that were not let in, or not any longer, by reason",
    auth_loads_total: Counter = "Keys, API keys and revocations that were read anew while running",
    auth_load_failures_total: Counter = "New keys, API keys and revocations that cannot be used: those before stay",
    spans_sent_total: Counter = "Spans that the collector of traces has taken",
    spans_dropped_total: Counter = "Spans that it has not, or that there was no room for",
    taps: Gauge = "Connections that an administrator looks at",
    taps_total: Counter = "Times an administrator began to look at a connection",
    tap_dropped_total: Counter = "Messages that an administrator was not shown for want of room, which it is told",
    requests_total: Counter = "Client messages answered",
    requests_bad_total: Counter = "Client messages answered with an error",
    laggards: Gauge = "Connections that read too slowly, and are sent merged states",
    laggards_total: Counter = "Times that a connection began to read too slowly",
    cohorts: Gauge = "Sets of topics that several connections of a shard follow, which are sent the same bytes",
    cohort_connections: Gauge = "Connections in these cohorts",
    lone_connections: Gauge = "Connections that follow what no other of their shard does, or did so a moment ago",
    compressed_streams: Gauge = "Cohorts whose messages are compressed with those before as their context",
    key_frames_total: Counter = "Times that such a stream began anew, for those who waited to enter it",
    updates_out_total: Counter = "Updates and states written, one for each client that got it",
    messages_out_total: Counter = "WebSocket messages and events written",
    bytes_out_total: Counter = "Bytes of their frames and events written",
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
        metrics.auth_refused_total().of(AuthRefusal::Expired).add(2);
        let text = metrics.render();
        assert!(text.contains(
            "# TYPE tickwire_auth_refused_total counter\ntickwire_auth_refused_total{reason=\"missing\"} 0\n"
        ));
        assert!(text.contains("\ntickwire_auth_refused_total{reason=\"expired\"} 2\n"));
        assert!(text.contains("# TYPE tickwire_connections gauge\ntickwire_connections 2\n"));
        metrics.refusals_total().of(Refused::Origin).add(1);
        let text_with_refusals = metrics.render();
        assert!(text_with_refusals.contains("# TYPE tickwire_refusals_total counter\n"));
        assert!(text_with_refusals.contains("\ntickwire_refusals_total{reason=\"origin\"} 1\n"));
        assert!(text_with_refusals.contains("\ntickwire_refusals_total{reason=\"idle\"} 0\n"));
        assert!(text.contains("# TYPE tickwire_bytes_out_total counter\ntickwire_bytes_out_total 7\n"));
    }
}
