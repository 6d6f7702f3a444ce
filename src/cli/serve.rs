//! `tickwire serve`.

use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::{Arc, OnceLock};

use anyhow::Context;
use feeds::Clock;
use feeds::record::Recorder;
use serde::Serialize;
use tokio::runtime::Runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::{flags, record};
use crate::config::{self, Config};
use crate::service::Service;

/// Flags of `serve`: each overrides the setting of its name.
#[derive(Debug, Default, clap::Args, Serialize)]
#[command(after_help = "\
Examples:
  tickwire serve
  tickwire serve --feed replay:feeds/recordings/kraken-20210417.jsonl.zst --loop
  tickwire serve --feed replay:day.itch.gz --speed max --wait-clients 1 --listen 127.0.0.1:0
  tickwire serve --feed live:kraken --symbols BTC/USD,ETH/USD
  tickwire serve --listen 0.0.0.0:8443 --tls-cert cert.pem --tls-key key.pem --redirect-listen 0.0.0.0:8080
  tickwire serve --sim-mode quotes --sim-instruments 100 --sim-rate 50

Settings come from defaults, then tickwire.toml, then TICKWIRE_* variables, then flags.")]
pub(super) struct Args {
    /// Settings file [default: tickwire.toml, if it is there]
    #[arg(long, value_name = "FILE")]
    #[serde(skip)]
    pub(super) config: Option<PathBuf>,
    /// Address and port to listen on; port 0 takes a free one [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDR")]
    #[serde(skip_serializing_if = "Option::is_none")]
    listen: Option<String>,
    /// Serve https and wss, with this certificate (PEM, with those it was signed with); see `tickwire dev-cert`
    #[arg(long, value_name = "FILE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    tls_cert: Option<String>,
    /// The certificate's private key, PEM
    #[arg(long, value_name = "FILE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    tls_key: Option<String>,
    /// Address and port at which plain HTTP is told to go to https
    #[arg(long, value_name = "ADDR")]
    #[serde(skip_serializing_if = "Option::is_none")]
    redirect_listen: Option<String>,
    /// Serve in the clear where others than this machine can read it [default: false]
    #[arg(long, value_name = "true|false", num_args = 0..=1, require_equals = true)]
    #[arg(default_missing_value = "true", hide_possible_values = true)]
    #[serde(skip_serializing_if = "Option::is_none")]
    allow_plain: Option<bool>,
    /// Threads that serve clients [default: one a core]
    #[arg(long, value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    shards: Option<usize>,
    /// sim, replay:FILE[,FILE…] (`inspect --help` lists the formats; folders of `tickwire record` too), or live:VENUE
    /// with --symbols: live:binance, live:coinbase, live:kraken (live:VENUE@URL for another address) [default: sim]
    #[arg(long, value_name = "FEED")]
    #[serde(skip_serializing_if = "Option::is_none")]
    feed: Option<String>,
    /// 1 as it happened, N times as fast, or max [default: 1]
    #[arg(long, value_name = "SPEED")]
    #[serde(skip_serializing_if = "Option::is_none")]
    speed: Option<String>,
    /// Begin a recording again at its end, as a new epoch [default: false]
    #[arg(long = "loop", value_name = "true|false", num_args = 0..=1, require_equals = true)]
    #[arg(default_missing_value = "true", hide_possible_values = true)]
    #[serde(rename = "loop", skip_serializing_if = "Option::is_none")]
    repeat: Option<bool>,
    /// Only these symbols of a recording; of a live venue, those to follow
    #[arg(long, value_name = "A,B,…", value_delimiter = ',')]
    #[serde(skip_serializing_if = "Option::is_none")]
    symbols: Option<Vec<String>>,
    /// Where a replay begins, in the state of that time: RFC 3339, or nanoseconds since 1970 [default: its beginning]
    #[arg(long, value_name = "TIME")]
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<String>,
    /// Record the feed into this folder too; not for recordings
    #[arg(long, value_name = "DIR")]
    #[serde(skip_serializing_if = "Option::is_none")]
    record: Option<String>,
    /// Hold the feed until N clients have subscribed, and nobody more for a quarter of a second [default: 0]
    #[arg(long, value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    wait_clients: Option<usize>,
    /// Silence of the feed after which instruments are said to be stale, and a live venue is connected to anew, such as
    /// 10s or 500ms [default: 10s]
    #[arg(long, value_name = "TIME")]
    #[serde(skip_serializing_if = "Option::is_none")]
    stale_after: Option<String>,
    #[command(flatten)]
    #[serde(flatten)]
    simulation: flags::Simulation,
    #[command(flatten)]
    #[serde(flatten)]
    logging: flags::Logging,
}

pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let config = config::load(args.config.as_deref(), args)?;
    start_logging(&config)?;
    // Before a port is bound: a folder that cannot be written stops it here.
    let metrics = Arc::new(OnceLock::new());
    let recorder = record::start(&config, &metrics)?;
    let opened = config.open(recorder.as_ref().map(Recorder::handle))?;
    let instruments = opened.feed.instruments().len();
    // Before anybody can know that it runs, and end it.
    let signals = Signals::listen().context("cannot listen for signals")?;
    let mut service = Service::start(opened.feed, &opened.settings, Clock::System)?;
    metrics.get_or_init(|| service.metrics().clone());
    tracing::info!(feed = config.feed, instruments, shards = opened.settings.shards, "serving");
    let mut stdout = std::io::stdout().lock();
    writeln!(stdout, "listening on {}", service.url()).context("cannot write to standard output")?;
    stdout.flush().context("cannot write to standard output")?;
    drop(stdout);
    let asked = signals.wait(service.broken());
    tracing::info!("stopping");
    if let Some(recorder) = &recorder {
        // A full disk would hold the feed for ever.
        recorder.handle().stop_waiting();
    }
    service.stop();
    if let Some(recorder) = recorder {
        record::stop(recorder)?;
    }
    anyhow::ensure!(asked, "a thread of the service has ended: the log says why");
    Ok(ExitCode::SUCCESS)
}

pub(super) fn start_logging(config: &Config) -> anyhow::Result<()> {
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(config.log_filter()?)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        // Whoever reads the log may go: the complaint would go to standard error as well, and panic there.
        .log_internal_errors(false);
    if config.log_is_json()? {
        subscriber.json().init();
    } else {
        subscriber.init();
    }
    Ok(())
}

/// SIGTERM and SIGINT, which do not end the process by themselves any more.
pub(super) struct Signals {
    runtime: Runtime,
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    pub(super) fn listen() -> std::io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let entered = runtime.enter();
        let terminate = signal(SignalKind::terminate())?;
        let interrupt = signal(SignalKind::interrupt())?;
        drop(entered);
        Ok(Self { runtime, terminate, interrupt })
    }

    /// Waits for either; one that has come since [`Signals::listen`] counts. `false`: `broken` came first.
    pub(super) fn wait(mut self, broken: impl Future<Output = ()>) -> bool {
        self.runtime.block_on(async {
            tokio::select! {
                _ = self.terminate.recv() => true,
                _ = self.interrupt.recv() => true,
                () = broken => false,
            }
        })
    }
}
