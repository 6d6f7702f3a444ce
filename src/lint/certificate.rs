//! When a certificate ends: the one field that is read of it here. That it is right has been found before, by rustls.

use std::str;

use feeds::Timestamp;

const SEQUENCE: u8 = 0x30;
const VERSION: u8 = 0xa0;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;

/// The end of the time for which a certificate (RFC 5280 section 4.1, in DER) is good; later than [`Timestamp`] can tell, the
/// last that it can. `None`: it is no certificate.
pub(super) fn end(der: &[u8]) -> Option<Timestamp> {
    let (certificate, _) = expect(der, SEQUENCE)?;
    let (signed, _) = expect(certificate, SEQUENCE)?;
    let mut rest = match element(signed)? {
        (VERSION, _, rest) => rest,
        _ => signed,
    };
    // Serial number, algorithm, issuer.
    for _ in 0..3 {
        (_, _, rest) = element(rest)?;
    }
    let (validity, _) = expect(rest, SEQUENCE)?;
    let (_, _, rest) = element(validity)?;
    let (tag, text, _) = element(rest)?;
    let text = str::from_utf8(text).ok()?;
    match tag {
        // `YYMMDDHHMMSSZ`, up to 2049.
        UTC_TIME => time(if text.get(..2)? < "50" { "20" } else { "19" }, text),
        GENERALIZED_TIME => time(text.get(..2)?, text.get(2..)?),
        _ => None,
    }
}

fn time(century: &str, text: &str) -> Option<Timestamp> {
    if text.len() != 13 || !text.is_ascii() {
        return None;
    }
    let part = |at: usize| &text[at..at + 2];
    let (year, month, day) = (part(0), part(2), part(4));
    let text = format!("{century}{year}-{month}-{day}T{}:{}:{}Z", part(6), part(8), part(10));
    let is_past_all = century.parse::<u8>().is_ok_and(|century| century > 22)
        || century == "22" && year.parse::<u8>().is_ok_and(|year| year > 61);
    if is_past_all { Some(Timestamp(i64::MAX)) } else { text.parse().ok() }
}

/// Tag, content, and what follows.
fn element(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&[tag, first], rest) = der.split_first_chunk()?;
    let (len, rest) = match first {
        short @ 0..=0x7f => (usize::from(short), rest),
        0x81..=0x84 => {
            let (bytes, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
            (bytes.iter().fold(0, |len, byte| len << 8 | usize::from(*byte)), rest)
        }
        _ => return None,
    };
    let (content, rest) = rest.split_at_checked(len)?;
    Some((tag, content, rest))
}

fn expect(der: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    element(der).filter(|(found, ..)| *found == tag).map(|(_, content, rest)| (content, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_is_that_of_the_certificate() {
        for (year, shown) in [
            (2031, "2031-02-03T00:00:00.000000000Z"),
            (2049, "2049-02-03T00:00:00.000000000Z"),
            (2050, "2050-02-03T00:00:00.000000000Z"),
            (2261, "2261-02-03T00:00:00.000000000Z"),
        ] {
            assert_eq!(end(&made(year)).expect("a certificate").to_string(), shown);
        }
        assert_eq!(end(&made(4096)), Some(Timestamp(i64::MAX)));
    }

    #[test]
    fn what_is_no_certificate_has_no_end() {
        let der = made(2031);
        for len in 0..der.len() {
            assert_eq!(end(&der[..len]), None, "cut at {len}");
        }
        for at in 0..200 {
            let mut wrong = der.clone();
            wrong[at] ^= 0x55;
            // It may have one, but reads nothing that is not there.
            let _ = end(&wrong);
        }
    }

    fn made(year: i32) -> Vec<u8> {
        let mut params = rcgen::CertificateParams::new(["localhost".to_owned()]).expect("a name");
        params.not_after = rcgen::date_time_ymd(year, 2, 3);
        let key = rcgen::KeyPair::generate().expect("a key");
        params.self_signed(&key).expect("a certificate").der().to_vec()
    }
}
