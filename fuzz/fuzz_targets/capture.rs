//! Any bytes as an exchange capture, in each envelope and of each venue: its own first lines tell which.

#![no_main]

use libfuzzer_sys::{Corpus, fuzz_target};
use tickwire_fuzz::{folder, play, save};

fuzz_target!(|data: &[u8]| -> Corpus {
    let folder = folder();
    play(&save(&folder, "capture", data), &["exchange capture"])
});
