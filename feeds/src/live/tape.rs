//! What a live feed records of itself: every message of a connection, both ways, and its beginning and end.

use crate::record::{Body, RecorderHandle, Source, SourceId};
use crate::{Clock, FeedError, Timestamp};

use super::kraken;

/// The payloads, as a replay's reader asks for them.
const FORMAT: &str = "json";

/// Where it is recorded; to nowhere, if nobody asked.
pub(super) struct Tape(Option<(RecorderHandle, SourceId)>);

impl Tape {
    /// A replay reads what was received from `url` as it was read live, whatever the address: that of the venue stands
    /// in the recording where another was connected to.
    pub(super) fn new(recorder: Option<&RecorderHandle>, url: &str) -> Result<Self, FeedError> {
        let Some(recorder) = recorder else { return Ok(Self(None)) };
        let source = Source {
            venue: kraken::VENUE.to_owned(),
            format: FORMAT.to_owned(),
            address: kraken::URL.to_owned(),
            name: url.to_owned(),
        };
        Ok(Self(Some((recorder.clone(), recorder.source(source)?))))
    }

    /// Records what happens now.
    pub(super) fn note(&self, body: Body<'_>) {
        self.record(Clock::System.now(), body);
    }

    /// Records what happened at `ts_recv`. It never waits: what there is no room for is lost, and the recorder says so.
    pub(super) fn record(&self, ts_recv: Timestamp, body: Body<'_>) {
        if let Some((recorder, source)) = &self.0 {
            recorder.record(Some(*source), ts_recv, body);
        }
    }
}
