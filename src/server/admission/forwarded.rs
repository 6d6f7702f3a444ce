//! Who a client is behind proxies: what those that are trusted say in `X-Forwarded-For` or `Forwarded` (RFC 7239).

use std::net::{IpAddr, SocketAddr};

use axum::http::{HeaderMap, HeaderName, header};

use super::network::Networks;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// A trusted proxy does not tell who the client is. Taken for the proxy itself, it would be exempt from what clients may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unclear {
    /// A proxy writes one of the headers, and hands on the other as it came from the client. Which is which cannot be told
    /// from here.
    Contradiction,
    /// What is said last, or before a trusted proxy, is no address. What stands before it, nobody has vouched for.
    NoAddress,
}

/// The client's address: that of the connection, or where that is of a trusted proxy which says more, the last in the list
/// that is not one's; where all are, the first.
///
/// # Errors
/// [`Unclear`].
pub fn client(peer: IpAddr, headers: &HeaderMap, trusted: &Networks) -> Result<IpAddr, Unclear> {
    if !trusted.contains(peer) {
        return Ok(peer);
    }
    let by_list = headers.contains_key(X_FORWARDED_FOR).then(|| {
        let entries = items(headers, X_FORWARDED_FOR).map(|item| address(item?));
        last_untrusted(entries, trusted)
    });
    let by_standard = headers.contains_key(header::FORWARDED).then(|| {
        let entries = items(headers, header::FORWARDED).map(|item| forwarded_for(item?));
        last_untrusted(entries, trusted)
    });
    match (by_list, by_standard) {
        (Some(one), Some(other)) if one != other => Err(Unclear::Contradiction),
        (Some(told), _) | (None, Some(told)) => told.ok_or(Unclear::NoAddress),
        (None, None) => Ok(peer),
    }
}

/// The items of all headers of a name, the last first; `None` for one that is no text. Commas in quotes are none of ours: no
/// address has one.
fn items(headers: &HeaderMap, name: HeaderName) -> impl Iterator<Item = Option<&str>> {
    let values: Vec<_> = headers.get_all(name).iter().collect();
    let items = values.into_iter().rev().flat_map(|value| value.as_bytes().rsplit(|byte| *byte == b','));
    items.map(|item| std::str::from_utf8(item).ok().map(str::trim))
}

/// `None`: one that matters is no address, or there is none.
fn last_untrusted(from_the_last: impl Iterator<Item = Option<IpAddr>>, trusted: &Networks) -> Option<IpAddr> {
    let mut client = None;
    for entry in from_the_last {
        client = Some(entry?);
        if !entry.is_some_and(|address| trusted.contains(address)) {
            break;
        }
    }
    client
}

/// `for=192.0.2.60;proto=https`, `For="[2001:db8::1]:4711"`.
fn forwarded_for(element: &str) -> Option<IpAddr> {
    element.split(';').find_map(|pair| {
        let (name, value) = pair.split_once('=')?;
        let value = value.trim();
        let bare = value.strip_prefix('"').and_then(|value| value.strip_suffix('"')).unwrap_or(value);
        name.trim().eq_ignore_ascii_case("for").then(|| address(bare)).flatten()
    })
}

/// An address, with or without its port.
fn address(text: &str) -> Option<IpAddr> {
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    bare.parse().ok().or_else(|| text.parse().ok().map(|address: SocketAddr| address.ip()))
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn ask(peer: &str, lines: &[(&str, &str)]) -> Result<String, Unclear> {
        let trusted =
            ["10.0.0.0/8", "fd00::/8"].iter().map(|text| text.parse().expect("a network")).collect();
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            let name = HeaderName::from_bytes(name.as_bytes()).expect("a name");
            headers.append(name, HeaderValue::from_bytes(value.as_bytes()).expect("a value"));
        }
        client(peer.parse().expect("an address"), &headers, &trusted).map(|address| address.to_string())
    }

    #[test]
    fn only_trusted_proxies_are_believed() {
        for (peer, lines, client) in [
            ("192.0.2.1", &[("x-forwarded-for", "198.51.100.1")][..], "192.0.2.1"),
            ("192.0.2.1", &[("forwarded", "for=198.51.100.1")], "192.0.2.1"),
            ("10.0.0.1", &[], "10.0.0.1"),
            ("10.0.0.1", &[("x-forwarded-for", "198.51.100.1")], "198.51.100.1"),
            // What a client has written itself stands further to the left.
            ("10.0.0.1", &[("x-forwarded-for", "203.0.113.9, 198.51.100.1")], "198.51.100.1"),
            ("10.0.0.1", &[("x-forwarded-for", "203.0.113.9,198.51.100.1 , 10.9.9.9")], "198.51.100.1"),
            (
                "10.0.0.1",
                &[("x-forwarded-for", "203.0.113.9"), ("x-forwarded-for", "198.51.100.1")],
                "198.51.100.1",
            ),
            ("10.0.0.1", &[("x-forwarded-for", "10.1.1.1, 10.2.2.2")], "10.1.1.1"),
            ("10.0.0.1", &[("x-forwarded-for", "\u{e9}, 198.51.100.1")], "198.51.100.1"),
            ("10.0.0.1", &[("forwarded", "for=\u{e9}, for=198.51.100.1")], "198.51.100.1"),
            ("10.0.0.1", &[("x-forwarded-for", "198.51.100.1:4711")], "198.51.100.1"),
            ("fd00::1", &[("x-forwarded-for", "[2001:db8::1]:4711")], "2001:db8::1"),
            ("fd00::1", &[("x-forwarded-for", "2001:db8::1")], "2001:db8::1"),
            (
                "10.0.0.1",
                &[("forwarded", "for=203.0.113.9, by=x;FOR=198.51.100.1;proto=https")],
                "198.51.100.1",
            ),
            ("10.0.0.1", &[("forwarded", "for=\"[2001:db8::1]:80\"")], "2001:db8::1"),
            (
                "10.0.0.1",
                &[("x-forwarded-for", "198.51.100.1"), ("forwarded", "for=198.51.100.1")],
                "198.51.100.1",
            ),
        ] {
            assert_eq!(ask(peer, lines).as_deref(), Ok(client), "{peer} {lines:?}");
        }
    }

    /// Else one header line would free its client of all limits by address.
    #[test]
    fn a_client_without_an_address_is_not_taken_for_the_proxy() {
        for (name, value) in [
            ("x-forwarded-for", ""),
            ("x-forwarded-for", "203.0.113.9, "),
            ("x-forwarded-for", "unknown"),
            ("x-forwarded-for", "203.0.113.9, unknown, 10.2.2.2"),
            ("x-forwarded-for", "203.0.113.9, \u{e9}"),
            ("x-forwarded-for", "fe80::1%eth0"),
            ("forwarded", "for=203.0.113.9, for=_hidden"),
            ("forwarded", "proto=https"),
        ] {
            assert_eq!(ask("10.0.0.1", &[(name, value)]), Err(Unclear::NoAddress), "{name}: {value}");
            assert_eq!(ask("192.0.2.1", &[(name, value)]).as_deref(), Ok("192.0.2.1"));
        }
    }

    #[test]
    fn two_headers_that_disagree_are_refused() {
        let lines = [("x-forwarded-for", "198.51.100.1"), ("forwarded", "for=203.0.113.9")];
        assert_eq!(ask("10.0.0.1", &lines), Err(Unclear::Contradiction));
        assert_eq!(ask("192.0.2.1", &lines).as_deref(), Ok("192.0.2.1"), "neither is believed");
    }
}
