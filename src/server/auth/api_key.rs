//! API keys. They are kept as hashes: who reads the file cannot use them. A key is 256 random bits, which nobody finds by
//! trying, so that SHA-256 is enough; a slow hash, which passwords need, would be a way to keep the server busy.

use std::collections::BTreeMap;

use data_encoding::{BASE64URL_NOPAD, HEXLOWER_PERMISSIVE};
use ring::digest::{SHA256, digest};
use ring::rand::{SecureRandom, SystemRandom};
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq;

use super::Roles;
use crate::limits::{API_KEYS_MAX, IDENTITY_BYTES_MAX};
use crate::secret::Secret;

/// What every key begins with: by this, those are found that were published by mistake.
pub const PREFIX: &str = "twk_";
const KEY_BYTES: usize = 32;

/// Why a file of API keys cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ApiKeysError {
    /// Not the form of the file.
    #[error("line {0} is not of the form NAME = {{ hash = \"…\", role = \"…\" }}")]
    Form(usize),
    /// More than are looked through for each that is presented.
    #[error("{0} API keys, more than {API_KEYS_MAX}")]
    TooMany(usize),
    /// Too long, or nothing.
    #[error("the name of an API key has 1 to {IDENTITY_BYTES_MAX} bytes")]
    Name,
    /// Not a hash.
    #[error("the hash of `{0}` is not the 64 hexadecimal digits of a SHA-256")]
    Hash(String),
    /// The same key under two names could be taken back under one of them only.
    #[error("`{0}` and `{1}` have the same hash")]
    Twice(String, String),
    /// There is no such role.
    #[error("the role `{role}` of `{name}` is not among the `roles` of the configuration")]
    Role {
        /// The key's name.
        name: String,
        /// The role.
        role: String,
    },
}

/// How a key is written in the file.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Written {
    /// Of its text: SHA-256 in hexadecimal digits.
    pub hash: String,
    /// The role of who presents it.
    pub role: String,
}

/// All API keys.
#[derive(Debug, Default)]
pub struct ApiKeys(Vec<ApiKey>);

/// An API key, without the key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiKey {
    /// Its name, which says whose it is.
    pub name: String,
    /// Its role's name.
    pub role: String,
    hash: [u8; KEY_BYTES],
}

impl ApiKey {
    /// By which it is known again, its role included: a hash of its hash, which says nothing of the key.
    #[must_use]
    pub fn mark(&self) -> String {
        let what = [&self.hash[..], self.role.as_bytes()].concat();
        HEXLOWER_PERMISSIVE.encode(&digest(&SHA256, &what).as_ref()[..8])
    }
}

impl ApiKeys {
    /// Reads a file of them.
    ///
    /// # Errors
    /// [`ApiKeysError`] names the key.
    pub fn read(toml: &str, roles: &Roles) -> Result<Self, ApiKeysError> {
        // The library's message would show what stands there, which may be a key that is there by mistake.
        let written: BTreeMap<String, Written> = toml::from_str(toml).map_err(|error| {
            let before = error.span().and_then(|span| toml.get(..span.start)).unwrap_or_default();
            ApiKeysError::Form(1 + before.matches('\n').count())
        })?;
        if written.len() > API_KEYS_MAX {
            return Err(ApiKeysError::TooMany(written.len()));
        }
        let mut keys: Vec<ApiKey> = Vec::with_capacity(written.len());
        for (name, Written { hash, role }) in written {
            if name.is_empty() || name.len() > IDENTITY_BYTES_MAX {
                return Err(ApiKeysError::Name);
            }
            let bytes = HEXLOWER_PERMISSIVE.decode(hash.as_bytes()).ok();
            let Some(hash) = bytes.and_then(|bytes| bytes.try_into().ok()) else {
                return Err(ApiKeysError::Hash(name));
            };
            if let Some(other) = keys.iter().find(|other| other.hash == hash) {
                return Err(ApiKeysError::Twice(other.name.clone(), name));
            }
            if !roles.contains_key(&role) {
                return Err(ApiKeysError::Role { name, role });
            }
            keys.push(ApiKey { name, role, hash });
        }
        Ok(Self(keys))
    }

    /// The key that somebody presents. All are looked at, in a time that does not depend on how much of one is right.
    #[must_use]
    pub fn find(&self, presented: &Secret) -> Option<&ApiKey> {
        let hash = hash(presented);
        let mut found = None;
        for key in &self.0 {
            if bool::from(key.hash.ct_eq(&hash)) {
                found = Some(key);
            }
        }
        found
    }

    /// All of them.
    pub fn all(&self) -> impl Iterator<Item = &ApiKey> {
        self.0.iter()
    }

    /// The key of that name.
    #[must_use]
    pub fn named(&self, name: &str) -> Option<&ApiKey> {
        self.0.iter().find(|key| key.name == name)
    }
}

/// A new key, and its hash as the file has it.
///
/// # Panics
/// When the system has no random bytes to give.
#[must_use]
pub fn mint() -> (Secret, String) {
    let mut bytes = zeroize::Zeroizing::new([0; KEY_BYTES]);
    SystemRandom::new().fill(&mut *bytes).expect("a system with random bytes");
    let key = Secret::new(format!("{PREFIX}{}", BASE64URL_NOPAD.encode(&*bytes)));
    let hash = HEXLOWER_PERMISSIVE.encode(&hash(&key));
    (key, hash)
}

fn hash(key: &Secret) -> [u8; KEY_BYTES] {
    let mut hash = [0; KEY_BYTES];
    hash.copy_from_slice(digest(&SHA256, key.expose().as_bytes()).as_ref());
    hash
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::entitlement::Entitlement;

    fn roles() -> Roles {
        Roles::from([("all".to_owned(), Arc::new(Entitlement::everything()))])
    }

    #[test]
    fn a_minted_key_is_found_by_its_hash_alone() {
        let (first, first_hash) = mint();
        let (second, second_hash) = mint();
        assert_ne!(first, second);
        assert!(first.expose().starts_with(PREFIX) && first.expose().len() == PREFIX.len() + 43);
        let file = format!(
            "# two\nanna = {{ hash = \"{first_hash}\", role = \"all\" }}\n\"b c\" = {{ hash = \"{}\", role = \"all\" }}\n",
            second_hash.to_uppercase()
        );
        assert!(!file.contains(first.expose()));
        let keys = ApiKeys::read(&file, &roles()).expect("well written");
        assert_eq!(keys.find(&first).map(|key| key.name.as_str()), Some("anna"));
        assert_eq!(keys.find(&second).map(|key| key.name.as_str()), Some("b c"));
        assert_eq!(keys.named("anna"), keys.find(&first));
        for wrong in ["", PREFIX, first_hash.as_str(), &first.expose()[..20], &format!("{} ", first.expose())]
        {
            assert_eq!(keys.find(&Secret::new(wrong.to_owned())), None);
        }
        assert_eq!(ApiKeys::default().find(&first), None);
    }

    #[test]
    fn each_mistake_is_named_and_shows_no_hash() {
        let hash = "a".repeat(64);
        let line = |name: &str, hash: &str, role: &str| {
            format!("{name} = {{ hash = \"{hash}\", role = \"{role}\" }}\n")
        };
        for (file, told) in [
            (line("anna", "abcd", "all"), "the hash of `anna`"),
            (line("anna", &"g".repeat(64), "all"), "the hash of `anna`"),
            (line("anna", &hash, "none"), "the role `none` of `anna`"),
            (line("anna", &hash, "all") + &line("ben", &hash, "all"), "`anna` and `ben`"),
            (line("\"\"", &hash, "all"), "the name"),
            (format!("anna = \"{hash}\"\n"), "line 1 is not of the form"),
            (format!("\nanna = {{ hash = \"{hash}\", role = \"all\", more = 1 }}\n"), "line 2 is not"),
            (format!("anna = {{ hash = \"{hash}\" }}\n"), "line 1 is not"),
            (line("anna", &hash, "all") + &hash, "line 2 is not"),
        ] {
            let error = ApiKeys::read(&file, &roles()).expect_err(&file).to_string();
            assert!(error.contains(told) && !error.contains(&hash), "{error}");
        }
    }
}
