//! Any text as a file of what was taken back.

#![no_main]

use libfuzzer_sys::fuzz_target;
use tickwire::server::auth::revocation::Revocations;

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let read = Revocations::read(text);
    let twice = Revocations::read(&format!("{text}\n#\n{text}"));
    assert_eq!(twice, read, "what is said twice is said, and the first mistake is told");
    if let Err(error) = read {
        let line = error.to_string();
        let line =
            line.split(' ').nth(1).and_then(|line| line.parse::<usize>().ok()).expect("a line's number");
        assert!((1..=text.lines().count()).contains(&line), "{error}");
    }
});
