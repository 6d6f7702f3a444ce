//! The log of the commands that run for long.

use std::io::IsTerminal;

use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::reload::{self, Handle};
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Registry, fmt, registry};

use crate::config::Config;

/// Somebody who is told what happens.
pub(super) type Told = Box<dyn Layer<Registry> + Send + Sync>;

/// The log that was begun, to standard error.
pub(super) struct Log {
    filter: Handle<EnvFilter, Registry>,
}

impl Log {
    /// `traces`: what is to be told of spans beside it.
    pub(super) fn start(config: &Config, traces: Option<Told>) -> anyhow::Result<Self> {
        let (filter, handle) = reload::Layer::new(config.log_filter()?);
        let lines = fmt::layer::<Registry>()
            .with_writer(std::io::stderr)
            .with_ansi(std::io::stderr().is_terminal())
            // Whoever reads the log may go: the complaint would go to standard error as well, and panic there.
            .log_internal_errors(false);
        let lines: Told = if config.log_is_json()? {
            lines.json().with_filter(filter).boxed()
        } else {
            lines.with_filter(filter).boxed()
        };
        registry().with(traces.into_iter().chain([lines]).collect::<Vec<Told>>()).init();
        Ok(Self { filter: handle })
    }

    /// From now on it tells what that lets through.
    pub(super) fn set_filter(&self, filter: EnvFilter) -> anyhow::Result<()> {
        Ok(self.filter.reload(filter)?)
    }
}
