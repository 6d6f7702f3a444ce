//! Sets of public keys (RFC 7517), from a file or a URL. Keys of kinds that are not verified with here are passed over: an
//! issuer may have them for others.

use std::fmt;
use std::path::PathBuf;

use hyper::Uri;
use jsonwebtoken::jwk::Jwk;
use serde::Deserialize;

use super::jwt::Key;
use crate::limits::{JWKS_KEYS_MAX, RSA_BITS_MIN};

/// Where a set is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// In a file, which is read anew when it has changed.
    File(PathBuf),
    /// At a URL, which is fetched now and then.
    Url(Uri),
}

/// Why a text is no place, or no set.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JwksError {
    /// Something else than a URL of https.
    #[error("a file, or a URL such as https://issuer.example/jwks.json")]
    Url,
    /// A name or password in it would be sent, and shown.
    #[error("a URL of a JWKS has no name or password in it: public keys need none")]
    Credentials,
    /// What is fetched in the clear can be anybody's.
    #[error("public keys that come in the clear are anybody's: https, or http from this machine alone")]
    Clear,
    /// Not a JSON object with `keys`.
    #[error("not a JWKS, a JSON object with an array `keys`")]
    Form,
    /// More than anybody has.
    #[error("the JWKS has {0} keys, more than {JWKS_KEYS_MAX}")]
    TooMany(usize),
    /// Nothing that can be verified with.
    #[error(
        "no key of Ed25519, or of RSA with {RSA_BITS_MIN} bits or more, for signatures among the {0} of the JWKS"
    )]
    NoKeys(usize),
}

impl Place {
    /// Reads a file's name or a URL.
    ///
    /// # Errors
    /// [`JwksError`] never shows the text, which may hold a password.
    pub fn parse(text: &str) -> Result<Self, JwksError> {
        if !text.contains("://") {
            return Ok(Self::File(text.into()));
        }
        let uri: Uri = text.parse().map_err(|_| JwksError::Url)?;
        let (Some(scheme), Some(authority), Some(host)) = (uri.scheme_str(), uri.authority(), uri.host())
        else {
            return Err(JwksError::Url);
        };
        if authority.as_str().contains('@') {
            return Err(JwksError::Credentials);
        }
        match scheme {
            "https" => Ok(Self::Url(uri)),
            "http" if matches!(host, "127.0.0.1" | "[::1]" | "localhost") => Ok(Self::Url(uri)),
            "http" => Err(JwksError::Clear),
            _ => Err(JwksError::Url),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
            Self::Url(uri) => uri.fmt(f),
        }
    }
}

#[derive(Deserialize)]
struct Set {
    keys: Vec<serde_json::Value>,
}

/// Reads a set.
///
/// # Errors
/// [`JwksError`].
pub fn read(json: &[u8]) -> Result<Vec<Key>, JwksError> {
    let Set { keys } = serde_json::from_slice(json).map_err(|_| JwksError::Form)?;
    let count = keys.len();
    if count > JWKS_KEYS_MAX {
        return Err(JwksError::TooMany(count));
    }
    let read = |key| serde_json::from_value::<Jwk>(key).ok().and_then(|jwk| Key::jwk(&jwk));
    let keys: Vec<Key> = keys.into_iter().filter_map(read).collect();
    if keys.is_empty() { Err(JwksError::NoKeys(count)) } else { Ok(keys) }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_place_is_a_file_or_a_url_that_can_be_trusted() {
        let parse = |text: &str| Place::parse(text);
        assert_eq!(parse("keys/jwks.json"), Ok(Place::File("keys/jwks.json".into())));
        for url in
            ["https://a.example/jwks.json", "http://127.0.0.1:9/jwks", "http://[::1]:9/", "http://localhost/"]
        {
            assert_eq!(parse(url).map(|place| place.to_string()), Ok(url.to_owned()));
        }
        assert_eq!(parse("http://a.example/jwks.json"), Err(JwksError::Clear));
        assert_eq!(parse("https://anna:canary@a.example/"), Err(JwksError::Credentials));
        for wrong in ["ftp://a.example/", "https://", "://", "https://a b/"] {
            assert_eq!(parse(wrong), Err(JwksError::Url), "{wrong}");
        }
    }

    #[test]
    fn keys_of_other_kinds_and_uses_are_passed_over() {
        let ed = |change: &[(&str, serde_json::Value)]| {
            let mut key =
                json!({"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"});
            for (name, value) in change {
                key[*name] = value.clone();
            }
            key
        };
        let count = |keys: Vec<serde_json::Value>| {
            read(json!({ "keys": keys }).to_string().as_bytes()).map(|keys| keys.len())
        };
        let others = vec![
            ed(&[("use", json!("enc"))]),
            ed(&[("crv", json!("X25519"))]),
            ed(&[("alg", json!("ES256"))]),
            ed(&[("x", json!("§"))]),
            json!({"kty": "oct", "alg": "HS256", "k": "c2VjcmV0"}),
            json!({"kty": "RSA", "alg": "RS512", "n": "AQAB", "e": "AQAB"}),
            json!({"kty": "EC", "crv": "P-256", "x": "AQAB", "y": "AQAB"}),
            json!({"kty": "new"}),
            json!(7),
        ];
        assert_eq!(count(others.clone()), Err(JwksError::NoKeys(9)));
        let good = [ed(&[]), ed(&[("use", json!("sig")), ("alg", json!("EdDSA")), ("kid", json!("1"))])];
        assert_eq!(count([&others[..], &good].concat()), Ok(2));
        assert_eq!(count(vec![ed(&[]); JWKS_KEYS_MAX + 1]), Err(JwksError::TooMany(JWKS_KEYS_MAX + 1)));
        for wrong in ["", "[]", "{}", "{\"keys\":{}}", "<html>"] {
            assert_eq!(read(wrong.as_bytes()).err(), Some(JwksError::Form), "{wrong}");
        }
    }
}
