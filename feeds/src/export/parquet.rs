//! Tables as Parquet: prices and sizes as `DECIMAL(38, scale)`, at the scale of the finest instrument of the file; times as
//! `TIMESTAMP(NANOS, UTC)`; texts with dictionaries; zstd.

use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::data_type::{
    BoolType, ByteArray, ByteArrayType, DataType, FixedLenByteArray, FixedLenByteArrayType, Int64Type,
};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::parser::parse_message_type;
use parquet::schema::types::ColumnPath;
use std::sync::Arc;

use super::output::OutputFile;
use super::table::{Cell, Column, Type, columns};
use super::{ExportError, Kind};
use crate::limits::EXPORT_ROW_GROUP_ROWS;
use crate::{Exponent, Instrument};

/// Of a decimal: what 128 bits hold in full.
const DIGITS: u32 = 38;
const DECIMAL_BYTES: usize = 16;

pub(super) struct ParquetFile {
    writer: SerializedFileWriter<OutputFile>,
    columns: Vec<Held>,
    rows: usize,
    scales: Scales,
}

/// Decimals of prices and of sizes.
#[derive(Clone, Copy)]
struct Scales {
    price: u8,
    size: u8,
}

/// A column of the row group at hand.
struct Held {
    column: Column,
    /// 1: there is a value; 0: nothing.
    levels: Vec<i16>,
    values: Values,
}

enum Values {
    Integers(Vec<i64>),
    Flags(Vec<bool>),
    Decimals(Vec<u8>),
    Texts { bytes: Vec<u8>, ends: Vec<usize> },
}

impl ParquetFile {
    pub(super) fn new(file: OutputFile, kind: Kind, instruments: &[Instrument]) -> Result<Self, ExportError> {
        let decimals = |exponent: fn(&Instrument) -> Exponent| {
            let exponents = instruments.iter().map(|instrument| exponent(instrument).get().min(0));
            exponents.map(i8::unsigned_abs).max().unwrap_or(0)
        };
        let scales = Scales {
            price: decimals(|instrument| instrument.price_exponent),
            size: decimals(|instrument| instrument.size_exponent),
        };
        let columns = columns(kind);
        let mut schema = format!("message {} {{", kind.name());
        let mut properties = WriterProperties::builder()
            .set_created_by(format!("tickwire {}", env!("CARGO_PKG_VERSION")))
            .set_compression(Compression::ZSTD(ZstdLevel::default()));
        for column in &columns {
            let presence = if column.is_optional { "OPTIONAL" } else { "REQUIRED" };
            let name = column.name;
            let holds = match column.holds {
                Type::Time => format!("INT64 {name} (TIMESTAMP(NANOS,true))"),
                Type::Count => format!("INT64 {name} (INTEGER(64,false))"),
                Type::Integer => format!("INT64 {name} (INTEGER(64,true))"),
                Type::Text => format!("BYTE_ARRAY {name} (STRING)"),
                Type::Flag => format!("BOOLEAN {name}"),
                Type::Price => decimal(name, scales.price),
                Type::Size => decimal(name, scales.size),
            };
            schema.push_str(&format!(" {presence} {holds};"));
            // What mostly grows is short as differences, and has few values twice.
            if matches!(column.holds, Type::Time | Type::Count) {
                let path = ColumnPath::from(name);
                properties = properties
                    .set_column_dictionary_enabled(path.clone(), false)
                    .set_column_encoding(path, Encoding::DELTA_BINARY_PACKED);
            }
        }
        schema.push_str(" }");
        let writer = parse_message_type(&schema).and_then(|schema| {
            SerializedFileWriter::new(file, Arc::new(schema), Arc::new(properties.build()))
        });
        Ok(Self {
            writer: writer.map_err(refused)?,
            columns: columns.into_iter().map(Held::new).collect(),
            rows: 0,
            scales,
        })
    }

    pub(super) fn row<'a>(
        &mut self,
        instrument: &Instrument,
        cells: impl Iterator<Item = &'a Cell<'a>>,
    ) -> Result<(), ExportError> {
        for (held, cell) in self.columns.iter_mut().zip(cells) {
            held.push(*cell, instrument, self.scales)?;
        }
        self.rows += 1;
        if self.rows == EXPORT_ROW_GROUP_ROWS { self.end_row_group() } else { Ok(()) }
    }

    pub(super) fn finish(mut self) -> Result<(), ExportError> {
        if self.rows > 0 {
            self.end_row_group()?;
        }
        let finished = self.writer.finish();
        finished.map_err(|error| self.error(error))?;
        self.writer.inner_mut().finish()
    }

    fn end_row_group(&mut self) -> Result<(), ExportError> {
        let columns = &mut self.columns;
        let written = self.writer.next_row_group().and_then(|mut group| {
            for held in columns {
                held.write(&mut group)?;
            }
            group.close()
        });
        self.rows = 0;
        written.map(drop).map_err(|error| self.error(error))
    }

    /// The file's own error, where the writer only hands it on.
    fn error(&self, error: ParquetError) -> ExportError {
        let error = match error {
            ParquetError::External(error) => match error.downcast::<std::io::Error>() {
                Ok(error) => *error,
                Err(error) => std::io::Error::other(error),
            },
            other => std::io::Error::other(other),
        };
        self.writer.inner().error(error)
    }
}

fn decimal(name: &str, scale: u8) -> String {
    format!("FIXED_LEN_BYTE_ARRAY({DECIMAL_BYTES}) {name} (DECIMAL({DIGITS},{scale}))")
}

/// Of what was never written to.
fn refused(error: ParquetError) -> ExportError {
    ExportError::Settings(format!("parquet: {error}"))
}

impl Held {
    fn new(column: Column) -> Self {
        let values = match column.holds {
            Type::Time | Type::Count | Type::Integer => Values::Integers(Vec::new()),
            Type::Flag => Values::Flags(Vec::new()),
            Type::Price | Type::Size => Values::Decimals(Vec::new()),
            Type::Text => Values::Texts { bytes: Vec::new(), ends: Vec::new() },
        };
        Self { column, levels: Vec::new(), values }
    }

    fn push(&mut self, cell: Cell<'_>, instrument: &Instrument, scales: Scales) -> Result<(), ExportError> {
        self.levels.push(i16::from(!matches!(cell, Cell::Nothing)));
        let Scales { price, size } = scales;
        match (cell, &mut self.values) {
            (Cell::Nothing, _) => {}
            (Cell::Time(time), Values::Integers(values)) => values.push(time.0),
            // The same bits: the column says that it has no sign.
            (Cell::Count(count), Values::Integers(values)) => values.push(count.cast_signed()),
            (Cell::Integer(integer), Values::Integers(values)) => values.push(integer),
            (Cell::Flag(flag), Values::Flags(values)) => values.push(flag),
            (Cell::Price(value), Values::Decimals(values)) => {
                let exponent = instrument.price_exponent;
                let scaled = scaled(value.0, exponent, price).ok_or_else(|| {
                    self.column.error(instrument, value.display(exponent).to_string(), price)
                })?;
                values.extend_from_slice(&scaled.to_be_bytes());
            }
            (Cell::Size(value), Values::Decimals(values)) => {
                let exponent = instrument.size_exponent;
                let scaled = scaled(value.0, exponent, size).ok_or_else(|| {
                    self.column.error(instrument, value.display(exponent).to_string(), size)
                })?;
                values.extend_from_slice(&scaled.to_be_bytes());
            }
            (Cell::Text(text), Values::Texts { bytes, ends }) => {
                bytes.extend_from_slice(text.as_bytes());
                ends.push(bytes.len());
            }
            (cell, _) => unreachable!("column {} is not of {cell:?}", self.column.name),
        }
        Ok(())
    }

    /// Writes the column, and begins it anew.
    fn write(&mut self, group: &mut SerializedRowGroupWriter<'_, OutputFile>) -> Result<(), ParquetError> {
        let levels = std::mem::take(&mut self.levels);
        let levels = self.column.is_optional.then_some(levels.as_slice());
        match &mut self.values {
            Values::Integers(values) => put::<Int64Type>(group, &std::mem::take(values), levels),
            Values::Flags(values) => put::<BoolType>(group, &std::mem::take(values), levels),
            Values::Decimals(bytes) => {
                let bytes = ByteArray::from(std::mem::take(bytes));
                let values: Vec<FixedLenByteArray> = (0..bytes.len() / DECIMAL_BYTES)
                    .map(|index| bytes.slice(index * DECIMAL_BYTES, DECIMAL_BYTES).into())
                    .collect();
                put::<FixedLenByteArrayType>(group, &values, levels)
            }
            Values::Texts { bytes, ends } => {
                let bytes = ByteArray::from(std::mem::take(bytes));
                let mut start = 0;
                let values: Vec<ByteArray> = std::mem::take(ends)
                    .into_iter()
                    .map(|end| {
                        let start = std::mem::replace(&mut start, end);
                        bytes.slice(start, end - start)
                    })
                    .collect();
                put::<ByteArrayType>(group, &values, levels)
            }
        }
    }
}

impl Column {
    fn error(self, instrument: &Instrument, text: String, decimals: u8) -> ExportError {
        ExportError::Number {
            symbol: instrument.symbol.clone(),
            field: self.name,
            text,
            reason: format!("parquet holds {DIGITS} digits, {decimals} of them decimals here"),
        }
    }
}

fn put<T: DataType>(
    group: &mut SerializedRowGroupWriter<'_, OutputFile>,
    values: &[T::T],
    levels: Option<&[i16]>,
) -> Result<(), ParquetError> {
    let column = group.next_column()?;
    let mut column = column.ok_or_else(|| ParquetError::General("a column too many".to_owned()))?;
    column.typed::<T>().write_batch(values, levels, None)?;
    column.close()
}

/// A mantissa at the scale of a column; `None` where it has more digits than that holds.
fn scaled(mantissa: i64, exponent: Exponent, decimals: u8) -> Option<i128> {
    let shift = i16::from(exponent.get()) + i16::from(decimals);
    let power = 10_i128.checked_pow(u32::try_from(shift).ok()?)?;
    let scaled = i128::from(mantissa).checked_mul(power)?;
    (scaled.unsigned_abs() < 10_u128.pow(DIGITS)).then_some(scaled)
}
