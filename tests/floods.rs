//! Clients that are hostile by their number, their pace or their silence, against the real program. Some for seconds here;
//! `make figures` for as long as `DEAF_SECONDS` says.

mod service {
    pub(crate) mod client;
    pub(crate) mod eventually;
    pub(crate) mod http;
    #[allow(dead_code, reason = "peaks are those of single attacks")]
    pub(crate) mod memory;
    pub(crate) mod metrics;
    pub(crate) mod process;
    pub(crate) mod program;
    #[allow(dead_code, reason = "frames are read by other tests")]
    pub(crate) mod raw;
    pub(crate) mod reading;
    #[allow(dead_code, reason = "odd frames are those of other tests")]
    pub(crate) mod rude;
    pub(crate) mod simulated;
    pub(crate) mod upgrade;
}

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::Duration;

use feeds::clock::monotonic;
use serde_json::json;
use socket2::SockRef;
use tickwire::limits::HTTP_HEADER_WAIT;

use service::eventually::eventually;
use service::http::connect;
use service::process::Service;
use service::raw::{RawClient, text};
use service::upgrade::HANDSHAKE;

impl Service {
    fn open_files(&self) -> usize {
        fs::read_dir(format!("/proc/{}/fd", self.child.id())).expect("Linux").count()
    }

    /// What the kernel holds, unsent or not acknowledged, for each connection that it accepted, in bytes.
    fn kernel_holds(&self) -> Vec<u64> {
        const ESTABLISHED: &str = "01";
        let table = fs::read_to_string("/proc/net/tcp").expect("Linux");
        let own = format!(":{:04X}", self.address.port());
        let rows = table.lines().skip(1).map(|line| line.split_whitespace().collect::<Vec<_>>());
        let ours = rows.filter(|row| row[1].ends_with(&own) && row[3] == ESTABLISHED);
        let unsent = |row: Vec<&str>| row[4].split_once(':').expect("two queues").0.to_owned();
        ours.map(|row| u64::from_str_radix(&unsent(row), 16).expect("a number")).collect()
    }
}

fn follow_all(client: &mut RawClient) {
    client.send(&text(r#"{"method":"subscribe","params":{"channel":"quote","symbols":["*"]}}"#));
}

/// Goes with a reset.
fn reset(stream: &TcpStream) {
    SockRef::from(stream).set_linger(Some(Duration::ZERO)).expect("a socket");
}

#[test]
fn a_handshake_of_a_byte_a_second_is_cut_in_time() {
    let server = Service::simulated("quotes", 4, 50);
    let mut other = server.client();
    other.subscribe("quote", &["*"]);
    let start = monotonic();
    let mut slow: Vec<_> = (0..50).map(|_| connect(server.address)).collect();
    let mut sent = HANDSHAKE.bytes();
    // As long as any of them can still be written to.
    while slow.iter_mut().any(is_open) {
        let byte = sent.next().expect("it is cut before its end");
        for stream in &mut slow {
            // It may be cut already.
            let _ = stream.write_all(&[byte]);
        }
        let until = start + Duration::from_secs(HANDSHAKE.len() as u64 - sent.len() as u64);
        while monotonic() < until {
            other.read_updates(1);
        }
    }
    let took = monotonic().duration_since(start);
    assert!((HTTP_HEADER_WAIT..HTTP_HEADER_WAIT + Duration::from_secs(5)).contains(&took), "{took:?}");
}

/// Whether the other end has not closed, which is looked for without waiting.
fn is_open(stream: &mut TcpStream) -> bool {
    stream.set_nonblocking(true).expect("a socket");
    let read = stream.read(&mut [0; 16]);
    stream.set_nonblocking(false).expect("a socket");
    match read {
        Ok(count) => {
            assert_eq!(count, 0, "no answer");
            false
        }
        Err(error) => error.kind() == std::io::ErrorKind::WouldBlock,
    }
}

#[test]
fn a_storm_of_five_thousand_leaves_nothing_behind() {
    let server = Service::simulated("quotes", 8, 50);
    let mut other = server.client();
    other.subscribe("quote", &["*"]);
    let come_and_go: [fn(SocketAddr); 5] = [
        |address| reset(&connect(address)),
        |address| drop(connect(address)),
        |address| {
            let mut stream = connect(address);
            let _ = stream.write_all(&HANDSHAKE.as_bytes()[..60]);
            reset(&stream);
        },
        |address| RawClient::connect(address).vanish(),
        |address| {
            let mut client = RawClient::connect(address);
            follow_all(&mut client);
            client.vanish();
        },
    ];
    let mut storm = |count: usize| {
        for number in 0..count {
            come_and_go[number % come_and_go.len()](server.address);
            if number % 50 == 0 {
                other.read_updates(1);
            }
        }
        eventually("all are gone", || server.metric("connections") == 1);
    };
    storm(500);
    let (files, memory) = (server.open_files(), server.resident_kib());
    storm(5_000);
    eventually("all files are closed", || server.open_files() <= files);
    let grown = server.resident_kib().saturating_sub(memory);
    assert!(grown < 8 * 1024, "{grown} KiB more after ten times as many");
}

#[test]
fn subscriptions_that_come_and_go_without_end_leave_time_for_others() {
    let server = Service::simulated("quotes", 500, 10);
    let mut other = server.client();
    other.subscribe("quote", &["SYM00000", "SYM00499"]);
    let memory = server.resident_kib();
    let address = server.address;
    let churn = thread::spawn(move || {
        let client = RawClient::connect(address);
        let mut ear = client.stream().try_clone().expect("a socket");
        let reader = thread::spawn(move || std::io::copy(&mut ear, &mut std::io::sink()));
        let params = json!({"channel": "quote", "symbols": ["*"]});
        let request = |method| text(&json!({"method": method, "params": params}).to_string());
        let both = [request("subscribe"), request("unsubscribe")].concat();
        let mut mouth = client.stream().try_clone().expect("a socket");
        for _ in 0..2_000 {
            // It may be sent away, or held up.
            if mouth.write_all(&both).is_err() {
                break;
            }
        }
        // The server may have ended it already.
        let _ = client.stream().shutdown(std::net::Shutdown::Both);
        // Why it ended is of no interest.
        let _ = reader.join();
    });
    while !churn.is_finished() {
        other.read_updates(1);
    }
    churn.join().expect("no panic");
    eventually("it is gone", || server.metric("connections") == 1);
    let grown = server.resident_kib().saturating_sub(memory);
    assert!(grown < 64 * 1024, "{grown} KiB more");
    other.read_updates(100);
}

#[test]
fn a_hundred_who_never_read_a_busy_topic_cost_little() {
    // One topic that changes 5,000 times a second.
    let server = Service::simulated("quotes", 1, 5_000);
    let mut other = server.client();
    other.subscribe("quote", &["*"]);
    other.read_updates(1_000);
    let memory = server.resident_kib();
    let start = monotonic();
    let deaf: Vec<_> = (0..100)
        .map(|_| {
            let mut client = RawClient::connect(server.address);
            // So that the server's own buffers are what fills.
            SockRef::from(client.stream()).set_recv_buffer_size(4 * 1024).expect("a socket");
            follow_all(&mut client);
            client
        })
        .collect();
    // Merged states, or an end: whoever takes nothing for long enough is cut.
    let cut = |server: &Service| {
        ["overrun", "idle"]
            .map(|reason| server.metric(&format!("refusals_total{{reason=\"{reason}\"}}")))
            .iter()
            .sum::<i64>()
    };
    while server.metric("laggards") + cut(&server) < 100 {
        other.read_updates(500);
        let waited = monotonic().duration_since(start);
        assert!(waited < Duration::from_secs(10), "{} lag after {waited:?}", server.metric("laggards"));
    }
    let after = monotonic().duration_since(start);
    let seconds =
        std::env::var("DEAF_SECONDS").map_or(4, |text| text.parse().expect("DEAF_SECONDS: a number"));
    let (mut most, mut grown) = (0, 0);
    while monotonic().duration_since(start) < after + Duration::from_secs(seconds) {
        other.read_updates(1_000);
        let gone = cut(&server);
        let held = server.kernel_holds();
        assert!(
            i64::try_from(held.len()).expect("a few") + gone > 100,
            "{gone} are gone, and there are {held:?}"
        );
        most = most.max(held.into_iter().max().unwrap_or(0));
        assert!(most < 256 * 1024, "the kernel holds {most} bytes for one");
        grown = grown.max(server.resident_kib().saturating_sub(memory));
        assert!(grown < 64 * 1024, "{grown} KiB more");
        assert!(server.metric("laggards") + cut(&server) >= 100, "one keeps up that does not read");
    }
    eprintln!(
        "all lag after {after:?}; in {seconds} s {grown} KiB more, {most} bytes of the kernel's for one, {} cut",
        cut(&server)
    );
    drop(deaf);
    eventually("all are gone", || server.metric("connections") == 1);
}
