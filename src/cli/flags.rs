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
