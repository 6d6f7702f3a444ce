//! What a live feed records of itself, and that a replay tells the same of it.

use feeds::record::{Recorder, RecorderHandle, RecorderSettings};
use feeds::replay::{Replay, ReplaySettings};
use feeds::{Feed as _, MarketEvent, Progress};
use tempfile::TempDir;

use super::client::Client;

pub(crate) struct Recording {
    recorder: Recorder,
    settings: RecorderSettings,
    _folder: TempDir,
}

impl Recording {
    pub(crate) fn start() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let settings = RecorderSettings::new(folder.path().join("day"));
        let recorder = Recorder::start(&settings, |report| panic!("{report:?}")).expect("a recorder");
        Self { recorder, settings, _folder: folder }
    }

    pub(crate) fn handle(&self) -> RecorderHandle {
        self.recorder.handle().clone()
    }

    /// Ends the feed and its recording, and compares every event.
    pub(crate) fn assert_replays(self, mut client: Client, symbols: &[&str]) {
        let instruments = symbols.iter().map(|symbol| {
            let (venue, price, size, currency) = client.instrument(symbol);
            (venue.to_owned(), price, size, currency.map(str::to_owned))
        });
        let instruments: Vec<_> = instruments.collect();
        let live = std::mem::take(&mut client.events);
        drop(client);
        self.recorder.stop().expect("all is recorded");

        let files = vec![self.settings.folder];
        let mut replay =
            Replay::open(&ReplaySettings { files, ..ReplaySettings::default() }).expect("a recording");
        let names: Vec<String> = replay.instruments().iter().map(|i| i.symbol.as_str().to_owned()).collect();
        for (symbol, expected) in symbols.iter().zip(instruments) {
            let found =
                replay.instruments().iter().find(|i| i.symbol.as_str() == *symbol).expect("one of ours");
            let (price, size) = (found.price_exponent.get(), found.size_exponent.get());
            assert_eq!((found.venue.to_owned(), price, size, found.currency.clone()), expected);
        }
        let mut replayed: Vec<(String, MarketEvent)> = Vec::new();
        let mut events = Vec::new();
        while let Progress::Message { .. } = replay.next_message(&mut events).expect("a sound recording") {
            replayed.extend(events.drain(..).map(|event| (names[event.symbol.index()].clone(), event)));
        }
        // The numbers of the symbols are each feed's own.
        let rest = |(_, event): &(String, MarketEvent)| (event.ts_event, event.ts_recv, event.body.clone());
        let told = |events: &[(String, MarketEvent)], name: &str| {
            events.iter().filter(|(symbol, _)| symbol == name).map(rest).collect::<Vec<_>>()
        };
        for symbol in symbols {
            assert_eq!(told(&replayed, symbol), told(&live, symbol), "{symbol}");
        }
    }
}
