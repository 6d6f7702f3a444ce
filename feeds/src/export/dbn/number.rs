//! Numbers as DBN has them, exactly or not at all.

use dbn::UNDEF_PRICE;

use super::super::ExportError;
use crate::{Exponent, Instrument, Price, Size, Timestamp};

/// Decimals of a price.
const DECIMALS: i8 = 9;
/// Decimals of [`SizeUnit`].
const UNIT_DECIMALS: i8 = 18;

/// A price in units of 10⁻⁹.
pub(super) fn price(instrument: &Instrument, field: &'static str, price: Price) -> Result<i64, ExportError> {
    scaled(price.0, instrument.price_exponent, DECIMALS)
        .and_then(|price| i64::try_from(price).ok())
        .filter(|price| *price != UNDEF_PRICE)
        .ok_or_else(|| ExportError::Number {
            symbol: instrument.symbol.clone(),
            field,
            text: price.display(instrument.price_exponent).to_string(),
            reason: "dbn holds prices in 64 bits of 10⁻⁹".to_owned(),
        })
}

/// A time, which DBN has not before 1970.
pub(super) fn nanos(time: Timestamp, instrument: &Instrument) -> Result<u64, ExportError> {
    u64::try_from(time.0).map_err(|_| ExportError::Number {
        symbol: instrument.symbol.clone(),
        field: "time",
        text: time.to_string(),
        reason: "dbn holds times since 1970".to_owned(),
    })
}

/// One, in units of 10⁻¹⁸.
const ONE: i128 = 1_000_000_000_000_000_000;

/// What sizes are multiples of where an instrument has sizes with decimals, in units of 10⁻¹⁸; of all others it is 1.
pub(super) struct SizeUnit {
    unit: i128,
    text: String,
}

impl SizeUnit {
    pub(super) fn new(text: Option<&str>) -> Result<Self, ExportError> {
        let text = text.unwrap_or("1");
        let wrong =
            || ExportError::Settings(format!("`{text}` is no unit of sizes: a number such as 0.00000001"));
        let exponent = Exponent::of_text(text).map_err(|_| wrong())?;
        let unit = Size::parse(text, exponent).map_err(|_| wrong())?;
        let unit = scaled(unit.0, exponent, UNIT_DECIMALS).filter(|unit| *unit > 0).ok_or_else(wrong)?;
        Ok(Self { unit, text: text.to_owned() })
    }

    /// In units of 10⁻⁹, where an instrument's is not 1.
    pub(super) fn billionths(&self, instrument: &Instrument) -> Option<i64> {
        let (unit, billionth) = (self.of(instrument), ONE / 1_000_000_000);
        i64::try_from(unit / billionth).ok().filter(|_| unit != ONE && unit % billionth == 0)
    }

    fn of(&self, instrument: &Instrument) -> i128 {
        if instrument.size_exponent < Exponent::ONE { self.unit } else { ONE }
    }

    pub(super) fn size(
        &self,
        instrument: &Instrument,
        field: &'static str,
        size: Size,
    ) -> Result<u32, ExportError> {
        self.multiple(instrument, size)
            .and_then(|count| u32::try_from(count).ok())
            .ok_or_else(|| self.error(instrument, field, size, 32))
    }

    pub(super) fn volume(&self, instrument: &Instrument, size: Size) -> Result<u64, ExportError> {
        self.multiple(instrument, size)
            .and_then(|count| u64::try_from(count).ok())
            .filter(|count| i64::try_from(*count).is_ok())
            .ok_or_else(|| self.error(instrument, "volume", size, 63))
    }

    fn multiple(&self, instrument: &Instrument, size: Size) -> Option<i128> {
        let (size, unit) = (scaled(size.0, instrument.size_exponent, UNIT_DECIMALS)?, self.of(instrument));
        (size % unit == 0).then(|| size / unit)
    }

    fn error(&self, instrument: &Instrument, field: &'static str, size: Size, bits: u8) -> ExportError {
        let text = &self.text;
        let advice = if instrument.size_exponent < Exponent::ONE {
            format!(", here of {text}: say another unit, such as --size-unit 0.0001, or")
        } else {
            ":".to_owned()
        };
        ExportError::Number {
            symbol: instrument.symbol.clone(),
            field,
            text: size.display(instrument.size_exponent).to_string(),
            reason: format!(
                "dbn holds sizes as whole numbers of {bits} bits{advice} export to csv or parquet, which hold any"
            ),
        }
    }
}

/// A mantissa at another scale; `None` where it does not fit.
fn scaled(mantissa: i64, exponent: Exponent, decimals: i8) -> Option<i128> {
    let shift = i32::from(exponent.get()) + i32::from(decimals);
    let power = 10_i128.checked_pow(shift.unsigned_abs())?;
    let mantissa = i128::from(mantissa);
    if shift >= 0 { mantissa.checked_mul(power) } else { (mantissa % power == 0).then(|| mantissa / power) }
}
