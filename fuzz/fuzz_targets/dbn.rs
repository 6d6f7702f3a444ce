//! Any bytes as a file of Databento DBN.

#![no_main]

use libfuzzer_sys::{Corpus, fuzz_target};
use tickwire_fuzz::{folder, play, save};

fuzz_target!(|data: &[u8]| -> Corpus {
    let folder = folder();
    play(&save(&folder, "dbn", data), &["Databento DBN"])
});
