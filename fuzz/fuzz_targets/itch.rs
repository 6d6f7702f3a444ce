//! Any bytes as a file of NASDAQ ITCH 5.0.

#![no_main]

use libfuzzer_sys::{Corpus, fuzz_target};
use tickwire_fuzz::{folder, play, save};

fuzz_target!(|data: &[u8]| -> Corpus {
    let folder = folder();
    play(&save(&folder, "itch", data), &["NASDAQ ITCH 5.0"])
});
