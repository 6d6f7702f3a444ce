//! The list of the segments that are complete.

use std::fmt::Write;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use super::disk::MANIFEST;
use super::layout::{Hash, Span, hex};
use crate::limits::{MANIFEST_LINE_BYTES_MAX, SEGMENTS_MAX};
use crate::{FeedError, Timestamp};

/// A segment that nothing will be added to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SegmentEntry {
    /// Whether it has an index; else it ended when the disk failed, or the recorder was killed.
    pub(super) is_sealed: bool,
    /// Up to the end of its last frame.
    pub(super) bytes: u64,
    pub(super) span: Span,
    /// Of its last frame.
    pub(super) hash: Hash,
}

const TITLE: &str = "tickwire recording 1\n";
const SEALED: &str = "sealed";
const CUT: &str = "cut";

/// The text of a manifest: segments are numbered from 1.
pub(super) fn write(segments: &[SegmentEntry]) -> String {
    let mut text = TITLE.to_owned();
    for (number, segment) in (1..).zip(segments) {
        let SegmentEntry { is_sealed, bytes, span, hash } = segment;
        let kind = if *is_sealed { SEALED } else { CUT };
        let (records, earliest, latest) = (span.records, span.earliest.0, span.latest.0);
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{number} {kind} {bytes} {records} {earliest} {latest} {}", hex(hash));
    }
    let end = blake3::hash(text.as_bytes()).to_hex();
    let _ = writeln!(text, "end {end}");
    text
}

/// Reads the manifest of a folder; one that is not there lists nothing.
pub(super) fn read(folder: &Path) -> Result<Vec<SegmentEntry>, FeedError> {
    let path = folder.join(MANIFEST);
    let mut text = String::new();
    let result = File::open(&path)
        .and_then(|file| file.take(SEGMENTS_MAX * MANIFEST_LINE_BYTES_MAX).read_to_string(&mut text));
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(source) => return Err(FeedError::Io { path, offset: None, source }),
        Ok(_) => {}
    }
    parse(&text).map_err(|(offset, reason)| FeedError::Damaged {
        path,
        offset: offset as u64,
        reason: reason.to_owned(),
    })
}

/// On failure: where, and why.
fn parse(text: &str) -> Result<Vec<SegmentEntry>, (usize, &'static str)> {
    let rest = text.strip_prefix(TITLE).ok_or((0, "no manifest of a recording"))?;
    let mut offset = TITLE.len();
    let mut segments = Vec::new();
    for line in rest.split_inclusive('\n') {
        if let Some(end) = line.strip_prefix("end ") {
            if end.trim_end_matches('\n') != blake3::hash(&text.as_bytes()[..offset]).to_hex().as_str() {
                return Err((0, "its hash is not the one at its end: something in it has changed"));
            }
            return match offset + line.len() {
                end if end == text.len() => Ok(segments),
                end => Err((end, "something stands behind the end")),
            };
        }
        let segment = parse_line(line, segments.len() + 1).ok_or((offset, "no line of a manifest"))?;
        segments.push(segment);
        offset += line.len();
    }
    Err((offset, "the end is missing"))
}

fn parse_line(line: &str, number: usize) -> Option<SegmentEntry> {
    let mut words = line.strip_suffix('\n')?.split(' ');
    let mut word = || words.next();
    if word()?.parse() != Ok(number) {
        return None;
    }
    let is_sealed = match word()? {
        SEALED => true,
        CUT => false,
        _ => return None,
    };
    let bytes = word()?.parse().ok()?;
    let span = Span {
        records: word()?.parse().ok()?,
        earliest: Timestamp(word()?.parse().ok()?),
        latest: Timestamp(word()?.parse().ok()?),
    };
    let hash = blake3::Hash::from_hex(word()?).ok()?.into();
    words.next().is_none().then_some(SegmentEntry { is_sealed, bytes, span, hash })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_is_read_as_it_was_written_and_any_change_is_noticed() {
        let segment = |is_sealed, bytes, earliest| SegmentEntry {
            is_sealed,
            bytes,
            span: Span { records: 7, earliest: Timestamp(earliest), latest: Timestamp(5) },
            hash: [bytes.to_le_bytes()[0]; 32],
        };
        for segments in
            [vec![], vec![segment(true, 300, -4)], vec![segment(true, 1, 2), segment(false, 2, 3)]]
        {
            let text = write(&segments);
            assert_eq!(parse(&text), Ok(segments));
            for at in 0..text.len() {
                assert!(at == text.len() - 1 || parse(&text[..at]).is_err(), "cut at {at}");
                let mut changed = text.clone().into_bytes();
                changed[at] ^= 1;
                if let Ok(changed) = String::from_utf8(changed) {
                    assert!(parse(&changed).is_err(), "{changed}");
                }
            }
        }
    }
}
