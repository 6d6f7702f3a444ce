//! Tokens and API keys as `tickwire token` makes them, and what knows them.

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::program::tickwire;

/// A folder with a secret of HS256, API keys and an empty list of what was taken back.
pub(crate) struct Tokens(TempDir);

/// What `small` may see.
pub(crate) const ROLES: &str = "[roles.small]\nsymbols = [\"SYM00000\"]\nchannels = [\"quote\"]\n[roles.all]\nsymbols = [\"*\"]\nchannels = [\"quote\", \"trade\", \"book\", \"ticker\", \"bar\", \"status\"]\n";

impl Tokens {
    pub(crate) fn new() -> Self {
        let made = Self(tempfile::tempdir().expect("a folder"));
        made.token(&["key", "--algorithm", "hs256", "--out", "."]);
        made.write("tickwire.toml", ROLES);
        made.write("revoked", "# nothing\n");
        made.write("api-keys.toml", "");
        made
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        // In one step: who looks meanwhile sees all of it or nothing.
        let half = self.path("half");
        std::fs::write(&half, text).expect("a file");
        std::fs::rename(half, self.path(name)).expect("a file");
    }

    pub(crate) fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).expect("a file")
    }

    /// `tickwire token …` in the folder.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = tickwire();
        command.arg("token").args(args).current_dir(self.0.path());
        command
    }

    /// What it prints.
    pub(crate) fn token(&self, args: &[&str]) -> String {
        let output = self.command(args).output().expect("it runs");
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("UTF-8").trim_end().to_owned()
    }

    /// A token of that subject, which may see everything unless more is said.
    pub(crate) fn mint(&self, subject: &str, more: &[&str]) -> String {
        let role: &[&str] = if more.iter().any(|flag| matches!(*flag, "--role" | "--entitlement")) {
            &[]
        } else {
            &["--role", "all"]
        };
        let key: &[&str] = if more.contains(&"--key") { &[] } else { &["--key", "token-secret"] };
        self.token(&[&["mint", "--subject", subject][..], key, role, more].concat())
    }

    /// An API key, in the file from now on.
    pub(crate) fn api_key(&self, name: &str, role: &str) -> String {
        self.token(&["api-key", name, "--role", role, "--file", "api-keys.toml"])
    }

    /// `tickwire token read` of that text.
    pub(crate) fn check(&self, token: &str, flags: &[&str]) -> Output {
        let mut command = self.command(&["read"]);
        let mut child = command
            .args(flags)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("it runs");
        // One that is refused its settings does not read it.
        let _ = child.stdin.take().expect("a pipe").write_all(token.as_bytes());
        child.wait_with_output().expect("it ends")
    }

    /// A service in that folder, which knows them all.
    pub(crate) fn serve(&self, more: &[&str]) -> super::process::Service {
        self.serve_market("3", "10", more)
    }

    /// The same with so many instruments, whose quotes change so often a second each.
    pub(crate) fn serve_market(
        &self,
        instruments: &str,
        rate: &str,
        more: &[&str],
    ) -> super::process::Service {
        let mut command = tickwire();
        command.current_dir(self.0.path());
        let files = [
            "--auth-secret-file",
            "token-secret",
            "--api-keys-file",
            "api-keys.toml",
            "--revoked-file",
            "revoked",
        ];
        let market = ["--sim-mode", "quotes", "--sim-instruments", instruments, "--sim-rate", rate];
        command.args(["serve", "--listen", "127.0.0.1:0"]).args(files).args(market).args(more);
        super::process::Service::spawn(&mut command)
    }

    /// The secret, for those who forge.
    pub(crate) fn secret(&self) -> Vec<u8> {
        self.read("token-secret").trim_end().as_bytes().to_vec()
    }

    /// A token with any head and claims, signed with HMAC by that key.
    pub(crate) fn forge(key: &[u8], head: &Value, claims: &Value) -> String {
        let encode = |text: String| data_encoding::BASE64URL_NOPAD.encode(text.as_bytes());
        let message = format!("{}.{}", encode(head.to_string()), encode(claims.to_string()));
        let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, key);
        let tag = ring::hmac::sign(&key, message.as_bytes());
        format!("{message}.{}", data_encoding::BASE64URL_NOPAD.encode(tag.as_ref()))
    }

    /// Claims that would be taken.
    pub(crate) fn claims(change: &[(&str, Value)]) -> Value {
        let mut claims = json!({"sub": "anna", "exp": 4_000_000_000_u64, "role": "all"});
        for (name, value) in change {
            claims[*name] = value.clone();
        }
        claims
    }
}
