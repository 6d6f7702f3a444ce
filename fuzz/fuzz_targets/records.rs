//! Binary records of a server.

#![no_main]

use libfuzzer_sys::fuzz_target;
use tickwire::wire::binary::decode_records;

fuzz_target!(|data: &[u8]| {
    // A record takes a byte at least, and an error is the last.
    assert!(decode_records(data).count() <= data.len());
    assert!(decode_records(data).take(data.len()).skip_while(Result::is_ok).count() <= 1);
});
