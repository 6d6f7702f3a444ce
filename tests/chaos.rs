//! A whole cluster whose parts are killed, frozen, cut off and started again under clients who prove what they are served.
//!
//! One fault of each kind here, with few clients, and none of the network; `make chaos` runs them with a thousand
//! clients and many seeds, in a network namespace of its own, where packets are lost too, and holds the times that are
//! promised. It prints a line a fault.
#![cfg(feature = "nats")]

mod havoc {
    pub(crate) mod cluster;
    pub(crate) mod faults;
    pub(crate) mod network;
    pub(crate) mod swarm;
}
mod service {
    pub(crate) mod eventually;
    pub(crate) mod http;
    pub(crate) mod installed;
    pub(crate) mod metrics;
    pub(crate) mod nats;
    pub(crate) mod needed;
    pub(crate) mod port;
    pub(crate) mod process;
    pub(crate) mod program;
    pub(crate) mod signal;
}

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use havoc::cluster::Cluster;
use havoc::faults::{FAULTS, Trial};
use havoc::network;
use havoc::swarm::Swarm;
use service::needed::is_there;

/// How much there is to be: by `CHAOS_…` in the environment.
fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name}: a number")))
}

#[test]
fn no_fault_leaves_a_client_with_a_wrong_state_or_an_untold_gap() {
    if !is_there("haproxy", Command::new(Path::new("/usr/sbin/haproxy")).arg("-v")) {
        return;
    }
    let clients = usize::try_from(setting("CHAOS_CLIENTS", 40)).expect("a number of clients");
    let outage = Duration::from_secs(setting("CHAOS_OUTAGE_SECONDS", 3));
    let first = setting("CHAOS_FIRST_SEED", 1);
    let seeds = setting("CHAOS_SEEDS", 1);
    // Times are promised for a machine that does nothing else.
    let is_strict = std::env::var_os("CHAOS_STRICT").is_some();
    let has_network = network::is_ours();
    for seed in first..first + seeds {
        let Some(cluster) = Cluster::start(seed, has_network) else { return };
        let swarm = Swarm::start(clients, cluster.address(), &cluster.symbols());
        let mut trial = Trial::new(cluster, swarm, outage, is_strict);
        for (name, is_of_network, fault) in shuffled(&FAULTS, seed) {
            if is_of_network && !has_network {
                continue;
            }
            let told = fault(&mut trial);
            eprintln!("seed {seed}: {name}: {told}");
        }
        trial.end();
    }
}

/// The same for each seed.
fn shuffled<T: Clone>(all: &[T], seed: u64) -> Vec<T> {
    let mut state = seed;
    let mut rest = all.to_vec();
    let mut out = Vec::new();
    while !rest.is_empty() {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let at = usize::try_from(state >> 33).expect("31 bits") % rest.len();
        out.push(rest.swap_remove(at));
    }
    out
}
