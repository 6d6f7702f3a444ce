//! A watch-list, a book, a tape and the connection's figures, on the whole terminal.

use std::env;
use std::pin::Pin;

use anyhow::{Context, anyhow};
use feeds::Symbol;
use feeds::clock::{Clock, monotonic};
use ratatui::crossterm::event::Event as Input;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{Duration, MissedTickBehavior, interval};

use super::board::{Board, LISTED, Link, Open};
use super::instruments::{self, Listed};
use super::screen::{Inks, Scene, draw};
use super::search::Index;
use super::terminal::{Terminal, inputs};
use super::view::{View, Wish};
use crate::cli::presented;
use crate::cli::target::Target;
use crate::client::{Client, ClientSettings, Event};
use crate::limits::{LIST_ROWS_MAX, WATCH_DRAW_EVERY, WATCH_ROWS_MAX, WATCH_TEXT_CHARS_MAX};
use crate::printable::printable;
use crate::topic::{Channel, Depth};
use crate::wire::{Encoding, ErrorCode, Symbols};

/// Follows the symbols until somebody leaves.
pub(super) async fn run(target: Target, settings: ClientSettings) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hang_up = signal(SignalKind::hangup())?;

    // While there is no connection, what is wrong is told where it stays to be read.
    // The error's own text names the cause: shown as a chain it would be there twice.
    let begin = async {
        let connected = Client::connect(target.url.clone(), settings.clone()).await;
        let client = connected.map_err(|error| anyhow!("{error}"))?;
        anyhow::Ok((client, named(&target, &settings).await?))
    };
    let (client, (symbols, note)) = tokio::select! {
        begun = begin => begun?,
        _ = terminate.recv() => return Ok(()),
        _ = interrupt.recv() => return Ok(()),
        _ = hang_up.recv() => return Ok(()),
    };
    let mut dashboard = Dashboard::new(target, settings, client, symbols);
    dashboard.live.note = note;

    let mut terminal = Terminal::take().context("cannot use the terminal; --lines does without")?;
    let mut inputs = inputs().context("cannot read the terminal")?;
    let mut frames = interval(WATCH_DRAW_EVERY);
    frames.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut seconds = interval(Duration::from_secs(1));
    seconds.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let inks = Inks { is_colored: env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()) };
    let mut listing: Option<Listing> = None;
    let mut has_changed = true;
    loop {
        tokio::select! {
            event = dashboard.client.next() => dashboard.take(&event?)?,
            input = inputs.recv() => match input.map(|input| dashboard.input(&input)) {
                // A terminal that is gone is left.
                None | Some(Wish::Leave) => return Ok(()),
                Some(Wish::Redraw) => terminal.inner().clear().context("cannot write to the terminal")?,
                Some(Wish::List) => {
                    let (url, token) = (dashboard.url.clone(), dashboard.settings.token.clone());
                    listing = Some(Box::pin(async move { instruments::list(&url, token.as_ref()).await }));
                }
                Some(_) => {}
            },
            listed = async { listing.as_mut().expect("there is one").await }, if listing.is_some() => {
                listing = None;
                dashboard.listed(listed);
            }
            _ = seconds.tick() => dashboard.second(),
            _ = frames.tick(), if has_changed => {
                dashboard.draw(&mut terminal, inks).context("cannot write to the terminal")?;
                has_changed = false;
                continue;
            }
            _ = terminate.recv() => return Ok(()),
            _ = interrupt.recv() => return Ok(()),
            _ = hang_up.recv() => return Ok(()),
        }
        has_changed = true;
    }
}

type Listing = Pin<Box<dyn Future<Output = anyhow::Result<Vec<Listed>>>>>;

/// The symbols that are to be followed by name, as many as there is room for, and what is to be told of the others.
async fn named(target: &Target, settings: &ClientSettings) -> anyhow::Result<(Vec<Symbol>, Option<String>)> {
    let mut symbols: Vec<Symbol> = match &target.symbols {
        Symbols::Named(names) => names.iter().map(|name| Symbol::new(name)).collect::<Result<_, _>>()?,
        Symbols::All => {
            let listed = instruments::list(&target.url, settings.token.as_ref()).await;
            let listed =
                listed.context("cannot list the instruments; name some instead of `*`, or use --lines")?;
            listed.into_iter().map(|listed| listed.symbol).collect()
        }
    };
    let all = symbols.len();
    symbols.truncate(WATCH_ROWS_MAX);
    let more = if all >= LIST_ROWS_MAX { " or more" } else { "" };
    let note = (all > WATCH_ROWS_MAX)
        .then(|| format!("the first {WATCH_ROWS_MAX} of {all}{more}: d removes one, / adds another"));
    Ok((symbols, note))
}

struct Dashboard {
    url: String,
    settings: ClientSettings,
    client: Client,
    live: Board,
    /// What is shown while the picture is paused.
    frozen: Option<Board>,
    view: View,
}

impl Dashboard {
    fn new(target: Target, settings: ClientSettings, client: Client, symbols: Vec<Symbol>) -> Self {
        let depth = match target.channel {
            Channel::Book(depth) => depth,
            _ => Depth::D10,
        };
        let first = symbols.first().cloned();
        let mut dashboard = Self {
            url: target.url,
            settings,
            client,
            live: Board::new(symbols, depth),
            frozen: None,
            view: View::new(),
        };
        let names = dashboard.live.rows.iter().map(|row| row.symbol.to_string()).collect();
        dashboard.follow(names);
        if let Some(first) = first.filter(|_| matches!(target.channel, Channel::Book(_) | Channel::Trade)) {
            dashboard.open(first);
        }
        dashboard
    }

    fn take(&mut self, event: &Event) -> anyhow::Result<()> {
        if let Event::Failed { code, message, .. } = event
            && *code == ErrorCode::AuthRequired.as_str()
        {
            return Err(presented::explain(&format!("{code}: {message}")));
        }
        for gone in self.live.take(event, &self.client) {
            self.leave(&gone);
        }
        Ok(())
    }

    /// What a key asks for is done here; what is left is the terminal's.
    fn input(&mut self, input: &Input) -> Wish {
        let Some(key) = input.as_key_press_event() else { return Wish::Look };
        self.live.note = None;
        let board = self.frozen.as_ref().unwrap_or(&self.live);
        let wish = self.view.key(key, board);
        // What is asked for anew is to be seen.
        if matches!(wish, Wish::Open(_) | Wish::Close | Wish::Add(_) | Wish::Remove(_) | Wish::Tell(_)) {
            self.frozen = None;
        }
        match wish {
            Wish::Open(symbol) => self.open(symbol),
            Wish::Close => self.close(),
            Wish::Add(symbol) => {
                if self.live.add(symbol.clone()) {
                    self.follow(vec![symbol.to_string()]);
                }
                self.view.choose(symbol);
            }
            Wish::Remove(symbol) => {
                self.live.remove(&symbol);
                self.leave(&symbol);
            }
            Wish::Pause => {
                self.frozen = if self.frozen.is_some() { None } else { Some(self.live.clone()) };
            }
            Wish::Tell(what) => self.live.note = Some(what),
            wish @ (Wish::Look | Wish::Leave | Wish::List | Wish::Redraw) => return wish,
        }
        Wish::Look
    }

    fn listed(&mut self, listed: anyhow::Result<Vec<Listed>>) {
        self.view.index = match listed {
            Ok(listed) => Index::Known(listed),
            Err(error) => Index::Failed(printable(&format!("{error:#}"), WATCH_TEXT_CHARS_MAX)),
        };
    }

    fn second(&mut self) {
        let stats = *self.client.stats();
        self.live.latency.second(stats, monotonic());
        if self.live.link == Link::Up {
            let request = self.client.ping();
            self.live.latency.asked(request, monotonic(), Clock::System.now());
        }
    }

    fn draw(&mut self, terminal: &mut Terminal, inks: Inks) -> std::io::Result<()> {
        let encoding = match self.settings.encoding {
            Encoding::Json => "json",
            Encoding::Binary => "binary",
        };
        let compression = match (self.client.is_compressed(), self.settings.compress) {
            (true, _) => "deflate",
            (false, true) => "not compressed by the server",
            (false, false) => "not compressed",
        };
        let scene = Scene {
            board: self.frozen.as_ref().unwrap_or(&self.live),
            url: &self.url,
            terms: &format!("{encoding}, {compression}"),
            is_paused: self.frozen.is_some(),
            now: monotonic(),
        };
        let view = &mut self.view;
        terminal.inner().draw(|frame| draw(frame, &scene, view, inks)).map(|_| ())
    }

    fn follow(&mut self, names: Vec<String>) {
        if names.is_empty() {
            return;
        }
        for channel in LISTED {
            self.client.subscribe(channel, Symbols::Named(names.clone()));
        }
    }

    fn leave(&mut self, symbol: &Symbol) {
        if self.live.is_open(symbol) {
            self.close();
        }
        let names = Symbols::Named(vec![symbol.to_string()]);
        for channel in LISTED {
            self.client.unsubscribe(channel, &names);
        }
    }

    fn open(&mut self, symbol: Symbol) {
        if self.live.is_open(&symbol) {
            return;
        }
        self.close();
        let names = || Symbols::Named(vec![symbol.to_string()]);
        let requests = self.live.opened().map(|channel| self.client.subscribe(channel, names()));
        self.live.open = Some(Open::new(symbol, requests));
    }

    fn close(&mut self) {
        let Some(symbol) = self.live.close() else { return };
        let names = Symbols::Named(vec![symbol.to_string()]);
        for channel in self.live.opened() {
            self.client.unsubscribe(channel, &names);
        }
    }
}
