//! The log of the commands that run for long.

use std::io::IsTerminal;

use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::reload::{self, Handle};
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Registry, fmt, registry};

use crate::config::Config;

/// The log that was begun, to standard error.
pub(super) struct Log {
    filter: Handle<EnvFilter, Registry>,
}

impl Log {
    pub(super) fn start(config: &Config) -> anyhow::Result<Self> {
        let (filter, handle) = reload::Layer::new(config.log_filter()?);
        let lines = fmt::layer()
            .with_writer(std::io::stderr)
            .with_ansi(std::io::stderr().is_terminal())
            // Whoever reads the log may go: the complaint would go to standard error as well, and panic there.
            .log_internal_errors(false);
        if config.log_is_json()? {
            registry().with(filter).with(lines.json()).init();
        } else {
            registry().with(filter).with(lines).init();
        }
        Ok(Self { filter: handle })
    }

    /// From now on it tells what that lets through.
    pub(super) fn set_filter(&self, filter: EnvFilter) -> anyhow::Result<()> {
        Ok(self.filter.reload(filter)?)
    }
}
