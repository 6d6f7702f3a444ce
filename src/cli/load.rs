//! `tickwire load`.

use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use feeds::Symbol;

use super::presented::{self, Presented};
use super::progress::{Progress, bar};
use super::target::{DEFAULT_URL, parse_channel, parse_encoding, parse_rate, read_url};
use crate::config::scaled;
use crate::limits::{LOAD_CLIENTS_MAX, LOAD_THREADS_MAX, LOAD_TIME_MAX};
use crate::load::{self, Follow, Habit, Settings, Stage};
use crate::topic::{Channel, Rate};
use crate::wire::Encoding;

/// Flags of `load`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  tickwire serve --sim-mode quotes --sim-instruments 200 --sim-rate 20
  tickwire load --clients 1000 --symbols 20 --expect-rate 20 --pid PID
  tickwire load --clients 1000 --symbols 20 --watchlists 10 --verify 20 --pid PID
  tickwire load --clients 1000 --symbols 20 --encoding binary --max-frequency 250ms
  tickwire load --clients 100 --slow 10:20000 --stall 10:5s:1s --churn 10:1s --churn-subs 10:1s
  tickwire load http://127.0.0.1:8080 --channel book.25 --duration 30s --json

Latency is from the moment at which a change was due by the feed's schedule to the moment at which a client has verified
it, of every change that was due in the window, however late it came: a server that stalls cannot hide it. It is only known
for a feed of this machine's clock: a simulated market (best: --sim-mode quotes, where each change has its own moment).

--verify N is for speed: each client that verifies costs a microsecond an update of ours, the others little more than their
reads. --slow, --stall, --churn and --churn-subs make some clients odd: these always verify, and are told apart from the others.
That a client was closed with 4007 is no fault where it was slow on purpose. All of them behave once the window is over,
and have to have all their states at the end.

A client that verifies presents another token on its open connection when its file has one and the server says that its own is
over soon; the others are closed at its end with 4004, and come back with the one that the file has then.

`changes`: what a server merges it has to announce. Changes that its numbers tell of and its counts do not are unaccounted, and fail
the run. A client's socket holds no more than half a MiB that was not read: ages are not those of the kernel's buffers alone.

`own CPU` near one second per thread and second: the harness is the bottleneck, and its latencies are its own.

What never came has no latency: give --expect-rate, where you know it, to have it counted. A change or two at the borders of
the window is no loss: one a topic is not counted. A server that merges updates delivers fewer on purpose; leave it out there.

Exit code: 0 when every client has all its states at the end, nothing that it was sent was wrong and, with --expect-rate, nothing
is missing; 1 otherwise.")]
pub(super) struct Args {
    /// The server, as `serve` prints it
    #[arg(default_value = DEFAULT_URL, value_name = "URL")]
    url: String,
    #[command(flatten)]
    presented: Presented,
    /// How many clients
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = count)]
    clients: u32,
    /// How many of them prove and time what they get: all, or a number. The others only drain their sockets, and count
    #[arg(long, value_name = "all|N", default_value = "all", value_parser = parse_verify)]
    verify: Verify,
    /// json or binary
    #[arg(long, value_name = "ENCODING", default_value = "json", value_parser = parse_encoding)]
    encoding: Encoding,
    /// Negotiate permessage-deflate
    #[arg(long)]
    compress: bool,
    /// How often each topic is to be sent at most: raw, 100ms, 250ms, 500ms, 1s or 5s
    #[arg(long, value_name = "RATE", default_value = "raw", value_parser = parse_rate)]
    max_frequency: Rate,
    /// How many symbols each follows: neighbouring clients different ones, all symbols equally often
    #[arg(long, value_name = "S", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    symbols: u32,
    /// Only W different lists of symbols over all clients, instead of one for each
    #[arg(long, value_name = "W", value_parser = clap::value_parser!(u32).range(1..), conflicts_with = "symbol")]
    watchlists: Option<u32>,
    /// Follow these symbols with every client
    #[arg(long, value_name = "A,B,…", value_delimiter = ',', value_parser = Symbol::new, conflicts_with = "symbols")]
    symbol: Option<Vec<Symbol>>,
    /// N clients that read at most BYTES a second, such as 10:20000
    #[arg(long, value_name = "N:BYTES", value_parser = parse_slow)]
    slow: Option<Odd>,
    /// N clients that now and then stop reading, such as 10:5s:1s
    #[arg(long, value_name = "N:EVERY:PAUSE", value_parser = parse_stall)]
    stall: Option<Odd>,
    /// N clients that drop their connections and come back, such as 50:1s
    #[arg(long, value_name = "N:EVERY", value_parser = parse_churn)]
    churn: Option<Odd>,
    /// N clients that in turn leave a topic and follow it again, such as 50:1s
    #[arg(long, value_name = "N:EVERY", value_parser = parse_churn_subs)]
    churn_subs: Option<Odd>,
    /// quote, trade, book, book.25, book.100, ticker, bar.1s, bar.1m, status, …
    #[arg(long, value_name = "CHANNEL", default_value = "quote", value_parser = parse_channel)]
    channel: Channel,
    /// How long to measure, such as 10s or 500ms
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = parse_time)]
    duration: Duration,
    /// How long to wait before that, once all clients have their snapshots
    #[arg(long, value_name = "TIME", default_value = "2s", value_parser = parse_time)]
    warmup: Duration,
    /// Threads that the clients live on [default: half the cores]
    #[arg(long, value_name = "T", value_parser = clap::value_parser!(u16).range(1..=i64::from(LOAD_THREADS_MAX)))]
    threads: Option<u16>,
    /// Clients that connect in a second
    #[arg(long, value_name = "N", default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..))]
    connect_rate: u32,
    /// Changes per second and symbol that the feed has, as in --sim-rate: what is missing is counted, and fails the run
    #[arg(long, value_name = "R")]
    expect_rate: Option<u32>,
    /// The server's process number on this machine: its CPU time is measured (Linux)
    #[arg(long, value_name = "PID")]
    pid: Option<u32>,
    /// Print one JSON object: counts, milliseconds (_ms) and microseconds (_us) as integers
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    anyhow::ensure!(!args.duration.is_zero(), "--duration must be longer than nothing");
    let url = read_url(&args.url)?;
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let settings = Settings {
        token: args.presented.token(&url)?,
        url,
        channel: args.channel,
        follow: match &args.symbol {
            Some(symbols) => Follow::These(distinct(symbols)),
            None => match args.watchlists {
                Some(lists) => Follow::Lists { of: args.symbols as usize, lists: lists as usize },
                None => Follow::EachOf(args.symbols as usize),
            },
        },
        clients: args.clients as usize,
        habits: [args.slow, args.stall, args.churn, args.churn_subs]
            .into_iter()
            .flatten()
            .map(|Odd(clients, habit)| (clients, habit))
            .collect(),
        verify: args.verify.0,
        encoding: args.encoding,
        compress: args.compress,
        max_frequency: args.max_frequency,
        threads: args.threads.map_or((cores / 2).max(1), usize::from),
        connect_rate: args.connect_rate,
        warmup: args.warmup,
        duration: args.duration,
        server_pid: args.pid,
        expect_rate: args.expect_rate.map(u64::from),
    };
    // The error's own text names the cause: shown as a chain it would be there twice.
    let progress = Progress::of("load");
    let ran = load::run(&settings, |stage| progress.show(told(stage)));
    drop(progress);
    let report = ran.map_err(|error| presented::explain(&error.to_string()))?;
    let text = if args.json {
        serde_json::to_string(&report).context("the report cannot be shown")? + "\n"
    } else {
        report.to_string()
    };
    std::io::stdout().write_all(text.as_bytes()).context("cannot write to standard output")?;
    Ok(if report.is_sound() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn told(stage: Stage) -> String {
    let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    match stage {
        Stage::Connecting { ready, clients } => {
            format!("connecting {} {ready} of {clients}", bar(ready as u64, clients as u64))
        }
        Stage::WarmingUp { passed, of } => format!("warming up {}", bar(millis(passed), millis(of))),
        Stage::Measuring { passed, of } => format!("measuring {}", bar(millis(passed), millis(of))),
        Stage::Finishing => "receiving what is still due".to_owned(),
    }
}

/// A client follows a topic once, however often it is named.
fn distinct(symbols: &[Symbol]) -> Vec<String> {
    let mut names: Vec<String> = symbols.iter().map(ToString::to_string).collect();
    names.sort_unstable();
    names.dedup();
    names
}

/// So many clients have that habit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Odd(usize, Habit);

fn parse_slow(text: &str) -> Result<Odd, String> {
    let wrong = || "clients, and bytes a second, such as 10:20000".to_owned();
    let (clients, rate) = text.split_once(':').ok_or_else(wrong)?;
    match rate.parse() {
        Ok(bytes_per_second @ 1..) => Ok(Odd(count(clients)? as usize, Habit::Slow { bytes_per_second })),
        _ => Err(wrong()),
    }
}

fn parse_stall(text: &str) -> Result<Odd, String> {
    let wrong = || "clients, and two times, such as 10:5s:1s".to_owned();
    let (rest, pause) = text.rsplit_once(':').ok_or_else(wrong)?;
    let (clients, every) = parse_recurring(rest)?;
    Ok(Odd(clients, Habit::Stalling { every, pause: parse_time(pause)? }))
}

fn parse_churn(text: &str) -> Result<Odd, String> {
    parse_recurring(text).map(|(clients, every)| Odd(clients, Habit::Dropping { every }))
}

fn parse_churn_subs(text: &str) -> Result<Odd, String> {
    parse_recurring(text).map(|(clients, every)| Odd(clients, Habit::Switching { every }))
}

fn parse_recurring(text: &str) -> Result<(usize, Duration), String> {
    let (clients, every) = text.split_once(':').ok_or("clients, and a time, such as 50:1s")?;
    Ok((count(clients)? as usize, parse_time(every)?))
}

/// How many clients verify.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Verify(usize);

fn parse_verify(text: &str) -> Result<Verify, String> {
    match text {
        "all" => Ok(Verify(usize::MAX)),
        number => number.parse().map(Verify).map_err(|_| "all, or a number".to_owned()),
    }
}

fn count(text: &str) -> Result<u32, String> {
    let wrong = || format!("a number from 1 to {LOAD_CLIENTS_MAX}");
    let count: u32 = text.parse().map_err(|_| wrong())?;
    if (1..=LOAD_CLIENTS_MAX).contains(&(count as usize)) { Ok(count) } else { Err(wrong()) }
}

/// Whole seconds, minutes or milliseconds, a day at most.
fn parse_time(text: &str) -> Result<Duration, String> {
    let wrong = || "a time such as 10s, 500ms or 2m, up to a day".to_owned();
    let millis = scaled(text, &[("ms", 1), ("s", 1_000), ("m", 60_000)]);
    millis.map(Duration::from_millis).filter(|&time| time <= LOAD_TIME_MAX).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_whole_and_have_a_unit() {
        assert_eq!(parse_time("10s"), Ok(Duration::from_secs(10)));
        assert_eq!(parse_time("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(parse_time("2m"), Ok(Duration::from_secs(120)));
        for wrong in ["", "10", "s", "1.5s", "-1s", "10 s", "2h", "86401s", "99999999999999999999s"] {
            assert!(parse_time(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn habits_have_clients_and_times() {
        let second = Duration::from_secs(1);
        assert_eq!(parse_slow("10:20000"), Ok(Odd(10, Habit::Slow { bytes_per_second: 20_000 })));
        assert_eq!(parse_stall("3:5s:1s"), Ok(Odd(3, Habit::Stalling { every: 5 * second, pause: second })));
        assert_eq!(parse_churn("50:1s"), Ok(Odd(50, Habit::Dropping { every: second })));
        assert_eq!(parse_churn_subs("50:1s"), Ok(Odd(50, Habit::Switching { every: second })));
        for wrong in ["", "10", "10:", "0:1", "10:0", "10:-1", "x:1"] {
            assert!(parse_slow(wrong).is_err(), "{wrong}");
        }
        for wrong in ["", "3:5s", "3::1s", "0:5s:1s", "3:5s:1"] {
            assert!(parse_stall(wrong).is_err(), "{wrong}");
        }
        assert!(parse_churn("50").is_err() && parse_churn("50:1").is_err());
    }

    #[test]
    fn symbols_that_are_named_twice_are_followed_once() {
        let symbols = ["B", "a", "b"].map(|name| Symbol::new(name).unwrap());
        assert_eq!(distinct(&symbols), ["A", "B"]);
    }
}
