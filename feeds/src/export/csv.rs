//! Tables as CSV: a header, then a row a line, nothing between two commas where there is nothing.

use super::output::OutputFile;
use super::table::{Cell, columns};
use super::{ExportError, Kind};
use crate::Instrument;

pub(super) struct CsvFile {
    file: OutputFile,
    line: Vec<u8>,
}

impl CsvFile {
    pub(super) fn new(mut file: OutputFile, kind: Kind) -> Result<Self, ExportError> {
        let names: Vec<_> = columns(kind).iter().map(|column| column.name).collect();
        file.put(format!("{}\n", names.join(",")).as_bytes())?;
        Ok(Self { file, line: Vec::new() })
    }

    pub(super) fn row<'a>(
        &mut self,
        instrument: &Instrument,
        cells: impl Iterator<Item = &'a Cell<'a>>,
    ) -> Result<(), ExportError> {
        self.line.clear();
        for cell in cells {
            write(*cell, instrument, &mut self.line);
            self.line.push(b',');
        }
        self.line.pop();
        self.line.push(b'\n');
        self.file.put(&self.line)
    }

    pub(super) fn finish(mut self) -> Result<(), ExportError> {
        self.file.finish()
    }
}

fn write(cell: Cell<'_>, instrument: &Instrument, line: &mut Vec<u8>) {
    let mut digits = itoa::Buffer::new();
    match cell {
        Cell::Nothing => {}
        Cell::Time(time) => line.extend_from_slice(digits.format(time.0).as_bytes()),
        Cell::Count(count) => line.extend_from_slice(digits.format(count).as_bytes()),
        Cell::Integer(integer) => line.extend_from_slice(digits.format(integer).as_bytes()),
        Cell::Flag(flag) => line.extend_from_slice(if flag { b"true" } else { b"false" }),
        Cell::Price(price) => price.write(instrument.price_exponent, line),
        Cell::Size(size) => size.write(instrument.size_exponent, line),
        Cell::Text(text) if text.contains([',', '"', '\r', '\n']) => {
            line.push(b'"');
            line.extend_from_slice(text.replace('"', "\"\"").as_bytes());
            line.push(b'"');
        }
        Cell::Text(text) => line.extend_from_slice(text.as_bytes()),
    }
}
