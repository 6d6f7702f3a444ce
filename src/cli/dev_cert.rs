//! `tickwire dev-cert`.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};

/// Flags of `dev-cert`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  tickwire dev-cert --out certs
  tickwire serve --listen 127.0.0.1:8443 --tls-cert certs/cert.pem --tls-key certs/key.pem
  curl --cacert certs/ca.pem https://127.0.0.1:8443/health/live

Writes ca.pem, which clients are to trust, cert.pem and key.pem. The key of the authority is thrown away: it signs this
certificate and no other. For use on one's own machine; what others connect to wants a certificate that they trust already.")]
pub(super) struct Args {
    /// Folder to write into; it is made where it is missing
    #[arg(long, value_name = "DIR", default_value = ".")]
    out: PathBuf,
    /// Names and addresses that the certificate is for
    #[arg(long, value_name = "A,B,…", value_delimiter = ',', default_value = "localhost,127.0.0.1,::1")]
    names: Vec<String>,
    /// Replace files that are there
    #[arg(long)]
    force: bool,
}

pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let made = make(&args.names)?;
    let files = [
        ("ca.pem", made.authority, PUBLIC),
        ("cert.pem", made.certificate, PUBLIC),
        ("key.pem", made.key, PRIVATE),
    ];
    std::fs::create_dir_all(&args.out).with_context(|| format!("cannot make {}", args.out.display()))?;
    if !args.force {
        for (name, ..) in &files {
            let path = args.out.join(name);
            anyhow::ensure!(!path.exists(), "{} is there already: say --force to replace it", path.display());
        }
    }
    for (name, text, rights) in &files {
        let path = args.out.join(name);
        write_new(&path, text, *rights).with_context(|| format!("cannot write {}", path.display()))?;
    }
    let shown = args.out.display();
    let text = format!(
        "wrote {shown}/cert.pem and key.pem for {}; clients are to trust {shown}/ca.pem\n",
        args.names.join(", ")
    );
    io::stdout().write_all(text.as_bytes()).context("cannot write to standard output")?;
    Ok(ExitCode::SUCCESS)
}

/// All in PEM.
struct Made {
    authority: String,
    certificate: String,
    key: String,
}

fn make(names: &[String]) -> anyhow::Result<Made> {
    for name in names {
        let is_name = !name.is_empty()
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'*'));
        anyhow::ensure!(
            is_name || name.parse::<IpAddr>().is_ok(),
            "`{name}` is neither the name of a host nor an address"
        );
    }
    let mut authority = CertificateParams::new(Vec::new())?;
    authority.distinguished_name.push(DnType::CommonName, "Tickwire development authority");
    authority.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    authority.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let authority_key = KeyPair::generate()?;
    let authority_pem = authority.self_signed(&authority_key)?.pem();

    let mut leaf = CertificateParams::new(names)?;
    leaf.distinguished_name.push(DnType::CommonName, "Tickwire development");
    leaf.use_authority_key_identifier_extension = true;
    leaf.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    leaf.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let key = KeyPair::generate()?;
    let certificate = leaf.signed_by(&key, &Issuer::new(authority, authority_key))?;
    Ok(Made { authority: authority_pem, certificate: certificate.pem(), key: key.serialize_pem() })
}

/// Rights of a file that nobody else may read.
pub(super) const PRIVATE: u32 = 0o600;
/// Rights of a file that is for others: clients, or services that verify.
pub(super) const PUBLIC: u32 = 0o644;

/// Writes a file with these rights, less what the process's mask takes.
pub(super) fn write_new(path: &Path, text: &str, rights: u32) -> io::Result<()> {
    // A file that was there keeps its rights otherwise.
    if path.exists() {
        std::fs::remove_file(path)?;
    }
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, rights);
    options.open(path)?.write_all(text.as_bytes())
}
