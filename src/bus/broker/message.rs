//! What travels on a broker, byte by byte as `protocol.md` beside this file says.

use std::sync::Arc;

use super::share::Share;
use crate::bus::Tape;
use crate::limits::{
    BROKER_JSON_BYTES_MAX, BROKER_MESSAGE_BYTES_MAX, EPOCH_BYTES_MAX, FOLLOWS_PER_MESSAGE_MAX,
};
use crate::topic::TopicId;

/// The version of the format: the first byte of every message.
pub const VERSION: u8 = 1;

const CHECKSUM_BYTES: usize = 4;

/// A message of whichever kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// A part of a topic's stream.
    Carried(Carried),
    /// The ingest lives.
    Beat(Beat),
    /// What a gateway follows.
    Follow(Follow),
    /// A gateway asks which instruments there are, from this number on.
    ListInstruments(u32),
    /// Some of them.
    Instruments(InstrumentPage),
    /// A gateway asks for states beside the stream, of these topics.
    Read(Vec<TopicId>),
    /// A gateway asks for the newest trades or bars of a topic, so many at most.
    History(TopicId, u32),
    /// A gateway asks for the trades of a topic that are known.
    AskTape(TopicId),
    /// Those trades.
    Tape(Tape),
    /// JSON objects that were asked for.
    Json(Json),
    /// What was asked for cannot be had now.
    Busy,
}

/// A part of the stream of one topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Carried {
    /// The run of the stream.
    pub epoch: Arc<str>,
    /// A raw topic.
    pub topic: TopicId,
    /// What the records are.
    pub form: CarriedForm,
    /// The number of the state before: what this message follows.
    pub prev: u64,
    /// The number of the state after it.
    pub seq: u64,
    /// How many changes lie between the two.
    pub merged: u32,
    /// Records of `tickwire.v1.bin`, back to back.
    pub records: Vec<u8>,
}

/// What the records of a [`Carried`] are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CarriedForm {
    /// The whole state: the last of the records, a snapshot.
    State,
    /// The updates from `prev` to `seq`; none where the two are the same, which tells the newest number.
    Updates,
}

/// The ingest lives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Beat {
    /// A number that this process has drawn: another process has another.
    pub source: u64,
    /// How often another ingest has taken over before it.
    pub term: u64,
    /// The present run of the stream.
    pub epoch: Arc<str>,
    /// Of its instruments, see [`InstrumentPage::digest`].
    pub digest: u32,
    /// Which of them it publishes.
    pub share: Share,
}

impl Beat {
    /// Of two ingests that beat, the one with the higher rank is to be followed.
    #[must_use]
    pub const fn rank(&self) -> (u64, u64) {
        (self.term, self.source)
    }
}

/// What a gateway follows, or some of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Follow {
    /// The run of the stream that the numbers held are of.
    pub epoch: Arc<str>,
    /// Each topic, and what is wanted of it now.
    pub topics: Vec<(TopicId, Want)>,
}

/// What is wanted of a topic that is followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Want {
    /// That it goes on.
    More,
    /// The whole state.
    State,
    /// What came after the state of that number; the whole state where that is not known any more.
    After(u64),
}

/// Some of the instruments, in the order of their numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InstrumentPage {
    /// The checksum of all instruments as they stand in messages, one behind the other, and of whether they have twins.
    pub digest: u32,
    /// How many there are, without twins.
    pub total: u32,
    /// Whether each has a twin, whose data is late.
    pub has_twins: bool,
    /// The number of the first of these.
    pub first: u32,
    /// How many these are.
    pub count: u32,
    /// See `super::instruments`.
    pub bytes: Vec<u8>,
}

/// JSON objects, comma-separated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Json {
    /// The run of the stream that they belong to.
    pub epoch: Arc<str>,
    /// The number of the topic's newest state; the first one's where there are several.
    pub seq: u64,
    /// The objects.
    pub json: Vec<u8>,
}

/// Why bytes are not a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MessageError {
    /// Longer than any may be.
    #[error("{0} bytes are more than {BROKER_MESSAGE_BYTES_MAX}")]
    Length(usize),
    /// Of another version.
    #[error("version {0} is not {VERSION}")]
    Version(u8),
    /// The bytes are not those that were sent.
    #[error("the checksum is {found:08x}, and not {expected:08x}")]
    Checksum {
        /// Of the bytes.
        expected: u32,
        /// As it stands in them.
        found: u32,
    },
    /// No such kind.
    #[error("there is no kind {0}")]
    Kind(u8),
    /// It ends too early.
    #[error("it ends within `{0}`")]
    Truncated(&'static str),
    /// A field has a value that it cannot have.
    #[error("`{field}` is {value}")]
    Value {
        /// The field.
        field: &'static str,
        /// What it is.
        value: u64,
    },
    /// A text is not one.
    #[error("`{0}` is no text that can be")]
    Text(&'static str),
    /// More than the message says.
    #[error("{0} bytes too many")]
    Trailing(usize),
}

mod kind {
    pub(super) const STATE: u8 = 1;
    pub(super) const UPDATES: u8 = 2;
    pub(super) const BEAT: u8 = 3;
    pub(super) const FOLLOW: u8 = 4;
    pub(super) const LIST_INSTRUMENTS: u8 = 5;
    pub(super) const INSTRUMENTS: u8 = 6;
    pub(super) const READ: u8 = 7;
    pub(super) const HISTORY: u8 = 8;
    pub(super) const JSON: u8 = 9;
    pub(super) const BUSY: u8 = 10;
    pub(super) const ASK_TAPE: u8 = 11;
    pub(super) const TAPE: u8 = 12;
}

mod want {
    pub(super) const MORE: u8 = 0;
    pub(super) const STATE: u8 = 1;
    pub(super) const AFTER: u8 = 2;
}

impl Message {
    /// The bytes of it.
    ///
    /// # Panics
    /// When an epoch is longer than [`EPOCH_BYTES_MAX`], or a list longer than 2³²: neither is made here.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = vec![VERSION];
        match self {
            Self::Carried(carried) => {
                out.push(match carried.form {
                    CarriedForm::State => kind::STATE,
                    CarriedForm::Updates => kind::UPDATES,
                });
                put_text(&mut out, &carried.epoch);
                out.extend_from_slice(&carried.topic.0.to_le_bytes());
                out.extend_from_slice(&carried.prev.to_le_bytes());
                out.extend_from_slice(&carried.seq.to_le_bytes());
                out.extend_from_slice(&carried.merged.to_le_bytes());
                out.extend_from_slice(&carried.records);
            }
            Self::Beat(beat) => {
                out.push(kind::BEAT);
                out.extend_from_slice(&beat.source.to_le_bytes());
                out.extend_from_slice(&beat.term.to_le_bytes());
                put_text(&mut out, &beat.epoch);
                out.extend_from_slice(&beat.digest.to_le_bytes());
                out.extend_from_slice(&beat.share.index().to_le_bytes());
                out.extend_from_slice(&beat.share.of().to_le_bytes());
            }
            Self::Follow(follow) => {
                out.push(kind::FOLLOW);
                put_text(&mut out, &follow.epoch);
                put_count(&mut out, follow.topics.len());
                for (topic, want) in &follow.topics {
                    out.extend_from_slice(&topic.0.to_le_bytes());
                    match want {
                        Want::More => out.push(want::MORE),
                        Want::State => out.push(want::STATE),
                        Want::After(held) => {
                            out.push(want::AFTER);
                            out.extend_from_slice(&held.to_le_bytes());
                        }
                    }
                }
            }
            Self::ListInstruments(first) => {
                out.push(kind::LIST_INSTRUMENTS);
                out.extend_from_slice(&first.to_le_bytes());
            }
            Self::Instruments(page) => {
                out.push(kind::INSTRUMENTS);
                out.extend_from_slice(&page.digest.to_le_bytes());
                out.extend_from_slice(&page.total.to_le_bytes());
                out.push(page.has_twins.into());
                out.extend_from_slice(&page.first.to_le_bytes());
                out.extend_from_slice(&page.count.to_le_bytes());
                out.extend_from_slice(&page.bytes);
            }
            Self::Read(topics) => {
                out.push(kind::READ);
                put_count(&mut out, topics.len());
                for topic in topics {
                    out.extend_from_slice(&topic.0.to_le_bytes());
                }
            }
            Self::History(topic, limit) => {
                out.push(kind::HISTORY);
                out.extend_from_slice(&topic.0.to_le_bytes());
                out.extend_from_slice(&limit.to_le_bytes());
            }
            Self::Json(json) => {
                out.push(kind::JSON);
                put_text(&mut out, &json.epoch);
                out.extend_from_slice(&json.seq.to_le_bytes());
                out.extend_from_slice(&json.json);
            }
            Self::AskTape(topic) => {
                out.push(kind::ASK_TAPE);
                out.extend_from_slice(&topic.0.to_le_bytes());
            }
            Self::Tape(tape) => {
                out.push(kind::TAPE);
                put_text(&mut out, &tape.epoch);
                out.extend_from_slice(&tape.records);
            }
            Self::Busy => out.push(kind::BUSY),
        }
        out.extend_from_slice(&crc32fast::hash(&out).to_le_bytes());
        out
    }

    /// Reads a message.
    ///
    /// # Errors
    /// [`MessageError`] says what is wrong with it.
    pub fn decode(bytes: &[u8]) -> Result<Self, MessageError> {
        if bytes.len() > BROKER_MESSAGE_BYTES_MAX {
            return Err(MessageError::Length(bytes.len()));
        }
        let (content, found) =
            bytes.split_last_chunk::<CHECKSUM_BYTES>().ok_or(MessageError::Truncated("checksum"))?;
        // First, so that a message of another version is named as such, whatever its checksum is.
        match content.first() {
            Some(&VERSION) => {}
            Some(&other) => return Err(MessageError::Version(other)),
            None => return Err(MessageError::Truncated("version")),
        }
        let (expected, found) = (crc32fast::hash(content), u32::from_le_bytes(*found));
        if expected != found {
            return Err(MessageError::Checksum { expected, found });
        }
        let mut reader = Reader(&content[1..]);
        let message = match reader.byte("kind")? {
            kind @ (kind::STATE | kind::UPDATES) => Self::Carried(carried(&mut reader, kind)?),
            kind::BEAT => Self::Beat(Beat {
                source: reader.long("source")?,
                term: reader.long("term")?,
                epoch: reader.epoch()?,
                digest: reader.int("digest")?,
                share: reader.share()?,
            }),
            kind::FOLLOW => Self::Follow(follow(&mut reader)?),
            kind::LIST_INSTRUMENTS => Self::ListInstruments(reader.int("first")?),
            kind::INSTRUMENTS => Self::Instruments(InstrumentPage {
                digest: reader.int("digest")?,
                total: reader.int("total")?,
                has_twins: reader.flag("twins")?,
                first: reader.int("first")?,
                count: reader.int("count")?,
                bytes: reader.rest(),
            }),
            kind::READ => {
                let count = reader.count()?;
                let topics = (0..count).map(|_| reader.int("topic").map(TopicId));
                Self::Read(topics.collect::<Result<_, _>>()?)
            }
            kind::HISTORY => Self::History(TopicId(reader.int("topic")?), reader.int("limit")?),
            kind::JSON => {
                let (epoch, seq, json) = (reader.epoch()?, reader.long("seq")?, reader.rest());
                if json.len() > BROKER_JSON_BYTES_MAX {
                    return Err(MessageError::Length(json.len()));
                }
                Self::Json(Json { epoch, seq, json })
            }
            kind::ASK_TAPE => Self::AskTape(TopicId(reader.int("topic")?)),
            kind::TAPE => Self::Tape(Tape { epoch: reader.epoch()?, records: reader.rest() }),
            kind::BUSY => Self::Busy,
            unknown => return Err(MessageError::Kind(unknown)),
        };
        if reader.0.is_empty() { Ok(message) } else { Err(MessageError::Trailing(reader.0.len())) }
    }
}

fn carried(reader: &mut Reader<'_>, kind: u8) -> Result<Carried, MessageError> {
    let epoch = reader.epoch()?;
    let topic = TopicId(reader.int("topic")?);
    let (prev, seq) = (reader.long("prev")?, reader.long("seq")?);
    let merged = reader.int("merged")?;
    if seq < prev {
        return Err(MessageError::Value { field: "seq", value: seq });
    }
    let form = if kind == kind::STATE { CarriedForm::State } else { CarriedForm::Updates };
    Ok(Carried { epoch, topic, form, prev, seq, merged, records: reader.rest() })
}

fn follow(reader: &mut Reader<'_>) -> Result<Follow, MessageError> {
    let epoch = reader.epoch()?;
    let count = reader.count()?;
    let mut topics = Vec::with_capacity(count);
    for _ in 0..count {
        let topic = TopicId(reader.int("topic")?);
        let want = match reader.byte("want")? {
            want::MORE => Want::More,
            want::STATE => Want::State,
            want::AFTER => Want::After(reader.long("held")?),
            other => return Err(MessageError::Value { field: "want", value: other.into() }),
        };
        topics.push((topic, want));
    }
    Ok(Follow { epoch, topics })
}

fn put_text(out: &mut Vec<u8>, text: &str) {
    assert!(text.len() <= EPOCH_BYTES_MAX, "an epoch of {} bytes", text.len());
    out.push(u8::try_from(text.len()).expect("the bound is below 256"));
    out.extend_from_slice(text.as_bytes());
}

fn put_count(out: &mut Vec<u8>, count: usize) {
    out.extend_from_slice(&u32::try_from(count).expect("lists are bounded").to_le_bytes());
}

/// What is left of a message's content.
pub(super) struct Reader<'a>(pub(super) &'a [u8]);

impl Reader<'_> {
    fn array<const N: usize>(&mut self, field: &'static str) -> Result<[u8; N], MessageError> {
        let (array, rest) = self.0.split_first_chunk().ok_or(MessageError::Truncated(field))?;
        self.0 = rest;
        Ok(*array)
    }

    pub(super) fn byte(&mut self, field: &'static str) -> Result<u8, MessageError> {
        self.array::<1>(field).map(|[byte]| byte)
    }

    fn short(&mut self, field: &'static str) -> Result<u16, MessageError> {
        self.array(field).map(u16::from_le_bytes)
    }

    pub(super) fn int(&mut self, field: &'static str) -> Result<u32, MessageError> {
        self.array(field).map(u32::from_le_bytes)
    }

    pub(super) fn long(&mut self, field: &'static str) -> Result<u64, MessageError> {
        self.array(field).map(u64::from_le_bytes)
    }

    pub(super) fn flag(&mut self, field: &'static str) -> Result<bool, MessageError> {
        match self.byte(field)? {
            0 => Ok(false),
            1 => Ok(true),
            value => Err(MessageError::Value { field, value: value.into() }),
        }
    }

    /// A text of at most so many bytes, which stand behind their number.
    pub(super) fn text(&mut self, field: &'static str, bytes_max: usize) -> Result<String, MessageError> {
        let length = usize::from(self.byte(field)?);
        let (text, rest) = self.0.split_at_checked(length).ok_or(MessageError::Truncated(field))?;
        self.0 = rest;
        let text = std::str::from_utf8(text).map_err(|_| MessageError::Text(field))?;
        if length > bytes_max { Err(MessageError::Text(field)) } else { Ok(text.to_owned()) }
    }

    fn epoch(&mut self) -> Result<Arc<str>, MessageError> {
        let epoch = self.text("epoch", EPOCH_BYTES_MAX)?;
        if epoch.is_empty() { Err(MessageError::Text("epoch")) } else { Ok(epoch.into()) }
    }

    fn share(&mut self) -> Result<Share, MessageError> {
        let (index, of) = (self.short("share")?, self.short("shares")?);
        Share::new(index, of).ok_or(MessageError::Value { field: "share", value: index.into() })
    }

    fn count(&mut self) -> Result<usize, MessageError> {
        let count = self.int("count")?;
        usize::try_from(count)
            .ok()
            .filter(|&count| count <= FOLLOWS_PER_MESSAGE_MAX)
            .ok_or(MessageError::Value { field: "count", value: count.into() })
    }

    fn rest(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.0).to_vec()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn carried(records: Vec<u8>) -> Message {
        Message::Carried(Carried {
            epoch: "k3f9".into(),
            topic: TopicId(17),
            form: CarriedForm::Updates,
            prev: 918_240,
            seq: 918_241,
            merged: 1,
            records,
        })
    }

    /// The example of `protocol.md`.
    #[test]
    fn an_update_stands_on_the_wire_as_documented() {
        let expected = "01 02 04 6b336639 11000000 e0020e0000000000 e1020e0000000000 01000000 4401";
        let expected: Vec<u8> = expected
            .split(' ')
            .flat_map(|hex| (0..hex.len()).step_by(2).map(move |at| &hex[at..at + 2]))
            .map(|hex| u8::from_str_radix(hex, 16).expect("two digits"))
            .collect();
        let bytes = carried(vec![0x44, 0x01]).encode();
        assert_eq!(bytes[..bytes.len() - 4], expected);
        assert_eq!(bytes[bytes.len() - 4..], crc32fast::hash(&expected).to_le_bytes());
    }

    fn messages() -> Vec<Message> {
        let topics = vec![(TopicId(1), Want::More), (TopicId(2), Want::State), (TopicId(3), Want::After(9))];
        vec![
            carried(vec![1, 2, 3]),
            Message::Beat(Beat {
                source: 7,
                term: 2,
                epoch: "e".into(),
                digest: 5,
                share: Share::new(1, 3).expect("a share"),
            }),
            Message::Follow(Follow { epoch: "e".into(), topics }),
            Message::ListInstruments(3),
            Message::Instruments(InstrumentPage {
                digest: 1,
                total: 2,
                has_twins: true,
                first: 1,
                count: 1,
                bytes: vec![9],
            }),
            Message::Read(vec![TopicId(4), TopicId(5)]),
            Message::History(TopicId(6), 100),
            Message::Json(Json { epoch: "e".into(), seq: 8, json: b"{}".to_vec() }),
            Message::AskTape(TopicId(1)),
            Message::Tape(Tape { epoch: "e".into(), records: vec![7] }),
            Message::Busy,
        ]
    }

    #[test]
    fn every_message_is_read_as_it_was_written_and_no_part_of_it_is() {
        for message in messages() {
            let bytes = message.encode();
            assert_eq!(Message::decode(&bytes), Ok(message.clone()));
            for length in 0..bytes.len() {
                assert!(Message::decode(&bytes[..length]).is_err(), "{length} bytes of {message:?}");
            }
        }
    }

    #[test]
    fn what_is_wrong_is_named() {
        let sealed = |content: &[u8]| {
            let checksum = crc32fast::hash(content).to_le_bytes();
            Message::decode(&[content, &checksum].concat()).map(drop)
        };
        assert_eq!(Message::decode(&[2, 10, 0, 0, 0, 0]).map(drop), Err(MessageError::Version(2)));
        assert_eq!(sealed(&[1, 77]), Err(MessageError::Kind(77)));
        assert_eq!(sealed(&[1, 10, 0]), Err(MessageError::Trailing(1)));
        assert_eq!(sealed(&[1, 3, 0]), Err(MessageError::Truncated("source")));
        let beat = [&[1, 3][..], &[0; 16], &[1, b'e'], &[0; 4], &[2, 0, 2, 0]].concat();
        assert_eq!(sealed(&beat), Err(MessageError::Value { field: "share", value: 2 }));
        let mut bytes = carried(vec![1]).encode();
        bytes[8] ^= 1;
        assert!(matches!(Message::decode(&bytes), Err(MessageError::Checksum { .. })));
        let long = vec![1; BROKER_MESSAGE_BYTES_MAX + 1];
        assert_eq!(Message::decode(&long).map(drop), Err(MessageError::Length(long.len())));
        let many = u32::try_from(FOLLOWS_PER_MESSAGE_MAX + 1).expect("small");
        let read = [&[1, 7][..], &many.to_le_bytes()].concat();
        assert_eq!(sealed(&read), Err(MessageError::Value { field: "count", value: many.into() }));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(mut bytes in prop::collection::vec(any::<u8>(), 0..200), sealed: bool) {
            if sealed && bytes.len() > 1 {
                bytes[0] = VERSION;
                bytes[1] %= 14;
                bytes.extend_from_slice(&crc32fast::hash(&bytes).to_le_bytes());
            }
            if let Ok(message) = Message::decode(&bytes) {
                prop_assert_eq!(message.encode(), bytes);
            }
        }
    }
}
