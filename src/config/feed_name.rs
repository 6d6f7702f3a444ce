//! The setting `feed`, in which somebody may have written a password.

use std::fmt;

use feeds::userinfo;
use serde::{Deserialize, Serialize, Serializer};

/// Where events come from, as it is written. However it is shown, a URL in it has no name and password.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct FeedName(String);

impl FeedName {
    /// As it is written, to be read and not to be shown.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&str> for FeedName {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl fmt::Display for FeedName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.split_once('@') {
            Some((venue, url)) if venue.starts_with("live:") => {
                write!(f, "{venue}@{}", userinfo::hidden(url))
            }
            _ => f.write_str(&self.0),
        }
    }
}

impl fmt::Debug for FeedName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.to_string())
    }
}

impl Serialize for FeedName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_shown_without_a_password() {
        for (written, shown) in [
            ("live:kraken@wss://anna:canary@venue.example/v2", "live:kraken@wss://…@venue.example/v2"),
            ("live:kraken@anna:canary@venue.example", "live:kraken@…@venue.example"),
            ("live:kraken@wss://venue.example/v2", "live:kraken@wss://venue.example/v2"),
            ("replay:at@home.itch", "replay:at@home.itch"),
            ("sim", "sim"),
        ] {
            let name = FeedName::from(written);
            assert_eq!((name.to_string().as_str(), name.as_str()), (shown, written));
            assert_eq!(format!("{name:?}"), format!("{shown:?}"));
            assert_eq!(serde_json::to_value(&name).expect("a text"), shown);
        }
    }
}
