//! What a live feed records of itself: every message of a connection, both ways, and its beginning and end.

use crate::format::recording::JSON;
use crate::record::{Body, RecorderHandle, Source, SourceId};
use crate::{Clock, FeedError, Timestamp};

use super::venues::Kind;

/// Where a connection is recorded; to nowhere, if nobody asked.
pub(super) struct Tape {
    to: Option<(RecorderHandle, SourceId)>,
    /// The venue's own.
    address: &'static str,
}

impl Tape {
    /// The source has the venue's own address, by which a replay knows the venue's protocol. `name` tells the connections
    /// apart.
    pub(super) fn new(recorder: Option<&RecorderHandle>, kind: &Kind, name: &str) -> Result<Self, FeedError> {
        let address = kind.url;
        let Some(recorder) = recorder else { return Ok(Self { to: None, address }) };
        let source = Source {
            venue: kind.venue.to_owned(),
            format: JSON.to_owned(),
            address: address.to_owned(),
            name: name.to_owned(),
        };
        Ok(Self { to: Some((recorder.clone(), recorder.source(source)?)), address })
    }

    /// Records that a connection was made to `url`.
    pub(super) fn connected(&self, ts_recv: Timestamp, url: &str) {
        self.record(ts_recv, Body::Connected(if url == self.address { "" } else { url }));
    }

    /// Records what happens now.
    pub(super) fn note(&self, body: Body<'_>) {
        self.record(Clock::System.now(), body);
    }

    /// Records what happened at `ts_recv`. It never waits: what there is no room for is lost, and the recorder says so.
    pub(super) fn record(&self, ts_recv: Timestamp, body: Body<'_>) {
        if let Some((recorder, source)) = &self.to {
            recorder.record(Some(*source), ts_recv, body);
        }
    }
}
