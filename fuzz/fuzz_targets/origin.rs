//! Any text as the host that a request is for and, behind a zero byte, as the origin of the page that it comes from.

#![no_main]

use http::{HeaderMap, HeaderValue, Uri, header};
use libfuzzer_sys::fuzz_target;
use tickwire::server::admission::Origin;
use tickwire::server::admission::origin::{host, is_of, may_connect};
use tickwire_fuzz::split_beside;

/// As it is compared: in lower case, and without a port that need not be said.
fn bare(host: &str) -> String {
    let host = host.to_ascii_lowercase();
    let bare = host.strip_suffix(":443").or_else(|| host.strip_suffix(":80")).unwrap_or(&host);
    bare.to_owned()
}

fuzz_target!(|data: &[u8]| {
    let (asked, page) = split_beside(data);
    let uri = Uri::from_static("/v1/ws");
    let mut headers = HeaderMap::new();
    let Ok(value) = HeaderValue::from_bytes(asked) else { return };
    headers.append(header::HOST, value.clone());
    let found = host(&uri, &headers, false).map(str::to_owned);
    let mut twice = headers.clone();
    twice.append(header::HOST, value);
    assert_eq!(host(&uri, &twice, false), None, "of two hosts neither counts");
    let Some(own) = found else { return };
    assert!(!own.contains(['@', '/', '?', '#', ' ']), "{own:?}");
    assert!(!is_of(&format!("{own}.evil.example"), std::slice::from_ref(&own)), "{own:?}");

    let page = page.unwrap_or_default();
    let (Ok(text), Ok(value)) = (std::str::from_utf8(page), HeaderValue::from_bytes(page)) else { return };
    headers.append(header::ORIGIN, value);
    for is_tls in [false, true] {
        if may_connect(&headers, &own, is_tls, &[]) {
            let (scheme, its_host) = text.split_once("://").expect("an origin");
            assert!(matches!(&*scheme.to_ascii_lowercase(), "http" | "https"), "{text:?}");
            assert_eq!(bare(its_host), bare(&own), "a page from elsewhere");
        }
    }
    if let Ok(allowed) = text.parse::<Origin>() {
        let again = allowed.to_string().parse::<Origin>();
        assert_eq!(again.as_ref(), Ok(&allowed), "it is written as it is read");
        assert!(may_connect(&headers, "ours.example", true, &[allowed]), "what is allowed may: {text:?}");
    }
});
