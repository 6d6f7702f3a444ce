//! Any bytes as a LOBSTER message file and, behind a zero byte, as the order book file beside it.

#![no_main]

use libfuzzer_sys::{Corpus, fuzz_target};
use tickwire_fuzz::{folder, play, save, split_beside};

fuzz_target!(|data: &[u8]| -> Corpus {
    let folder = folder();
    let (messages, book) = split_beside(data);
    if let Some(book) = book {
        save(&folder, "AAPL_2012-06-21_34200000_57600000_orderbook_2.csv", book);
    }
    play(&save(&folder, "AAPL_2012-06-21_34200000_57600000_message_2.csv", messages), &["LOBSTER messages"])
});
