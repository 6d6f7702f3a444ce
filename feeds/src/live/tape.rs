//! What a live feed records of itself: every message of a connection, both ways, and its beginning and end.

use crate::format::recording::JSON;
use crate::record::{Body, RecorderHandle, Source, SourceId};
use crate::{Clock, FeedError, Timestamp};

use super::venues::Kind;

/// Where a connection is recorded; to nowhere, if nobody asked.
pub(super) struct Tape(Option<(RecorderHandle, SourceId)>);

impl Tape {
    /// A replay reads what was received as it was read live, whatever the address: that of the venue stands in the
    /// recording where another was connected to. `name` tells the connections apart.
    pub(super) fn new(recorder: Option<&RecorderHandle>, kind: &Kind, name: &str) -> Result<Self, FeedError> {
        let Some(recorder) = recorder else { return Ok(Self(None)) };
        let source = Source {
            venue: kind.venue.to_owned(),
            format: JSON.to_owned(),
            address: kind.url.to_owned(),
            name: name.to_owned(),
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
