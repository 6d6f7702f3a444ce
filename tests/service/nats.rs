//! A NATS server of its own for a test, on a free port of this machine.

use std::fs;
use std::path::Path;
use std::process::{Child, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use super::eventually::eventually;
use super::installed::installed;
use super::needed::is_there;

/// A running server, which ends with the test.
pub(crate) struct Nats {
    pub(crate) child: Child,
    port: u16,
    folder: TempDir,
    flags: Vec<String>,
}

impl Nats {
    /// Starts one with these flags too; `None`: there is no such program here.
    pub(crate) fn start(flags: &[&str]) -> Option<Self> {
        if !is_there("nats-server", installed("nats-server").arg("--version")) {
            return None;
        }
        let folder = tempfile::tempdir().expect("a folder");
        let flags: Vec<_> = flags.iter().map(|&flag| flag.to_owned()).collect();
        let child = run(&flags, -1, folder.path());
        let port = port(&child, folder.path());
        Some(Self { child, port, folder, flags })
    }

    pub(crate) fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// Ends it at once.
    pub(crate) fn kill(&mut self) {
        self.child.kill().expect("it runs");
        self.child.wait().expect("it has ended");
    }

    /// Starts it again on its port, after [`Nats::kill`].
    pub(crate) fn start_again(&mut self) {
        self.child = run(&self.flags, self.port.into(), self.folder.path());
        assert_eq!(port(&self.child, self.folder.path()), self.port);
    }
}

impl Drop for Nats {
    fn drop(&mut self) {
        // Neither fails but for a process that has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn run(flags: &[String], port: i32, folder: &Path) -> Child {
    installed("nats-server")
        .args(["--addr", "127.0.0.1", "--port", &port.to_string()])
        .arg("--ports_file_dir")
        .arg(folder)
        .args(flags)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("it is there")
}

/// As the server says it in a file, when it listens.
fn port(child: &Child, folder: &Path) -> u16 {
    let file = folder.join(format!("nats-server_{}.ports", child.id()));
    let mut port = None;
    eventually("the server listens", || {
        let ports = fs::read(&file).ok().and_then(|text| serde_json::from_slice::<Value>(&text).ok());
        port = ports.and_then(|ports| ports["nats"][0].as_str()?.rsplit_once(':')?.1.parse().ok());
        port.is_some()
    });
    port.expect("it listens")
}
