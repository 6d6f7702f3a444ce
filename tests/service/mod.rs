//! Starts the real program and talks to it as anybody would: by its standard output, HTTP and signals.

#![allow(dead_code, reason = "each test file that includes this uses its own part of it")]

mod http;

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

pub(crate) use http::Answer;

/// What anything here may take on a busy machine. Nothing waits so long when all is well.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);

/// A running `tickwire serve`. Killed when dropped; what it said on standard error is shown when the test fails.
pub(crate) struct Service {
    child: Child,
    address: String,
    errors: Errors,
}

impl Service {
    /// Starts `tickwire serve` on a free port, with more arguments, and waits until it listens.
    pub(crate) fn start<A: AsRef<OsStr>>(arguments: impl IntoIterator<Item = A>) -> Self {
        let mut child = command(arguments).spawn().expect("the built program can be started");
        let errors = Errors::gather(&mut child);
        let lines = lines(child.stdout.take().expect("standard output is piped"));
        // From here on the child is killed when this fails.
        let mut service = Self { child, address: String::new(), errors };
        let Ok(line) = lines.recv_timeout(LIMIT) else {
            panic!("the service does not say where it listens");
        };
        let address = line.strip_prefix("listening on http://");
        service.address = address.unwrap_or_else(|| panic!("unexpected first line: {line}")).to_owned();
        service
    }

    /// Where it listens, as `host:port`.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// `http://host:port`
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// `ws://host:port/v1/ws`
    pub(crate) fn socket_url(&self) -> String {
        format!("ws://{}/v1/ws", self.address)
    }

    /// The number of its process.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Asks for a path. Panics when no answer comes.
    pub(crate) fn get(&self, path: &str) -> Answer {
        http::get(&self.address, path, LIMIT).unwrap_or_else(|error| panic!("GET {path}: {error}"))
    }

    /// What it has written to standard error so far.
    pub(crate) fn errors(&self) -> String {
        self.errors.text()
    }

    /// Waits until standard error has this in it, and returns all of it.
    pub(crate) fn wait_for_error(&self, part: &str) -> String {
        self.errors.wait_for(part)
    }

    /// Whether the process has not ended.
    pub(crate) fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("--- standard error of the service ---\n{}---", self.errors.text());
        }
    }
}

/// How a `tickwire serve` ended that could not start.
pub(crate) struct Refusal {
    pub(crate) status: ExitStatus,
    pub(crate) output: String,
    pub(crate) errors: String,
}

/// Runs `tickwire serve` with arguments that it must refuse, to its end.
pub(crate) fn refused<A: AsRef<OsStr>>(arguments: impl IntoIterator<Item = A>) -> Refusal {
    let mut child = command(arguments).spawn().expect("the built program can be started");
    let errors = Errors::gather(&mut child);
    let lines = lines(child.stdout.take().expect("standard output is piped"));
    // Its standard output ends with the process; until then there may be a line or two.
    let mut output = String::new();
    loop {
        match lines.recv_timeout(LIMIT) {
            Ok(line) if line.starts_with("listening on ") => {
                let _ = child.kill();
                panic!("started, though it should not have: {line}");
            }
            Ok(line) => output += &(line + "\n"),
            Err(mpsc::RecvTimeoutError::Disconnected) => break,
            Err(mpsc::RecvTimeoutError::Timeout) => {
                let _ = child.kill();
                panic!("neither starts nor ends:\n{}", errors.text());
            }
        }
    }
    let status = child.wait().expect("a child can be waited for");
    Refusal { status, output, errors: errors.into_end() }
}

fn command<A: AsRef<OsStr>>(arguments: impl IntoIterator<Item = A>) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tickwire"));
    command.args(["serve", "--listen", "127.0.0.1:0"]).args(arguments);
    // Neither settings of whoever runs the tests, nor a file where they run.
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("TICKWIRE_") {
            command.env_remove(name);
        }
    }
    command.current_dir(env!("CARGO_TARGET_TMPDIR"));
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn lines(stdout: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, receiver) = mpsc::sync_channel(64);
    std::thread::spawn(move || {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            // Read on when nobody listens any more: a full pipe would stop the process.
            let _ = sender.send(line);
        }
    });
    receiver
}

/// Standard error, gathered as it comes.
struct Errors {
    shared: Arc<(Mutex<String>, Condvar)>,
    reader: JoinHandle<()>,
}

impl Errors {
    fn gather(child: &mut Child) -> Self {
        let stderr = child.stderr.take().expect("standard error is piped");
        let shared = Arc::new((Mutex::new(String::new()), Condvar::new()));
        let text = Arc::clone(&shared);
        let reader = std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                *text.0.lock().unwrap_or_else(PoisonError::into_inner) += &(line + "\n");
                text.1.notify_all();
            }
        });
        Self { shared, reader }
    }

    fn text(&self) -> String {
        self.shared.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn into_end(self) -> String {
        let _ = self.reader.join();
        let text = self.shared.0.lock().unwrap_or_else(PoisonError::into_inner);
        text.clone()
    }

    fn wait_for(&self, part: &str) -> String {
        let text = self.shared.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (text, timeout) = self
            .shared
            .1
            .wait_timeout_while(text, LIMIT, |text| !text.contains(part))
            .unwrap_or_else(PoisonError::into_inner);
        let text = text.clone();
        assert!(!timeout.timed_out(), "standard error does not say `{part}`:\n{text}");
        text
    }
}
