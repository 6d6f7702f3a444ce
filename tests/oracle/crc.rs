//! The book checksum of `src/wire/protocol.md`, which is Kraken's.

/// CRC32 over the digits of the best ten asks, then of the best ten bids; levels as the texts that were printed, best
/// first.
pub(crate) fn book_checksum<'a>(
    asks: impl IntoIterator<Item = (&'a str, &'a str)>,
    bids: impl IntoIterator<Item = (&'a str, &'a str)>,
) -> u32 {
    let mut text = String::new();
    for (price, size) in asks.into_iter().take(10).chain(bids.into_iter().take(10)) {
        text += &digits(price);
        text += &digits(size);
    }
    crc32(text.as_bytes())
}

fn digits(number: &str) -> String {
    let (sign, number) = number.strip_prefix('-').map_or(("", number), |rest| ("-", rest));
    format!("{sign}{}", number.replace('.', "").trim_start_matches('0'))
}

/// Bit by bit, as in the definition (IEEE 802.3, reflected).
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| (crc >> 1) ^ (0xedb8_8320 * (crc & 1)))
    })
}

#[test]
fn the_checksum_is_that_of_the_definition() {
    // The check value of CRC-32/ISO-HDLC.
    assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
    // The example of protocol.md: this ask adds `5005500`.
    assert_eq!(book_checksum([("0.05005", "0.00000500")], []), crc32(b"5005500"));
    assert_eq!(book_checksum([], [("-0.5", "10"), ("-1.0", "2")]), crc32(b"-510-102"));
}
