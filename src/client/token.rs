//! What a client says who it is by: a token or an API key.

use std::fs::File;
use std::io::{self, Read};
use std::path::PathBuf;
use std::sync::Arc;

use zeroize::Zeroizing;

use crate::limits::TOKEN_BYTES_MAX;
use crate::secret::Secret;

/// Where a client has its token, or its API key, from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Token {
    /// It stays the same.
    Fixed(Arc<Secret>),
    /// It stands in a file, which is read for each connection, and while the server says that the one that it was presented
    /// is over soon.
    File(PathBuf),
}

/// Why there is no token. Never shows it.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// The file cannot be read.
    #[error("cannot read the token in {}: {source}", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// There is something else.
    #[error("{place} is to have a token or an API key alone, but {what}")]
    Wrong {
        /// Where.
        place: String,
        /// What is there.
        what: &'static str,
    },
}

impl Token {
    /// One that stays the same; `place` says where it stands, for the error.
    ///
    /// # Errors
    /// [`TokenError::Wrong`] when it cannot be one.
    pub fn fixed(text: &str, place: &str) -> Result<Self, TokenError> {
        checked(text, || place.to_owned()).map(Self::Fixed)
    }

    /// The line of a request's head that presents one.
    pub(crate) fn header(secret: &Secret) -> String {
        format!("Authorization: Bearer {}\r\n", secret.expose())
    }

    /// The message that presents one on an open connection. No character of a token has to be escaped.
    pub(super) fn request(secret: &Secret, req_id: i64) -> String {
        format!(r#"{{"method":"auth","params":{{"token":"{}"}},"req_id":{req_id}}}"#, secret.expose())
    }

    /// The token as it is now.
    ///
    /// # Errors
    /// [`TokenError`] names the file.
    pub(crate) fn read(&self) -> Result<Arc<Secret>, TokenError> {
        let path = match self {
            Self::Fixed(secret) => return Ok(Arc::clone(secret)),
            Self::File(path) => path,
        };
        let mut text = Zeroizing::new(String::new());
        // One byte more is too long, whatever a line's end takes.
        let most = TOKEN_BYTES_MAX as u64 + 3;
        let read = File::open(path).and_then(|file| file.take(most).read_to_string(&mut text));
        read.map_err(|source| TokenError::Read { path: path.clone(), source })?;
        checked(&text, || path.display().to_string())
    }
}

/// The token of a text. What a header could not hold, or would hold as something else, is none: RFC 6750 section 2.1.
fn checked(text: &str, place: impl Fn() -> String) -> Result<Arc<Secret>, TokenError> {
    let text = text.trim_ascii();
    let is_of_one = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~+/=".contains(&byte);
    let what = if text.is_empty() {
        "there is nothing"
    } else if text.len() > TOKEN_BYTES_MAX {
        "that is longer than any"
    } else if !text.bytes().all(is_of_one) {
        "there is a character that none has"
    } else {
        return Ok(Arc::new(Secret::new(text.to_owned())));
    };
    Err(TokenError::Wrong { place: place(), what })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_each_time_and_never_shown() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("token");
        let token = Token::File(path.clone());
        assert!(token.read().is_err_and(|error| error.to_string().contains("cannot read the token in /")));
        for text in ["canary.a-b_c\n", "twk_canary~+/==\r\n", "  canary"] {
            std::fs::write(&path, text).expect("a file");
            assert_eq!(token.read().expect("a token").expose(), text.trim());
        }
        let long = "a".repeat(TOKEN_BYTES_MAX);
        std::fs::write(&path, &long).expect("a file");
        assert_eq!(token.read().expect("the longest").expose(), long);
        for (text, what) in [
            ("", "nothing"),
            (" \n", "nothing"),
            ("canary\r\nX: y", "a character"),
            ("Bearer canary", "a character"),
            ("cänary", "a character"),
            (&format!("{long}a\r\n"), "longer"),
            (&"a".repeat(3 * TOKEN_BYTES_MAX), "longer"),
        ] {
            std::fs::write(&path, text).expect("a file");
            let error = token.read().expect_err("no token").to_string();
            assert!(error.contains(what) && error.contains("token") && !error.contains("canary"), "{error}");
        }
    }

    #[test]
    fn one_that_stays_does_not_show_itself() {
        let token = Token::fixed("canary\n", "here").expect("a token");
        assert_eq!(token.read().expect("it stays").expose(), "canary");
        assert!(!format!("{token:?}").contains("canary"));
        let error = Token::fixed("a b", "the variable X").expect_err("no token").to_string();
        assert!(error.starts_with("the variable X is to have a token"), "{error}");
    }
}
