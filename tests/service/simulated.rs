//! Services of simulated markets.

use super::process::Service;

impl Service {
    /// A simulated market: `quotes`, whose best bids and offers change `rate` times a second each, or a whole `market`
    /// with books and trades.
    pub(crate) fn simulated(mode: &str, instruments: usize, rate: usize) -> Self {
        let (instruments, rate) = (instruments.to_string(), rate.to_string());
        Self::start(["--sim-mode", mode, "--sim-instruments", &instruments, "--sim-rate", &rate])
    }
}
