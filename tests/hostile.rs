//! Hostile clients against the real program: each ends as it should, costs no more memory than it may, and is not
//! noticed by those who behave.

mod battery {
    pub(crate) mod attack;
    pub(crate) mod frames;
    pub(crate) mod http;
    pub(crate) mod requests;
}
mod service {
    pub(crate) mod client;
    pub(crate) mod eventually;
    pub(crate) mod http;
    pub(crate) mod memory;
    pub(crate) mod metrics;
    pub(crate) mod process;
    pub(crate) mod program;
    #[allow(dead_code, reason = "the rest is for other tests")]
    pub(crate) mod raw;
    pub(crate) mod reading;
    #[allow(dead_code, reason = "likewise")]
    pub(crate) mod rude;
    pub(crate) mod run;
    pub(crate) mod simulated;
    pub(crate) mod upgrade;
}

use std::sync::atomic::{AtomicBool, Ordering};

use battery::attack::Attack;
use battery::{frames, http, requests};
use serde_json::Value;
use service::eventually::eventually;
use service::process::Service;
use service::program::tickwire;
use service::run::run;
use tickwire::limits::MESSAGE_IN_BYTES_MAX;

fn attacks() -> Vec<Attack> {
    [frames::attacks(), requests::attacks(), http::attacks()].into_iter().flatten().collect()
}

#[test]
fn each_attack_ends_as_it_should_within_its_memory() {
    let server = Service::simulated("quotes", 8, 50);
    let mut other = server.client();
    other.subscribe("quote", &["*"]);
    let mut wrong = Vec::new();
    // What the allocator and the pages of the program need once is no attack's.
    for attack in attacks() {
        (attack.run)(server.address);
    }
    for attack in attacks() {
        let before = server.begin_peak();
        let ended = (attack.run)(server.address);
        other.read_updates(8);
        let grown = server.peak_kib().saturating_sub(before);
        if ended != attack.ends {
            wrong.push(format!("{}: {ended:?} and not {:?}", attack.name, attack.ends));
        }
        if grown > u64::from(4 * MESSAGE_IN_BYTES_MAX / 1024) {
            wrong.push(format!("{}: {grown} KiB", attack.name));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    eventually("all are gone", || server.metric("connections") == 1);
}

/// What a thousand well-behaved clients see meanwhile of books: the 99th of a hundred updates comes after so many
/// microseconds.
fn p99_of_a_thousand(server: &Service, meanwhile: impl FnOnce(&AtomicBool) + Send) -> u64 {
    let url = format!("http://{}", server.address);
    let clients =
        ["--clients", "1000", "--channel", "book", "--symbols", "5", "--verify", "250", "--threads", "1"];
    let window = ["--connect-rate", "2000", "--warmup", "200ms", "--duration", "4s"];
    let is_over = AtomicBool::new(false);
    let output = std::thread::scope(|scope| {
        scope.spawn(|| meanwhile(&is_over));
        let output = run(tickwire().args(["load", "--json", &url]).args(clients).args(window));
        is_over.store(true, Ordering::Relaxed);
        output
    });
    let report: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)));
    let number = |pointer: &str| {
        report.pointer(pointer).and_then(Value::as_u64).unwrap_or_else(|| panic!("no {pointer} in {report}"))
    };
    // Nothing that came was wrong, and all came.
    assert!(output.status.success(), "{report}");
    assert_eq!((number("/faults/disconnects"), number("/faults/checksums_failed")), (0, 0), "{report}");
    assert!(number("/checksums_ok") > 1_000, "{report}");
    number("/latency_us/p99")
}

#[test]
fn a_thousand_who_behave_do_not_notice_the_whole_battery() {
    const ROUNDS: usize = 6;
    let server = Service::simulated("market", 200, 10);
    // What attacks cost the machine, which attackers and attacked share here, is no matter of the service: beside its
    // neighbour's, it is there too.
    let neighbour = Service::simulated("market", 200, 10);
    let [mut quiet, mut by_neighbour, mut beside] = [u64::MAX; 3];
    let mut times = 0;
    // Rounds in turn, and the best of each kind: what the machine does meanwhile can only make one slower. More rounds
    // are only for a machine that does much else.
    for _ in 0..ROUNDS {
        let mut attack = |attacked: &Service, is_over: &AtomicBool| {
            while !is_over.load(Ordering::Relaxed) {
                for attack in attacks() {
                    (attack.run)(attacked.address);
                }
                times += 1;
            }
        };
        quiet = quiet.min(p99_of_a_thousand(&server, |_| {}));
        by_neighbour = by_neighbour.min(p99_of_a_thousand(&server, |is_over| attack(&neighbour, is_over)));
        beside = beside.min(p99_of_a_thousand(&server, |is_over| attack(&server, is_over)));
        eprintln!(
            "p99 of a thousand: {beside} µs beside the battery, {by_neighbour} µs beside a neighbour's, {quiet} µs \
             without; {times} times so far"
        );
        if beside <= 2 * by_neighbour {
            return;
        }
    }
    panic!("{beside} µs beside the attacks, {by_neighbour} µs beside a neighbour's");
}
