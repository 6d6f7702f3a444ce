//! The only member of a zip archive, as exchanges offer recordings for download.
//!
//! Read from the front, without seeking to the directory at the archive's end
//! ([format](https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT), sections 4.3.7 to 4.3.9):
//!
//! ```text
//! PK\3\4 version flags method time date crc size' size name-length extra-length   30 bytes, little-endian
//! name, extra, data
//! [PK\7\8] crc size' size                                                        where flag 8 is set
//! PK\1\2 …
//! ```
//!
//! The checksum is compared at the end, and what follows must be the directory: an archive of several members is refused.

use std::io::{self, BufRead, Read};

use crc32fast::Hasher;
use flate2::bufread::DeflateDecoder;

pub(super) const MAGIC: [u8; 4] = *b"PK\x03\x04";
const DESCRIPTOR_MAGIC: &[u8] = b"PK\x07\x08";
const DIRECTORY_MAGIC: &[u8] = b"PK\x01\x02";
const HEADER_BYTES: usize = 30;
const ENCRYPTED_FLAG: u16 = 1;
const DESCRIPTOR_FLAG: u16 = 8;
const STORED: u16 = 0;
const DEFLATED: u16 = 8;
/// In a field of 32 bits: the size is in the extra field. Such a stored member is refused.
const SIZE_ELSEWHERE: u32 = u32::MAX;

/// The bytes of the member.
pub(super) struct Member<R> {
    data: Data<R>,
    hasher: Hasher,
    /// `None`: it stands behind the data.
    crc: Option<u32>,
    is_checked: bool,
}

enum Data<R> {
    Stored(io::Take<R>),
    Deflated(DeflateDecoder<R>),
}

impl<R: BufRead> Member<R> {
    /// Reads the header of an archive that begins with [`MAGIC`].
    pub(super) fn open(mut archive: R) -> io::Result<Self> {
        let mut header = [0; HEADER_BYTES];
        archive.read_exact(&mut header)?;
        let short = |at: usize| u16::from_le_bytes([header[at], header[at + 1]]);
        let long =
            |at: usize| u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
        let (flags, method, crc, size) = (short(6), short(8), long(14), long(18));
        let name_and_extra = u64::from(short(26)) + u64::from(short(28));
        if io::copy(&mut (&mut archive).take(name_and_extra), &mut io::sink())? < name_and_extra {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if flags & ENCRYPTED_FLAG != 0 {
            return Err(invalid("the archive is encrypted"));
        }
        let has_descriptor = flags & DESCRIPTOR_FLAG != 0;
        let data = match method {
            STORED if has_descriptor || size == SIZE_ELSEWHERE => {
                return Err(invalid("the archive does not begin with the size of its member"));
            }
            STORED => Data::Stored(archive.take(u64::from(size))),
            DEFLATED => Data::Deflated(DeflateDecoder::new(archive)),
            _ => return Err(invalid("the archive is compressed neither by deflate nor not at all")),
        };
        let crc = (!has_descriptor).then_some(crc);
        Ok(Self { data, hasher: Hasher::new(), crc, is_checked: false })
    }

    /// Compares what was read with what the archive says behind it.
    fn check(&mut self) -> io::Result<()> {
        let archive = match &mut self.data {
            Data::Stored(data) if data.limit() > 0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            Data::Stored(data) => data.get_mut(),
            Data::Deflated(data) => data.get_mut(),
        };
        // The longest descriptor, and the magic number behind it.
        let mut behind = Vec::with_capacity(28);
        archive.take(28).read_to_end(&mut behind)?;
        let mut rest = &behind[..];
        let crc = match self.crc {
            Some(crc) => crc,
            None => {
                rest = rest.strip_prefix(DESCRIPTOR_MAGIC).unwrap_or(rest);
                let (crc, sizes) = rest.split_first_chunk().ok_or(io::ErrorKind::UnexpectedEof)?;
                // Two sizes, of 32 or of 64 bits.
                let is_short = sizes.get(8..).is_some_and(|rest| rest.starts_with(&MAGIC[..2]));
                rest = sizes.get(if is_short { 8 } else { 16 }..).unwrap_or_default();
                u32::from_le_bytes(*crc)
            }
        };
        if self.hasher.clone().finalize() != crc {
            return Err(invalid("the checksum of the archive's member is wrong"));
        }
        if rest.starts_with(&MAGIC) {
            return Err(invalid("the archive has several members"));
        }
        if !rest.starts_with(DIRECTORY_MAGIC) {
            return Err(invalid("the archive has no directory behind its member"));
        }
        self.is_checked = true;
        Ok(())
    }
}

impl<R: BufRead> Read for Member<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = match &mut self.data {
            Data::Stored(data) => data.read(buffer)?,
            Data::Deflated(data) => data.read(buffer)?,
        };
        self.hasher.update(&buffer[..count]);
        if count == 0 && !buffer.is_empty() && !self.is_checked {
            self.check()?;
        }
        Ok(count)
    }
}

fn invalid(reason: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason)
}

#[cfg(test)]
pub(crate) mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::DeflateEncoder;
    use proptest::prelude::*;

    use super::*;

    #[derive(Clone, Copy, Debug)]
    pub(crate) enum How {
        Stored,
        Deflated,
        /// With the sizes behind the data, as those write who do not know them before.
        Streamed,
    }

    /// An archive of these members.
    pub(crate) fn archive(members: &[&[u8]], how: How) -> Vec<u8> {
        let mut archive = Vec::new();
        for member in members {
            let mut encoder = DeflateEncoder::new(Vec::new(), Compression::fast());
            encoder.write_all(member).expect("memory");
            let packed = encoder.finish().expect("memory");
            let (method, data, flags) = match how {
                How::Stored => (STORED, *member, 0),
                How::Deflated => (DEFLATED, &packed[..], 0),
                How::Streamed => (DEFLATED, &packed[..], DESCRIPTOR_FLAG),
            };
            let length = |bytes: &[u8]| u32::try_from(bytes.len()).expect("small").to_le_bytes();
            let sizes = [crc32fast::hash(member).to_le_bytes(), length(data), length(member)].concat();
            archive.extend(MAGIC);
            archive.extend([20, 0].into_iter().chain(flags.to_le_bytes()).chain(method.to_le_bytes()));
            archive.extend([0; 4]);
            archive.extend(if flags == 0 { sizes.clone() } else { vec![0; 12] });
            archive.extend([4, 0, 3, 0]);
            archive.extend(b"nameext");
            archive.extend(data);
            if flags != 0 {
                archive.extend(DESCRIPTOR_MAGIC);
                archive.extend(sizes);
            }
        }
        archive.extend(DIRECTORY_MAGIC);
        archive.extend([0; 42]);
        archive
    }

    fn read(archive: &[u8]) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        Member::open(archive)?.read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    const WAYS: [How; 3] = [How::Stored, How::Deflated, How::Streamed];

    #[test]
    fn the_member_is_read_whole() {
        let long = [b"0123456789".repeat(10_000), vec![7]].concat();
        for how in WAYS {
            for member in [&b""[..], b"one", &long] {
                assert_eq!(read(&archive(&[member], how)).expect("undamaged"), member, "{how:?}");
            }
        }
        // A descriptor needs no magic number.
        let mut bare = archive(&[b"one"], How::Streamed);
        let at = bare.windows(4).position(|bytes| bytes == DESCRIPTOR_MAGIC).expect("is there");
        bare.drain(at..at + 4);
        assert_eq!(read(&bare).expect("undamaged"), b"one");
    }

    #[test]
    fn what_is_not_whole_or_not_one_member_is_refused() {
        let reason = |archive: &[u8]| read(archive).expect_err("refused").to_string();
        for how in WAYS {
            let whole = archive(&[b"one"], how);
            let directory = whole.len() - 46;
            for length in 0..directory + 4 {
                read(&whole[..length]).expect_err("cut off");
            }
            let two = archive(&[b"one", b"two"], how);
            assert_eq!(reason(&two), "the archive has several members");
        }
        let change = |at: usize, byte: u8| {
            let mut archive = archive(&[b"one"], How::Stored);
            archive[at] = byte;
            archive
        };
        assert_eq!(reason(&change(6, 1)), "the archive is encrypted");
        assert_eq!(reason(&change(6, 8)), "the archive does not begin with the size of its member");
        assert_eq!(reason(&change(8, 12)), "the archive is compressed neither by deflate nor not at all");
        assert_eq!(reason(&change(37, b'x')), "the checksum of the archive's member is wrong");
        assert_eq!(reason(&change(40, b'x')), "the archive has no directory behind its member");
    }

    proptest! {
        #[test]
        fn any_change_is_refused_or_harmless(
            member in prop::collection::vec(any::<u8>(), 0..200),
            way in 0_usize..3,
            at: prop::sample::Index,
            byte: u8,
        ) {
            let mut changed = archive(&[&member], WAYS[way]);
            let at = at.index(changed.len());
            changed[at] = byte;
            if let Ok(bytes) = read(&changed) {
                prop_assert_eq!(bytes, member);
            }
        }
    }
}
