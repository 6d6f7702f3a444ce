//! `tickwire token read`.

use std::fmt::Write as _;
use std::io::{Read, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, ensure};
use data_encoding::BASE64URL_NOPAD;
use feeds::Clock;
use serde::Serialize;
use serde_json::Value;

use super::super::flags;
use crate::config;
use crate::limits::TOKEN_BYTES_MAX;
use crate::metrics::Metrics;
use crate::secret::Secret;
use crate::server::auth::{Auth, told};

/// Flags of `token read`.
#[derive(Debug, clap::Args, Serialize)]
pub(super) struct Args {
    /// Settings file [default: tickwire.toml, if it is there]
    #[arg(long, value_name = "FILE")]
    #[serde(skip)]
    config: Option<PathBuf>,
    #[command(flatten)]
    #[serde(flatten)]
    identity: flags::Identity,
}

/// 0: it is valid; 1: it is not.
pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let settings = config::load(args.config.as_deref(), args)?.auth()?;
    let mut text = String::new();
    let most = u64::try_from(TOKEN_BYTES_MAX + 2)?;
    std::io::stdin()
        .take(most)
        .read_to_string(&mut text)
        .context("cannot read a token from standard input")?;
    let token = Secret::new(text.trim().to_owned());
    drop(zeroize::Zeroizing::new(text));
    let mut out = String::new();
    for (name, part) in ["header", "claims"].into_iter().zip(token.expose().split('.')) {
        if let Some(value) = decoded(part) {
            let _ = writeln!(out, "{name} {value:#}");
        }
    }
    let mut stdout = std::io::stdout();
    stdout.write_all(out.as_bytes()).context("cannot write to standard output")?;

    let auth = Auth::open(&settings, Clock::System, &Metrics::default())?;
    ensure!(
        auth.is_on(),
        "there is nothing to verify it with: give `--auth-secret-file`, or one of its like"
    );
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let identity = match runtime.block_on(auth.identify(&token)) {
        Ok(identity) => identity,
        Err(refusal) => anyhow::bail!("{}: {}", refusal.as_str(), told(refusal)),
    };
    let until =
        identity.expires.map_or_else(|| "its file has it no more".to_owned(), |time| time.to_string());
    let may = serde_json::to_string(&*identity.entitlement)?;
    let subject = identity.subject.as_deref().unwrap_or_default();
    writeln!(stdout, "valid until {until}: `{subject}` may see {may}")
        .context("cannot write to standard output")?;
    Ok(ExitCode::SUCCESS)
}

/// A part of a token, if it is JSON.
fn decoded(part: &str) -> Option<Value> {
    serde_json::from_slice(&BASE64URL_NOPAD.decode(part.as_bytes()).ok()?).ok()
}
