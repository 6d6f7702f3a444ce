//! Starts and stops `tickwire serve`.

use std::ffi::OsStr;
use std::io::{self, BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, mpsc};
use std::thread::JoinHandle;

use super::program::{PATIENCE, tickwire};

/// A running service, which ends with the test. The test fails when something has panicked in it.
pub(crate) struct Service {
    pub(crate) child: Child,
    pub(crate) address: SocketAddr,
    log: Arc<Mutex<String>>,
    log_reader: Option<JoinHandle<()>>,
}

impl Service {
    /// `tickwire serve` on a free port with these flags too.
    pub(crate) fn start<F: AsRef<OsStr>>(flags: impl IntoIterator<Item = F>) -> Self {
        Self::spawn(tickwire().args(["serve", "--listen", "127.0.0.1:0"]).args(flags))
    }

    /// A command that serves.
    ///
    /// # Panics
    /// When it ends, or does not listen within [`PATIENCE`].
    pub(crate) fn spawn(command: &mut Command) -> Self {
        // Nobody is there to be drained for, unless a test says so.
        command.env("TICKWIRE_DRAIN", "0s");
        let mut child =
            command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program is built");
        let log = Arc::new(Mutex::new(String::new()));
        let log_reader = {
            let (stderr, log) = (child.stderr.take().expect("a pipe"), Arc::clone(&log));
            std::thread::spawn(move || gather(stderr, &log))
        };
        let line = first_line(child.stdout.take().expect("a pipe"));
        let url = line.strip_prefix("listening on ").and_then(|url| url.trim_end().split_once("://"));
        let address = url.and_then(|(_, address)| address.parse().ok());
        let Some(address) = address else {
            // It fails for a process that has ended.
            let _ = child.kill();
            let status = child.wait();
            log_reader.join().expect("no panic");
            let log = log.lock().expect("not poisoned").clone();
            panic!("it does not listen, but says {line:?} and ends: {status:?}: {log}");
        };
        Self { child, address, log, log_reader: Some(log_reader) }
    }

    /// What it has written to standard error.
    pub(crate) fn log(&self) -> String {
        self.log.lock().expect("not poisoned").clone()
    }
}

impl Drop for Service {
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

/// Gathers whole lines, so that who finds a part of one finds the rest of it.
fn gather(stderr: impl Read, log: &Mutex<String>) {
    let mut stderr = BufReader::new(stderr);
    let mut line = Vec::new();
    while let Ok(1..) = stderr.read_until(b'\n', &mut line) {
        log.lock().expect("not poisoned").push_str(&String::from_utf8_lossy(&line));
        line.clear();
    }
}

/// The first line, and what was wrong where none comes.
fn first_line(stdout: impl Read + Send + 'static) -> String {
    let (sender, line) = mpsc::sync_channel(1);
    std::thread::spawn(move || {
        let mut stdout = BufReader::new(stdout);
        let mut line = String::new();
        let read = stdout.read_line(&mut line);
        // Nobody listens any more when it took too long.
        let _ = sender.send(read.map_or_else(|error| error.to_string(), |_| line));
        // A pipe that is full would stop the process.
        let _ = io::copy(&mut stdout, &mut io::sink());
    });
    line.recv_timeout(PATIENCE).unwrap_or_else(|_| format!("nothing for {PATIENCE:?}"))
}
