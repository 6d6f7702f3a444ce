//! Live venues, over WebSockets.
//!
//! ```text
//!  socket ─► Session ─► bounded queue ─► Live (a Feed)
//!    a thread of its own                  the thread that asks
//! ```
//!
//! The network's thread never waits for who asks: where the queue is full, messages are lost, and that is told as a gap
//! of each of their symbols. Whatever is lost, here or on the way, makes the books concerned void until the venue's next
//! snapshot, and that is asked for at once: for one symbol on a gap or a wrong checksum, for all of them by a new
//! connection.

mod connector;
mod kraken;
mod tape;

use std::sync::mpsc::{Receiver, TryRecvError, sync_channel};
use std::sync::{Arc, OnceLock};
use std::thread::Thread;
use std::time::Duration;

use tokio::runtime::Runtime;
use tokio::sync::oneshot;

use self::connector::Connector;
use self::tape::Tape;
use crate::limits::{LIVE_QUEUE_MESSAGES_MAX, LIVE_SYMBOLS_MAX};
use crate::record::RecorderHandle;
use crate::venue::Session;
use crate::{Feed, FeedError, Instrument, MarketEvent, Progress, Timestamp};

/// Which venue, and what of it.
#[derive(Clone)]
pub struct LiveSettings {
    /// Its name: `kraken`.
    pub venue: String,
    /// Where it is, if not at its own address.
    pub url: Option<String>,
    /// Its names of the instruments.
    pub symbols: Vec<String>,
    /// A connection that is silent for so long is given up for a new one.
    pub silence_max: Duration,
    /// Records whatever is received and sent, as bytes.
    pub recorder: Option<RecorderHandle>,
}

/// Follows a live venue.
pub struct Live {
    instruments: Vec<Instrument>,
    messages: Receiver<Message>,
    reader: Reader,
    url: String,
    /// The network's thread ends when this does.
    _stop: oneshot::Sender<()>,
}

/// What belongs together, and when it was received.
struct Message {
    ts_recv: Timestamp,
    events: Vec<MarketEvent>,
}

/// The thread that asks for messages, as soon as it is known.
type Reader = Arc<OnceLock<Thread>>;

impl Live {
    /// Connects to the venue, reads its list of instruments, and starts to follow the symbols.
    ///
    /// # Errors
    /// [`FeedError::Settings`] for a venue or symbols that cannot be, [`FeedError::Live`] when the venue cannot be
    /// reached, or does not list a symbol.
    pub fn open(settings: &LiveSettings) -> Result<Self, FeedError> {
        let LiveSettings { venue, url, symbols, silence_max, recorder } = settings;
        if venue != "kraken" {
            return Err(FeedError::Settings(format!(
                "`{venue}` is no live venue that is known here: kraken"
            )));
        }
        if symbols.is_empty() || symbols.len() > LIVE_SYMBOLS_MAX {
            let count = symbols.len();
            let reason = format!("a live feed takes 1 to {LIVE_SYMBOLS_MAX} symbols, not {count}");
            return Err(FeedError::Settings(reason));
        }
        let url = url.clone().unwrap_or_else(|| kraken::URL.to_owned());
        let wrong = |reason: String| FeedError::Live { url: url.clone(), reason };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| wrong(format!("no runtime: {error}")))?;
        let tape = Tape::new(recorder.as_ref(), &url)?;
        let session =
            runtime.block_on(connector::survey(&url, &tape)).map_err(|fault| wrong(fault.to_string()))?;
        let session =
            session.choose(symbols.iter().map(String::as_str)).map_err(|error| wrong(error.to_string()))?;
        let instruments = session.directory().instruments().to_vec();

        let (queue, messages) = sync_channel(LIVE_QUEUE_MESSAGES_MAX);
        let (stop, stopped) = oneshot::channel();
        let reader = Reader::default();
        let connector = Connector::new(url.clone(), *silence_max, session, queue, Arc::clone(&reader), tape);
        std::thread::Builder::new()
            .name("live".to_owned())
            .spawn(move || follow(&runtime, connector, stopped))
            .map_err(|error| wrong(format!("no thread: {error}")))?;
        Ok(Self { instruments, messages, reader, url, _stop: stop })
    }
}

/// The network's thread: until the feed is dropped.
fn follow(runtime: &Runtime, connector: Connector, stopped: oneshot::Receiver<()>) {
    runtime.block_on(async {
        tokio::select! {
            _ = stopped => {}
            () = connector.run() => {}
        }
    });
}

impl Feed for Live {
    fn instruments(&self) -> &[Instrument] {
        &self.instruments
    }

    fn begin(&mut self, _now: Timestamp) {
        self.reader.get_or_init(std::thread::current);
    }

    fn next_message(&mut self, events: &mut Vec<MarketEvent>) -> Result<Progress, FeedError> {
        match self.messages.try_recv() {
            Ok(mut message) => {
                events.append(&mut message.events);
                Ok(Progress::Message { due: message.ts_recv })
            }
            Err(TryRecvError::Empty) => Ok(Progress::Waiting),
            Err(TryRecvError::Disconnected) => {
                let reason = "the thread that follows it has ended".to_owned();
                Err(FeedError::Live { url: self.url.clone(), reason })
            }
        }
    }
}

/// A session that learns the venue's instruments.
fn surveying() -> Session {
    Session::survey(kraken::VENUE, kraken::URL).expect("a venue that is known here")
}
