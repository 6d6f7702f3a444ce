//! Recordings through the running service: a client that followed from the first event ends with exactly the books
//! that a slow model computes from the file.

mod oracle;
mod service {
    pub(crate) mod eventually;
    pub(crate) mod http;
    pub(crate) mod json;
    pub(crate) mod metrics;
    pub(crate) mod process;
    pub(crate) mod program;
    pub(crate) mod run;
    pub(crate) mod shared;
}

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tempfile::TempDir;

use oracle::Book;
use oracle::check::{book_path, check_rest, check_states};
use oracle::files::{gzip, json_lines, recording, recv, write};
use oracle::follower::{Follower, State, Topic};
use service::eventually::eventually;
use service::process::Service;
use service::program::tickwire;
use service::run::run;
use service::shared::shared;

mod shipped {
    use super::*;

    #[tokio::test(flavor = "multi_thread")]
    async fn kraken() {
        assert_eq!(follow(&[&recording("kraken")]).await.proofs, 848);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn coinbase() {
        follow(&[&recording("coinbase")]).await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn binance() {
        assert_eq!(follow(&[&recording("binance")]).await.proofs, 26);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn made_up_itch() {
        let folder = TempDir::new().unwrap();
        for (seed, name) in [(1, "a-20240102.itch"), (2, "b.itch.gz"), (3, "c-01032024.itch.zst")] {
            let file = folder.path().join(name);
            write(&file, &oracle::synthetic::itch(seed, 3_000));
            let expected = follow(&[&file]).await;
            assert_eq!(expected.symbols, ["ABC", "LOCATE-77", "LONGNAME", "X.Y"]);
            assert!(expected.levels_max > 100, "no book deep enough for the deepest channel");
        }
    }
}

mod shared {
    use super::*;

    #[tokio::test(flavor = "multi_thread")]
    async fn kraken_spot() {
        assert!(follow_all("crypto-ws/kraken-spot-v1").await.is_none_or(|proofs| proofs == 4_269));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn coinbase_exchange() {
        follow_all("crypto-ws/coinbase-exchange").await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn binance_spot() {
        assert!(follow_all("crypto-ws/binance-spot").await.is_none_or(|proofs| proofs == 26));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn binance_usdm() {
        assert!(follow_all("crypto-ws/binance-usdm").await.is_none_or(|proofs| proofs == 50));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn binance_coinm() {
        // Three more than SOURCE.md counts: their book tickers came after the depth messages of the same number.
        assert!(follow_all("crypto-ws/binance-coinm").await.is_none_or(|proofs| proofs == 212));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn itch() {
        follow_all("itch").await;
    }
}

mod played {
    use super::*;

    #[tokio::test(flavor = "multi_thread")]
    async fn faster_than_it_happened() {
        follow_with(&[&recording("binance")], &["--speed", "100000"]).await;
        follow_with(&[&recording("kraken")], &["--speed", "100000"]).await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn by_one_shard_and_by_four() {
        for shards in ["1", "4"] {
            follow_with(&[&recording("kraken")], &["--speed", "max", "--shards", shards]).await;
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn two_venues_at_once() {
        let followed = follow(&[&recording("kraken"), &recording("binance")]).await;
        assert_eq!(followed.symbols.len(), 7 + 4);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn the_same_symbol_of_two_venues() {
        let folder = TempDir::new().unwrap();
        let coinbase = folder.path().join("coinbase.jsonl");
        let lines = [
            json!({"t": "header", "format": 2, "exchange": "COINBASE"}),
            json!({"t": "connect", "conn": "c", "ts": 1_700_000_000.5, "addr": "wss://c"}),
            recv(
                "c",
                "1700000001.000001",
                &json!({"type": "snapshot", "product_id": "ABCXYZ",
                "asks": [["10.25", "1.5"], ["10.50", "2"]], "bids": [["10.00", "0.25"]]}),
            ),
            recv(
                "c",
                "1700000003.5",
                &json!({"type": "l2update", "product_id": "ABCXYZ",
                "changes": [["sell", "10.25", "0"], ["buy", "10.01", "3"]], "time": "2023-11-14T22:13:23.000001Z"}),
            ),
            recv(
                "c",
                "1700000004",
                &json!({"type": "snapshot", "product_id": "ONLY-COINBASE",
                "asks": [["2", "1"]], "bids": []}),
            ),
        ];
        write(&coinbase, json_lines(&lines).as_bytes());
        let binance = folder.path().join("binance.jsonl");
        let lines = [
            json!({"t": "header", "format": 2, "exchange": "BINANCE"}),
            json!({"t": "http", "conn": "h", "ts": 1_700_000_002, "url": "https://b/api/v3/depth?symbol=ABCXYZ&limit=9",
                "data": json!({"lastUpdateId": 7, "bids": [["9.9000", "10"]], "asks": [["9.9500", "20"]]}).to_string()}),
            json!({"t": "connect", "conn": "b", "ts": 1_700_000_001, "addr": "wss://b"}),
            recv(
                "b",
                "1700000001.5",
                &json!({"stream": "abcxyz@depth", "data": {"e": "depthUpdate", "s": "ABCXYZ",
                "E": 1_700_000_001_400_u64, "U": 6, "u": 7, "b": [["9.9000", "1"]], "a": []}}),
            ),
            recv(
                "b",
                "1700000001.9",
                &json!({"stream": "abcxyz@depth", "data": {"e": "depthUpdate", "s": "ABCXYZ",
                "E": 1_700_000_001_800_u64, "U": 8, "u": 9, "b": [["9.9001", "5"]], "a": [["9.9500", "0"]]}}),
            ),
        ];
        write(&binance, json_lines(&lines).as_bytes());

        let followed = follow(&[&coinbase, &binance]).await;
        assert_eq!(followed.symbols, ["BINANCE:ABCXYZ", "COINBASE:ABCXYZ", "ONLY-COINBASE"]);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_level_past_the_depth_of_the_venue_is_gone_for_good() {
        let folder = TempDir::new().unwrap();
        let file = folder.path().join("kraken.jsonl");
        let asks: Vec<Value> =
            (0..10).map(|n| json!([format!("{}.0", 20 + n), "1.00", "1700000000.1"])).collect();
        let book = |parts: Value| json!([1, parts, "book-10", "ABC/XYZ"]);
        let lines = [
            json!({"t": "header", "format": 2, "exchange": "KRAKEN"}),
            recv("k", "1700000001", &book(json!({ "as": asks, "bs": [["9.0", "2.00", "1700000000.2"]] }))),
            // Pushes 29.0 out. When 19.0 goes again, the venue says nothing of 29.0.
            recv("k", "1700000002", &book(json!({ "a": [["19.0", "3.00", "1700000001.9"]] }))),
            recv("k", "1700000003", &book(json!({ "a": [["19.0", "0.00", "1700000002.9"]] }))),
            // Within one message a level may be pushed out and let in again.
            recv(
                "k",
                "1700000004",
                &book(json!({ "a": [
                ["18.0", "3.00", "1700000003.9"], ["17.0", "3.00", "1700000003.9"], ["17.0", "0.00", "1700000003.9"],
            ] })),
            ),
            recv("k", "1700000005", &book(json!({ "a": [["20.0", "0.00", "1700000004.9"]] }))),
        ];
        write(&file, json_lines(&lines).as_bytes());
        let followed = follow(&[&file]).await;
        assert_eq!((followed.symbols, followed.levels_max), (vec!["ABC/XYZ".to_owned()], 9));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn again_and_again() {
        let file = recording("binance");
        let books = expected(&[&file]).books;
        let service = serve(&[&file], &["--speed", "300", "--loop"]);
        let (mut follower, _starter) = both_subscribed(&service).await;
        follower.follow_until(|follower| follower.finished.len() == 3).await;
        for states in &follower.finished {
            check_states(states, &follower.granted, &books);
        }
        let mut epochs: Vec<&str> = follower.finished.iter().map(epoch_of).collect();
        epochs.push(epoch_of(&follower.states));
        epochs.dedup();
        assert_eq!(epochs.len(), 4, "{epochs:?}");
    }
}

mod damaged {
    use super::*;

    #[tokio::test(flavor = "multi_thread")]
    async fn compression_cut_off() {
        let folder = TempDir::new().unwrap();
        for (venue, name) in
            [("coinbase", "cut.jsonl.zst"), ("coinbase", "cut.jsonl.gz"), ("kraken", "cut.jsonl.gz")]
        {
            let plain = zstd::decode_all(fs::read(recording(venue)).unwrap().as_slice()).unwrap();
            let whole = folder.path().join(format!("whole-{name}"));
            write(&whole, &plain);
            let bytes = fs::read(&whole).unwrap();
            let file = folder.path().join(name);
            fs::write(&file, &bytes[..bytes.len() * 2 / 3]).unwrap();
            let errors = follow_damaged(&file).await;
            assert_eq!(offsets(&errors).len(), 1, "{errors}");
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn itch_cut_off_within_a_message() {
        let folder = TempDir::new().unwrap();
        let itch = oracle::synthetic::itch(9, 2_000);
        let (mut start, mut end) = (0, 0);
        while end < itch.len() / 2 {
            start = end;
            end += 2 + usize::from(u16::from_be_bytes([itch[start], itch[start + 1]]));
        }
        for (name, cut) in [("length.itch", start + 1), ("body.itch", end - 3)] {
            let file = folder.path().join(name);
            fs::write(&file, &itch[..cut]).unwrap();
            let errors = follow_damaged(&file).await;
            assert_eq!(offsets(&errors), [start], "{errors}");
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_wrong_line_in_the_middle() {
        let folder = TempDir::new().unwrap();
        let plain = zstd::decode_all(fs::read(recording("coinbase")).unwrap().as_slice()).unwrap();
        let plain = String::from_utf8(plain).unwrap();
        let middle = plain[..plain.len() / 2].rfind('\n').unwrap() + 1;
        let file = folder.path().join("wrong.jsonl");
        fs::write(&file, format!("{}{{\"t\":\"recv\",\"conn\n{}", &plain[..middle], &plain[middle..]))
            .unwrap();
        let errors = follow_damaged(&file).await;
        assert_eq!(offsets(&errors), [middle], "{errors}");
    }

    #[test]
    fn from_the_start() {
        let folder = TempDir::new().unwrap();
        let itch = oracle::synthetic::itch(9, 10);
        let header = "{\"t\":\"header\",\"format\":2,\"exchange\":\"KRAKEN\"}\n";
        let zst = fs::read(recording("kraken")).unwrap();
        for (name, content, offset) in [
            ("cut.itch", &itch[..8], 0),
            ("wrong.jsonl", format!("{header}{{\"t\":\"recv\"\n").as_bytes(), header.len()),
            ("cut.jsonl.zst", &zst[..40], 0),
            ("cut.itch.gz", &gzip(&itch)[..10], 0),
        ] {
            let file = folder.path().join(name);
            fs::write(&file, content).unwrap();
            check_refused(&file, offset);
        }
    }

    /// Follows a damaged recording, and returns what the service says of it.
    async fn follow_damaged(file: &Path) -> String {
        let books = expected(&[file]).books;
        assert!(books.values().any(|book| !book.bids.is_empty()), "nothing before the damage");
        let mut service = serve(&[file], &["--speed", "max"]);
        let (mut follower, _starter) = both_subscribed(&service).await;
        follower.follow_to_end().await;
        for symbol in books.keys() {
            assert_eq!(follower.field("status", symbol, "reason"), &json!("recording damaged"));
        }
        check_states(&follower.states, &follower.granted, &books);
        check_rest(&service, &follower, &books);
        eventually("the damage is logged", || service.log().contains(&*file.to_string_lossy()));
        let errors = service.log();
        assert!(matches!(service.child.try_wait(), Ok(None)), "it still runs");
        assert_eq!(service.get("/health/live").status, 200);
        errors
    }

    /// The offsets that are told.
    fn offsets(errors: &str) -> Vec<usize> {
        let told = errors.split("at byte ").skip(1);
        told.map(|rest| {
            rest.split(|c: char| !c.is_ascii_digit())
                .next()
                .and_then(|digits| digits.parse().ok())
                .expect("a number")
        })
        .collect()
    }
}

/// What came of following recordings.
struct Followed {
    symbols: Vec<String>,
    /// Of one side of one book.
    levels_max: usize,
    proofs: usize,
}

struct Expected {
    books: BTreeMap<String, Book>,
    trades: usize,
    proofs: usize,
}

/// All files of a folder of the shared data. Returns the sum of the proofs; `None`: the folder is not there.
async fn follow_all(folder: &str) -> Option<usize> {
    let folder = shared(folder)?;
    let entries = fs::read_dir(&folder).expect("a readable folder");
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.expect("a readable folder").path()).collect();
    files.retain(|file| file.file_name().is_some_and(|name| name != "SOURCE.md"));
    files.sort();
    assert!(!files.is_empty(), "{} is empty", folder.display());
    let mut proofs = 0;
    for file in files {
        if file.to_string_lossy().contains("TEST_ITCH_50") {
            // The original has zeros where the lengths of its messages belong.
            check_refused(&file, 0);
        } else {
            proofs += follow(&[&file]).await.proofs;
        }
    }
    Some(proofs)
}

/// Plays recordings flat out, and compares what a client ends with.
async fn follow(files: &[&Path]) -> Followed {
    follow_with(files, &["--speed", "max"]).await
}

async fn follow_with(files: &[&Path], arguments: &[&str]) -> Followed {
    let Expected { books, trades, proofs } = expected(files);
    let service = serve(files, arguments);
    let (mut follower, _starter) = both_subscribed(&service).await;
    follower.follow_to_end().await;
    for symbol in books.keys() {
        assert_eq!(follower.field("status", symbol, "reason"), &json!("end of recording"), "{symbol}");
    }
    check_states(&follower.states, &follower.granted, &books);
    check_rest(&service, &follower, &books);
    assert_eq!(follower.finished.len(), 0, "an epoch too many");
    if arguments.contains(&"max") {
        // A recording at full speed waits for its clients' shards: nothing is left out, unless this process was held up
        // for so long that its client was too slow. It was told what it lost then.
        assert_eq!(follower.counts.trades + follower.counts.lost, trades, "trades");
        if follower.counts.lost > 0 {
            eventually("who lost trades lagged", || service.metric("laggards_total") > 0);
        }
    }
    eprintln!("{files:?} {arguments:?}: {} symbols, {:?}, {proofs} proofs", books.len(), follower.counts);
    let levels_max = books.values().flat_map(|book| [book.bids.len(), book.asks.len()]).max();
    Followed { symbols: books.into_keys().collect(), levels_max: levels_max.unwrap_or(0), proofs }
}

/// The books of several recordings together. A symbol that several venues carry is qualified.
fn expected(files: &[&Path]) -> Expected {
    let computed: Vec<oracle::Expected> = files.iter().map(|file| oracle::compute(file)).collect();
    let mut books = BTreeMap::new();
    for one in &computed {
        for (symbol, book) in &one.books {
            let is_shared =
                computed.iter().any(|other| other.venue != one.venue && other.books.contains_key(symbol));
            let name = if is_shared { format!("{}:{symbol}", one.venue) } else { symbol.clone() };
            assert!(books.insert(name, book.clone()).is_none(), "{symbol} is in two files of one venue");
        }
    }
    let sum = |count: fn(&oracle::Expected) -> usize| computed.iter().map(count).sum();
    Expected { books, trades: sum(|one| one.trades), proofs: sum(|one| one.proofs) }
}

/// Starts a service that holds its feed until two clients have subscribed.
fn serve(files: &[&Path], arguments: &[&str]) -> Service {
    Service::start(
        feed(files)
            .iter()
            .map(String::as_str)
            .chain(["--wait-clients", "2"])
            .chain(arguments.iter().copied()),
    )
}

fn feed(files: &[&Path]) -> [String; 2] {
    let files: Vec<&str> = files.iter().map(|file| file.to_str().expect("a path that is text")).collect();
    ["--feed".to_owned(), format!("replay:{}", files.join(","))]
}

/// A client that follows everything, and one that subscribes after it, which starts the feed.
async fn both_subscribed(service: &Service) -> (Follower, Follower) {
    let mut follower = Follower::connect(service).await;
    for channel in ["quote", "trade", "status", "book.10", "book.25", "book.100"] {
        follower.subscribe(channel).await;
    }
    let is_empty = |levels: &Value| levels == &json!([]);
    for symbol in follower.symbols() {
        let book = service.json(&book_path(&symbol, 10));
        assert!(is_empty(&book["bids"]) && is_empty(&book["asks"]), "the feed has begun: {book}");
    }
    let mut starter = Follower::connect(service).await;
    starter.subscribe("status").await;
    (follower, starter)
}

/// A recording that is damaged before anything can be served stops the process, which says where.
fn check_refused(file: &Path, offset: usize) {
    let refusal = run(tickwire().args(["serve", "--listen", "127.0.0.1:0"]).args(feed(&[file])));
    let told = String::from_utf8(refusal.stderr).expect("UTF-8");
    assert_eq!(refusal.status.code(), Some(1), "{told}");
    assert_eq!(String::from_utf8_lossy(&refusal.stdout), "");
    assert!(told.contains(&*file.to_string_lossy()), "{} is not named: {told}", file.display());
    assert!(told.contains(&format!("at byte {offset}:")), "byte {offset} is not named: {told}");
    let causes: Vec<&str> = told.trim_end().split(": ").collect();
    assert!(causes.windows(2).all(|pair| pair[0] != pair[1]), "the cause is told twice: {told}");
}

fn epoch_of(states: &BTreeMap<Topic, State>) -> &str {
    let mut epochs: Vec<&str> = states.values().map(|state| state.epoch.as_str()).collect();
    epochs.dedup();
    assert_eq!(epochs.len(), 1, "states of several epochs: {epochs:?}");
    epochs[0]
}
