//! Flags that several commands share.

use serde::Serialize;

/// Flags of the simulated market, which override the settings of their names.
#[derive(Debug, Default, clap::Args, Serialize)]
pub(super) struct Simulation {
    /// Seed of the simulated market: the same seed gives the same events [default: 1]
    #[arg(long, value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    sim_seed: Option<u64>,
    /// Instruments of the simulated market [default: 200]
    #[arg(long, value_name = "K")]
    #[serde(skip_serializing_if = "Option::is_none")]
    sim_instruments: Option<usize>,
    /// Events per second and instrument of the simulated market [default: 20]
    #[arg(long, value_name = "R")]
    #[serde(skip_serializing_if = "Option::is_none")]
    sim_rate: Option<u64>,
    /// market: order flow that builds books; quotes: exactly R quote changes a second and instrument, for load tests
    #[arg(long, value_name = "MODE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    sim_mode: Option<String>,
    /// Trading days of that length, such as 5m: opening and closing auctions, most trades at the ends of the day, and
    /// bursts. R then holds on average between the auctions [default: trading never ends]
    #[arg(long, value_name = "LENGTH")]
    #[serde(skip_serializing_if = "Option::is_none")]
    sim_session: Option<String>,
    /// Faults of the simulated market, by its time: gap:EVERY (a message is lost), reorder:EVERY, duplicate:EVERY,
    /// crossed:EVERY (a wrong order crosses a book), silence:EVERY:LENGTH (nothing comes); such as gap:10s,silence:60s:15s.
    /// A snapshot heals each
    #[arg(long, value_name = "KIND:EVERY,…")]
    #[serde(skip_serializing_if = "Option::is_none")]
    sim_faults: Option<String>,
}

impl Simulation {
    /// One that was given, where there is no simulated market that could heed it.
    pub(super) fn given(&self) -> Option<&'static str> {
        [
            ("--sim-seed", self.sim_seed.is_some()),
            ("--sim-instruments", self.sim_instruments.is_some()),
            ("--sim-rate", self.sim_rate.is_some()),
            ("--sim-mode", self.sim_mode.is_some()),
            ("--sim-session", self.sim_session.is_some()),
            ("--sim-faults", self.sim_faults.is_some()),
        ]
        .into_iter()
        .find_map(|(flag, is_given)| is_given.then_some(flag))
    }
}

/// Flags of who is let in, likewise.
#[derive(Debug, Default, clap::Args, Serialize)]
pub(super) struct Identity {
    /// Take tokens of HS256, signed with the secret in this file; see `tickwire token`
    #[arg(long, value_name = "FILE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    auth_secret_file: Option<String>,
    /// Take tokens of EdDSA or RS256, verified with this public key (PEM)
    #[arg(long, value_name = "FILE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    auth_public_key_file: Option<String>,
    /// Take tokens of EdDSA or RS256, verified with the keys of this JWKS
    #[arg(long, value_name = "FILE|URL")]
    #[serde(skip_serializing_if = "Option::is_none")]
    auth_jwks: Option<String>,
    /// How often a JWKS is fetched from its URL; a token of an unknown key has it fetched at once, once a minute at most
    /// [default: 10m]
    #[arg(long, value_name = "TIME")]
    #[serde(skip_serializing_if = "Option::is_none")]
    auth_jwks_every: Option<String>,
    /// The only issuer whose tokens are taken [default: any whose key is known]
    #[arg(long, value_name = "NAME")]
    #[serde(skip_serializing_if = "Option::is_none")]
    auth_issuer: Option<String>,
    /// What tokens have to be for [default: only those are taken that are for nobody in particular]
    #[arg(long, value_name = "NAME")]
    #[serde(skip_serializing_if = "Option::is_none")]
    auth_audience: Option<String>,
    /// Take API keys, by the hashes in this file; see `tickwire token api-key`
    #[arg(long, value_name = "FILE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    api_keys_file: Option<String>,
    /// Lines `token ID`, `subject NAME`, `key NAME` of what was taken back; read again while running
    #[arg(long, value_name = "FILE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    revoked_file: Option<String>,
    /// How long a token lives that POST /v1/token gives for an API key [default: 15m]
    #[arg(long, value_name = "TIME")]
    #[serde(skip_serializing_if = "Option::is_none")]
    token_lifetime: Option<String>,
    /// How long before the end of its token a connection is told [default: 1m]
    #[arg(long, value_name = "TIME")]
    #[serde(skip_serializing_if = "Option::is_none")]
    token_notice: Option<String>,
    /// Connections that a subject may have at once [default: as many as it likes]
    #[arg(long, value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    connections_per_subject: Option<usize>,
    /// One more takes the place of the oldest, which is closed, instead of being refused [default: false]
    #[arg(long, value_name = "true|false", num_args = 0..=1, require_equals = true)]
    #[arg(default_missing_value = "true", hide_possible_values = true)]
    #[serde(skip_serializing_if = "Option::is_none")]
    connections_take_over: Option<bool>,
}

/// Flags of the log, likewise.
#[derive(Debug, Default, clap::Args, Serialize)]
pub(super) struct Logging {
    /// What is logged: error, warn, info, debug, trace, or a filter such as tickwire=debug [default: info]
    #[arg(long, value_name = "FILTER")]
    #[serde(skip_serializing_if = "Option::is_none")]
    log: Option<String>,
    /// text or json [default: text]
    #[arg(long, value_name = "FORMAT")]
    #[serde(skip_serializing_if = "Option::is_none")]
    log_format: Option<String>,
}

/// Flags of traces, likewise.
#[derive(Debug, Default, clap::Args, Serialize)]
pub(super) struct Traces {
    /// Send spans of connections and requests to a collector of OpenTelemetry, by OTLP over HTTP, such as
    /// http://127.0.0.1:4318 [default: none]
    #[arg(long, value_name = "URL")]
    #[serde(skip_serializing_if = "Option::is_none")]
    otlp_endpoint: Option<String>,
    /// The share of traces that is sent, 0 to 1; of one that was begun elsewhere, its `traceparent` says whether it is
    /// [default: 1]
    #[arg(long, value_name = "SHARE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    otlp_ratio: Option<String>,
}
