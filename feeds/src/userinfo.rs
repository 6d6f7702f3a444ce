//! The name and password that a URL may have: nobody is shown them, and here nobody needs them.

use std::borrow::Cow;
use std::ops::Range;

/// Whether a URL has a name or a password in it.
#[must_use]
pub fn is_in(url: &str) -> bool {
    place(url).is_some()
}

/// The URL as it may be shown: with `…` in their place.
#[must_use]
pub fn hidden(url: &str) -> Cow<'_, str> {
    match place(url) {
        Some(Range { start, end }) => Cow::Owned(format!("{}…{}", &url[..start], &url[end..])),
        None => Cow::Borrowed(url),
    }
}

/// Where they stand. What cannot be a host and a port before the path is taken for a part of them: somebody has not encoded
/// the password.
fn place(url: &str) -> Option<Range<usize>> {
    let start = url.find("://").map_or(0, |scheme| scheme + 3);
    let rest = &url[start..];
    let authority = &rest[..rest.find(['/', '?', '#']).unwrap_or(rest.len())];
    let end = match authority.rfind('@') {
        Some(end) => end,
        None if is_host(authority) => return None,
        None => rest.rfind('@')?,
    };
    Some(start..start + end)
}

fn is_host(authority: &str) -> bool {
    let behind_address = authority.rfind(']').map_or(authority, |end| &authority[end + 1..]);
    behind_address.split_once(':').is_none_or(|(_, port)| port.bytes().all(|byte| byte.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_passwords_are_hidden_and_nothing_else() {
        for (url, shown) in [
            ("wss://anna:canary@venue.example/v2", "wss://…@venue.example/v2"),
            ("wss://canary@venue.example:9443", "wss://…@venue.example:9443"),
            ("wss://anna:can@ary@venue.example?a=b@c", "wss://…@venue.example?a=b@c"),
            ("wss://anna:can/ary@venue.example/v2", "wss://…@venue.example/v2"),
            ("wss://anna:can?ary@venue.example", "wss://…@venue.example"),
            ("anna:canary@venue.example", "…@venue.example"),
            ("wss://@venue.example", "wss://…@venue.example"),
        ] {
            assert_eq!(hidden(url), shown);
            assert!(is_in(url), "{url}");
        }
        for url in
            ["wss://venue.example/stream?streams=btcusdt@trade", "ws://[::1]:9/a@b", "ws://a:1/@", "", "a"]
        {
            assert_eq!(hidden(url), url);
            assert!(!is_in(url), "{url}");
        }
    }
}
