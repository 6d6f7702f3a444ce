//! `tickwire serve`.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use anyhow::Context;
use feeds::Clock;
use feeds::record::Recorder;
use serde::Serialize;
use tokio::runtime::Runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::logging::Log;
use super::{flags, record};
#[cfg(any(feature = "nats", feature = "amqp", feature = "kafka"))]
use crate::bus::broker::Joined;
use crate::bus::broker::address::Address;
use crate::config::{self, Config, Role};
#[cfg(any(feature = "nats", feature = "amqp", feature = "kafka"))]
use crate::metrics::Metrics;
use crate::service::Service;
#[cfg(feature = "otlp")]
use crate::traces::Exporter;

/// Flags of `serve`: each overrides the setting of its name.
#[derive(Debug, Default, clap::Args, Serialize)]
#[command(after_help = "\
Examples:
  tickwire serve
  tickwire serve --feed replay:feeds/recordings/kraken-20210417.jsonl.zst --loop
  tickwire serve --feed replay:day.itch.gz --speed max --wait-clients 1 --listen 127.0.0.1:0
  tickwire serve --feed live:kraken --symbols BTC/USD,ETH/USD
  tickwire serve --listen 0.0.0.0:8443 --tls-cert cert.pem --tls-key key.pem --redirect-listen 0.0.0.0:8080
  tickwire serve --trusted-proxies 10.0.0.0/8 --allowed-origins https://dash.example.com
  tickwire serve --sim-mode quotes --sim-instruments 100 --sim-rate 50
  tickwire serve --role ingest --bus nats://127.0.0.1:4222 --feed live:kraken --symbols BTC/USD,ETH/USD
  tickwire serve --role gateway --bus nats://127.0.0.1:4222 --listen 127.0.0.1:8081
  tickwire serve --otlp-endpoint http://127.0.0.1:4318 --otlp-ratio 0.1

Settings come from defaults, then tickwire.toml, then TICKWIRE_* variables, then flags. SIGHUP reads them again: limits,
addresses, origins, hosts, roles and `log` hold from then on, the others after a restart. `tickwire check-config` with the
same flags opens the files that they name, and says what is wrong.

SIGTERM and SIGINT drain; a second one ends it at once.")]
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
    /// WebSockets of the process; one more is refused with 503 [default: 65536]
    #[arg(long, value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    max_connections: Option<usize>,
    /// WebSockets of one address (of IPv6: of one /64); one more is refused with 429 [default: 1000]
    #[arg(long, value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    max_connections_per_address: Option<usize>,
    /// Topics that one connection follows; one more is rejected [default: three times what there can be instruments]
    #[arg(long, value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    max_subscriptions: Option<usize>,
    /// Handshakes of WebSockets a second of one address; one more is refused with 429 [default: 100]
    #[arg(long, value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    max_handshakes_per_second: Option<u32>,
    /// Requests by HTTP a second of one address; one more is refused with 429 [default: 100]
    #[arg(long, value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    max_requests_per_second: Option<u32>,
    /// Messages a second of one connection, ten seconds' worth at once; one more closes it with 4029 [default: 100]
    #[arg(long, value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    max_messages_per_second: Option<u32>,
    /// Memory of the process, such as 4GiB: near it nobody more is let in, over it the newest connections are closed with
    /// 1013 [default: four fifths of what the machine or its container has]
    #[arg(long, value_name = "BYTES")]
    #[serde(skip_serializing_if = "Option::is_none")]
    max_memory: Option<String>,
    /// Silence of a client after which it is sent a ping [default: 20s]
    #[arg(long, value_name = "TIME")]
    #[serde(skip_serializing_if = "Option::is_none")]
    ping_interval: Option<String>,
    /// How long it may take to answer before it is cut off [default: 15s]
    #[arg(long, value_name = "TIME")]
    #[serde(skip_serializing_if = "Option::is_none")]
    ping_timeout: Option<String>,
    /// Whom the limits by address do not apply to; '' for nobody [default: 127.0.0.0/8,::1]
    #[arg(long, value_name = "CIDR,…", value_delimiter = ',')]
    #[serde(skip_serializing_if = "Option::is_none")]
    exempt_addresses: Option<Vec<String>>,
    /// Proxies that are believed when they tell a client's address, in X-Forwarded-For or Forwarded
    #[arg(long, value_name = "CIDR,…", value_delimiter = ',')]
    #[serde(skip_serializing_if = "Option::is_none")]
    trusted_proxies: Option<Vec<String>>,
    /// Each connection begins with a PROXY header, version 2, of a trusted proxy [default: false]
    #[arg(long, value_name = "true|false", num_args = 0..=1, require_equals = true)]
    #[arg(default_missing_value = "true", hide_possible_values = true)]
    #[serde(skip_serializing_if = "Option::is_none")]
    proxy_protocol: Option<bool>,
    /// Pages that may connect beside our own, such as https://dash.example.com; * for any
    #[arg(long, value_name = "ORIGIN,…", value_delimiter = ',')]
    #[serde(skip_serializing_if = "Option::is_none")]
    allowed_origins: Option<Vec<String>>,
    /// Hosts that requests may be for, without ports; others get 421 [default: any]
    #[arg(long, value_name = "HOST,…", value_delimiter = ',')]
    #[serde(skip_serializing_if = "Option::is_none")]
    allowed_hosts: Option<Vec<String>>,
    /// How long connections are closed one after the other at the end, while readiness is off and before the listeners
    /// close; 0s: at once [default: 5s]
    #[arg(long, value_name = "TIME")]
    #[serde(skip_serializing_if = "Option::is_none")]
    drain: Option<String>,
    #[command(flatten)]
    #[serde(flatten)]
    identity: flags::Identity,
    /// Threads that serve clients [default: one a core]
    #[arg(long, value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    shards: Option<usize>,
    /// all: feed and clients in one process; ingest: the same, and what gateways follow is published on the bus;
    /// gateway: no feed, clients are served what an ingest publishes [default: all]
    #[arg(long, value_name = "ROLE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<String>,
    /// The broker between ingest and gateways: nats://[NAME:PASSWORD@]HOST:PORT,
    /// amqp://[NAME:PASSWORD@]HOST:PORT[/VHOST] (RabbitMQ), or kafka://HOST:PORT[,HOST:PORT][/TOPIC]; by TLS: tls://…
    /// (NATS), amqps://… or kafka+ssl://… [default: none]
    #[arg(long, value_name = "URL")]
    #[serde(skip_serializing_if = "Option::is_none")]
    bus: Option<String>,
    /// Which of its instruments an ingest publishes there, where several ingests with the same feed share them: 1/3, 2/3
    /// and 3/3, each perhaps with others that stand by [default: all of them]
    #[arg(long, value_name = "N/M")]
    #[serde(skip_serializing_if = "Option::is_none")]
    share: Option<String>,
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
    /// Serve the data once more, so much later, to those whose role may see it only late: 15m, 2s [default: not at all]
    #[arg(long, value_name = "TIME")]
    #[serde(skip_serializing_if = "Option::is_none")]
    delay: Option<String>,
    #[command(flatten)]
    #[serde(flatten)]
    simulation: flags::Simulation,
    #[command(flatten)]
    #[serde(flatten)]
    logging: flags::Logging,
    #[command(flatten)]
    #[serde(flatten)]
    traces: flags::Traces,
}

pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let config = config::load(args.config.as_deref(), args)?;
    let metrics = Arc::new(OnceLock::new());
    // To the end of all that has spans: what is left of these is sent then.
    #[cfg(feature = "otlp")]
    let exporter = config.traces()?.map(|settings| Exporter::start(&settings, &metrics)).transpose()?;
    #[cfg(feature = "otlp")]
    let traces = exporter.as_ref().map(Exporter::layer);
    #[cfg(not(feature = "otlp"))]
    let traces = None;
    let log = Log::start(&config, traces)?;
    // Before a port is bound: a folder that cannot be written stops it here.
    let recorder = record::start(&config, &metrics)?;
    let mut drain = config.drain()?;
    let (mut service, mut signals) = match start(&config, recorder.as_ref()) {
        Ok(started) => started,
        Err(error) => {
            // Of what was not served there is no recording either.
            recorder.into_iter().for_each(Recorder::abandon);
            return Err(error);
        }
    };
    metrics.get_or_init(|| service.metrics().clone());
    let mut stdout = std::io::stdout().lock();
    writeln!(stdout, "listening on {}", service.url()).context("cannot write to standard output")?;
    stdout.flush().context("cannot write to standard output")?;
    drop(stdout);
    let asked = loop {
        match signals.wait(service.broken()) {
            Said::End => break true,
            Said::Nothing => break false,
            Said::ReadAgain => drain = read_again(args, &config, &service, &log).unwrap_or(drain),
        }
    };
    if asked {
        tracing::info!(?drain, "draining; a second signal ends it at once");
        service.drain(drain);
        while signals.wait(service.drained()) == Said::ReadAgain {}
    }
    tracing::info!("stopping");
    if let Some(recorder) = &recorder {
        // A full disk would hold the feed for ever.
        recorder.handle().stop_waiting();
    }
    service.stop();
    #[cfg(feature = "otlp")]
    drop(exporter);
    let lost = recorder.map_or(Ok(0), |recorder| record::stop(recorder).map(|stats| stats.records_lost))?;
    anyhow::ensure!(asked, "a thread of the service has ended: the log says why");
    anyhow::ensure!(lost == 0, "the recording lacks {lost} records: the disk did not take them in time");
    Ok(ExitCode::SUCCESS)
}

/// Takes the settings as they are now; gives the time to drain. What is wrong leaves those before in their place.
fn read_again(args: &Args, running: &Config, service: &Service, log: &Log) -> Option<Duration> {
    let metrics = service.metrics();
    let read = || {
        let config = config::load(args.config.as_deref(), args)?;
        let (drain, filter) = (config.drain()?, config.log_filter()?);
        service.admit(&config.settings()?)?;
        log.set_filter(filter)?;
        anyhow::Ok((drain, config))
    };
    match read() {
        Ok((drain, config)) => {
            metrics.configuration_loads_total().add(1);
            tracing::info!("the settings were read again");
            let fixed = running.fixed_differences(&config);
            if !fixed.is_empty() {
                tracing::warn!(settings = fixed.join(" "), "some of them hold after a restart only");
            }
            Some(drain)
        }
        Err(error) => {
            metrics.configuration_failures_total().add(1);
            tracing::error!(%error, "the new settings cannot be; the ones before stay");
            None
        }
    }
}

fn start(config: &Config, recorder: Option<&Recorder>) -> anyhow::Result<(Service, Signals)> {
    if let Role::Gateway(address) = config.role()? {
        return start_gateway(config, &address);
    }
    let opened = config.open(recorder.map(Recorder::handle))?;
    let instruments = opened.feed.instruments().len();
    // Before anybody can know that it runs, and end it.
    let signals = Signals::listen(true).context("cannot listen for signals")?;
    let service = Service::start(opened.feed, &opened.settings, Clock::System)?;
    tracing::info!(feed = %config.feed, instruments, shards = opened.settings.shards, "serving");
    Ok((service, signals))
}

#[cfg(any(feature = "nats", feature = "amqp", feature = "kafka"))]
fn start_gateway(config: &Config, address: &Address) -> anyhow::Result<(Service, Signals)> {
    let settings = config.settings()?;
    let metrics = Metrics::default();
    let joined = Joined::join(address, &metrics)?;
    let instruments = joined.directory.len();
    if let Some(role) = config.delayed_roles().next().filter(|_| !joined.directory.has_twins()) {
        anyhow::bail!(
            "roles = `{role}`: it may see delayed data only, and the ingest on the bus has none: set `delay` there"
        );
    }
    let signals = Signals::listen(true).context("cannot listen for signals")?;
    let service = Service::start_gateway(joined, &settings, Clock::System, metrics)?;
    tracing::info!(bus = %address, instruments, shards = settings.shards, "serving");
    Ok((service, signals))
}

#[cfg(not(any(feature = "nats", feature = "amqp", feature = "kafka")))]
fn start_gateway(_: &Config, address: &Address) -> anyhow::Result<(Service, Signals)> {
    anyhow::bail!("bus = `{address}`: {}", crate::bus::broker::address::AddressError::NotBuilt("nats"))
}

/// Waits for a signal; for ever if there is none to wait for.
async fn came(signal: &mut Option<Signal>) {
    let came = match signal {
        Some(signal) => signal.recv().await,
        None => None,
    };
    if came.is_none() {
        std::future::pending().await
    }
}

/// SIGTERM, SIGINT and SIGHUP, which do not end the process by themselves any more.
pub(super) struct Signals {
    runtime: Runtime,
    terminate: Signal,
    interrupt: Signal,
    /// Where settings can be read again; else it ends the process as it always does.
    hang_up: Option<Signal>,
}

/// What is asked of the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Said {
    /// To end.
    End,
    /// To read its settings again.
    ReadAgain,
    /// Nothing, before something else.
    Nothing,
}

impl Signals {
    pub(super) fn listen(reads_again: bool) -> std::io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let entered = runtime.enter();
        let terminate = signal(SignalKind::terminate())?;
        let interrupt = signal(SignalKind::interrupt())?;
        let hang_up = if reads_again { Some(signal(SignalKind::hangup())?) } else { None };
        drop(entered);
        Ok(Self { runtime, terminate, interrupt, hang_up })
    }

    /// Waits for one, or until something else has happened; one that has come since [`Signals::listen`] counts, once.
    pub(super) fn wait(&mut self, something_else: impl Future<Output = ()>) -> Said {
        self.runtime.block_on(async {
            tokio::select! {
                _ = self.terminate.recv() => Said::End,
                _ = self.interrupt.recv() => Said::End,
                () = came(&mut self.hang_up) => Said::ReadAgain,
                () = something_else => Said::Nothing,
            }
        })
    }
}
