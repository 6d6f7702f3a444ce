//! How far a stream of server-sent events has come in all its topics: the `id` of an event, and the `Last-Event-ID` of a
//! client that comes back.
//!
//! Of one topic it is `epoch:seq`. Of several it is `epoch:~` and base64url (RFC 4648 section 5, without padding) of eight
//! bytes that mark the set of topics, the lowest first, and for each topic, in the order of their numbers, a `varint`: one
//! more than the number of the state that the client was sent last, or 0 where it holds none. Nobody but the server that
//! made it needs to read it.

use data_encoding::BASE64URL_NOPAD;

use super::binary::varint;

/// What stands before the numbers of several topics.
const SEVERAL: char = '~';

/// What a client that comes back holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// The run of the stream.
    pub epoch: String,
    held: Held,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Held {
    One(Option<u64>),
    Several { mark: u64, seqs: Vec<Option<u64>> },
}

/// Appends the `id` of a stream: `held` of each topic in their order, which `mark` is of.
pub fn write(out: &mut Vec<u8>, epoch: &str, mark: u64, held: impl ExactSizeIterator<Item = Option<u64>>) {
    out.extend_from_slice(epoch.as_bytes());
    out.push(b':');
    if held.len() == 1 {
        for seq in held.flatten() {
            out.extend_from_slice(itoa::Buffer::new().format(seq).as_bytes());
        }
        return;
    }
    let mut bytes = mark.to_le_bytes().to_vec();
    for seq in held {
        varint::put(&mut bytes, seq.map_or(0, |seq| seq.saturating_add(1)));
    }
    out.extend_from_slice(format!("{SEVERAL}{}", BASE64URL_NOPAD.encode(&bytes)).as_bytes());
}

impl Cursor {
    /// Reads an `id`; `None`: it is none of ours.
    #[must_use]
    pub fn parse(id: &str) -> Option<Self> {
        let (epoch, held) = id.rsplit_once(':')?;
        let held = match held.strip_prefix(SEVERAL) {
            None if held.is_empty() => Held::One(None),
            None if held.starts_with('+') => return None,
            None => Held::One(Some(held.parse().ok()?)),
            Some(text) => {
                let bytes = BASE64URL_NOPAD.decode(text.as_bytes()).ok()?;
                let (mark, numbers) = bytes.split_first_chunk()?;
                let mut numbers = varint::Reader::new(numbers);
                let mut seqs = Vec::new();
                while !numbers.is_empty() {
                    seqs.push(numbers.number().ok()?.checked_sub(1));
                }
                Held::Several { mark: u64::from_le_bytes(*mark), seqs }
            }
        };
        Some(Self { epoch: epoch.to_owned(), held })
    }

    /// What it says of that many topics with that mark, in their order; `None`: it is of other topics.
    #[must_use]
    pub fn of(self, mark: u64, topics: usize) -> Option<Vec<Option<u64>>> {
        match self.held {
            Held::One(seq) => (topics == 1).then(|| vec![seq]),
            Held::Several { mark: other, seqs } => (other == mark && seqs.len() == topics).then_some(seqs),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn written(mark: u64, held: &[Option<u64>]) -> String {
        let mut id = Vec::new();
        write(&mut id, "k3f9", mark, held.iter().copied());
        String::from_utf8(id).expect("ASCII")
    }

    #[test]
    fn of_one_topic_it_is_what_people_can_read() {
        assert_eq!(written(7, &[Some(918_240)]), "k3f9:918240");
        assert_eq!(written(7, &[None]), "k3f9:");
        let cursor = Cursor::parse("k3f9:918240").expect("an id");
        assert_eq!(cursor.epoch, "k3f9");
        assert_eq!(cursor.clone().of(1, 1), Some(vec![Some(918_240)]), "one topic has no mark");
        assert_eq!(cursor.of(7, 2), None);
    }

    #[test]
    fn what_is_none_of_ours_says_nothing() {
        for id in [
            "",
            "k3f9",
            "k3f9:+1",
            "k3f9:-1",
            "k3f9:1x",
            "k3f9:~",
            "k3f9:~AAAA",
            "k3f9:~AAAAAAAAAAA=",
            "k3f9:~AAAAAAAAAACA",
        ] {
            assert_eq!(Cursor::parse(id), None, "{id}");
        }
    }

    proptest! {
        #[test]
        fn what_was_written_is_read(mark: u64, held in prop::collection::vec(prop::option::of(0..u64::MAX), 2..50)) {
            let id = written(mark, &held);
            prop_assert!(id.bytes().all(|byte| byte.is_ascii_graphic()));
            let cursor = Cursor::parse(&id).expect("an id");
            prop_assert_eq!(cursor.clone().of(mark, held.len()), Some(held.clone()));
            prop_assert_eq!(cursor.clone().of(mark ^ 1, held.len()), None, "other topics");
            prop_assert_eq!(cursor.of(mark, held.len() + 1), None);
        }

        #[test]
        fn any_text_is_read_or_not(id in ".{0,80}") {
            let _ = Cursor::parse(&id);
        }
    }
}
