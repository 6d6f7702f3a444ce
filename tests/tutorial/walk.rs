//! Somebody who does what a tutorial says: in an empty folder beside the checkout, with `tickwire` on the path, and on free
//! ports in place of those that are named.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

use tempfile::TempDir;

use super::block::{Block, Kind, blocks};
use super::likeness::missing;
use crate::service::eventually::eventually;

/// The ports that tutorials name. The first is that of who names none.
const PORTS: [&str; 3] = ["8080", "8443", "8000"];

/// What package managers are asked for is what `make clients` has installed.
const NPM: &str = "[ \"$*\" = 'install ws' ] && exec ln -s CHECKOUT/tests/clients/node_modules node_modules";
const PIP: &str = "[ \"$*\" = 'install websockets' ] && exec python3 -c 'import websockets'";
const PYTHON: &str = "exec PYTHON \"$@\"";

/// A tutorial that was followed to its end. What its terminals run goes on until this is dropped.
pub(crate) struct Walk {
    terminals: BTreeMap<u8, Run>,
    ports: BTreeMap<&'static str, u16>,
    folder: TempDir,
}

impl Walk {
    /// Follows it.
    ///
    /// # Panics
    /// When a command fails, or does not write what is shown; with the tutorial's line.
    pub(crate) fn of(tutorial: &str) -> Self {
        let mut walk =
            Self { terminals: BTreeMap::new(), ports: free_ports(tutorial), folder: beside_the_checkout() };
        let blocks = blocks(tutorial);
        let mut last = (None, String::new());
        for (at, block) in blocks.iter().enumerate() {
            let (line, text) = (block.line, walk.here(&block.text));
            match &block.kind {
                Kind::File { name } => {
                    fs::write(walk.path().join(name), text).expect("a file");
                    assert!(is_used(name, &blocks[at..]), "line {line}: nothing runs {name}");
                }
                Kind::Commands { terminal: Some(terminal) } => {
                    walk.terminals.remove(terminal);
                    walk.terminals.insert(*terminal, walk.run(&text, line));
                    last = (Some(*terminal), String::new());
                }
                Kind::Commands { terminal: None } => {
                    let mut run = walk.run(&text, line);
                    let status = run.end();
                    assert!(status.success(), "line {line}: {status}: {}", run.written());
                    last = (None, run.written());
                }
                Kind::Output { terminal, exact } => match terminal.or(last.0) {
                    Some(terminal) => {
                        let run = &walk.terminals[&terminal];
                        eventually(&format!("line {line}: {text}"), || {
                            missing(&text, &run.written(), *exact).is_none()
                        });
                    }
                    None => {
                        let missing = missing(&text, &last.1, *exact);
                        assert_eq!(missing, None, "line {line}: not in\n{}", last.1);
                    }
                },
            }
        }
        walk
    }

    /// Text of the tutorial with the addresses of this walk.
    pub(crate) fn here(&self, text: &str) -> String {
        let mut here = String::new();
        let mut rest = text;
        let next = |rest: &str| self.ports.keys().filter_map(|port| Some((named(port, rest)?, *port))).min();
        while let Some((at, port)) = next(rest) {
            here += &rest[..at];
            here += &self.ports[port].to_string();
            rest = &rest[at + port.len()..];
        }
        here += rest;
        // Whoever names no address means the first port.
        if let Some(port) = self.ports.get(PORTS[0]) {
            for (command, address) in [
                ("tickwire serve", format!(" --listen 127.0.0.1:{port}")),
                ("tickwire watch", format!(" http://127.0.0.1:{port}")),
                ("tickwire load", format!(" http://127.0.0.1:{port}")),
            ] {
                here = here.replace(command, &(command.to_owned() + &address));
            }
        }
        here
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("walk")
    }

    fn run(&self, commands: &str, line: usize) -> Run {
        let output = self.folder.path().join(format!("line-{line}"));
        let file = File::create(&output).expect("a file");
        let bin = self.folder.path().join("bin");
        let path = std::env::var("PATH").expect("a path");
        let mut bash = Command::new("bash");
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("TICKWIRE_") {
                bash.env_remove(name);
            }
        }
        bash.args(["--norc", "--noprofile", "-eu", "-o", "pipefail", "-c", commands])
            .env("PATH", format!("{}:{path}", bin.display()))
            .env("PYTHONUNBUFFERED", "1")
            .current_dir(self.path())
            .stdin(Stdio::null())
            .stdout(file.try_clone().expect("a file"))
            .stderr(file)
            .process_group(0);
        Run { child: bash.spawn().expect("bash, which `make` needs too"), output }
    }
}

/// Commands in a shell, with what they write, and all that they have started.
struct Run {
    child: Child,
    output: PathBuf,
}

impl Run {
    fn written(&self) -> String {
        String::from_utf8(fs::read(&self.output).expect("a file")).expect("UTF-8")
    }

    fn end(&mut self) -> ExitStatus {
        let mut status = None;
        eventually("the commands end", || {
            status = self.child.try_wait().expect("a child");
            status.is_some()
        });
        status.expect("it has ended")
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        // It fails where all have ended.
        let group = self.child.id().to_string();
        let _ = Command::new("bash")
            .args(["-c", "kill -s KILL -- \"-$0\"", &group])
            .stderr(Stdio::null())
            .status();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("{}:\n{}", self.output.display(), self.written());
        }
    }
}

/// A script by its command; a page by its address.
fn is_used(name: &str, behind: &[Block]) -> bool {
    let by = |used: &dyn Fn(&Block) -> bool| behind.iter().any(used);
    match name.rsplit_once('.').expect("an extension").1 {
        "mjs" | "py" => by(&|block| {
            let is_run = matches!(block.kind, Kind::Commands { .. })
                && ["node", "python3"]
                    .iter()
                    .any(|program| block.text.contains(&format!("{program} {name}")));
            let is_imported =
                matches!(block.kind, Kind::File { .. }) && block.text.contains(&format!("from \"./{name}\""));
            is_run || is_imported
        }),
        // The test looks at it in a browser.
        "html" => true,
        _ => name == "tickwire.toml" && by(&|block| block.text.contains("tickwire serve")),
    }
}

fn free_ports(tutorial: &str) -> BTreeMap<&'static str, u16> {
    let named = PORTS.into_iter().filter(|port| tutorial.contains(port));
    // All are held until each has its own.
    let held: Vec<_> =
        named.map(|port| (port, TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port"))).collect();
    held.iter().map(|(port, listener)| (*port, listener.local_addr().expect("bound").port())).collect()
}

/// Where a port is named, which is no part of another number.
fn named(port: &str, text: &str) -> Option<usize> {
    let is_port = |at: usize| {
        text[..at].ends_with([':', ' '])
            && !text[at + port.len()..].starts_with(|next: char| next.is_ascii_digit())
    };
    text.match_indices(port).map(|(at, _)| at).find(|at| is_port(*at))
}

/// A folder `walk`, and beside it the checkout and what is on the path.
fn beside_the_checkout() -> TempDir {
    let checkout = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = tempfile::tempdir().expect("a folder");
    let bin = folder.path().join("bin");
    fs::create_dir(folder.path().join("walk")).expect("a folder");
    fs::create_dir(&bin).expect("a folder");
    symlink(checkout, folder.path().join("tickwire")).expect("a link");
    symlink(env!("CARGO_BIN_EXE_tickwire"), bin.join("tickwire")).expect("a link");
    let mut scripts =
        vec![("npm", NPM.replace("CHECKOUT", checkout.to_str().expect("UTF-8"))), ("pip", PIP.to_owned())];
    if let Ok(python) = std::env::var("CLIENTS_PYTHON") {
        scripts.push(("python3", PYTHON.replace("PYTHON", &python)));
    }
    for (name, script) in scripts {
        let file = bin.join(name);
        fs::write(&file, format!("#!/bin/sh\n{script}\n")).expect("a file");
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).expect("ours");
    }
    folder
}
