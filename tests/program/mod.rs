//! The real program: as a server on a free port, and as a command that ends.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Output, Stdio};

/// `tickwire` without the settings of whoever runs the tests.
pub(crate) fn tickwire(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tickwire"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("TICKWIRE_") {
            command.env_remove(name);
        }
    }
    command.args(arguments).current_dir(env!("CARGO_MANIFEST_DIR")).stdin(Stdio::null());
    command
}

/// Runs a command to its end.
pub(crate) fn run(arguments: &[&str]) -> Output {
    tickwire(arguments).output().expect("the program is built")
}

/// A running `tickwire serve`, which ends with the test.
pub(crate) struct Server {
    child: Child,
    pub(crate) url: String,
}

impl Server {
    pub(crate) fn start(flags: &[&str]) -> Self {
        let mut command = tickwire(&["serve", "--listen", "127.0.0.1:0", "--log", "error"]);
        let mut child = command.args(flags).stdout(Stdio::piped()).spawn().expect("the program is built");
        let mut line = String::new();
        let stdout = child.stdout.take().expect("a pipe");
        BufReader::new(stdout).read_line(&mut line).expect("UTF-8");
        let url = line.trim_end().strip_prefix("listening on ").map(str::to_owned);
        let Some(url) = url else { panic!("it does not listen, but says {line:?}: {:?}", child.wait()) };
        Self { child, url }
    }

    /// A simulated market of `instruments` whose best bids and offers change `rate` times a second each.
    pub(crate) fn quotes(instruments: u32, rate: u32) -> Self {
        let (instruments, rate) = (instruments.to_string(), rate.to_string());
        Self::start(&["--sim-mode", "quotes", "--sim-instruments", &instruments, "--sim-rate", &rate])
    }

    /// A simulated market with books and trades.
    pub(crate) fn market(instruments: u32, rate: u32) -> Self {
        let (instruments, rate) = (instruments.to_string(), rate.to_string());
        Self::start(&["--sim-instruments", &instruments, "--sim-rate", &rate])
    }

    #[allow(dead_code, reason = "not every test file needs it")]
    pub(crate) fn signal(&self, name: &str) {
        let status = Command::new("kill").args([name, &self.pid()]).status().expect("kill is there");
        assert!(status.success(), "kill {name}: {status}");
    }

    #[allow(dead_code, reason = "not every test file needs it")]
    pub(crate) fn pid(&self) -> String {
        self.child.id().to_string()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _gone_already = self.child.kill();
        let _reaped = self.child.wait();
    }
}
