//! The one stream that a gateway makes of what the ingests of a bus publish.
//!
//! Of each share one ingest is followed: another takes its place when its rank is higher, or when nothing was heard of
//! the first for [`OTHER_INGEST_AFTER`]. Where there are several shares the stream's epoch is made of theirs, so that it is the
//! same at every gateway, and another as soon as one of them is. Outside of this file nobody knows more than one epoch.

use std::sync::Arc;
use std::time::Instant;

use data_encoding::HEXLOWER;
use sha1::{Digest, Sha1};
use tracing::{info, warn};

use super::message::Beat;
use super::share::Share;
use crate::limits::OTHER_INGEST_AFTER;

/// What is known of the ingests that are followed.
#[derive(Debug)]
pub(super) struct Stream {
    digest: u32,
    /// By share.
    followed: Vec<Option<Followed>>,
    begun_at: Instant,
    /// Of the stream; `None` until an ingest of each share was heard.
    epoch: Option<Arc<str>>,
    /// Of an ingest that is not listened to.
    has_warned: bool,
}

/// The ingest of a share.
#[derive(Debug)]
struct Followed {
    rank: (u64, u64),
    epoch: Arc<str>,
    heard_at: Instant,
    /// Since the stream was last said to live.
    has_beaten: bool,
}

/// What a beat tells of the stream.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Heard {
    /// Nothing new.
    Nothing,
    /// It lives, every share of it, in that epoch.
    Lives(Arc<str>),
    /// The ingests have other instruments, or share them otherwise, than this gateway began with.
    IsAnother,
}

impl Stream {
    /// Of ingests with instruments of that digest, in so many shares.
    pub(super) fn new(digest: u32, shares: u16, now: Instant) -> Self {
        let followed = (0..shares).map(|_| None).collect();
        Self { digest, followed, begun_at: now, epoch: None, has_warned: false }
    }

    /// How many shares there are.
    pub(super) fn shares(&self) -> u16 {
        u16::try_from(self.followed.len()).expect("it is made with so many")
    }

    /// Those of which no ingest was heard yet.
    pub(super) fn missing(&self) -> impl Iterator<Item = Share> {
        let (of, followed) = (self.shares(), &self.followed);
        let unheard = (0..of).filter(|&index| followed[usize::from(index)].is_none());
        unheard.filter_map(move |index| Share::new(index, of))
    }

    /// Takes a beat.
    pub(super) fn hear(&mut self, beat: &Beat, now: Instant) -> Heard {
        let is_ours = beat.digest == self.digest && beat.share.of() == self.shares();
        let is_silent = |followed: &Followed| now.duration_since(followed.heard_at) >= OTHER_INGEST_AFTER;
        let Some(place) = self.followed.get_mut(usize::from(beat.share.index())).filter(|_| is_ours) else {
            // Of strangers beside ingests that live nobody needs to know more.
            let is_of_followed = |followed: &Followed| followed.rank.1 == beat.source || is_silent(followed);
            let is_nobody = self.followed.iter().all(Option::is_none);
            let is_lost = self.followed.iter().flatten().any(is_of_followed)
                || (is_nobody && now.duration_since(self.begun_at) >= OTHER_INGEST_AFTER);
            if !is_lost {
                self.warn();
            }
            return if is_lost { Heard::IsAnother } else { Heard::Nothing };
        };
        if let Some(followed) = place.as_ref()
            && followed.rank.1 != beat.source
        {
            if !is_silent(followed) && beat.rank() <= followed.rank {
                self.warn();
                return Heard::Nothing;
            }
            info!(share = %beat.share, epoch = %beat.epoch, "another ingest has taken over");
            self.has_warned = false;
        }
        let epoch = Arc::clone(&beat.epoch);
        if place.as_ref().is_none_or(|followed| followed.epoch != epoch) {
            self.epoch = None;
        }
        *place = Some(Followed { rank: beat.rank(), epoch, heard_at: now, has_beaten: true });
        if !self.followed.iter().all(|place| place.as_ref().is_some_and(|followed| followed.has_beaten)) {
            return Heard::Nothing;
        }
        for followed in self.followed.iter_mut().flatten() {
            followed.has_beaten = false;
        }
        Heard::Lives(self.epoch())
    }

    fn warn(&mut self) {
        if !std::mem::replace(&mut self.has_warned, true) {
            warn!("another ingest publishes on this bus: it is not listened to");
        }
    }

    /// Made anew only when one of theirs has changed.
    fn epoch(&mut self) -> Arc<str> {
        let followed = &self.followed;
        Arc::clone(self.epoch.get_or_insert_with(|| {
            let mut epochs = followed.iter().flatten().map(|followed| &followed.epoch);
            match epochs.next() {
                Some(only) if followed.len() == 1 => Arc::clone(only),
                first => joined(first.into_iter().chain(epochs)),
            }
        }))
    }

    /// The stream's epoch, for what an ingest says of its own: the same where that is not followed.
    pub(super) fn stream_epoch(&mut self, share: u16, epoch: Arc<str>) -> Arc<str> {
        let is_whole = self.followed.iter().all(Option::is_some);
        let followed = self.followed.get(usize::from(share)).and_then(Option::as_ref);
        if is_whole && followed.is_some_and(|followed| followed.epoch == epoch) {
            self.epoch()
        } else {
            epoch
        }
    }

    /// The epoch of a share, for what is said of the stream's: the same where that is of the past.
    pub(super) fn share_epoch(&mut self, share: u16, epoch: &Arc<str>) -> Arc<str> {
        let is_present = self.followed.iter().all(Option::is_some) && self.epoch() == *epoch;
        let followed = self.followed.get(usize::from(share)).and_then(Option::as_ref);
        followed
            .filter(|_| is_present)
            .map_or_else(|| Arc::clone(epoch), |followed| Arc::clone(&followed.epoch))
    }
}

/// All of them would be far too long: their hash, in 16 hexadecimal digits.
fn joined<'a>(epochs: impl Iterator<Item = &'a Arc<str>>) -> Arc<str> {
    let mut hasher = Sha1::new();
    for epoch in epochs {
        hasher.update(epoch.as_bytes());
        hasher.update(b"\n");
    }
    HEXLOWER.encode(&hasher.finalize()[..8]).into()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use feeds::clock::monotonic;

    use super::*;
    use crate::limits::EPOCH_BYTES_MAX;

    const DIGEST: u32 = 5;

    fn beat(share: &str, source: u64, term: u64, epoch: &str) -> Beat {
        Beat { source, term, epoch: epoch.into(), digest: DIGEST, share: share.parse().expect("a share") }
    }

    fn lives(heard: &Heard) -> Option<&str> {
        match heard {
            Heard::Lives(epoch) => Some(epoch),
            Heard::Nothing | Heard::IsAnother => None,
        }
    }

    #[test]
    fn one_share_is_the_stream() {
        let (mut stream, now) = (Stream::new(DIGEST, 1, monotonic()), monotonic());
        assert_eq!(stream.missing().map(|share| share.to_string()).collect::<Vec<_>>(), ["1/1"]);
        assert_eq!(stream.hear(&beat("1/1", 7, 1, "a"), now), Heard::Lives("a".into()));
        assert_eq!(stream.hear(&beat("1/1", 7, 1, "b"), now), Heard::Lives("b".into()));
        assert_eq!(stream.hear(&beat("1/1", 9, 0, "c"), now), Heard::Nothing, "of a lower rank");
        assert_eq!(stream.hear(&beat("1/1", 3, 2, "c"), now), Heard::Lives("c".into()), "of a higher one");
        let later = now + OTHER_INGEST_AFTER;
        assert_eq!(stream.hear(&beat("1/1", 9, 0, "d"), later), Heard::Lives("d".into()), "after silence");
        assert_eq!(stream.stream_epoch(0, "d".into()), "d".into());
        assert_eq!(stream.stream_epoch(0, "a".into()), "a".into(), "of the past");
    }

    #[test]
    fn it_lives_as_long_as_every_share_does_and_its_epoch_is_made_of_theirs() {
        let (mut stream, now) = (Stream::new(DIGEST, 2, monotonic()), monotonic());
        assert_eq!(stream.hear(&beat("2/2", 7, 1, "b"), now), Heard::Nothing);
        assert_eq!(stream.stream_epoch(1, "b".into()), "b".into(), "there is no stream yet");
        assert_eq!(stream.missing().map(|share| share.to_string()).collect::<Vec<_>>(), ["1/2"]);
        let first = stream.hear(&beat("1/2", 8, 1, "a"), now);
        let first = lives(&first).expect("it is whole").to_owned();
        assert!(first.len() == 16 && first.len() <= EPOCH_BYTES_MAX);
        for _ in 0..9 {
            assert_eq!(stream.hear(&beat("1/2", 8, 1, "a"), now), Heard::Nothing, "the other is silent");
        }
        assert_eq!(lives(&stream.hear(&beat("2/2", 7, 1, "b"), now)), Some(first.as_str()));

        // To each share its own.
        let whole: Arc<str> = first.as_str().into();
        assert_eq!((&*stream.share_epoch(0, &whole), &*stream.share_epoch(1, &whole)), ("a", "b"));
        assert_eq!(stream.stream_epoch(0, "a".into()), whole);
        assert_eq!(stream.stream_epoch(1, "b".into()), whole);
        assert_eq!(stream.stream_epoch(1, "a".into()), "a".into(), "it is the other's");

        // One is taken over.
        assert_eq!(stream.hear(&beat("1/2", 9, 2, "c"), now), Heard::Nothing);
        let next = stream.hear(&beat("2/2", 7, 1, "b"), now);
        let next = lives(&next).expect("it goes on").to_owned();
        assert_ne!(next, first);
        assert_eq!(stream.stream_epoch(1, "b".into()), next.as_str().into());
        assert_eq!(stream.share_epoch(1, &whole), whole, "of the past");

        // The same at a gateway that begins now, whoever beats first.
        let mut other = Stream::new(DIGEST, 2, monotonic());
        assert_eq!(other.hear(&beat("1/2", 9, 2, "c"), now), Heard::Nothing);
        assert_eq!(lives(&other.hear(&beat("2/2", 7, 1, "b"), now)), Some(next.as_str()));
        // The shares are in order.
        let mut turned = Stream::new(DIGEST, 2, monotonic());
        assert_eq!(turned.hear(&beat("1/2", 7, 1, "b"), now), Heard::Nothing);
        assert_ne!(lives(&turned.hear(&beat("2/2", 9, 2, "c"), now)), Some(next.as_str()));
    }

    #[test]
    fn other_instruments_or_shares_are_another_stream_only_where_ours_is_lost() {
        let stranger = |source| {
            [
                Beat { digest: DIGEST + 1, ..beat("1/2", source, 99, "x") },
                beat("1/3", source, 99, "x"),
                beat("3/3", source, 99, "x"),
                beat("1/1", source, 99, "x"),
            ]
        };
        let now = monotonic();
        for index in 0..4 {
            let mut stream = Stream::new(DIGEST, 2, now);
            let first = &stranger(9)[index];
            assert_eq!(stream.hear(first, now), Heard::Nothing, "the one that was asked may beat yet");
            assert_eq!(stream.hear(first, now + OTHER_INGEST_AFTER), Heard::IsAnother);
            stream.hear(&beat("1/2", 7, 1, "a"), now);
            stream.hear(&beat("2/2", 8, 1, "b"), now);
            let [beat_of_stranger, beat_of_ours] =
                [stranger(9), stranger(8)].map(|beats| beats[index].clone());
            let soon = now + OTHER_INGEST_AFTER - Duration::from_millis(1);
            assert_eq!(stream.hear(&beat_of_stranger, soon), Heard::Nothing);
            assert_eq!(stream.hear(&beat_of_ours, soon), Heard::IsAnother);
            assert_eq!(stream.hear(&beat_of_stranger, now + OTHER_INGEST_AFTER), Heard::IsAnother);
        }
    }
}
