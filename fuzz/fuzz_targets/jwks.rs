//! Any bytes as a set of public keys, and what is found in it as what a token is verified with.

#![no_main]

use feeds::Timestamp;
use libfuzzer_sys::fuzz_target;
use tickwire::limits::JWKS_KEYS_MAX;
use tickwire::secret::Secret;
use tickwire::server::auth::jwks;
use tickwire::server::auth::jwt::{self, Rules};

/// Of each algorithm, with signatures of the right length.
const HEADS: [(&str, usize); 2] = [("eyJhbGciOiJFZERTQSJ9", 86), ("eyJhbGciOiJSUzI1NiJ9", 342)];

fuzz_target!(|data: &[u8]| {
    let keys = match (jwks::read(data), jwks::read(data)) {
        (Ok(keys), Ok(again)) => {
            assert_eq!(keys.len(), again.len(), "the same bytes are the same keys");
            keys
        }
        (Err(error), Err(other)) => return assert_eq!(error, other),
        (one, other) => panic!("{one:?} and {other:?}"),
    };
    assert!((1..=JWKS_KEYS_MAX).contains(&keys.len()), "{} keys", keys.len());
    for (head, signature_chars) in HEADS {
        let token = Secret::new(format!("{head}.e30.{}", "A".repeat(signature_chars)));
        let claims = jwt::verify(&token, keys.iter(), true, &Rules::default(), Timestamp(0));
        assert!(claims.is_err(), "claims without a subject are none: {claims:?}");
    }
});
