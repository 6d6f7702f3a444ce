//! The real program on a free port, and clients that are as plain as can be: HTTP and RFC 6455 over a `TcpStream`.

#![allow(dead_code, reason = "each test file uses a part")]

pub(crate) mod client;
pub(crate) mod http;
pub(crate) mod raw;

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use feeds::clock::monotonic;
use serde_json::Value;

use client::Client;
use http::Response;

/// How long anything may take before a test fails. Only failures wait so long.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// `tickwire` with no settings but those of the command line: what tests or a developer have set in the environment
/// would be unknown keys, or change what runs.
pub(crate) fn tickwire() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tickwire"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("TICKWIRE_") {
            command.env_remove(name);
        }
    }
    command.current_dir(env!("CARGO_MANIFEST_DIR")).stdin(Stdio::null());
    command
}

/// Looks at a condition until it holds.
///
/// # Panics
/// When that takes longer than [`PATIENCE`].
#[track_caller]
pub(crate) fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let start = monotonic();
    while !holds() {
        assert!(start.elapsed() < PATIENCE, "still not so: {what}");
        std::thread::park_timeout(Duration::from_millis(10));
    }
}

/// A running service, which ends with the test.
pub(crate) struct Server {
    child: Child,
    pub(crate) address: SocketAddr,
    log: Arc<Mutex<String>>,
    log_reader: Option<JoinHandle<()>>,
}

impl Server {
    /// A simulated market of `instruments` whose best bids and offers change `rate` times a second each.
    pub(crate) fn quotes(instruments: usize, rate: usize) -> Self {
        let (instruments, rate) = (instruments.to_string(), rate.to_string());
        Self::start(&["--sim-mode", "quotes", "--sim-instruments", &instruments, "--sim-rate", &rate])
    }

    /// A simulated market with books and trades.
    pub(crate) fn market(instruments: usize, rate: usize) -> Self {
        let (instruments, rate) = (instruments.to_string(), rate.to_string());
        Self::start(&["--sim-instruments", &instruments, "--sim-rate", &rate])
    }

    /// A recording that is over: nothing changes any more.
    pub(crate) fn ended(recording: &str) -> Self {
        let feed = format!("replay:feeds/recordings/{recording}");
        let server = Self::start(&["--feed", &feed, "--speed", "max"]);
        eventually("the recording is over", || server.get("/health/ready").json()["feed"] == "ended");
        server
    }

    /// `tickwire serve` on a free port with these flags too.
    pub(crate) fn start(flags: &[&str]) -> Self {
        let mut command = tickwire();
        command.args(["serve", "--listen", "127.0.0.1:0"]).args(flags);
        Self::spawn(command)
    }

    /// A command that serves.
    pub(crate) fn spawn(mut command: Command) -> Self {
        let mut child =
            command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program is built");
        let log = Arc::new(Mutex::new(String::new()));
        let mut stderr = child.stderr.take().expect("a pipe");
        let log_reader = {
            let log = Arc::clone(&log);
            std::thread::spawn(move || {
                let mut bytes = [0; 4096];
                while let Ok(count @ 1..) = stderr.read(&mut bytes) {
                    log.lock().expect("not poisoned").push_str(&String::from_utf8_lossy(&bytes[..count]));
                }
            })
        };
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("a pipe")).read_line(&mut line).expect("UTF-8");
        let address = line.strip_prefix("listening on http://").and_then(|rest| rest.trim_end().parse().ok());
        let Some(address) = address else {
            let status = child.wait();
            log_reader.join().expect("no panic");
            let log = log.lock().expect("not poisoned").clone();
            panic!("it does not listen, but says {line:?} and ends: {status:?}: {log}");
        };
        Self { child, address, log, log_reader: Some(log_reader) }
    }

    /// Another client.
    pub(crate) fn client(&self) -> Client {
        Client::connect(self.address)
    }

    /// The answer to a GET.
    pub(crate) fn get(&self, path: &str) -> Response {
        http::request(self.address, "GET", path)
    }

    /// The JSON that a GET is answered with.
    pub(crate) fn json(&self, path: &str) -> Value {
        let response = self.get(path);
        assert_eq!(response.status, 200, "{path}: {}", response.body);
        response.json()
    }

    /// What a metric stands at.
    pub(crate) fn metric(&self, name: &str) -> i64 {
        let text = self.get("/metrics").body;
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix("tickwire_")?.strip_prefix(name)?.strip_prefix(' '));
        line.and_then(|value| value.parse().ok()).unwrap_or_else(|| panic!("no {name} in {text}"))
    }

    /// The process's number.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Whether it still runs.
    pub(crate) fn is_alive(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// What it has written to standard error.
    pub(crate) fn log(&self) -> String {
        self.log.lock().expect("not poisoned").clone()
    }

    /// Sends a signal by its name, such as `TERM`.
    pub(crate) fn signal(&self, name: &str) {
        let status = Command::new("kill").args(["-s", name, &self.child.id().to_string()]).status();
        assert!(status.expect("a `kill` command").success());
    }

    /// Waits for the process's end.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        let mut status = None;
        eventually("the process has ended", || {
            status = self.child.try_wait().expect("our child");
            status.is_some()
        });
        status.expect("it has ended")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Neither fails but for a process that has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if let Some(reader) = self.log_reader.take() {
            let _ = reader.join();
        }
        let log = self.log();
        if std::thread::panicking() {
            eprintln!("the service's log:\n{log}");
        } else {
            assert!(!log.contains("panicked"), "{log}");
        }
    }
}
