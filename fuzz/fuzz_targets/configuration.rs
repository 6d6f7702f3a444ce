//! Any text as `tickwire.toml`: what is taken can be written as it is shown by `check-config`, and read the same again.

#![no_main]

use std::collections::BTreeMap;

use libfuzzer_sys::fuzz_target;
use tickwire::config;
use tickwire_fuzz::{folder, save};

fuzz_target!(|data: &[u8]| {
    let folder = folder();
    let load = |text: &[u8]| {
        let path = save(&folder, "tickwire.toml", text);
        config::load(Some(&path), BTreeMap::<String, String>::new())
    };
    let Ok(config) = load(data) else { return };
    let (settings, feed) = (config.settings(), format!("{:?}", config.feed));
    if settings.is_err() {
        return;
    }
    let text = toml::to_string(&config).expect("it can be shown");
    assert!(feed == format!("{:?}", config.feed.as_str()), "what is taken has no password: {feed}");
    match load(text.as_bytes()) {
        Ok(again) => assert_eq!(again, config, "{text}"),
        Err(error) => panic!("{error}: {text}"),
    }
});
