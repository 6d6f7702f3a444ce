//! Any bytes as a binary message: records until the first error, which stands within the message, and none behind it.

#![no_main]

use libfuzzer_sys::fuzz_target;
use tickwire::wire::binary::{Change, What, decode_records};

fuzz_target!(|data: &[u8]| {
    let mut records = decode_records(data);
    let mut count = 0;
    while let Some(record) = records.next() {
        count += 1;
        assert!(count <= data.len(), "a record takes a byte at least");
        let change = match record {
            Ok(record) => match record.what {
                What::Snapshot(snapshot) => snapshot.change,
                What::Update(update) => Some(update.change),
                What::Gap(_) | What::Merged(_) => None,
            },
            Err(error) => {
                assert!(error.offset <= data.len(), "{error}");
                assert!(records.next().is_none(), "nothing is read behind an error");
                return;
            }
        };
        if let Some(Change::Book(book)) = change {
            assert!(book.levels().count() <= data.len(), "a level takes a byte at least");
        }
    }
});
