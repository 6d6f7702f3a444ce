//! Cuts a file into records.

use std::mem::{align_of, size_of};
use std::path::Path;

use dbn::decode::dbn::fsm::{DbnFsm, ProcessResult};
use dbn::{Metadata, RecordRef, rtype, v1, v2, v3};

use super::MAGIC;
use crate::limits::DBN_METADATA_BYTES_MAX;
use crate::{FeedError, Input};

/// `DBN`, the version, and the length of the metadata.
const PRELUDE_BYTES: usize = 8;
/// The part of the metadata that has the same length in all files of a version; version 1 counts its records in it,
/// later ones tell how long a symbol is.
const METADATA_FIXED_BYTES: usize = 100;
/// Where they tell it.
const SYMBOL_LENGTH_OFFSET: usize = 45;
const VERSION_MAX: u8 = 3;
const WORD_BYTES: usize = 4;
const HEADER_BYTES: usize = size_of::<v3::RecordHeader>();
/// Records begin at a multiple of it, which the dbn crate relies on when it reads them in place.
const RECORD_ALIGNMENT: usize = align_of::<v3::RecordHeader>();
const TS_OUT_BYTES: usize = size_of::<u64>();

/// The records of a file, one after the other, each as of version 3.
///
/// The dbn crate's state machine decodes them. It takes the file's word for lengths, and panics where a record is
/// shorter than its type: so whatever tells a length is checked before the bytes are handed over.
pub(super) struct Records {
    input: Input,
    machine: DbnFsm,
    version: u8,
    has_ts_out: bool,
    /// Where the record that was read last begins.
    record_offset: u64,
}

impl Records {
    pub(super) fn open(path: &Path) -> Result<(Self, Metadata), FeedError> {
        let mut input = Input::open(path)?;
        let mut head = [0; PRELUDE_BYTES + METADATA_FIXED_BYTES];
        let at_start = |reason| FeedError::Damaged { path: path.to_owned(), offset: 0, reason };
        if !input.read_exact_or_end(&mut head)? {
            return Err(at_start("empty".to_owned()));
        }
        let version = check_head(&head).map_err(at_start)?;
        let mut machine = DbnFsm::new(DbnFsm::DEFAULT_BUF_SIZE, 0);
        machine.write_all(&head);
        let mut records = Self { input, machine, version, has_ts_out: false, record_offset: 0 };
        loop {
            match records.machine.process() {
                ProcessResult::Metadata(metadata) => {
                    records.has_ts_out = metadata.ts_out;
                    return Ok((records, metadata));
                }
                ProcessResult::ReadMore(missing) => {
                    if !records.fill()? {
                        let reason = format!("the file ends {missing} bytes before its metadata do");
                        return Err(records.input.damaged(reason));
                    }
                }
                ProcessResult::Err(error) => return Err(records.damaged(format!("metadata: {error}"))),
                ProcessResult::Record(()) => return Err(records.damaged("no metadata".to_owned())),
            }
        }
    }

    /// Goes to the next record; `false` at the end. After an error the position is within a record: do not go on.
    pub(super) fn advance(&mut self) -> Result<bool, FeedError> {
        loop {
            let data = self.machine.data();
            self.record_offset = self.input.offset() - data.len() as u64;
            if let Some(header) = data.get(..HEADER_BYTES) {
                let bytes = self.check_header(header).map_err(|reason| self.damaged(reason))?;
                if bytes <= data.len() {
                    return match self.machine.process() {
                        ProcessResult::Record(()) => Ok(true),
                        ProcessResult::Err(error) => Err(self.damaged(error.to_string())),
                        ProcessResult::ReadMore(_) | ProcessResult::Metadata(_) => {
                            Err(self.damaged("not a record".to_owned()))
                        }
                    };
                }
            }
            let left = data.len();
            if !self.fill()? {
                return match left {
                    0 => Ok(false),
                    _ => Err(self.damaged(format!("the file ends {left} bytes into a record"))),
                };
            }
        }
    }

    /// The record that [`Self::advance`] went to.
    pub(super) fn record(&self) -> Result<RecordRef<'_>, FeedError> {
        self.machine.last_record().ok_or_else(|| self.damaged("no record".to_owned()))
    }

    /// The error for a record that was read last and cannot be right.
    pub(super) fn damaged(&self, reason: String) -> FeedError {
        let path = self.input.path().to_owned();
        FeedError::Damaged { path, offset: self.record_offset, reason }
    }

    /// Reads more; `false` at the end of the file.
    fn fill(&mut self) -> Result<bool, FeedError> {
        let count = self.input.read(self.machine.space())?;
        self.machine.fill(count);
        Ok(count > 0)
    }

    /// The length of a record, if it is what it must be for its type. Types that are not known may have any that leaves
    /// the next record in step.
    fn check_header(&self, header: &[u8]) -> Result<usize, String> {
        let (bytes, kind) = (usize::from(header[0]) * WORD_BYTES, header[1]);
        if bytes < HEADER_BYTES {
            return Err(format!("a record of {bytes} bytes, where a header alone has {HEADER_BYTES}"));
        }
        let ts_out_bytes = if self.has_ts_out { TS_OUT_BYTES } else { 0 };
        match record_bytes(self.version, kind).map(|expected| expected + ts_out_bytes) {
            Some(expected) if bytes != expected => Err(format!(
                "a record of type {kind:#04x} has {bytes} bytes, where version {} has {expected}",
                self.version
            )),
            None if !bytes.is_multiple_of(RECORD_ALIGNMENT) => Err(format!(
                "a record of type {kind:#04x} has {bytes} bytes, which are no multiple of {RECORD_ALIGNMENT}"
            )),
            _ => Ok(bytes),
        }
    }
}

/// Whether these may be the first bytes of a fragment: of records without the metadata before them.
pub(super) fn is_fragment(head: &[u8]) -> bool {
    let &[words, kind, ..] = head else { return false };
    let bytes = usize::from(words) * WORD_BYTES;
    (1..=VERSION_MAX).any(|version| {
        record_bytes(version, kind)
            .is_some_and(|expected| [expected, expected + TS_OUT_BYTES].contains(&bytes))
    })
}

/// The length of all records of a known type.
const fn record_bytes(version: u8, kind: u8) -> Option<usize> {
    Some(match (kind, version) {
        (rtype::MBP_0, _) => size_of::<v3::TradeMsg>(),
        (rtype::MBP_1, _) => size_of::<v3::Mbp1Msg>(),
        (rtype::MBP_10, _) => size_of::<v3::Mbp10Msg>(),
        (rtype::OHLCV_1S..=rtype::OHLCV_EOD | 0x11, _) => size_of::<v3::OhlcvMsg>(),
        (rtype::STATUS, _) => size_of::<v3::StatusMsg>(),
        (rtype::INSTRUMENT_DEF, 1) => size_of::<v1::InstrumentDefMsg>(),
        (rtype::INSTRUMENT_DEF, 2) => size_of::<v2::InstrumentDefMsg>(),
        (rtype::INSTRUMENT_DEF, _) => size_of::<v3::InstrumentDefMsg>(),
        (rtype::IMBALANCE, _) => size_of::<v3::ImbalanceMsg>(),
        (rtype::ERROR, 1) => size_of::<v1::ErrorMsg>(),
        (rtype::ERROR, _) => size_of::<v3::ErrorMsg>(),
        (rtype::SYMBOL_MAPPING, 1) => size_of::<v1::SymbolMappingMsg>(),
        (rtype::SYMBOL_MAPPING, _) => size_of::<v3::SymbolMappingMsg>(),
        (rtype::SYSTEM, 1) => size_of::<v1::SystemMsg>(),
        (rtype::SYSTEM, _) => size_of::<v3::SystemMsg>(),
        (rtype::STATISTICS, 1 | 2) => size_of::<v1::StatMsg>(),
        (rtype::STATISTICS, _) => size_of::<v3::StatMsg>(),
        (rtype::MBO, _) => size_of::<v3::MboMsg>(),
        (rtype::CMBP_1 | rtype::TCBBO, _) => size_of::<v3::Cmbp1Msg>(),
        (rtype::CBBO_1S | rtype::CBBO_1M, _) => size_of::<v3::CbboMsg>(),
        (rtype::BBO_1S | rtype::BBO_1M, _) => size_of::<v3::BboMsg>(),
        _ => return None,
    })
}

/// The version of a file whose metadata may be read.
fn check_head(head: &[u8; PRELUDE_BYTES + METADATA_FIXED_BYTES]) -> Result<u8, String> {
    let [magic @ .., version, l0, l1, l2, l3] = &head[..PRELUDE_BYTES] else {
        return Err("no metadata".to_owned());
    };
    if magic != MAGIC {
        return Err(format!("begins with `{}`, where `DBN` must be", magic.escape_ascii()));
    }
    if !(1..=VERSION_MAX).contains(version) {
        return Err(format!("version {version} of DBN, where 1 to {VERSION_MAX} are known"));
    }
    let length = u32::from_le_bytes([*l0, *l1, *l2, *l3]) as usize;
    if !(METADATA_FIXED_BYTES..=DBN_METADATA_BYTES_MAX).contains(&length) {
        return Err(format!(
            "metadata of {length} bytes, where {METADATA_FIXED_BYTES} to {DBN_METADATA_BYTES_MAX} are read"
        ));
    }
    let at = PRELUDE_BYTES + SYMBOL_LENGTH_OFFSET;
    let symbol_bytes = usize::from(u16::from_le_bytes([head[at], head[at + 1]]));
    // A symbol of no bytes would let a short file claim any number of them.
    if *version > 1 && symbol_bytes < v1::SYMBOL_CSTR_LEN {
        return Err(format!("symbols of {symbol_bytes} bytes, where {} is the least", v1::SYMBOL_CSTR_LEN));
    }
    Ok(*version)
}
