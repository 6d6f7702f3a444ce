//! Cuts a file into rows, and rows into fields.

use std::path::Path;

use csv_core::{ReadRecordResult, Reader};

use crate::limits::{CSV_COLUMNS_MAX, CSV_ROW_BYTES_MAX};
use crate::{FeedError, Input};

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";
/// What the buffers begin with.
const BYTES: usize = 4_096;
const FIELDS: usize = 64;

/// The rows of a file, one after the other.
pub(super) struct Rows {
    input: Input,
    reader: Reader,
    bytes: Vec<u8>,
    /// Where each field of the row ends.
    ends: Vec<usize>,
    count: usize,
    /// Where the row that was read last begins.
    offset: u64,
    /// Fields that every row has.
    columns: Option<usize>,
    /// A row that is to be read again.
    is_put_back: bool,
}

impl Rows {
    pub(super) fn open(path: &Path) -> Result<Self, FeedError> {
        let mut input = Input::open(path)?;
        if input.peek()?.starts_with(BYTE_ORDER_MARK) {
            input.consume(BYTE_ORDER_MARK.len());
        }
        Ok(Self {
            input,
            reader: Reader::new(),
            bytes: vec![0; BYTES],
            ends: vec![0; FIELDS],
            count: 0,
            offset: 0,
            columns: None,
            is_put_back: false,
        })
    }

    /// From now on a row with more or fewer fields is damage.
    pub(super) const fn expect_columns(&mut self, count: usize) {
        self.columns = Some(count);
    }

    /// Reads the next row; `false` at the end. Empty lines are none.
    pub(super) fn next_row(&mut self) -> Result<bool, FeedError> {
        if std::mem::take(&mut self.is_put_back) {
            return Ok(true);
        }
        self.skip_line_ends()?;
        self.offset = self.input.offset();
        let (mut length, mut count) = (0, 0);
        loop {
            let input = self.input.peek()?;
            let (result, consumed, written, ended) =
                self.reader.read_record(input, &mut self.bytes[length..], &mut self.ends[count..]);
            self.input.consume(consumed);
            length += written;
            count += ended;
            match result {
                ReadRecordResult::InputEmpty => {}
                ReadRecordResult::OutputFull if length < CSV_ROW_BYTES_MAX => {
                    self.bytes.resize((length * 2).min(CSV_ROW_BYTES_MAX), 0);
                }
                ReadRecordResult::OutputEndsFull if count < CSV_COLUMNS_MAX => {
                    self.ends.resize((count * 2).min(CSV_COLUMNS_MAX), 0);
                }
                ReadRecordResult::OutputFull => {
                    return Err(self.damaged(format!("a row is longer than {CSV_ROW_BYTES_MAX} bytes")));
                }
                ReadRecordResult::OutputEndsFull => {
                    return Err(self.damaged(format!("a row has more than {CSV_COLUMNS_MAX} columns")));
                }
                ReadRecordResult::Record => break,
                ReadRecordResult::End => return Ok(false),
            }
        }
        self.count = count;
        match self.columns {
            Some(columns) if columns != count => {
                Err(self.damaged(format!("a row of {count} columns, where there are {columns}")))
            }
            _ => Ok(true),
        }
    }

    /// Where the row that was read last begins.
    pub(super) const fn offset(&self) -> u64 {
        self.offset
    }

    /// The row that was read last comes once more.
    pub(super) const fn put_back(&mut self) {
        self.is_put_back = true;
    }

    pub(super) fn fields(&self) -> impl Iterator<Item = &[u8]> {
        (0..self.count).map(|index| self.field(index))
    }

    /// A field of the row; empty where the row has no such column.
    pub(super) fn field(&self, index: usize) -> &[u8] {
        let start = index.checked_sub(1).map_or(0, |before| self.ends.get(before).copied().unwrap_or(0));
        match self.ends[..self.count].get(index) {
            Some(end) => &self.bytes[start..*end],
            None => &[],
        }
    }

    /// The error for the row that was read last.
    pub(super) fn damaged(&self, reason: String) -> FeedError {
        self.input.damaged(reason).at(self.offset)
    }

    /// So that a row's offset is that of its first byte.
    fn skip_line_ends(&mut self) -> Result<(), FeedError> {
        loop {
            let input = self.input.peek()?;
            let count = input.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
            if count == 0 {
                return Ok(());
            }
            self.input.consume(count);
        }
    }
}

/// The fields of the first line, if there is a whole one.
pub(super) fn header(head: &[u8]) -> Option<Vec<&[u8]>> {
    let head = head.strip_prefix(BYTE_ORDER_MARK).unwrap_or(head);
    // The header of a book of many levels is longer than what is looked at: its first columns tell enough.
    let line = head.split(|byte| *byte == b'\n').next()?;
    Some(line.trim_ascii_end().split(|byte| *byte == b',').collect())
}
