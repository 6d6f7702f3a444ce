//! Whether an endpoint for WebSockets keeps to good practice: what it does is looked at from outside, and each fault explained.
//!
//! One connection at a time, a handful of them, each bounded in time and bytes: one behaves, and each of the others breaks
//! one rule. Nothing is subscribed to. Any endpoint can be looked at, not only our own.

mod certificate;
mod check;
mod handshakes;
mod report;
mod talk;
mod talks;

use std::time::Duration;

use axum::http::Uri;

use crate::client::{Token, TokenError};

pub use check::{Check, Explained};
pub use report::{Finding, Report, Verdict};

use talk::Door;

/// What to look at, and how patiently.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Such as `wss://ticks.example.com/v1/ws`.
    pub url: String,
    /// What to present in each handshake; `None`: nothing.
    pub token: Option<Token>,
    /// How long a connection may take: to be made, and after that for each answer.
    pub timeout: Duration,
    /// How long to wait, in silence, for a sign of life; `None`: it is not looked for.
    pub patience: Option<Duration>,
}

/// Why nothing can be said of an endpoint.
#[derive(Debug, thiserror::Error)]
pub enum LintError {
    /// Not such as `ws://127.0.0.1:8080/v1/ws`.
    #[error("no URL that begins with ws:// or wss:// and a host")]
    Url,
    /// There is no token to present.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// There is nobody.
    #[error("no connection: {0}")]
    Connect(String),
}

/// Looks at an endpoint.
///
/// # Errors
/// [`LintError`] when there is none to look at. Faults of the endpoint are no error, but in the report.
pub async fn lint(settings: &Settings) -> Result<Report, LintError> {
    let url: Uri = settings.url.parse().map_err(|_invalid| LintError::Url)?;
    let token = settings.token.as_ref().map(Token::read).transpose()?;
    let door = Door::new(url, token, settings.timeout)?;
    let mut report = Report::new(&settings.url);
    if handshakes::well_behaved(&door, &mut report).await? {
        for opening in handshakes::WRONG {
            handshakes::wrong(&door, opening, &mut report).await;
        }
        for breach in talks::BREACHES {
            talks::breach(&door, breach, &mut report).await;
        }
        if let Some(patience) = settings.patience {
            talks::heartbeat(&door, patience, &mut report).await;
        }
    }
    Ok(report)
}
