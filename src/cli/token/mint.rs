//! `tickwire token mint`.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use feeds::{Clock, Timestamp};

use crate::config;
use crate::entitlement::Entitlement;
use crate::limits::IDENTITY_BYTES_MAX;
use crate::server::auth::jwt::{Audience, Claims, SigningKey};
use crate::server::auth::{self, new_id};

/// Flags of `token mint`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// File with a private key of Ed25519 (PEM), or else the secret of HS256
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// Who is to present it
    #[arg(long, value_name = "NAME", value_parser = name)]
    subject: String,
    /// What may be seen: a role of the server's configuration
    #[arg(
        long,
        value_name = "ROLE",
        value_parser = name,
        required_unless_present = "entitlement",
        conflicts_with = "entitlement"
    )]
    role: Option<String>,
    /// What may be seen, in place of a role: {"symbols":["BTC-*"],"channels":["quote"],"depth":10,"max_frequency":"250ms",
    /// "delayed":true}; with "admin":true, it is an administrator's
    #[arg(long, value_name = "JSON", value_parser = entitlement)]
    entitlement: Option<Entitlement>,
    /// How long it lives
    #[arg(long, value_name = "TIME", default_value = "15m")]
    lifetime: String,
    /// When its time begins: RFC 3339, or nanoseconds since 1970 [default: now]
    #[arg(long, value_name = "TIME")]
    not_before: Option<Timestamp>,
    /// Who made it
    #[arg(long, value_name = "NAME")]
    issuer: Option<String>,
    /// Whom it is for
    #[arg(long, value_name = "NAME")]
    audience: Option<String>,
    /// Its number, by which it can be taken back [default: a random one]
    #[arg(long, value_name = "ID", value_parser = name)]
    id: Option<String>,
}

fn entitlement(text: &str) -> Result<Entitlement, serde_json::Error> {
    serde_json::from_str(text)
}

/// What the server would take as a name.
fn name(text: &str) -> Result<String, String> {
    if text.is_empty() || text.len() > IDENTITY_BYTES_MAX {
        return Err(format!("1 to {IDENTITY_BYTES_MAX} bytes"));
    }
    Ok(text.to_owned())
}

pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let file = auth::read(&args.key)?;
    let is_pem = file.trim_ascii_start().starts_with(b"-----BEGIN");
    let key = if is_pem { SigningKey::private(&file) } else { SigningKey::secret(&file) };
    let key = key.with_context(|| format!("cannot use {}", args.key.display()))?;
    let lifetime = config::duration("lifetime", &args.lifetime)?;
    let now = Clock::System.now();
    let begins = args.not_before.unwrap_or(now);
    let claims = Claims {
        iss: args.issuer.clone(),
        sub: args.subject.clone(),
        aud: args.audience.clone().map(Audience::One),
        exp: seconds(begins.plus(lifetime)),
        nbf: args.not_before.map(seconds),
        iat: Some(seconds(now)),
        jti: Some(args.id.clone().unwrap_or_else(new_id)),
        role: args.role.clone(),
        entitlement: args.entitlement.clone(),
        api_key: None,
        api_key_mark: None,
    };
    let token = key.sign(&claims)?;
    writeln!(std::io::stdout(), "{}", token.expose()).context("cannot write to standard output")?;
    Ok(ExitCode::SUCCESS)
}

fn seconds(time: Timestamp) -> u64 {
    u64::try_from(time.0 / 1_000_000_000).unwrap_or(0)
}
