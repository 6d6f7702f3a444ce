//! Any lines as what proxies say of a client: `X-Forwarded-For`, and behind a zero byte `Forwarded`. Whatever a client writes
//! there before its proxy, it is nobody else.

#![no_main]

use std::net::IpAddr;
use std::sync::LazyLock;

use http::{HeaderMap, HeaderName, HeaderValue, header};
use libfuzzer_sys::fuzz_target;
use tickwire::server::admission::Networks;
use tickwire::server::admission::forwarded::client;
use tickwire_fuzz::split_beside;

static TRUSTED: LazyLock<Networks> = LazyLock::new(|| {
    ["10.0.0.0/8", "fd00::/8"].iter().map(|text| text.parse().expect("a network")).collect()
});
const PROXY: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 1));
const STRANGER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));
const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

fn add(headers: &mut HeaderMap, name: &HeaderName, lines: &[u8]) {
    for line in lines.split(|byte| *byte == b'\n') {
        if let Ok(value) = HeaderValue::from_bytes(line) {
            headers.append(name, value);
        }
    }
}

fuzz_target!(|data: &[u8]| {
    let (list, standard) = split_beside(data);
    let mut headers = HeaderMap::new();
    add(&mut headers, &X_FORWARDED_FOR, list);
    add(&mut headers, &header::FORWARDED, standard.unwrap_or_default());
    assert_eq!(client(STRANGER, &headers, &TRUSTED), Ok(STRANGER), "only trusted proxies are believed");
    let told = client(PROXY, &headers, &TRUSTED);
    let Ok(address) = told else { return };
    if TRUSTED.contains(address) {
        return;
    }
    // What a client has sent stands before what its proxy has added.
    let mut forged = HeaderMap::new();
    for name in [&X_FORWARDED_FOR, &header::FORWARDED] {
        if headers.contains_key(name) {
            add(&mut forged, name, b"for=203.0.113.9, 203.0.113.9");
        }
        headers.get_all(name).iter().for_each(|value| {
            forged.append(name, value.clone());
        });
    }
    assert_eq!(client(PROXY, &forged, &TRUSTED), told);
});
