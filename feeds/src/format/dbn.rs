//! Databento Binary Encoding, versions 1 to 3: metadata, then records; every number little-endian, prices in units of
//! 10⁻⁹.
//!
//! ```text
//! 44 42 4e 03 60 01 00 00   47 4c 42 58 2e 4d 44 50 33 …   0e a0 01 00 e2 15 00 00 …
//! D  B  N  v3 352 bytes     G  L  B  X  .  M  D  P  3      56 bytes, mbo, publisher 1, instrument 5602
//! ```
//!
//! Fragments (`.dbn.frag`), which have no metadata, are refused: nothing in them tells their version.

mod directory;
mod events;
mod names;
mod prices;
mod records;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::Path;

use dbn::{
    BboMsg, CbboMsg, Cmbp1Msg, Dataset, ImbalanceMsg, InstrumentDefMsg, MboMsg, Mbp1Msg, Mbp10Msg, RecordRef,
    Schema, StatMsg, StatusMsg, SymbolMappingMsg, TradeMsg, UNDEF_TIMESTAMP, rtype,
};

use crate::limits::DBN_EVENT_RECORDS_MAX;
use crate::{Exponent, FeedError, Instrument, MarketEvent, Symbol, Timestamp};
use directory::Directory;
use events::Session;
use names::Names;
use records::Records;

/// What every file begins with.
pub(crate) const MAGIC: &[u8] = b"DBN";
/// The venue of a publisher that is not known here.
const DATABENTO: &str = "DATABENTO";

/// Whether these may be the first bytes of records without the metadata that belongs before them.
pub(crate) fn is_fragment(head: &[u8]) -> bool {
    records::is_fragment(head)
}

/// Reads a DBN file from its first record to its last.
///
/// What the records become:
/// - `mbo`: `A` adds an order, `M` changes it, `C` cancels that much of it, `R` clears the book, `T` is a trade. `F`, the
///   fill of a resting order, says nothing that the `T` before and the `C` after it do not. The records of an event, up
///   to the last one's flag, are one message, and so is a snapshot; one that has no such flag ends where the next
///   begins. A top-of-book record (flag `TOB`) is a quote.
/// - `mbp-10`: a snapshot at first, and then the levels that changed; with `T` a trade too.
/// - `mbp-1`, `tbbo`, `cmbp-1`, `tcbbo`: a quote, and with `T` a trade. `bbo`, `cbbo`: a quote at the end of the interval.
/// - `trades`: a trade. `ohlcv`: a bar, received when its interval is over; but for that of a session, whose length it
///   does not tell.
/// - `status` changes the status; `definition` defines the instrument.
/// - A book that the flags say may be bad has a gap there.
/// - The rest is counted by type: [`DbnReader::unmapped`].
///
/// Each publisher of an instrument (one venue of one data set) is an instrument of its own, called by what the
/// metadata's mappings say on that day, else by its definition, else `INSTRUMENT-<publisher>-<number>`; spaces become
/// `_`. Where a mapping goes from one number to the next, as that of a continuous contract does, the book begins anew.
///
/// Prices have as many decimals as the finest of the instrument in the file, or its tick, needs.
pub struct DbnReader {
    records: Records,
    dataset: &'static str,
    schema: Option<Schema>,
    directory: Directory,
    session: Session,
    /// Whether the record at hand is the first of the next message.
    is_held: bool,
    /// Of the event at hand, the instruments that are to have more records.
    open: Vec<(u16, u32)>,
    messages: u64,
    /// Of the last record that told a time.
    time: Timestamp,
    is_over: bool,
}

impl DbnReader {
    /// Reads the whole file once to learn its instruments, then stands at its start.
    ///
    /// Instruments stand in the order in which their records first appear. A damaged record is left for
    /// [`Self::next_message`] to meet.
    ///
    /// # Errors
    /// [`FeedError::Io`] when the file cannot be read, [`FeedError::Damaged`] for damaged metadata, and for more names
    /// or instruments than the bounds of [`crate::limits`].
    pub fn open(path: &Path) -> Result<Self, FeedError> {
        let (mut records, metadata) = Records::open(path)?;
        let names = Names::new(&metadata).map_err(|reason| records.damaged(reason))?;
        let mut directory = Directory::new(names);
        while let Ok(true) = records.advance() {
            let record = records.record()?;
            let noted = match record.try_get::<SymbolMappingMsg>() {
                Ok(mapping) => directory.note_mapping(mapping),
                Err(_) if is_of_instrument(record) => directory.note(record, index_time(record)),
                Err(_) => Ok(()),
            };
            noted.map_err(|reason| records.damaged(reason))?;
        }
        directory.complete().map_err(|reason| records.damaged(reason))?;
        let session = Session::new(directory.instruments());
        Ok(Self {
            records: Records::open(path)?.0,
            dataset: metadata.dataset.parse().map_or(DATABENTO, |dataset: Dataset| dataset.as_str()),
            schema: metadata.schema,
            directory,
            session,
            is_held: false,
            open: Vec::new(),
            messages: 0,
            time: Timestamp(i64::try_from(metadata.start).unwrap_or(0)),
            is_over: false,
        })
    }

    /// All instruments of the file; a [`crate::SymbolId`] is an index here.
    #[must_use]
    pub fn instruments(&self) -> &[Instrument] {
        self.directory.instruments()
    }

    /// The data set, such as `GLBX.MDP3`; `DATABENTO` for one that is not known here.
    #[must_use]
    pub const fn dataset(&self) -> &'static str {
        self.dataset
    }

    /// What kind of records it has; `None`: of several kinds.
    #[must_use]
    pub const fn schema(&self) -> Option<Schema> {
        self.schema
    }

    /// How many records have been read.
    #[must_use]
    pub const fn messages(&self) -> u64 {
        self.messages
    }

    /// The records among them that said nothing that an event has a word for, by their type, or by what they lack.
    pub fn unmapped(&self) -> impl Iterator<Item = (String, u64)> {
        self.session.unmapped()
    }

    /// Appends the events of the next record, or of the records of the next event of an `mbo` file; none for many
    /// types. Tells when the last of them was received; `None` at the end, and after an error.
    ///
    /// # Errors
    /// [`FeedError::Damaged`] for a record whose length is not that of its type, a value that its field cannot have, and
    /// a file that ends within a record; [`FeedError::Io`] when the disk fails or the compression is damaged. The
    /// offset is that of the record. What was appended is part of an event.
    pub fn next_message(&mut self, events: &mut Vec<MarketEvent>) -> Result<Option<Timestamp>, FeedError> {
        if self.is_over {
            return Ok(None);
        }
        let time = self.advance(events);
        if !matches!(time, Ok(Some(_))) {
            self.is_over = true;
        }
        time
    }

    fn advance(&mut self, events: &mut Vec<MarketEvent>) -> Result<Option<Timestamp>, FeedError> {
        let mut count = 0;
        let mut ts_event = None;
        self.open.clear();
        loop {
            if !self.is_held && !self.records.advance()? {
                return Ok((count > 0).then_some(self.time));
            }
            let record = self.records.record()?;
            let header = record.header();
            let mbo = (header.rtype == rtype::MBO).then(|| record.try_get::<MboMsg>().ok()).flatten();
            if let Some(ts_event) = ts_event
                && !mbo.is_some_and(|mbo| mbo.flags.is_snapshot() || mbo.hd.ts_event == ts_event)
            {
                self.is_held = true;
                return Ok(Some(self.time));
            }
            self.is_held = false;
            self.messages += 1;
            count += 1;
            if is_of_instrument(record) {
                let received = index_time(record);
                let symbol = self.directory.find(header.publisher_id, header.instrument_id, received);
                self.time = symbol
                    .ok_or_else(|| "an instrument that was not there when the file was opened".to_owned())
                    .and_then(|symbol| {
                        self.session.append(record, symbol, self.directory.instruments(), events)
                    })
                    .and_then(|time| time.map_or_else(|| events::time(received), |time| Ok(Some(time))))
                    .map_err(|reason| self.records.damaged(reason))?
                    .unwrap_or(self.time);
            } else {
                if let Ok(mapping) = record.try_get::<SymbolMappingMsg>() {
                    let noted = self.directory.note_mapping(mapping);
                    noted.map_err(|reason| self.records.damaged(reason))?;
                }
                self.session.skip_type(header.rtype);
            }
            let Some(mbo) = mbo else { return Ok(Some(self.time)) };
            let instrument = (header.publisher_id, header.instrument_id);
            if mbo.flags.is_last() {
                self.open.retain(|open| *open != instrument);
            } else if !self.open.contains(&instrument) {
                self.open.push(instrument);
            }
            if self.open.is_empty() || count == DBN_EVENT_RECORDS_MAX {
                return Ok(Some(self.time));
            }
            ts_event = Some(header.ts_event);
        }
    }
}

/// Gives each instrument that several files carry, its definition in one and its trades in another, the finest of its
/// scales in all of them.
pub(crate) fn share_scales(readers: &mut [&mut DbnReader]) {
    let mut finest: BTreeMap<(&'static str, Symbol), Exponent> = BTreeMap::new();
    for instrument in readers.iter().flat_map(|reader| reader.instruments()) {
        let exponent = instrument.price_exponent;
        finest
            .entry((instrument.venue, instrument.symbol.clone()))
            .and_modify(|held| *held = exponent.min(*held))
            .or_insert(exponent);
    }
    for reader in readers {
        reader.directory.rescale(&finest);
        reader.session = Session::new(reader.directory.instruments());
    }
}

/// Whether a record is about one instrument. What the gateway says of itself is not; and mappings name instruments
/// that may never come.
fn is_of_instrument(record: RecordRef<'_>) -> bool {
    !matches!(record.header().rtype, rtype::ERROR | rtype::SYSTEM | rtype::SYMBOL_MAPPING)
}

/// The time that says which day's names hold: when the record was received, else when it happened.
fn index_time(record: RecordRef<'_>) -> u64 {
    let received = match record.header().rtype {
        rtype::MBO => record.try_get::<MboMsg>().map(|mbo| mbo.ts_recv),
        rtype::MBP_0 => record.try_get::<TradeMsg>().map(|trade| trade.ts_recv),
        rtype::MBP_1 => record.try_get::<Mbp1Msg>().map(|mbp| mbp.ts_recv),
        rtype::MBP_10 => record.try_get::<Mbp10Msg>().map(|mbp| mbp.ts_recv),
        rtype::CMBP_1 | rtype::TCBBO => record.try_get::<Cmbp1Msg>().map(|mbp| mbp.ts_recv),
        rtype::BBO_1S | rtype::BBO_1M => record.try_get::<BboMsg>().map(|bbo| bbo.ts_recv),
        rtype::CBBO_1S | rtype::CBBO_1M => record.try_get::<CbboMsg>().map(|bbo| bbo.ts_recv),
        rtype::STATUS => record.try_get::<StatusMsg>().map(|status| status.ts_recv),
        rtype::INSTRUMENT_DEF => record.try_get::<InstrumentDefMsg>().map(|definition| definition.ts_recv),
        rtype::IMBALANCE => record.try_get::<ImbalanceMsg>().map(|imbalance| imbalance.ts_recv),
        rtype::STATISTICS => record.try_get::<StatMsg>().map(|statistic| statistic.ts_recv),
        _ => Ok(UNDEF_TIMESTAMP),
    };
    received.ok().filter(|time| *time != UNDEF_TIMESTAMP).unwrap_or(record.header().ts_event)
}
