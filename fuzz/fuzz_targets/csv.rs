//! Any bytes as a CSV file and, behind a zero byte, as the columns told beside it.

#![no_main]

use libfuzzer_sys::{Corpus, fuzz_target};
use tickwire_fuzz::{folder, play, save, split_beside};

fuzz_target!(|data: &[u8]| -> Corpus {
    let folder = folder();
    let (rows, columns) = split_beside(data);
    if let Some(columns) = columns {
        save(&folder, "day.csv.columns", columns);
    }
    play(&save(&folder, "day.csv", rows), &["CSV"])
});
