//! A RabbitMQ server for tests, on free ports of this machine, with folders, a node name and a port mapper of its own.

use std::fs;
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tempfile::TempDir;

use super::eventually::eventually;
use super::needed::is_there;
use super::port::free_ports;

/// The package's own `rabbitmq-server` on the path changes to its user, and knows the system's folders alone.
const SERVER: &str = "/usr/lib/rabbitmq/bin/rabbitmq-server";

/// Virtual hosts of a server, one for each test that shares it.
const VHOSTS: usize = 32;

/// The server that tests share while any of them runs: it takes seconds to start.
static SHARED: Mutex<Weak<Rabbit>> = Mutex::new(Weak::new());

/// A running server, which ends with the test, or with the last of those that share it.
pub(crate) struct Rabbit {
    pub(crate) child: Child,
    /// Erlang's port mapper, by which a node knows that no other has its name.
    mapper: Child,
    scheme: &'static str,
    port: u16,
    mapper_port: u16,
    folder: TempDir,
    vhosts: AtomicUsize,
}

impl Rabbit {
    /// Starts one; `None`: there is no such program here.
    pub(crate) fn start() -> Option<Self> {
        Self::configured("amqp", |port| format!("listeners.tcp.1 = 127.0.0.1:{port}\n"))
    }

    /// One that speaks TLS alone, by a certificate and its key.
    pub(crate) fn encrypted(certificate: &Path, key: &Path) -> Option<Self> {
        let [certificate, key] = [certificate, key].map(Path::display);
        Self::configured("amqps", |port| {
            format!(
                "listeners.tcp = none\nlisteners.ssl.1 = 127.0.0.1:{port}\nssl_options.certfile = {certificate}\nssl_options.keyfile = {key}\n"
            )
        })
    }

    fn configured(scheme: &'static str, listener: impl FnOnce(u16) -> String) -> Option<Self> {
        if !is_there("rabbitmq-server", Command::new("test").args(["-x", SERVER])) {
            return None;
        }
        let folder = tempfile::tempdir().expect("a folder");
        let [port, mapper_port] = free_ports();
        configure(folder.path(), &listener(port));
        let mapper = Command::new("epmd")
            .args(["-address", "127.0.0.1", "-port", &mapper_port.to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("it comes with Erlang");
        let child = run(folder.path(), mapper_port);
        let server = Self { child, mapper, scheme, port, mapper_port, folder, vhosts: AtomicUsize::new(0) };
        server.wait();
        Some(server)
    }

    /// The one that others have started too.
    pub(crate) fn shared() -> Option<Arc<Self>> {
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(server) = shared.upgrade() {
            return Some(server);
        }
        let server = Arc::new(Self::start()?);
        *shared = Arc::downgrade(&server);
        Some(server)
    }

    /// Where a virtual host is that nobody has been told of.
    pub(crate) fn url(&self) -> String {
        let number = self.vhosts.fetch_add(1, Ordering::Relaxed);
        assert!(number < VHOSTS, "more tests than virtual hosts");
        format!("{}://me:right@127.0.0.1:{}/t{number}", self.scheme, self.port)
    }

    /// Ends it at once.
    pub(crate) fn kill(&mut self) {
        self.child.kill().expect("it runs");
        self.child.wait().expect("it has ended");
    }

    /// Starts it again on its port, after [`Rabbit::kill`].
    pub(crate) fn start_again(&mut self) {
        self.child = run(self.folder.path(), self.mapper_port);
        self.wait();
    }

    fn wait(&self) {
        eventually("RabbitMQ listens", || TcpStream::connect(("127.0.0.1", self.port)).is_ok());
    }
}

impl Drop for Rabbit {
    fn drop(&mut self) {
        for child in [&mut self.child, &mut self.mapper] {
            // Neither fails but for a process that has ended.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn configure(folder: &Path, listener: &str) {
    let definitions = folder.join("definitions.json");
    let write = |name: &str, text: String| fs::write(folder.join(name), text).expect("a file");
    let vhosts: Vec<_> = (0..VHOSTS).map(|number| format!("t{number}")).collect();
    let permissions = vhosts.iter().map(|vhost| {
        serde_json::json!({"user": "me", "vhost": vhost, "configure": ".*", "write": ".*", "read": ".*"})
    });
    let all = serde_json::json!({
        "users": [{"name": "me", "password": "right", "tags": ""}],
        "vhosts": vhosts.iter().map(|name| serde_json::json!({"name": name})).collect::<Vec<_>>(),
        "permissions": permissions.collect::<Vec<_>>(),
    });
    write("definitions.json", all.to_string());
    write("plugins", "[].".to_owned());
    write("env.conf", String::new());
    let definitions = definitions.display();
    write("rabbitmq.conf", format!("{listener}load_definitions = {definitions}\nlog.file.level = warning\n"));
}

fn run(folder: &Path, mapper_port: u16) -> Child {
    let [distribution_port] = free_ports();
    Command::new(SERVER)
        .arg("-noinput")
        .env("HOME", folder)
        .env("ERL_EPMD_ADDRESS", "127.0.0.1")
        .env("ERL_EPMD_PORT", mapper_port.to_string())
        .env("RABBITMQ_NODENAME", "tickwire@localhost")
        .env("RABBITMQ_DIST_PORT", distribution_port.to_string())
        .env("RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS", "-kernel inet_dist_use_interface {127,0,0,1}")
        .env("RABBITMQ_MNESIA_BASE", folder.join("mnesia"))
        .env("RABBITMQ_LOG_BASE", folder.join("log"))
        .env("RABBITMQ_ENABLED_PLUGINS_FILE", folder.join("plugins"))
        .env("RABBITMQ_CONFIG_FILE", folder.join("rabbitmq.conf"))
        .env("RABBITMQ_CONF_ENV_FILE", folder.join("env.conf"))
        // The script becomes the server then, rather than to wait for it.
        .env("RABBITMQ_ALLOW_INPUT", "1")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("it is there")
}
