//! Prices in units of 10⁻⁹, and the scale that holds them.

use dbn::{
    BboMsg, BidAskPair, CbboMsg, Cmbp1Msg, ConsolidatedBidAskPair, InstrumentDefMsg, MboMsg, Mbp1Msg,
    Mbp10Msg, OhlcvMsg, RecordRef, TradeMsg, UNDEF_PRICE, rtype,
};

/// Digits after the point that a price of a file has.
pub(super) const DECIMALS_MAX: usize = 9;
/// Of ten.
pub(super) const POWERS: [i64; DECIMALS_MAX + 1] =
    [1, 10, 100, 1_000, 10_000, 100_000, 1_000_000, 10_000_000, 100_000_000, 1_000_000_000];

/// How many digits after the point a price needs, `least` at least.
pub(super) fn decimals_of(price: i64, least: usize) -> usize {
    let mut decimals = least;
    while price % POWERS[DECIMALS_MAX - decimals] != 0 {
        decimals += 1;
    }
    decimals
}

/// Every price of a record that may become one of an event, but for those that are undefined.
pub(super) fn prices(record: RecordRef<'_>, mut each: impl FnMut(i64)) {
    let mut one = |price| {
        if price != UNDEF_PRICE {
            each(price);
        }
    };
    match record.header().rtype {
        rtype::MBO => record.try_get::<MboMsg>().into_iter().for_each(|mbo| one(mbo.price)),
        rtype::MBP_0 => record.try_get::<TradeMsg>().into_iter().for_each(|trade| one(trade.price)),
        rtype::MBP_1 => {
            if let Ok(mbp) = record.try_get::<Mbp1Msg>() {
                one(mbp.price);
                touch(&mbp.levels).for_each(one);
            }
        }
        rtype::MBP_10 => {
            if let Ok(mbp) = record.try_get::<Mbp10Msg>() {
                one(mbp.price);
                touch(&mbp.levels).for_each(one);
            }
        }
        rtype::CMBP_1 | rtype::TCBBO => {
            if let Ok(mbp) = record.try_get::<Cmbp1Msg>() {
                one(mbp.price);
                consolidated(&mbp.levels).for_each(one);
            }
        }
        rtype::BBO_1S | rtype::BBO_1M => {
            record.try_get::<BboMsg>().into_iter().flat_map(|bbo| touch(&bbo.levels)).for_each(one);
        }
        rtype::CBBO_1S | rtype::CBBO_1M => {
            record.try_get::<CbboMsg>().into_iter().flat_map(|bbo| consolidated(&bbo.levels)).for_each(one);
        }
        rtype::OHLCV_1S..=rtype::OHLCV_EOD => {
            if let Ok(bar) = record.try_get::<OhlcvMsg>() {
                [bar.open, bar.high, bar.low, bar.close].into_iter().for_each(one);
            }
        }
        rtype::INSTRUMENT_DEF => {
            let definition = record.try_get::<InstrumentDefMsg>();
            definition.into_iter().for_each(|definition| one(definition.min_price_increment));
        }
        _ => {}
    }
}

fn touch(levels: &[BidAskPair]) -> impl Iterator<Item = i64> {
    levels.iter().flat_map(|level| [level.bid_px, level.ask_px])
}

fn consolidated(levels: &[ConsolidatedBidAskPair]) -> impl Iterator<Item = i64> {
    levels.iter().flat_map(|level| [level.bid_px, level.ask_px])
}
