//! `tickwire check-config`.

use std::io::Write;
use std::process::ExitCode;

use anyhow::Context;

use super::serve::Args;
use crate::config;

/// Prints the settings as a `tickwire.toml` that gives the same, after checking them. Opens no feed and no port.
pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let config = config::load(args.config.as_deref(), args)?;
    let settings = config.settings()?;
    let mut text = toml::to_string(&config).context("the settings cannot be shown")?;
    if config.shards == 0 {
        text.insert_str(0, &format!("# shards: 0 means one a core, here {}\n", settings.shards));
    }
    write!(std::io::stdout(), "{text}").context("cannot write to standard output")?;
    Ok(ExitCode::SUCCESS)
}
