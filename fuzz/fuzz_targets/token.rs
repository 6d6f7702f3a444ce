//! Any text as what somebody presents: in the head of a request, as a token as it is, and as the head and the claims of a token
//! that is signed right, so that what is behind the signature meets damage too.

#![no_main]

use std::sync::LazyLock;

use data_encoding::BASE64URL_NOPAD;
use feeds::Timestamp;
use http::{HeaderMap, HeaderValue, Uri, header};
use libfuzzer_sys::fuzz_target;
use ring::hmac;
use tickwire::limits::{IDENTITY_BYTES_MAX, TOKEN_LEEWAY};
use tickwire::secret::Secret;
use tickwire::server::auth::jwt::{self, Claims, Key, Rules, Verified};
use tickwire::server::auth::{SUBPROTOCOL_PREFIX, credential};
use tickwire_fuzz::split_beside;

const SECRET: &[u8; 32] = b"a secret of exactly thirty-two b";
const PUBLIC: &[u8] = b"-----BEGIN PUBLIC KEY-----
MCowBQYDK2VwAyEArgRYt2SySVD0Hs2sop4lPo8l/vTOa4Kiwv9Pj/Xgy/8=
-----END PUBLIC KEY-----
";
const NOW: Timestamp = Timestamp(1_800_000_000_000_000_000);

static KEYS: LazyLock<[Key; 2]> =
    LazyLock::new(|| [Key::secret(SECRET).expect("long enough"), Key::public(PUBLIC).expect("a public key")]);
static SIGNING: LazyLock<hmac::Key> = LazyLock::new(|| hmac::Key::new(hmac::HMAC_SHA256, SECRET));

fn verify(token: &str) -> Option<Claims> {
    let verify = || jwt::verify(&Secret::new(token.to_owned()), KEYS.iter(), true, &Rules::default(), NOW);
    let claims = verify();
    assert_eq!(claims, verify(), "the same token is the same");
    let Verified { claims, .. } = claims.ok()?;
    let expires = claims.expires().plus(TOKEN_LEEWAY);
    assert!(expires > NOW && !claims.sub.is_empty() && claims.sub.len() <= IDENTITY_BYTES_MAX, "{claims:?}");
    assert!(claims.nbf.is_none_or(|begins| begins <= 1_800_000_002), "{claims:?}");
    Some(claims)
}

/// Who has not the key makes nothing that is taken.
fn is_signed(token: &str) -> bool {
    let (message, signature) = token.rsplit_once('.').expect("parts");
    let signature = BASE64URL_NOPAD.decode(signature.as_bytes()).expect("base64");
    hmac::verify(&SIGNING, message.as_bytes(), &signature).is_ok()
}

fn present(bytes: &[u8], text: &str) {
    let path: Option<Uri> = format!("/v1/ws?{text}").parse().ok();
    let uri = path.unwrap_or_default();
    for (name, before) in [(header::AUTHORIZATION, ""), (header::SEC_WEBSOCKET_PROTOCOL, SUBPROTOCOL_PREFIX)]
    {
        let Ok(value) = HeaderValue::from_bytes(&[before.as_bytes(), bytes].concat()) else { continue };
        let mut headers = HeaderMap::new();
        headers.append(&name, value.clone());
        let asked = credential(&headers, &uri, true);
        if let Ok(Some(found)) = &asked {
            assert!(text.contains(found.expose()), "what is found was presented");
        }
        let unasked = credential(&headers, &uri, false);
        assert!(unasked.is_err() || unasked == Ok(None), "who is not asked has presented nothing");
        headers.append(name, value);
        let twice = credential(&headers, &uri, true);
        assert!(asked.is_err() || asked == Ok(None) || twice.is_err(), "twice is not once");
    }
}

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    present(data, text);
    if verify(text).is_some() {
        assert!(is_signed(text), "{text}");
    }
    let (head, claims) = split_beside(data);
    let Some(claims) = claims else { return };
    let message = [head, claims].map(|part| BASE64URL_NOPAD.encode(part)).join(".");
    let signature = BASE64URL_NOPAD.encode(hmac::sign(&SIGNING, message.as_bytes()).as_ref());
    verify(&format!("{message}.{signature}"));
});
