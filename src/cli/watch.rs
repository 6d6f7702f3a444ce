//! `tickwire watch`.

mod board;
mod dashboard;
mod instruments;
mod latency;
mod line;
mod lines;
mod row;
mod screen;
mod search;
mod terminal;
mod view;

use std::env;
use std::io::{self, IsTerminal};
use std::process::ExitCode;

use super::presented::Presented;
use super::target::{Target, is_url, parse_encoding, parse_rate};
use crate::client::ClientSettings;
use crate::topic::{Channel, Rate};
use crate::wire::Encoding;

/// Flags of `watch`.
#[derive(Debug, clap::Args)]
#[command(
    override_usage = "tickwire watch [OPTIONS] [URL] [<CHANNEL> <SYMBOL>…]",
    after_help = "\
Examples:
  tickwire watch
  tickwire watch quote AAPL MSFT
  tickwire watch https://ticks.example.com book.25 BTC-USD --encoding binary --compress
  tickwire watch --lines trade '*'
  tickwire watch http://127.0.0.1:8080 book.25 BTC-USD --count 1
  tickwire watch trade '*' --json | jq -c '[.symbol, .price]'
  tickwire watch --token-file token https://ticks.example.com quote '*'

Channels: quote, trade, book (book.10, book.25, book.100), ticker, bar (bar.1s, bar.1m, bar.5m, bar.1h, bar.1d), status.

On a terminal it is a dashboard: a watch-list, the book and the trades of the instrument that Enter opens (at once, and so deep,
where the channel is `book` or `trade`), and how good the connection is. `?` names the keys, q leaves. Without a channel, or with
`*`, it has the first 500 instruments. What is up or down has a sign, with NO_COLOR too. Not current are: values while there is `no
connection`, an instrument that is `halted`, `stale` or `unproven`, and `delayed data`.

It prints lines instead with --lines, --json or --count, where standard output is no terminal or a `dumb` one, and of bars.

Every state is proven by its number and, for books, its checksum before it is shown; one that is not right is fetched anew,
which standard error says, like lost and new connections. Of several changes in one message the newest state is shown,
with --json each change.

Exit code: 0 after --count lines, on q and Ctrl-C, and when nobody reads the output any more; 1 when there is no server, it lets
nobody in any more, or, of lines, it does not have a symbol."
)]
pub(super) struct Args {
    /// What to follow, and of which symbols (`*`: all); before them the server's URL as `serve` prints it, if it is not
    /// ws://127.0.0.1:8080/v1/ws
    #[arg(num_args = 0.., value_names = ["CHANNEL", "SYMBOL"])]
    target: Vec<String>,
    #[command(flatten)]
    presented: Presented,
    /// Print lines, also on a terminal
    #[arg(long)]
    lines: bool,
    /// Print the server's objects (snapshot, update, gap) as they are, one a line
    #[arg(long, conflicts_with = "encoding")]
    json: bool,
    /// Stop after so many lines; the states at the beginning count
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
    /// json or binary
    #[arg(long, value_name = "ENCODING", default_value = "json", value_parser = parse_encoding)]
    encoding: Encoding,
    /// Negotiate permessage-deflate
    #[arg(long)]
    compress: bool,
    /// How often each topic is to be sent at most: raw, 100ms, 250ms, 500ms, 1s or 5s
    #[arg(long, value_name = "RATE", default_value = "raw", value_parser = parse_rate)]
    max_frequency: Rate,
}

pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let asks_for_lines = args.lines || args.json || args.count.is_some() || !io::stdout().is_terminal();
    let is_dumb = env::var_os("TERM").is_some_and(|term| term == "dumb");
    let wants_lines = asks_for_lines || is_dumb;
    let mut words = args.target.clone();
    if !asks_for_lines && words.iter().all(|word| is_url(word)) {
        words.extend(["quote".to_owned(), "*".to_owned()]);
    }
    let target = Target::read(&words)?;
    let settings = ClientSettings {
        token: args.presented.token(&target.url)?,
        encoding: args.encoding,
        compress: args.compress,
        max_frequency: args.max_frequency,
        ..ClientSettings::default()
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    if wants_lines || matches!(target.channel, Channel::Bar(_)) {
        runtime.block_on(lines::run(target, settings, args.json, args.count))?;
    } else {
        runtime.block_on(dashboard::run(target, settings))?;
    }
    Ok(ExitCode::SUCCESS)
}
