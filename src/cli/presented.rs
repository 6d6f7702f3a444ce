//! What the commands that are clients present: a token or an API key, from a file or the environment. Never from the command
//! line, which every user of a machine can see.

use std::env::{self, VarError};
use std::path::PathBuf;

use anyhow::{anyhow, bail};

use crate::client::Token;
use crate::wire::ErrorCode;

/// Has a token where no file is named.
const VARIABLE: &str = "TICKWIRE_TOKEN";

/// Flags of who a client is.
#[derive(Debug, clap::Args)]
pub(super) struct Presented {
    /// Present the token or API key that this file has: it is read again for each connection, and when the server says that the
    /// token is over soon [default: what the variable TICKWIRE_TOKEN has, if it is set]
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
}

impl Presented {
    /// What to present to the server at that URL, if anything; it is said where others could read it on the way.
    pub(super) fn token(&self, url: &str) -> anyhow::Result<Option<Token>> {
        let token = match &self.token_file {
            Some(path) => Token::File(path.clone()),
            None => match env::var(VARIABLE) {
                Ok(text) => Token::fixed(&text, &format!("the variable {VARIABLE}"))?,
                Err(VarError::NotPresent) => return Ok(None),
                Err(VarError::NotUnicode(_)) => bail!("the variable {VARIABLE} is not UTF-8"),
            },
        };
        if is_in_the_clear(url) {
            eprintln!(
                "tickwire: the token is sent in the clear, where others can read it: give a URL of https:// or wss://"
            );
        }
        Ok(Some(token))
    }
}

fn is_in_the_clear(url: &str) -> bool {
    let Some(rest) = url.strip_prefix("ws://") else { return false };
    let host = rest.split(['/', '?']).next().unwrap_or(rest);
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    let is_here = |name: &str| matches!(name, "localhost" | "[::1]") || name.starts_with("127.");
    !is_here(name) && !is_here(host)
}

/// An error of the server, and where a token can be given if it asks for one.
pub(super) fn explain(error: &str) -> anyhow::Error {
    if error.contains(ErrorCode::AuthRequired.as_str()) {
        anyhow!("{error}; give a token or an API key by --token-file FILE, or in the variable {VARIABLE}")
    } else {
        anyhow!("{error}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_is_sent_a_token_in_the_clear_without_a_word() {
        for url in [
            "wss://a.example/v1/ws",
            "ws://127.0.0.1:8080/v1/ws",
            "ws://localhost",
            "ws://[::1]:9/",
            "ws://[::1]",
        ] {
            assert!(!is_in_the_clear(url), "{url}");
        }
        for url in [
            "ws://a.example:80/v1/ws",
            "ws://a.example",
            "ws://[2001:db8::1]:9/",
            "ws://localhost.a.example/",
        ] {
            assert!(is_in_the_clear(url), "{url}");
        }
    }
}
