//! Any text as a file of API keys.

#![no_main]

use std::sync::{Arc, LazyLock};

use libfuzzer_sys::fuzz_target;
use tickwire::entitlement::Entitlement;
use tickwire::limits::{API_KEYS_MAX, IDENTITY_BYTES_MAX};
use tickwire::secret::Secret;
use tickwire::server::auth::Roles;
use tickwire::server::auth::api_key::{ApiKeys, ApiKeysError};

static ROLES: LazyLock<Roles> =
    LazyLock::new(|| Roles::from([("all".to_owned(), Arc::new(Entitlement::everything()))]));

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    match ApiKeys::read(text, &ROLES) {
        Err(ApiKeysError::Form(line)) => {
            assert!((1..=text.matches('\n').count() + 1).contains(&line), "line {line}");
        }
        Err(ApiKeysError::TooMany(count)) => assert!(count > API_KEYS_MAX),
        Err(ApiKeysError::Hash(name) | ApiKeysError::Role { name, .. }) => {
            assert!(name.len() <= IDENTITY_BYTES_MAX, "{name}");
        }
        Err(ApiKeysError::Twice(one, other)) => assert_ne!(one, other, "a name stands there once"),
        Err(ApiKeysError::Name) => {}
        Ok(keys) => {
            assert!(
                keys.find(&Secret::new(text.to_owned())).is_none(),
                "a file with hashes is no key of them"
            );
        }
    }
});
