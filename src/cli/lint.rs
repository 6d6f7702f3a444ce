//! `tickwire lint`.

use std::process::ExitCode;

use anyhow::{Context, anyhow};

use super::man::print;
use super::presented::Presented;
use super::target::read_endpoint;
use crate::config;
use crate::lint::{self, Settings, Verdict};

/// Flags of `lint`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  tickwire lint http://127.0.0.1:8080
  tickwire lint wss://ticks.example.com/feed --patience 30s
  SSL_CERT_FILE=certs/ca.pem tickwire lint https://localhost:8443 --token-file token
  tickwire lint wss://ticks.example.com/feed --json | jq '.findings[] | select(.verdict == \"error\")'

Looks at any WebSocket endpoint, of Tickwire or not: TLS and the certificate's end, handshakes that are right and wrong, compression,
subprotocols, pages of others, pings, the close handshake, and what becomes of frames and messages that break a rule. Each fault comes
with where the rule stands, why it matters, and what to do.

It opens some dozen connections, one after the other, sends a message of 1 MiB once, subscribes to nothing, and reads at most 4 MiB of
each. Look at endpoints of your own, or of those who do not mind.

A URL of http:// or https:// is that of a Tickwire, as `serve` prints it; one of ws:// or wss:// is taken as it is.

Exit code: 0 when there are no errors, but maybe warnings and notes; 1 when there are, or there is no connection.")]
pub(super) struct Args {
    /// The endpoint
    #[arg(value_name = "URL")]
    url: String,
    #[command(flatten)]
    presented: Presented,
    /// How long to wait for a connection and for each answer
    #[arg(long, value_name = "TIME", default_value = "5s")]
    timeout: String,
    /// Wait so long for a ping or a message on a silent connection [default: that is not looked at]
    #[arg(long, value_name = "TIME")]
    patience: Option<String>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let url = read_endpoint(&args.url)?;
    let settings = Settings {
        token: args.presented.token(&url)?,
        timeout: config::duration("timeout", &args.timeout)?,
        patience: args.patience.as_deref().map(|text| config::duration("patience", text)).transpose()?,
        url,
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let found = runtime.block_on(lint::lint(&settings));
    let report = found.map_err(|error| anyhow!("{}: {error}", settings.url))?;
    let text = if args.json {
        serde_json::to_string(&report).context("the report cannot be shown")? + "\n"
    } else {
        report.to_string()
    };
    print(text.as_bytes())?;
    Ok(if report.count(Verdict::Error) == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
