//! `tickwire token key` and `tickwire token api-key`.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, ensure};
use clap::ValueEnum;
use data_encoding::{BASE64, BASE64URL_NOPAD};
use rcgen::KeyPair;
use serde::Serialize;
use serde_json::json;

use super::super::dev_cert::{PRIVATE, PUBLIC, write_new};
use crate::config;
use crate::limits::IDENTITY_BYTES_MAX;
use crate::server::auth::api_key::{self, Written};
use crate::server::auth::jwt::key_id;

/// Flags of `token key`.
#[derive(Debug, clap::Args)]
pub(super) struct KeyArgs {
    /// eddsa: token-key.pem, which signs, and token-key.pub.pem and jwks.json, which verify; hs256: token-secret, which does
    /// both
    #[arg(long, value_enum, default_value = "eddsa")]
    algorithm: Algorithm,
    /// Folder to write into; it is made where it is missing
    #[arg(long, value_name = "DIR", default_value = ".")]
    out: PathBuf,
    /// Replace files that are there
    #[arg(long)]
    force: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Algorithm {
    Eddsa,
    Hs256,
}

pub(super) fn make_key(args: &KeyArgs) -> anyhow::Result<ExitCode> {
    let files = match args.algorithm {
        Algorithm::Eddsa => {
            let private = private_pem()?;
            let pair = KeyPair::from_pem(&private)?;
            let public = pair.public_key_raw();
            let jwk = json!({
                "kty": "OKP", "crv": "Ed25519", "use": "sig", "alg": "EdDSA",
                "kid": key_id(public), "x": BASE64URL_NOPAD.encode(public),
            });
            vec![
                ("token-key.pem", private.to_string(), PRIVATE),
                ("token-key.pub.pem", pair.public_key_pem(), PUBLIC),
                ("jwks.json", format!("{}\n", json!({ "keys": [jwk] })), PUBLIC),
            ]
        }
        Algorithm::Hs256 => {
            let mut secret = zeroize::Zeroizing::new([0; 32]);
            let random = ring::rand::SystemRandom::new();
            ring::rand::SecureRandom::fill(&random, &mut *secret).ok().context("no random bytes")?;
            vec![("token-secret", format!("{}\n", BASE64URL_NOPAD.encode(&*secret)), PRIVATE)]
        }
    };
    std::fs::create_dir_all(&args.out).with_context(|| format!("cannot make {}", args.out.display()))?;
    for (name, ..) in &files {
        let path = args.out.join(name);
        ensure!(
            args.force || !path.exists(),
            "{} is there already: say --force to replace it",
            path.display()
        );
    }
    let mut names = Vec::new();
    for (name, text, rights) in files {
        let path = args.out.join(name);
        write_new(&path, &text, rights).with_context(|| format!("cannot write {}", path.display()))?;
        names.push(path.display().to_string());
    }
    writeln!(std::io::stdout(), "wrote {}", names.join(", ")).context("cannot write to standard output")?;
    Ok(ExitCode::SUCCESS)
}

/// A new private key of Ed25519 in PEM, in the form that everybody reads: version 1 of PKCS #8, without the public key (RFC
/// 8410 section 7). The version 2 that rcgen writes is unknown to OpenSSL 3.0.
fn private_pem() -> anyhow::Result<zeroize::Zeroizing<String>> {
    const HEAD: [u8; 16] = *b"\x30\x2e\x02\x01\x00\x30\x05\x06\x03\x2b\x65\x70\x04\x22\x04\x20";
    let mut der = zeroize::Zeroizing::new([0; 48]);
    let (head, seed) = der.split_at_mut(HEAD.len());
    head.copy_from_slice(&HEAD);
    ring::rand::SecureRandom::fill(&ring::rand::SystemRandom::new(), seed).ok().context("no random bytes")?;
    let text = zeroize::Zeroizing::new(BASE64.encode(&*der));
    Ok(format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", *text).into())
}

/// Flags of `token api-key`.
#[derive(Debug, clap::Args, Serialize)]
pub(super) struct ApiKeyArgs {
    /// Settings file, whose roles there are [default: tickwire.toml, if it is there]
    #[arg(long, value_name = "FILE")]
    #[serde(skip)]
    config: Option<PathBuf>,
    /// Whose it is
    #[serde(skip)]
    name: String,
    /// What may be seen: a role of the server's configuration
    #[arg(long, value_name = "ROLE")]
    #[serde(skip)]
    role: String,
    /// File to add the line to; without it, the line goes to standard error
    #[arg(long, value_name = "FILE")]
    #[serde(skip)]
    file: Option<PathBuf>,
}

pub(super) fn make_api_key(args: &ApiKeyArgs) -> anyhow::Result<ExitCode> {
    let is_name = |text: &str| !text.is_empty() && text.len() <= IDENTITY_BYTES_MAX;
    ensure!(is_name(&args.name), "the name of an API key has 1 to {IDENTITY_BYTES_MAX} bytes");
    let roles = config::load(args.config.as_deref(), args)?.roles;
    ensure!(
        roles.is_empty() || roles.contains_key(&args.role),
        "there is no role `{}` in the configuration: the server would take none of the file",
        args.role
    );
    ensure!(is_name(&args.role), "the name of a role has 1 to {IDENTITY_BYTES_MAX} bytes");
    let (key, hash) = api_key::mint();
    let written = toml::Value::try_from(Written { hash, role: args.role.clone() })?;
    let line = format!("{} = {written}\n", toml::Value::String(args.name.clone()));
    match &args.file {
        None => eprint!("{line}"),
        Some(path) => {
            let wrong = || format!("cannot write {}", path.display());
            let before = if path.exists() {
                std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?
            } else {
                String::new()
            };
            let names: toml::Table =
                before.parse().ok().with_context(|| format!("{} is no file of API keys", path.display()))?;
            ensure!(!names.contains_key(&args.name), "{} has `{}` already", path.display(), args.name);
            let end = if before.is_empty() || before.ends_with('\n') { "" } else { "\n" };
            let mut options = OpenOptions::new();
            options.append(true).create(true);
            std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
            let mut file = options.open(path).with_context(wrong)?;
            file.write_all(format!("{end}{line}").as_bytes()).with_context(wrong)?;
        }
    }
    writeln!(std::io::stdout(), "{}", key.expose()).context("cannot write to standard output")?;
    Ok(ExitCode::SUCCESS)
}
