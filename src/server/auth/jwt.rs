//! Tokens: JWT (RFC 7519), signed with HS256, RS256 or EdDSA by a key that is known here. Each key is of one algorithm, so
//! that a token cannot choose another for it (RFC 8725 section 3.1); `none` is none of them.

use data_encoding::{BASE64URL_NOPAD, HEXLOWER};
use feeds::Timestamp;
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyAlgorithm, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Validation};
use serde::{Deserialize, Deserializer, Serialize};

use super::signatures;
use crate::entitlement::Entitlement;
use crate::limits::{
    IDENTITY_BYTES_MAX, RSA_BITS_MAX, RSA_BITS_MIN, TOKEN_BYTES_MAX, TOKEN_LEEWAY, TOKEN_SECRET_BYTES_MIN,
};
use crate::metrics::AuthRefusal;
use crate::secret::Secret;

/// What a token says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    /// Who made it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub iss: Option<String>,
    /// Who presents it.
    pub sub: String,
    /// Whom it is for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub aud: Option<Audience>,
    /// When its time is over, in seconds since 1970.
    #[serde(deserialize_with = "seconds")]
    pub exp: u64,
    /// When its time begins.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "maybe_seconds")]
    pub nbf: Option<u64>,
    /// When it was made.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "maybe_seconds")]
    pub iat: Option<u64>,
    /// Its own number, by which it can be taken back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jti: Option<String>,
    /// The role of the configuration that says what may be seen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// In place of a role: what may be seen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entitlement: Option<Entitlement>,
    /// The name of the API key that it was given for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api_key: Option<String>,
    /// What that API key was then: it ends with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api_key_mark: Option<String>,
}

/// One name, or several.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Audience {
    /// One.
    One(String),
    /// Several.
    Many(Vec<String>),
}

/// Whose tokens are taken.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    /// The only issuer; `None`: any.
    pub issuer: Option<String>,
    /// What a token has to be for. `None`: a token for anybody in particular is not for us (RFC 7519 section 4.1.3).
    pub audience: Option<String>,
}

/// Why a key cannot be used. Never shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// A secret that can be guessed.
    #[error("the secret has {0} bytes: HS256 wants at least {TOKEN_SECRET_BYTES_MIN} (RFC 7518 section 3.2)")]
    TooShort(usize),
    /// What others may know where a secret is to be.
    #[error(
        "that is a key in PEM or a JWKS, which others may have: the secret of HS256 is random bytes in a file of its own"
    )]
    NoSecret,
    /// An RSA key that can be factored, or whose signatures take too long.
    #[error("the RSA key has {0} bits: RS256 wants {RSA_BITS_MIN} to {RSA_BITS_MAX} (RFC 7518 section 3.3)")]
    RsaBits(usize),
    /// Anything else where a public key is to be.
    #[error("no public key of Ed25519 or RSA in PEM (a block PUBLIC KEY) in it")]
    NoPublicKey,
    /// A private key where the public one is to be.
    #[error(
        "that is a private key: tokens are verified with the public one, and the private one is to stay with who signs"
    )]
    Private,
    /// Anything else where a private key is to be.
    #[error("no private key of Ed25519 in PEM (a block PRIVATE KEY) in it")]
    NoPrivateKey,
    /// The claims cannot be signed.
    #[error("the token cannot be signed")]
    Signing,
}

/// What signatures are verified with.
#[derive(Debug)]
pub struct Key {
    id: Option<String>,
    algorithm: Algorithm,
    key: DecodingKey,
    fingerprint: Fingerprint,
}

/// By which a key is known again: a hash of how it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    fn of(written: &[u8]) -> Self {
        let mut hash = [0; 32];
        hash.copy_from_slice(ring::digest::digest(&ring::digest::SHA256, written).as_ref());
        Self(hash)
    }
}

/// What a token says, and by which key it is signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    /// What it says.
    pub claims: Claims,
    /// Of the key.
    pub key: Fingerprint,
}

impl Key {
    /// A secret of HS256, as a file has it: a line's end is not part of it.
    ///
    /// # Errors
    /// [`KeyError::TooShort`], [`KeyError::NoSecret`].
    pub fn secret(file: &[u8]) -> Result<Self, KeyError> {
        signatures::install();
        let secret = secret_of(file)?;
        let (key, fingerprint) = (DecodingKey::from_secret(secret), Fingerprint::of(secret));
        Ok(Self { id: None, algorithm: Algorithm::HS256, key, fingerprint })
    }

    /// A public key of Ed25519 or RSA in PEM.
    ///
    /// # Errors
    /// [`KeyError`].
    pub fn public(pem: &[u8]) -> Result<Self, KeyError> {
        signatures::install();
        if pem.windows(7).any(|window| window == b"PRIVATE") {
            return Err(KeyError::Private);
        }
        let fingerprint = Fingerprint::of(pem.trim_ascii());
        let of = |algorithm, key| Self { id: None, algorithm, key, fingerprint };
        if let Ok(key) = DecodingKey::from_ed_pem(pem) {
            return Ok(of(Algorithm::EdDSA, key));
        }
        let key = DecodingKey::from_rsa_pem(pem).map_err(|_| KeyError::NoPublicKey)?;
        let bits = signatures::rsa_bits(&key).ok_or(KeyError::NoPublicKey)?;
        if !(RSA_BITS_MIN..=RSA_BITS_MAX).contains(&bits) {
            return Err(KeyError::RsaBits(bits));
        }
        Ok(of(Algorithm::RS256, key))
    }

    /// By which it is known again.
    pub(super) const fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }

    /// A public key of Ed25519 or RSA of a JWKS. `None`: another kind, or size, or for another use. A secret is never taken from
    /// where others can read it.
    pub(super) fn jwk(jwk: &Jwk) -> Option<Self> {
        signatures::install();
        let common = &jwk.common;
        if common.public_key_use.as_ref().is_some_and(|what| *what != PublicKeyUse::Signature) {
            return None;
        }
        let algorithm = match &jwk.algorithm {
            AlgorithmParameters::RSA(_) => Algorithm::RS256,
            AlgorithmParameters::OctetKeyPair(pair) if pair.curve == EllipticCurve::Ed25519 => {
                Algorithm::EdDSA
            }
            _ => return None,
        };
        match (algorithm, common.key_algorithm) {
            (_, None)
            | (Algorithm::RS256, Some(KeyAlgorithm::RS256))
            | (Algorithm::EdDSA, Some(KeyAlgorithm::EdDSA)) => {}
            _ => return None,
        }
        let key = DecodingKey::from_jwk(jwk).ok()?;
        if algorithm == Algorithm::RS256
            && !(RSA_BITS_MIN..=RSA_BITS_MAX).contains(&signatures::rsa_bits(&key)?)
        {
            return None;
        }
        let fingerprint = Fingerprint::of(&serde_json::to_vec(&jwk.algorithm).ok()?);
        Some(Self { id: common.key_id.clone(), algorithm, key, fingerprint })
    }
}

/// The parts of a token's head that say how it is to be verified.
#[derive(Deserialize)]
struct Head {
    alg: String,
    kid: Option<String>,
    crit: Option<serde_json::Value>,
}

/// Verifies a token. With `has_set`, an id of no key means that a set of keys which changes may have it by now.
///
/// # Errors
/// Why it is not valid at that time.
pub fn verify<'a>(
    token: &Secret,
    keys: impl Iterator<Item = &'a Key> + Clone,
    has_set: bool,
    rules: &Rules,
    now: Timestamp,
) -> Result<Verified, AuthRefusal> {
    let token = token.expose();
    let (head, algorithm) = read_head(token)?;
    let is_named = |key: &Key| key.id.is_some() && key.id == head.kid;
    let mut refusal = AuthRefusal::Algorithm;
    for key in keys.clone().filter(|key| key.algorithm == algorithm) {
        // A key without an id, and a token that names none, may belong to any.
        if key.id.is_some() && head.kid.is_some() && !is_named(key) {
            continue;
        }
        match jsonwebtoken::decode::<Claims>(token, &key.key, &validation(algorithm, rules)) {
            Ok(verified) => {
                let claims = in_time(verified.claims, now)?;
                return Ok(Verified { claims, key: key.fingerprint });
            }
            Err(error) => match error.kind() {
                ErrorKind::InvalidSignature => refusal = AuthRefusal::Signature,
                ErrorKind::MissingRequiredClaim(name) if name == "aud" => return Err(AuthRefusal::Audience),
                ErrorKind::MissingRequiredClaim(name) if name == "iss" => return Err(AuthRefusal::Issuer),
                ErrorKind::InvalidAudience => return Err(AuthRefusal::Audience),
                ErrorKind::InvalidIssuer => return Err(AuthRefusal::Issuer),
                ErrorKind::InvalidToken | ErrorKind::Base64(_) => return Err(AuthRefusal::Malformed),
                _ => return Err(AuthRefusal::Claims),
            },
        }
    }
    let is_unknown = has_set && head.kid.is_some() && !keys.clone().any(is_named);
    Err(if is_unknown { AuthRefusal::UnknownKey } else { refusal })
}

fn read_head(token: &str) -> Result<(Head, Algorithm), AuthRefusal> {
    if token.len() > TOKEN_BYTES_MAX {
        return Err(AuthRefusal::Malformed);
    }
    let (head, rest) = token.split_once('.').ok_or(AuthRefusal::Malformed)?;
    if rest.split('.').count() != 2 {
        return Err(AuthRefusal::Malformed);
    }
    let head = BASE64URL_NOPAD.decode(head.as_bytes()).map_err(|_| AuthRefusal::Malformed)?;
    let head: Head = serde_json::from_slice(&head).map_err(|_| AuthRefusal::Malformed)?;
    // What has to be understood to read the token is not (RFC 7515 section 4.1.11).
    if head.crit.is_some() {
        return Err(AuthRefusal::Malformed);
    }
    let algorithm = match head.alg.as_str() {
        "HS256" => Algorithm::HS256,
        "RS256" => Algorithm::RS256,
        "EdDSA" => Algorithm::EdDSA,
        _ => return Err(AuthRefusal::Algorithm),
    };
    Ok((head, algorithm))
}

fn validation(algorithm: Algorithm, rules: &Rules) -> Validation {
    let mut validation = Validation::new(algorithm);
    // It would ask the machine's clock.
    validation.validate_exp = false;
    if let Some(issuer) = &rules.issuer {
        validation.set_issuer(&[issuer]);
        validation.required_spec_claims.insert("iss".to_owned());
    }
    if let Some(audience) = &rules.audience {
        validation.set_audience(&[audience]);
        validation.required_spec_claims.insert("aud".to_owned());
    }
    validation
}

fn in_time(claims: Claims, now: Timestamp) -> Result<Claims, AuthRefusal> {
    let is_text = |text: &String| !text.is_empty() && text.len() <= IDENTITY_BYTES_MAX;
    if !is_text(&claims.sub) || !claims.jti.as_ref().is_none_or(is_text) {
        return Err(AuthRefusal::Claims);
    }
    if claims.expires().plus(TOKEN_LEEWAY) <= now {
        return Err(AuthRefusal::Expired);
    }
    if claims.nbf.is_some_and(|begins| timestamp(begins) > now.plus(TOKEN_LEEWAY)) {
        return Err(AuthRefusal::NotYet);
    }
    Ok(claims)
}

impl Claims {
    /// When its time is over.
    #[must_use]
    pub fn expires(&self) -> Timestamp {
        timestamp(self.exp)
    }
}

/// Later than any clock goes is never.
fn timestamp(seconds: u64) -> Timestamp {
    Timestamp(i64::try_from(seconds).unwrap_or(i64::MAX).saturating_mul(1_000_000_000))
}

/// Reads a NumericDate: seconds, of which a fraction is not counted.
fn seconds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    let number = serde_json::Number::deserialize(deserializer)?;
    let text = number.to_string();
    // Digits before a point are not the whole of it then: no time of a token is so late.
    if text.contains('e') {
        return Err(serde::de::Error::custom("not seconds since 1970"));
    }
    let whole = text.split_once('.').map_or(text.as_str(), |(whole, _)| whole);
    whole.parse().map_err(|_| serde::de::Error::custom("not seconds since 1970"))
}

fn maybe_seconds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    seconds(deserializer).map(Some)
}

/// What tokens are signed with.
#[derive(Debug)]
pub struct SigningKey {
    id: Option<String>,
    algorithm: Algorithm,
    key: EncodingKey,
}

impl SigningKey {
    /// A secret of HS256, as a file has it.
    ///
    /// # Errors
    /// [`KeyError::TooShort`], [`KeyError::NoSecret`].
    pub fn secret(file: &[u8]) -> Result<Self, KeyError> {
        signatures::install();
        Ok(Self { id: None, algorithm: Algorithm::HS256, key: EncodingKey::from_secret(secret_of(file)?) })
    }

    /// A private key of Ed25519 in PEM. Its tokens name it as [`key_id`] does.
    ///
    /// # Errors
    /// [`KeyError::NoPrivateKey`].
    pub fn private(pem: &[u8]) -> Result<Self, KeyError> {
        signatures::install();
        let key = EncodingKey::from_ed_pem(pem).map_err(|_| KeyError::NoPrivateKey)?;
        let public = signatures::ed25519_public(&key).ok_or(KeyError::NoPrivateKey)?;
        Ok(Self { id: Some(key_id(&public)), algorithm: Algorithm::EdDSA, key })
    }

    /// Makes a token.
    ///
    /// # Errors
    /// [`KeyError::Signing`].
    pub fn sign(&self, claims: &Claims) -> Result<Secret, KeyError> {
        let mut head = jsonwebtoken::Header::new(self.algorithm);
        head.kid.clone_from(&self.id);
        jsonwebtoken::encode(&head, claims, &self.key).map(Secret::new).map_err(|_| KeyError::Signing)
    }
}

/// The id of a public key of Ed25519: so much of its hash that no two keys have the same.
#[must_use]
pub fn key_id(public: &[u8]) -> String {
    HEXLOWER.encode(&ring::digest::digest(&ring::digest::SHA256, public).as_ref()[..8])
}

fn secret_of(file: &[u8]) -> Result<&[u8], KeyError> {
    let line = file.strip_suffix(b"\n").unwrap_or(file);
    let secret = line.strip_suffix(b"\r").unwrap_or(line);
    if file.windows(10).any(|window| window == b"-----BEGIN") || file.trim_ascii_start().starts_with(b"{") {
        return Err(KeyError::NoSecret);
    }
    if secret.len() < TOKEN_SECRET_BYTES_MIN { Err(KeyError::TooShort(secret.len())) } else { Ok(secret) }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const SECRET: &[u8] = b"a secret of thirty-two bytes, or\n";
    const NOW: Timestamp = Timestamp(1_800_000_000_000_000_000);
    const NOW_S: u64 = 1_800_000_000;

    fn secret() -> Key {
        Key::secret(SECRET).expect("long enough")
    }

    fn verify<'a>(
        token: &Secret,
        keys: impl Iterator<Item = &'a Key> + Clone,
        has_set: bool,
        rules: &Rules,
        now: Timestamp,
    ) -> Result<Claims, AuthRefusal> {
        super::verify(token, keys, has_set, rules, now).map(|verified| verified.claims)
    }

    /// Signed whatever it says.
    fn signed(head: &Value, claims: &str) -> Secret {
        let encode = |text: &str| BASE64URL_NOPAD.encode(text.as_bytes());
        let message = format!("{}.{}", encode(&head.to_string()), encode(claims));
        let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, SECRET.trim_ascii_end());
        let tag = ring::hmac::sign(&key, message.as_bytes());
        Secret::new(format!("{message}.{}", BASE64URL_NOPAD.encode(tag.as_ref())))
    }

    fn with(change: &[(&str, Value)]) -> Secret {
        let mut claims =
            json!({"sub": "anna", "exp": NOW_S + 60, "aud": "tickwire", "iss": "here", "role": "small"});
        for (name, value) in change {
            if value.is_null() {
                claims.as_object_mut().expect("an object").remove(*name);
            } else {
                claims[*name] = value.clone();
            }
        }
        signed(&json!({"alg": "HS256", "typ": "JWT"}), &claims.to_string())
    }

    fn rules() -> Rules {
        Rules { issuer: Some("here".into()), audience: Some("tickwire".into()) }
    }

    fn verified(token: &Secret) -> Result<Claims, AuthRefusal> {
        verify(token, [secret()].iter(), false, &rules(), NOW)
    }

    #[test]
    fn what_is_signed_and_in_its_time_is_taken() {
        let claims = verified(&with(&[("jti", json!("7"))])).expect("valid");
        assert_eq!((claims.sub.as_str(), claims.jti.as_deref(), claims.exp), ("anna", Some("7"), NOW_S + 60));
        for (change, is_valid) in [
            (("exp", json!(NOW_S - 1)), true),
            (("exp", json!(NOW_S - TOKEN_LEEWAY.as_secs())), false),
            (("exp", json!(u64::MAX)), true),
            (("nbf", json!(NOW_S + TOKEN_LEEWAY.as_secs())), true),
            (("nbf", json!(NOW_S + TOKEN_LEEWAY.as_secs() + 1)), false),
            (("aud", json!(["others", "tickwire"])), true),
        ] {
            assert_eq!(verified(&with(std::slice::from_ref(&change))).is_ok(), is_valid, "{change:?}");
        }
        let fraction = with(&[]).expose().to_owned();
        assert!(verified(&Secret::new(fraction)).is_ok());
        let fraction = format!(r#"{{"sub":"a","exp":{NOW_S}9.75,"aud":"tickwire","iss":"here"}}"#);
        let claims = verified(&signed(&json!({"alg": "HS256"}), &fraction)).expect("valid");
        assert_eq!(claims.exp, NOW_S * 10 + 9);
    }

    #[test]
    fn each_thing_that_is_wrong_is_named() {
        for (change, refusal) in [
            (("exp", json!(NOW_S - 60)), AuthRefusal::Expired),
            (("exp", Value::Null), AuthRefusal::Claims),
            (("exp", json!("soon")), AuthRefusal::Claims),
            (("exp", json!(-5)), AuthRefusal::Claims),
            (("exp", json!(1e300)), AuthRefusal::Claims),
            (("nbf", json!(NOW_S + 60)), AuthRefusal::NotYet),
            (("nbf", json!("now")), AuthRefusal::Claims),
            (("aud", json!("others")), AuthRefusal::Audience),
            (("aud", json!(["others"])), AuthRefusal::Audience),
            (("aud", Value::Null), AuthRefusal::Audience),
            (("iss", json!("there")), AuthRefusal::Issuer),
            (("iss", Value::Null), AuthRefusal::Issuer),
            (("sub", Value::Null), AuthRefusal::Claims),
            (("sub", json!("")), AuthRefusal::Claims),
            (("sub", json!("x".repeat(IDENTITY_BYTES_MAX + 1))), AuthRefusal::Claims),
            (("jti", json!("x".repeat(IDENTITY_BYTES_MAX + 1))), AuthRefusal::Claims),
            (("entitlement", json!({"symbols": "*"})), AuthRefusal::Claims),
        ] {
            assert_eq!(verified(&with(std::slice::from_ref(&change))), Err(refusal), "{change:?}");
        }
        let claims = format!(r#"{{"sub":"a","sub":"b","exp":{},"aud":"tickwire","iss":"here"}}"#, NOW_S + 9);
        assert_eq!(
            verified(&signed(&json!({"alg": "HS256"}), &claims)),
            Err(AuthRefusal::Claims),
            "said twice"
        );
        for claims in ["", "[]", "\"text\"", "{", "\u{fffd}"] {
            assert_eq!(
                verified(&signed(&json!({"alg": "HS256"}), claims)),
                Err(AuthRefusal::Claims),
                "{claims}"
            );
        }
    }

    #[test]
    fn without_an_audience_a_token_for_somebody_is_not_for_us() {
        let nobody = Rules::default();
        let check = |token: &Secret| verify(token, [secret()].iter(), false, &nobody, NOW);
        assert!(check(&with(&[("aud", Value::Null)])).is_ok());
        assert_eq!(check(&with(&[])), Err(AuthRefusal::Audience));
    }

    #[test]
    fn no_byte_of_it_can_be_changed() {
        let token = with(&[]);
        let text = token.expose();
        for at in 0..text.len() {
            let mut bytes = text.as_bytes().to_vec();
            bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
            let changed = Secret::new(String::from_utf8(bytes).expect("ASCII"));
            assert!(verified(&changed).is_err(), "byte {at}");
        }
        for end in 0..text.len() {
            assert!(verified(&Secret::new(text[..end].to_owned())).is_err(), "cut at {end}");
        }
        for form in ["", ".", "..", "a.b", "a.b.c.d", "e30.e30.", " ", "€.€.€"] {
            assert_eq!(verified(&Secret::new(form.to_owned())), Err(AuthRefusal::Malformed), "{form}");
        }
        let long = Secret::new("a".repeat(TOKEN_BYTES_MAX + 1));
        assert_eq!(verified(&long), Err(AuthRefusal::Malformed));
    }

    #[test]
    fn the_key_says_the_algorithm_and_not_the_token() {
        let claims = json!({"sub": "a", "exp": NOW_S + 60, "aud": "tickwire", "iss": "here"}).to_string();
        for algorithm in ["none", "None", "NONE", "", "HS384", "HS512", "RS256", "ES256", "EdDSA", "PS256"] {
            let token = signed(&json!({ "alg": algorithm }), &claims);
            assert_eq!(verified(&token), Err(AuthRefusal::Algorithm), "{algorithm}");
            let (message, _) = token.expose().rsplit_once('.').expect("a signature");
            assert!(
                verified(&Secret::new(format!("{message}."))).is_err(),
                "{algorithm} without a signature"
            );
        }
        for head in [json!({"alg": "HS256", "crit": ["x"]}), json!({}), json!({"alg": 1}), json!([])] {
            assert_eq!(verified(&signed(&head, &claims)), Err(AuthRefusal::Malformed), "{head}");
        }
        // The public key taken for a secret, as in CVE-2015-9235.
        let pair = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).expect("a key");
        let public = pair.public_key_pem();
        let key = EncodingKey::from_secret(public.as_bytes());
        let forged = SigningKey { id: None, algorithm: Algorithm::HS256, key };
        let claims = verified(&with(&[])).expect("valid");
        let forged = forged.sign(&claims).expect("signed");
        let keys = [Key::public(public.as_bytes()).expect("a public key")];
        assert_eq!(verify(&forged, keys.iter(), false, &rules(), NOW), Err(AuthRefusal::Algorithm));
    }

    #[test]
    fn an_ed25519_pair_signs_and_verifies_as_openssl_writes_it_too() {
        let claims = verified(&with(&[])).expect("valid");
        let made = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).expect("a key");
        // Of `openssl genpkey -algorithm ed25519`: PKCS #8 without the public half. Made for this test.
        let openssl = (
            "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIN3OwBVMkbGyJ5VsK3hIitE5Slc+fqy8XQd1eZ3AjXte\n-----END PRIVATE KEY-----\n",
            "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAWTKZtIZK+N8BkkeJhaO1YcAfDLZEWzN/+1dQzbZ+lKQ=\n-----END PUBLIC KEY-----\n",
        );
        for (private, public) in
            [(made.serialize_pem(), made.public_key_pem()), (openssl.0.to_owned(), openssl.1.to_owned())]
        {
            let token =
                SigningKey::private(private.as_bytes()).expect("a key").sign(&claims).expect("signed");
            let keys = [secret(), Key::public(public.as_bytes()).expect("a key")];
            assert_eq!(verify(&token, keys.iter(), false, &rules(), NOW), Ok(claims.clone()));
            assert_eq!(verify(&token, keys[..1].iter(), false, &rules(), NOW), Err(AuthRefusal::Algorithm));
            let other = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).expect("a key");
            let others = [Key::public(other.public_key_pem().as_bytes()).expect("a key")];
            assert_eq!(verify(&token, others.iter(), false, &rules(), NOW), Err(AuthRefusal::Signature));
            assert_eq!(Key::public(private.as_bytes()).err(), Some(KeyError::Private));
            for pem in [&private, &public] {
                assert_eq!(
                    Key::secret(pem.as_bytes()).err(),
                    Some(KeyError::NoSecret),
                    "anybody may know it"
                );
                assert_eq!(SigningKey::secret(pem.as_bytes()).err(), Some(KeyError::NoSecret));
            }
            assert_eq!(SigningKey::private(public.as_bytes()).err(), Some(KeyError::NoPrivateKey));
        }
        assert_eq!(Key::public(b"no key").err(), Some(KeyError::NoPublicKey));
        assert_eq!(Key::secret(&SECRET[..31]).err(), Some(KeyError::TooShort(31)));
        let jwks = json!({"keys": [], "comment": "longer than thirty-two bytes"}).to_string();
        assert_eq!(Key::secret(jwks.as_bytes()).err(), Some(KeyError::NoSecret));
    }

    #[test]
    fn an_rsa_key_that_can_be_factored_is_none() {
        const SMALL: &str = "MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDO0CTO6hSXa4sNLI6wNMr07/GavbE0Lf/8fGFpZhV5PR7J6xwKyT2Huj6S7lkREcCnaRVwe2C+9UYFM4TTaYfAaJUVRRracgtIeL5RMb8BfPxQqa5RlXPBIdeQqvL4wF+57QJaErQ5w6TZ25k5OZQSmHMh7M4kjYmgncs5YGNg+wIDAQAB";
        const LARGE: &str = "MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEArmsdr/+L5cqLLtIAiIErX/H9jZUHSyepbns5mKNoKfGS6QH4UV6wjCQzBv9GhR4UzhEpwALvkk4TpcgCgRaN58bsPDDkUe7G+kzVAB+7F24gBuWTwd065Il/YZ25r9Kt7UI25lX59+YzZckEulUQ2fzjv0Yt/AN5/rVscouJiEdCoC+SJanlDj0mhQdENUpi1w0Aim5+foxZrePCkyxbKyAXs2OT7OQu9BF72L9rhx/YF2BSt6VeMAra07IBcCQDTpMMqJsYZ7+9QepoeSJjMnUA1S9BA+DSmJSxRDZlx9GuvncnkbXPDb3S7Cten0DY/qFmW3buELYZT1pTsQ0WhwIDAQAB";
        let pem = |text: &str| format!("-----BEGIN PUBLIC KEY-----\n{text}\n-----END PUBLIC KEY-----\n");
        assert_eq!(Key::public(pem(SMALL).as_bytes()).err(), Some(KeyError::RsaBits(1_024)));
        assert_eq!(Key::public(pem(LARGE).as_bytes()).map(|key| key.algorithm), Ok(Algorithm::RS256));
        let jwk = |bytes: usize, first: u8| {
            let mut modulus = vec![first; 1];
            modulus.resize(bytes, 0xff);
            let jwk = json!({"kty": "RSA", "e": "AQAB", "n": BASE64URL_NOPAD.encode(&modulus)});
            Key::jwk(&serde_json::from_value(jwk).expect("a JWK")).is_some()
        };
        assert!(jwk(256, 0x80) && jwk(257, 0) && jwk(1024, 0xff));
        assert!(!jwk(256, 0x7f) && !jwk(128, 0xff) && !jwk(1025, 0x01));
    }

    /// RFC 7515, appendix A.2: its claims have no `sub`, which is found wrong only behind a signature that is right.
    #[test]
    fn the_rs256_sample_of_the_rfc_is_verified() {
        let jwk = json!({
            "kty": "RSA", "e": "AQAB",
            "n": "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ",
        });
        let token = "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw";
        let keys = [Key::jwk(&serde_json::from_value(jwk).expect("a JWK")).expect("a key")];
        let check = |text: String| verify(&Secret::new(text), keys.iter(), false, &Rules::default(), NOW);
        assert_eq!(check(token.to_owned()), Err(AuthRefusal::Claims));
        assert_eq!(check(token.replace("cC4h", "cC4i")), Err(AuthRefusal::Signature));
    }

    #[test]
    fn an_id_chooses_among_keys_and_one_that_is_not_known_is_told() {
        let claims = verified(&with(&[])).expect("valid");
        let pairs: Vec<_> =
            (0..2).map(|_| rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).expect("a key")).collect();
        let jwk = |pair: &rcgen::KeyPair, id: Option<&str>| {
            let x = BASE64URL_NOPAD.encode(pair.public_key_raw());
            let jwk = json!({"kty": "OKP", "crv": "Ed25519", "x": x, "kid": id});
            Key::jwk(&serde_json::from_value(jwk).expect("a JWK")).expect("a key")
        };
        let token = SigningKey::private(pairs[0].serialize_pem().as_bytes()).expect("a key").sign(&claims);
        let token = token.expect("signed");
        let id = key_id(pairs[0].public_key_raw());
        let check = |keys: &[Key], has_set| verify(&token, keys.iter(), has_set, &rules(), NOW).map(|_| ());
        assert_eq!(check(&[jwk(&pairs[1], Some("other")), jwk(&pairs[0], Some(&id))], true), Ok(()));
        assert_eq!(check(&[jwk(&pairs[1], None), jwk(&pairs[0], None)], true), Ok(()), "each is tried");
        assert_eq!(check(&[jwk(&pairs[0], Some("other"))], true), Err(AuthRefusal::UnknownKey));
        assert_eq!(check(&[], true), Err(AuthRefusal::UnknownKey));
        assert_eq!(check(&[secret()], true), Err(AuthRefusal::UnknownKey));
        assert_eq!(check(&[jwk(&pairs[1], Some(&id))], true), Err(AuthRefusal::Signature));
        assert_eq!(check(&[secret()], false), Err(AuthRefusal::Algorithm));
    }
}
