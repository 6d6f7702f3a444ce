//! Any bytes as a packet capture, of ITCH in MoldUDP64 or of IEX: its first packets tell which.

#![no_main]

use libfuzzer_sys::{Corpus, fuzz_target};
use tickwire_fuzz::{folder, play, save};

fuzz_target!(|data: &[u8]| -> Corpus {
    let folder = folder();
    play(&save(&folder, "packets", data), &["NASDAQ ITCH 5.0 packets", "IEX TOPS and DEEP packets"])
});
