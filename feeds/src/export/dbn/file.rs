//! A DBN file: its metadata, which tell in the end what it holds, and its records.

use std::num::NonZeroU64;

use dbn::encode::dbn::{MetadataEncoder, RecordEncoder};
use dbn::encode::{DbnEncodable, EncodeRecord};
use dbn::{MappingInterval, Metadata, SType, Schema, SymbolMapping};

use super::super::ExportError;
use super::super::output::OutputFile;

/// What the metadata name.
pub(super) struct Symbols {
    pub(super) dataset: &'static str,
    /// By the numbers of instruments, from 1.
    pub(super) names: Vec<String>,
}

pub(super) struct DbnFile {
    file: OutputFile,
    metadata_bytes: usize,
    /// Of the records so far; `Some(None)`: of several.
    schema: Option<Option<Schema>>,
    /// The first and the last of their times.
    span: Option<(u64, u64)>,
}

impl DbnFile {
    pub(super) fn new(file: OutputFile, symbols: &Symbols) -> Result<Self, ExportError> {
        let mut file = Self { file, metadata_bytes: 0, schema: None, span: None };
        let metadata = file.metadata(symbols)?;
        file.metadata_bytes = metadata.len();
        file.file.put(&metadata)?;
        Ok(file)
    }

    pub(super) fn put<R: DbnEncodable>(
        &mut self,
        schema: Schema,
        ts_event: u64,
        ts_recv: u64,
        record: &R,
    ) -> Result<(), ExportError> {
        self.schema = Some(match self.schema {
            None => Some(schema),
            Some(held) => held.filter(|held| *held == schema),
        });
        let (first, last) = self.span.get_or_insert((ts_event, ts_event));
        *first = ts_event.min(ts_recv).min(*first);
        *last = ts_event.max(ts_recv).max(*last);
        let encoded = RecordEncoder::new(&mut self.file).encode_record(record);
        encoded.map_err(|error| self.error(error))
    }

    /// Writes the metadata once more, now that they are known: they are as long as before.
    pub(super) fn finish(mut self, symbols: &Symbols) -> Result<(), ExportError> {
        let metadata = self.metadata(symbols)?;
        assert_eq!(metadata.len(), self.metadata_bytes, "the metadata's length depends on symbols alone");
        self.file.put_at_start(&metadata)?;
        self.file.finish()
    }

    fn metadata(&self, symbols: &Symbols) -> Result<Vec<u8>, ExportError> {
        let (start, last) = self.span.unwrap_or_default();
        // Databento's dates are of these times: this spares another crate for them.
        let day = |time: u64| Metadata::builder().dataset("").schema(None).start(time);
        let dates = [start, last]
            .map(|time| day(time).stype_in(None).stype_out(SType::InstrumentId).build().start().date());
        let [start_date, last_date] = dates;
        let end_date = last_date.next_day().unwrap_or(last_date);
        let mapping = |(name, number): (&String, usize)| SymbolMapping {
            raw_symbol: name.clone(),
            intervals: vec![MappingInterval { start_date, end_date, symbol: number.to_string() }],
        };
        let metadata = Metadata::builder()
            .dataset(symbols.dataset)
            .schema(self.schema.flatten())
            .start(start)
            .end(NonZeroU64::new(last.saturating_add(1)))
            .stype_in(Some(SType::RawSymbol))
            .stype_out(SType::InstrumentId)
            .symbols(symbols.names.clone())
            .mappings(symbols.names.iter().zip(1..).map(mapping).collect())
            .build();
        let mut bytes = Vec::new();
        MetadataEncoder::new(&mut bytes).encode(&metadata).map_err(|error| self.error(error))?;
        Ok(bytes)
    }

    fn error(&self, error: dbn::Error) -> ExportError {
        self.file.error(match error {
            dbn::Error::Io { source, .. } => source,
            other => std::io::Error::other(other),
        })
    }
}
