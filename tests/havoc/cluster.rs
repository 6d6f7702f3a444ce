//! Two ingests, a broker, three gateways and a balancer before them, each a process.

use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use crate::service::eventually::eventually;
use crate::service::nats::Nats;
use crate::service::port::free_ports;
use crate::service::process::Service;
use crate::service::program::tickwire;

pub(crate) const GATEWAYS: usize = 3;
const SYMBOLS: usize = 20;

pub(crate) struct Cluster {
    pub(crate) broker: Nats,
    /// One is active, and one stands by.
    pub(crate) ingests: Vec<Service>,
    pub(crate) gateways: Vec<Service>,
    balancer: Child,
    address: SocketAddr,
    seeds: u64,
    /// Whether there are addresses of this machine that are ours alone.
    has_network: bool,
    folder: TempDir,
}

impl Cluster {
    /// `None`: there is no broker here.
    pub(crate) fn start(seed: u64, has_network: bool) -> Option<Self> {
        let broker = Nats::start(if has_network { &["--addr", "0.0.0.0"] } else { &[] })?;
        let folder = tempfile::tempdir().expect("a folder");
        let ports: [u16; 1 + GATEWAYS] = free_ports();
        let [address, addresses @ ..] = ports.map(|port| SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
        let balancer = balancer(address, &addresses, folder.path());
        let mut cluster = Self {
            broker,
            ingests: Vec::new(),
            gateways: Vec::new(),
            balancer,
            address,
            seeds: seed << 32,
            has_network,
            folder,
        };
        for _ in 0..2 {
            let ingest = cluster.new_ingest();
            cluster.ingests.push(ingest);
        }
        eventually("one ingest is active", || cluster.active().is_some());
        for (at, &address) in addresses.iter().enumerate() {
            let gateway = cluster.new_gateway(at, address);
            cluster.gateways.push(gateway);
        }
        cluster.until_all_up();
        Some(cluster)
    }

    /// Waits until the balancer has found every gateway.
    pub(crate) fn until_all_up(&self) {
        eventually("the balancer has found the gateways", || {
            let stats = self.balancer_says().unwrap_or_default();
            let is_up = |line: &&str| line.starts_with("gateways,gateway-") && line.contains(",UP,");
            stats.lines().filter(is_up).count() == GATEWAYS
        });
    }

    /// How many clients a gateway has. Gateways themselves speak to the balancer alone.
    pub(crate) fn clients_of(&self, gateway: usize) -> usize {
        let stats = self.balancer_says().expect("the balancer answers");
        let name = format!("gateway-{}", gateway + 1);
        let line = stats
            .lines()
            .find(|line| line.split(',').nth(1) == Some(&name))
            .expect("it is one of its servers");
        line.split(',').nth(4).and_then(|sessions| sessions.parse().ok()).expect("a number")
    }

    fn balancer_says(&self) -> Option<String> {
        let mut socket = UnixStream::connect(self.folder.path().join("stats")).ok()?;
        let mut stats = String::new();
        socket.write_all(b"show stat\n").ok()?;
        socket.read_to_string(&mut stats).ok()?;
        Some(stats)
    }

    /// Where clients connect to.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn symbols(&self) -> Vec<String> {
        let body = self.ingests[0].get("/v1/instruments").body;
        let body: Value = serde_json::from_str(&body).expect("JSON");
        let all = body["instruments"].as_array().expect("instruments").iter();
        all.map(|instrument| instrument["symbol"].as_str().expect("a name").to_owned()).collect()
    }

    /// With a market unlike that of all others: the same numbers are not the same states.
    pub(crate) fn new_ingest(&mut self) -> Service {
        self.seeds += 1;
        let (seed, symbols) = (self.seeds.to_string(), SYMBOLS.to_string());
        let url = self.broker.url();
        Service::start([
            "--role",
            "ingest",
            "--bus",
            &url,
            "--sim-instruments",
            &symbols,
            "--sim-rate",
            "4",
            "--sim-seed",
            &seed,
        ])
    }

    /// The one that publishes, if there is just one.
    pub(crate) fn active(&self) -> Option<usize> {
        let mut active =
            self.ingests.iter().enumerate().filter(|(_, ingest)| ingest.metric("bus_active") == 1);
        let (first, second) = (active.next(), active.next());
        first.filter(|_| second.is_none()).map(|(at, _)| at)
    }

    /// The address at which a gateway reaches the broker.
    pub(crate) fn way_to_broker(&self, gateway: usize) -> String {
        if self.has_network { format!("127.0.0.{}", 10 + gateway) } else { "127.0.0.1".to_owned() }
    }

    /// A gateway in the place of that number.
    pub(crate) fn new_gateway(&self, at: usize, address: SocketAddr) -> Service {
        let url = self.broker.url().replace("127.0.0.1", &self.way_to_broker(at));
        let mut command = tickwire();
        command.args(["serve", "--listen", &address.to_string(), "--role", "gateway", "--bus", &url]);
        command.args(["--proxy-protocol", "--trusted-proxies", "127.0.0.1", "--drain", "5s"]);
        Service::spawn(&mut command)
    }

    /// Another gateway in the place of one that has ended.
    pub(crate) fn replace_gateway(&mut self, at: usize) {
        let address = self.gateways[at].address;
        self.gateways[at] = self.new_gateway(at, address);
        self.until_all_up();
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // Neither fails but for a process that has ended.
        let _ = self.balancer.kill();
        let _ = self.balancer.wait();
    }
}

/// HAProxy with what ships for it, but for the addresses and TLS, which is not what is tried here.
fn balancer(address: SocketAddr, gateways: &[SocketAddr], folder: &Path) -> Child {
    let ships = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/haproxy.cfg");
    let mut text = fs::read_to_string(ships).expect("it ships");
    let servers: String = gateways
        .iter()
        .enumerate()
        .map(|(at, gateway)| format!("    server gateway-{} {gateway}\n", at + 1))
        .collect();
    for (old, new) in [
        (":443 ssl crt /etc/haproxy/tickwire.pem alpn http/1.1", address.to_string()),
        ("    server gateway-1 gateway-1:8080\n    server gateway-2 gateway-2:8080\n", servers),
        // For any user's limit of files.
        ("maxconn 100000", format!("maxconn 4000\n    stats socket {}", folder.join("stats").display())),
    ] {
        assert_eq!(text.matches(old).count(), 1, "{old} in {text}");
        text = text.replace(old, &new);
    }
    let file = folder.join("haproxy.cfg");
    fs::write(&file, text).expect("a file");
    Command::new("/usr/sbin/haproxy")
        .args(["-db", "-f"])
        .arg(file)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("it is there")
}
