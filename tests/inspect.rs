//! `tickwire inspect`, run as a user runs it.

mod service {
    pub(crate) mod program;
    pub(crate) mod run;
    pub(crate) mod shared;
}

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Output;

use feeds::Input;
use serde_json::{Value, json};
use tempfile::TempDir;

use service::program::tickwire;
use service::run::run;
use service::shared::shared;

/// What a run said.
struct Run {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

fn inspect(files: &[&Path], flags: &[&str]) -> Run {
    let Output { status, stdout, stderr } = run(tickwire().arg("inspect").args(files).args(flags));
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    Run { code: status.code(), stdout: text(stdout), stderr: text(stderr) }
}

impl Run {
    /// The reports of `--json`.
    fn files(&self) -> Vec<Value> {
        let document: Value = serde_json::from_str(&self.stdout).expect("JSON");
        document["files"].as_array().expect("a list of files").clone()
    }
}

/// The report of one sound file.
fn sound(path: &Path) -> Value {
    let run = inspect(&[path], &["--json"]);
    assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""), "{}", path.display());
    let report = run.files().remove(0);
    assert_eq!(report["error"], Value::Null);
    report
}

/// The report of one damaged file, whose error is also said on standard error.
fn damaged(path: &Path) -> (Value, String) {
    let run = inspect(&[path], &["--json"]);
    assert_eq!(run.code, Some(1));
    let report = run.files().remove(0);
    let error = report["error"].as_str().expect("an error").to_owned();
    assert_eq!(run.stderr, format!("tickwire: {error}\n"));
    assert!(error.starts_with(&format!("{}: ", path.display())), "{error}");
    (report, error)
}

/// A recording that ships with the product.
fn recording(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("feeds/recordings").join(name)
}

/// The recording's lines, changed by `change` (`None`: the line is left out), as a plain file.
fn edited(name: &str, folder: &TempDir, mut change: impl FnMut(String) -> Option<String>) -> PathBuf {
    let mut input = Input::open(&recording(name)).expect("a recording that ships");
    let path = folder.path().join("edited.jsonl");
    let mut file = fs::File::create(&path).expect("a temporary folder");
    let mut line = Vec::new();
    while input.read_line(&mut line, 1 << 24).expect("a sound recording") {
        if let Some(line) = change(String::from_utf8(line.clone()).expect("UTF-8")) {
            writeln!(file, "{line}").expect("a temporary folder");
        }
    }
    path
}

fn temporary() -> TempDir {
    tempfile::tempdir().expect("a temporary folder")
}

fn check(report: &Value, name: &str) -> u64 {
    report["checks"][name].as_u64().unwrap_or_else(|| panic!("{name} in {}", report["checks"]))
}

fn kinds(report: &Value) -> u64 {
    let kinds = report["events_by_kind"].as_object().expect("an object");
    assert_eq!(kinds.len(), 15, "every kind is told, also those that did not come");
    kinds.values().map(|count| count.as_u64().expect("a count")).sum()
}

#[test]
fn tells_what_a_kraken_recording_holds() {
    let report = sound(&recording("kraken-20210417.jsonl.zst"));
    assert_eq!(report["format"], "exchange capture");
    assert_eq!(report["venue"], "KRAKEN");
    assert_eq!(report["messages"], 937);
    assert_eq!(report["events"], 1_710);
    assert_eq!(kinds(&report), 1_710);
    assert_eq!(report["events_by_kind"]["book_snapshot"], 7);
    assert_eq!(report["events_by_kind"]["book_checksum"], 848);
    assert_eq!(report["events_by_kind"]["order_add"], 0);
    assert_eq!((check(&report, "checksums_ok"), check(&report, "checksums_failed")), (848, 0));
    assert_eq!((check(&report, "sequence_gaps"), check(&report, "crossed")), (0, 0));
    assert_eq!(
        report["span"],
        json!({
            "first": "2021-04-17T16:48:52.949649800Z",
            "first_ns": 1_618_678_132_949_649_800_i64,
            "last": "2021-04-17T16:49:09.614149800Z",
            "last_ns": 1_618_678_149_614_149_800_i64,
            "duration_ns": 16_664_500_000_u64,
            "events_per_second": 102,
        })
    );
    let symbols = report["symbols"].as_array().expect("a list");
    assert_eq!(symbols.len(), 7);
    let chf = symbols.iter().find(|symbol| symbol["symbol"] == "XBT/CHF").expect("in the recording");
    assert_eq!(
        *chf,
        json!({
            "symbol": "XBT/CHF",
            "venue": "KRAKEN",
            "price_exponent": -5,
            "size_exponent": -8,
            "events": 176,
            "trades": 0,
            "bid": { "price": "56119.00000", "size": "0.14375128" },
            "ask": { "price": "56192.80000", "size": "0.15000000" },
            "bid_levels": 497,
            "ask_levels": 316,
            "stale": false,
        })
    );
    let of_symbols: u64 = symbols.iter().map(|symbol| symbol["events"].as_u64().expect("a count")).sum();
    assert_eq!(of_symbols, 1_710);
}

#[test]
fn inspects_each_file_by_itself() {
    let (binance, coinbase) =
        (recording("binance-20211012.jsonl.zst"), recording("coinbase-20210417.jsonl.zst"));
    let run = inspect(&[&binance, &coinbase], &["--json"]);
    assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""));
    let files = run.files();
    assert_eq!(files.len(), 2);
    assert_eq!(files[0]["path"], binance.to_str().expect("UTF-8"));
    assert_eq!((check(&files[0], "bbo_equal"), check(&files[0], "bbo_unequal")), (26, 0));
    assert_eq!(files[0]["events_by_kind"]["quote"], 84);
    assert_eq!(files[0]["events_by_kind"]["trade"], 2);
    assert_eq!(files[1]["venue"], "COINBASE");
    assert_eq!(files[1]["events_by_kind"]["level_set"], 2_935);
    assert_eq!(files[1]["events_by_kind"]["trade"], 28);
    let trades = files[1]["symbols"].as_array().expect("a list").iter();
    assert_eq!(trades.map(|symbol| symbol["trades"].as_u64().expect("a count")).sum::<u64>(), 28);
}

#[test]
fn is_readable() {
    let run = inspect(&[&recording("kraken-20210417.jsonl.zst")], &[]);
    assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""));
    for essential in [
        "feeds/recordings/kraken-20210417.jsonl.zst\n",
        "  format    exchange capture, KRAKEN\n",
        "  messages  937\n",
        "  events    1,710\n",
        "quote 7, level_set 848, book_snapshot 7, book_checksum 848\n",
        "2021-04-17T16:48:52.949649800Z to 2021-04-17T16:49:09.614149800Z\n",
        "16.6645s, 102 events a second\n",
        "checksums 848 ok, 0 failed; no bbo; gaps 0; unknown orders 0; crossed 0\n",
        "  symbols   7\n",
    ] {
        assert!(run.stdout.contains(essential), "{essential:?} is not in\n{}", run.stdout);
    }
    assert!(!run.stdout.contains("WARNING") && !run.stdout.contains("ERROR"), "{}", run.stdout);
    let row = run.stdout.lines().find(|line| line.contains("XBT/CHF")).expect("a row a symbol");
    assert_eq!(
        row.split_whitespace().collect::<Vec<_>>(),
        ["XBT/CHF", "176", "0", "0.14375128", "56119.00000", "56192.80000", "0.15000000", "497/316", "-5/-8"]
    );
    let table: Vec<usize> =
        run.stdout.lines().skip_while(|line| !line.contains("SYMBOL")).map(str::len).collect();
    assert_eq!(table[..8], [table[0]; 8], "the columns are aligned:\n{}", run.stdout);
}

#[test]
fn takes_the_symbols_asked_for_only() {
    let kraken = recording("kraken-20210417.jsonl.zst");
    let binance = recording("binance-20211012.jsonl.zst");
    let run =
        inspect(&[&kraken, &binance], &["--json", "--symbols", "xbt/chf,BINANCE:LRCBTC,KRAKEN:GRT/ETH"]);
    assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""));
    let files = run.files();
    let names = |file: &Value| -> Vec<Value> {
        file["symbols"].as_array().expect("a list").iter().map(|symbol| symbol["symbol"].clone()).collect()
    };
    assert_eq!(names(&files[0]), ["GRT/ETH", "XBT/CHF"], "in the order of the file");
    assert_eq!(names(&files[1]), ["LRCBTC"]);
    assert_eq!(files[0]["events"], 176 + 22);
    assert_eq!(kinds(&files[0]), 176 + 22);
    assert_eq!(files[0]["messages"], 937);

    let run = inspect(&[&kraken], &["--symbols", "XBT/CHF,NOPE"]);
    assert_eq!(run.code, Some(1));
    assert!(run.stderr.contains("no file carries the symbol `NOPE`"), "{}", run.stderr);
    assert!(run.stdout.contains("XBT/CHF"));
}

#[test]
fn names_books_that_are_not_what_the_venue_says() {
    let folder = temporary();
    let path = edited("binance-20211012.jsonl.zst", &folder, |line| {
        Some(if line.contains("@bookTicker") { line.replace(r#"\"B\":\""#, r#"\"B\":\"9"#) } else { line })
    });
    let report = sound(&path);
    assert_eq!((check(&report, "bbo_equal"), check(&report, "bbo_unequal")), (0, 26));
    let examples = report["checks"]["bbo_unequal_examples"].as_array().expect("a list");
    assert_eq!(examples.len(), 16);
    for example in examples {
        assert_eq!(example["venue"]["ask"], example["book"]["ask"]);
        assert_eq!(example["venue"]["bid"]["price"], example["book"]["bid"]["price"]);
        let size = |side: &Value| side["bid"]["size"].as_str().expect("a text").to_owned();
        assert_eq!(size(&example["venue"]), format!("9{}", size(&example["book"])));
        assert!(example["sequence"].as_u64() > Some(0), "{example}");
    }
    let run = inspect(&[&path], &[]);
    assert_eq!(run.code, Some(0));
    assert!(run.stdout.contains("WARNING   26 BOOKS DIFFERED"), "{}", run.stdout);
    assert!(run.stdout.contains("such as NKNUSDT at 4998"), "{}", run.stdout);
}

#[test]
fn says_which_books_were_given_up() {
    let folder = temporary();
    let mut depth_messages = 0;
    let path = edited("binance-20211012.jsonl.zst", &folder, |line| {
        let is_depth = line.contains(r#"\"e\":\"depthUpdate\""#) && line.contains("NKNUSDT");
        depth_messages += u32::from(is_depth);
        (!is_depth || depth_messages != 50).then_some(line)
    });
    let report = sound(&path);
    assert_eq!(check(&report, "sequence_gaps"), 1);
    assert_eq!(report["events_by_kind"]["gap"], 1);
    assert!(check(&report, "bbo_equal") < 26, "a book that was given up is compared with nothing");
    assert_eq!(check(&report, "bbo_unequal"), 0);
    let stale: Vec<&Value> =
        report["symbols"].as_array().expect("a list").iter().filter(|s| s["stale"] == true).collect();
    assert_eq!(stale.len(), 1);
    assert_eq!((&stale[0]["symbol"], &stale[0]["bid"]), (&json!("NKNUSDT"), &Value::Null));
    let run = inspect(&[&path], &[]);
    assert_eq!(run.code, Some(0), "gaps are told, and do not fail");
    assert!(run.stdout.contains("WARNING   1 GAPS"), "{}", run.stdout);
    assert!(run.stdout.contains("STALE"), "{}", run.stdout);
}

#[test]
fn counts_lines_of_a_kind_that_is_not_known() {
    let folder = temporary();
    let mut lines = 0;
    let path = edited("kraken-20210417.jsonl.zst", &folder, |line| {
        lines += 1;
        Some(if lines % 100 == 0 { format!("{line}\n{{\"t\":\"note\",\"text\":\"hello\"}}") } else { line })
    });
    let report = sound(&path);
    assert_eq!((&report["unknown_lines"], &report["messages"]), (&json!(lines / 100), &json!(937)));
    assert_eq!(report["recording"], Value::Null);
    let run = inspect(&[&path], &[]);
    assert_eq!(run.code, Some(0), "told, and no failure");
    let said = format!("WARNING   {} lines of a kind that is NOT KNOWN here", lines / 100);
    assert!(run.stdout.contains(&said), "{}", run.stdout);
    assert_eq!(sound(&recording("kraken-20210417.jsonl.zst"))["unknown_lines"], 0);
}

#[test]
fn says_when_a_checksum_fails() {
    let folder = temporary();
    let mut is_first = true;
    let path = edited("kraken-20210417.jsonl.zst", &folder, |mut line| {
        let start = r#"\"c\":\""#;
        if let Some(at) = line.find(start)
            && is_first
        {
            is_first = false;
            let last = at + start.len() + line[at + start.len()..].find('\\').expect("a closing quote") - 1;
            let other = if line[last..].starts_with('0') { "1" } else { "0" };
            line.replace_range(last..=last, other);
        }
        Some(line)
    });
    let report = sound(&path);
    assert_eq!(check(&report, "checksums_failed"), 1);
    let run = inspect(&[&path], &[]);
    assert_eq!(run.code, Some(0), "failed checksums are told, and do not fail");
    assert!(run.stdout.contains("WARNING   1 CHECKSUMS FAILED"), "{}", run.stdout);
}

#[test]
fn shows_what_came_before_the_damage() {
    let folder = temporary();
    let whole = fs::read(recording("coinbase-20210417.jsonl.zst")).expect("a recording that ships");
    let zst = folder.path().join("cut.jsonl.zst");
    fs::write(&zst, &whole[..whole.len() / 2]).expect("a temporary folder");

    let plain = edited("coinbase-20210417.jsonl.zst", &folder, Some);
    let gz = folder.path().join("cut.jsonl.gz");
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(&fs::read(plain).expect("just written")).expect("memory");
    let bytes = encoder.finish().expect("memory");
    fs::write(&gz, &bytes[..bytes.len() / 2]).expect("a temporary folder");

    for path in [zst, gz] {
        let (report, error) = damaged(&path);
        assert!(error.contains(": at byte ") || error.contains(": damaged at byte "), "{error}");
        assert_eq!(report["venue"], "COINBASE");
        let messages = report["messages"].as_u64().expect("a count");
        assert!((100..3_014).contains(&messages), "{messages} messages before {error}");
        assert!(report["events"].as_u64() > Some(100), "{report}");
        assert_eq!(report["symbols"].as_array().expect("a list").len(), 5);

        let run = inspect(&[&path], &[]);
        assert_eq!(run.code, Some(1));
        assert!(run.stdout.contains(&format!("  ERROR     {error}\n")), "{}", run.stdout);
        assert!(run.stdout.contains("SKL-USD"), "{}", run.stdout);
    }
}

#[test]
fn inspects_the_others_when_one_cannot_be_read() {
    let folder = temporary();
    let text = folder.path().join("notes.txt");
    fs::write(&text, "not a recording\n").expect("a temporary folder");
    let empty = folder.path().join("empty");
    fs::write(&empty, "").expect("a temporary folder");
    let missing = folder.path().join("missing.itch");
    let sound = recording("kraken-20210417.jsonl.zst");

    let run = inspect(&[&text, &missing, folder.path(), &empty, &sound], &["--json"]);
    assert_eq!(run.code, Some(1));
    let files = run.files();
    let said: Vec<&str> = run.stderr.lines().collect();
    assert_eq!((files.len(), said.len()), (5, 4), "{}", run.stderr);
    for (report, line) in files.iter().zip(&said) {
        assert_eq!(format!("tickwire: {}", report["error"].as_str().expect("an error")), **line);
        assert_eq!((&report["format"], &report["span"]), (&Value::Null, &Value::Null));
        assert_eq!((kinds(report), &report["symbols"]), (0, &json!([])));
    }
    assert!(
        said[0].contains("notes.txt: not a recording of a known format: begins with `not`"),
        "{}",
        said[0]
    );
    assert!(said[1].contains("missing.itch: ") && said[1].contains("No such file"), "{}", said[1]);
    assert!(said[3].contains("empty: not a recording of a known format: empty"), "{}", said[3]);
    assert_eq!(files[4]["error"], Value::Null);
    assert_eq!(check(&files[4], "checksums_ok"), 848);
    let keys = |report: &Value| report.as_object().expect("an object").keys().cloned().collect::<Vec<_>>();
    assert_eq!(keys(&files[0]), keys(&files[4]), "the keys are the same, whatever happened");

    let run = inspect(&[&missing, &sound], &[]);
    assert_eq!(run.code, Some(1));
    assert!(run.stdout.contains("  ERROR     ") && run.stdout.contains("848 ok"), "{}", run.stdout);
}

#[test]
fn wants_files() {
    let run = inspect(&[], &[]);
    assert_eq!(run.code, Some(2));
    assert!(run.stderr.contains("<FILE>"), "{}", run.stderr);
}

#[test]
fn agrees_with_counts_made_elsewhere_of_the_captures() {
    if let Some(path) = shared("crypto-ws/kraken-spot-v1/KRAKEN_20210417.jsonl.zst") {
        let report = sound(&path);
        assert_eq!((check(&report, "checksums_ok"), check(&report, "checksums_failed")), (4_269, 0));
    }
    for (name, pairs) in [
        ("crypto-ws/binance-spot/BINANCE_20211012.jsonl.zst", 26),
        ("crypto-ws/binance-usdm/BINANCE_FUTURES_20210722.jsonl.zst", 50),
        // 212 by the `u` of a depth message, and one (BCHUSD_210924, 167006114405) by a snapshot's `lastUpdateId`.
        ("crypto-ws/binance-coinm/BINANCE_DELIVERY_20210722.jsonl.zst", 213),
    ] {
        let Some(path) = shared(name) else { continue };
        let report = sound(&path);
        assert_eq!((check(&report, "bbo_equal"), check(&report, "bbo_unequal")), (pairs, 0), "{name}");
        assert_eq!((check(&report, "sequence_gaps"), check(&report, "crossed")), (0, 0), "{name}");
    }
}

#[test]
fn agrees_with_counts_made_elsewhere_of_dbn() {
    let orders = "dbn/cme-es/orderbooks_mbo_2024-05-08T00-00-00_2024-05-08T00-00-02.dbn.zst";
    if let Some(path) = shared(orders) {
        let report = sound(&path);
        assert_eq!((&report["messages"], &report["venue"]), (&json!(13_796), &json!("GLBX.MDP3")));
        assert_eq!((check(&report, "unknown_orders"), check(&report, "crossed")), (0, 0));
        let symbol = &report["symbols"][0];
        assert_eq!((&symbol["symbol"], &symbol["bid"]["price"]), (&json!("ESM4"), &json!("5214.00")));
    }
    if let Some(path) = shared("dbn/databento-dbn/test_data.statistics.dbn") {
        let report = sound(&path);
        assert_eq!((&report["messages"], &report["unmapped"]), (&json!(2), &json!({"Statistics": 2})));
        assert!(inspect(&[&path], &[]).stdout.contains("  no event  Statistics 2\n"));
    }
    if let Some(path) = shared("dbn/databento-dbn/test_data.definition.v1.dbn.frag") {
        assert!(damaged(&path).1.contains("a fragment of DBN"));
    }
}

#[test]
fn agrees_with_counts_made_elsewhere_of_itch() {
    if let Some(path) = shared("itch/nasdaq-20200130-AAPL-first4000.itch") {
        let report = sound(&path);
        assert_eq!((&report["messages"], &report["format"]), (&json!(4_000), &json!("NASDAQ ITCH 5.0")));
        assert_eq!((check(&report, "unknown_orders"), check(&report, "crossed")), (0, 0));
        assert_eq!(report["checks"]["unknown_order_examples"], json!([]));
        assert_eq!(report["span"]["events_per_second"], 0, "rounded down");
    }
    if let Some(path) = shared("itch/nasdaq-20191230-0930-1000msgs.itch") {
        let report = sound(&path);
        assert_eq!(check(&report, "unknown_orders"), 399);
        let examples = report["checks"]["unknown_order_examples"].as_array().expect("a list");
        assert_eq!(examples.len(), 16);
        assert_eq!(examples[1], json!({ "symbol": "CRWD", "order": 7_855_669 }));
        let run = inspect(&[&path], &[]);
        assert!(run.stdout.contains("WARNING   399 events of UNKNOWN ORDERS"), "{}", run.stdout);
        assert!(run.stdout.contains("such as CRWD 7855669\n"), "{}", run.stdout);
    }
    if let Some(path) = shared("itch/nasdaq-20191230-directory-1000msgs.itch") {
        let report = sound(&path);
        assert_eq!(report["messages"], 1_000);
        assert_eq!(report["events_by_kind"]["definition"], 993);
        assert_eq!(report["symbols"].as_array().expect("a list").len(), 993);
        let run = inspect(&[&path], &[]);
        assert!(run.stdout.contains("  … 973 more, --json lists all\n"), "{}", run.stdout);
        assert!(run.stdout.lines().count() < 40, "short:\n{}", run.stdout);
    }
    if let Some(path) = shared("itch/ritch-bx-20191230-obfuscated.reframed.itch.zst") {
        let report = sound(&path);
        assert_eq!((&report["messages"], check(&report, "unknown_orders")), (&json!(12_012), 117));
    }
    if let Some(path) = shared("itch/ritch-bx-20191230-obfuscated.TEST_ITCH_50.zst") {
        let (report, error) = damaged(&path);
        assert!(error.contains("damaged at byte 0: a frame of 0 bytes"), "{error}");
        assert_eq!(report["messages"], 0);
    }
}

#[test]
fn figures_of_several_inputs_stand_side_by_side() {
    let kraken = recording("kraken-20210417.jsonl.zst");
    let flags = ["--stats", "--sim-instruments", "5", "--sim-seed", "3"];
    let run = inspect(&[Path::new("sim"), &kraken], &[&flags[..], &["--json"]].concat());
    assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""));
    let document: Value = serde_json::from_str(&run.stdout).expect("JSON");
    let [sim, recorded] = &document["inputs"].as_array().expect("a list")[..] else {
        panic!("two inputs: {document}");
    };
    assert_eq!(recorded["input"], "kraken-20210417.jsonl.zst");
    assert_eq!(
        (&recorded["events"], &recorded["level_sets_percent"]),
        (&Value::from("1710"), &Value::from("49.5"))
    );
    assert_eq!(recorded["cancels_per_hundred_adds"], Value::Null);
    assert_eq!(sim["input"], "sim");
    let events: u64 = sim["events"].as_str().and_then(|text| text.parse().ok()).expect("a number");
    assert!(
        (1_000_000..1_000_200).contains(&events),
        "the first million and the rest of a message: {events}"
    );
    let again = inspect(&[Path::new("sim"), &kraken], &[&flags[..], &["--json"]].concat());
    assert_eq!(again.stdout, run.stdout);

    let table = inspect(&[&kraken], &["--stats", "--symbols", "XBT/CHF,ETH/CHF"]);
    let text = table.stdout;
    let title = text.lines().next().expect("a title");
    assert!(title.contains("jsonl.zst ETH/CHF") && title.contains("jsonl.zst XBT/CHF"), "{text}");
    assert!(text.lines().any(|line| line.starts_with("spread, median, bps")), "{text}");
}
