//! `tickwire lint`: of an endpoint with one fault it finds that one, and of ours none.

mod service {
    pub(crate) mod bad_endpoint;
    pub(crate) mod process;
    pub(crate) mod program;
    pub(crate) mod run;
    pub(crate) mod simulated;
    pub(crate) mod tls;
}

use std::path::Path;
use std::time::Duration;

use feeds::Clock;
use serde_json::Value;

use service::bad_endpoint::{Fault, bad_endpoint};
use service::process::Service;
use service::program::tickwire;
use service::run::run;
use service::tls::TlsFront;

/// The report, and the exit code.
fn lint(url: &str, more: &[&str], trusted: Option<&Path>) -> (Value, Option<i32>) {
    let mut command = tickwire();
    command.args(["lint", url, "--json"]).args(more);
    if let Some(trusted) = trusted {
        command.env("SSL_CERT_FILE", trusted);
    }
    let output = run(&mut command);
    let text = String::from_utf8_lossy(&output.stdout);
    let report = serde_json::from_str(&text)
        .unwrap_or_else(|error| panic!("{error}: {text}{}", String::from_utf8_lossy(&output.stderr)));
    (report, output.status.code())
}

/// What is not fine: check and verdict.
fn faults(report: &Value) -> Vec<(&str, &str)> {
    let findings = report["findings"].as_array().expect("a list");
    findings
        .iter()
        .map(|object| (object["check"].as_str().expect("text"), object["verdict"].as_str().expect("text")))
        .filter(|(_, verdict)| !matches!(*verdict, "fine" | "unchecked"))
        .collect()
}

#[test]
fn of_an_endpoint_with_one_fault_that_one_is_found() {
    let rows = [
        (Fault::SaysNothing, "handshake", "error", "no answer"),
        (Fault::SpeaksNoHttp, "handshake", "error", "not HTTP"),
        (Fault::KnowsNobody, "handshake", "error", "--token-file"),
        (Fault::WrongAccept, "handshake", "error", "Sec-WebSocket-Accept"),
        (Fault::ChoosesWhatWasNotOffered, "subprotocol", "error", "`ticks`"),
        (Fault::ChoosesWhatItDoesNotSpeak, "subprotocol", "warning", "nobody speaks"),
        (Fault::DoesNotCompress, "compression", "note", "not taken up"),
        (Fault::ChoosesAnotherExtension, "compression", "error", "x-webkit-deflate-frame"),
        (Fault::NamesAWindowThatIsNone, "compression", "error", "server_max_window_bits=99"),
        (Fault::OpensForAnOldVersion, "version", "error", "version 8"),
        (Fault::HidesItsVersion, "version", "warning", "without `Sec-WebSocket-Version: 13`"),
        (Fault::OpensWithoutAKey, "key", "error", "Sec-WebSocket-Key"),
        (Fault::BreaksWithoutAKey, "key", "warning", "500"),
        (Fault::LetsAnyPageIn, "origin", "note", "may connect"),
        (Fault::GivesAnyPageCookies, "origin", "warning", "cookies are given"),
        (Fault::HangsUpOnPages, "origin", "warning", "hangs up"),
        (Fault::HasNoRoomForPages, "retry-after", "warning", "429"),
        (Fault::SendsNoPong, "ping", "error", "no pong"),
        (Fault::SendsAnotherPong, "ping", "error", "`another`"),
        (Fault::DoesNotAnswerAClose, "close", "error", "no close frame"),
        (Fault::StaysAfterAClose, "close", "warning", "stands"),
        (Fault::AnswersAnotherCode, "close", "note", "1001"),
        (Fault::AnswersACodeThatIsNone, "frames", "error", "1005"),
        (Fault::MasksItsFrames, "frames", "error", "masked"),
        (Fault::SendsDamagedDeflate, "frames", "error", "damaged"),
        (Fault::TakesWhatIsNotMasked, "mask", "error", "goes on"),
        (Fault::HangsUpOnWhatIsNotMasked, "mask", "warning", "hung up"),
        (Fault::TakesReservedBits, "reserved-bits", "error", "goes on"),
        (Fault::TakesReservedKinds, "reserved-opcode", "error", "goes on"),
        (Fault::TakesWhatIsNotUtf8, "utf-8", "error", "goes on"),
        (Fault::Closes1002ForWhatIsNotUtf8, "utf-8", "warning", "1002"),
        (Fault::PassesOverWhatIsNotJson, "json", "warning", "without a word"),
        (Fault::HangsUpOnWhatIsNotJson, "json", "warning", "hung up"),
        (Fault::TakesAnySize, "size", "note", "passed over"),
        (Fault::HangsUpOnSize, "size", "warning", "hung up"),
    ];
    // Those that are silent are waited for, so that all are looked at at once.
    std::thread::scope(|scope| {
        for (fault, check, verdict, seen) in rows {
            scope.spawn(move || {
                let (report, code) = lint(&format!("ws://{}/ticks", bad_endpoint(fault)), &[], None);
                assert_eq!(faults(&report), [(check, verdict)], "{fault:?}: {report:#}");
                assert_eq!(code, Some(i32::from(verdict == "error")), "{fault:?}");
                let findings = report["findings"].as_array().expect("a list");
                let found = findings.iter().find(|finding| finding["check"] == check).expect("found above");
                assert!(
                    found["seen"].as_str().is_some_and(|text| text.contains(seen)),
                    "{fault:?}: {found:#}"
                );
                for explained in ["why", "advice", "source"] {
                    assert!(found[explained].as_str().is_some_and(|text| !text.is_empty()), "{found:#}");
                }
            });
        }
    });
}

#[test]
fn an_endpoint_without_faults_has_none() {
    for fault in [Fault::None, Fault::SaysWhenThereIsRoomForPages] {
        let (report, code) = lint(&format!("ws://{}", bad_endpoint(fault)), &["--patience", "30s"], None);
        assert_eq!((faults(&report), code), (vec![], Some(0)), "{fault:?}: {report:#}");
        let checks = report["findings"].as_array().map(Vec::len);
        assert_eq!(checks, Some(if fault == Fault::None { 17 } else { 18 }), "{report:#}");
    }
}

#[test]
fn a_connection_without_a_sign_of_life_is_told_when_it_is_waited_for() {
    let url = format!("ws://{}", bad_endpoint(Fault::HasNoHeartbeat));
    let (report, code) = lint(&url, &["--patience", "500ms"], None);
    assert_eq!((faults(&report), code), (vec![("heartbeat", "warning")], Some(0)), "{report:#}");
    assert_eq!(faults(&lint(&url, &[], None).0), []);
}

#[test]
fn certificates_are_looked_at() {
    let venue = bad_endpoint(Fault::None).to_string();
    let good = TlsFront::of(venue.clone());
    let url = |front: &TlsFront| format!("wss://{}", front.authority);
    let (report, code) = lint(&url(&good), &[], Some(&good.certificate));
    assert_eq!((faults(&report), code), (vec![], Some(0)), "{report:#}");
    let tls = report["findings"].as_array().and_then(|findings| findings.first()).expect("a finding");
    assert_eq!((&tls["check"], &tls["seen"]), (&"tls".into(), &"TLS 1.3".into()));

    let error = (vec![("certificate", "error")], Some(1));
    let other = TlsFront::of(venue.clone());
    let (report, code) = lint(&url(&good), &[], Some(&other.certificate));
    assert_eq!((faults(&report), code), error, "trusted by nobody: {report:#}");

    let expired = TlsFront::with(venue.clone(), |params| params.not_after = rcgen::date_time_ymd(2020, 1, 1));
    let (report, code) = lint(&url(&expired), &[], Some(&expired.certificate));
    assert_eq!((faults(&report), code), error, "{report:#}");

    let day = Clock::System.now().plus(Duration::from_hours(5 * 24)).to_string();
    let part = |range| day.get(range).and_then(|part: &str| part.parse::<u16>().ok()).expect("a date");
    let small = |range| u8::try_from(part(range)).expect("a part of a date");
    let soon = rcgen::date_time_ymd(i32::from(part(0..4)), small(5..7), small(8..10));
    let ending = TlsFront::with(venue, |params| params.not_after = soon);
    let (report, code) = lint(&url(&ending), &[], Some(&ending.certificate));
    assert_eq!((faults(&report), code), (vec![("certificate", "warning")], Some(0)), "{report:#}");
}

#[test]
fn ours_has_no_fault_in_the_clear_in_tls_and_with_tokens() {
    let server = Service::simulated("quotes", 3, 10);
    let (report, code) = lint(&format!("http://{}", server.address), &["--patience", "30s"], None);
    assert_eq!((faults(&report), code), (vec![], Some(0)), "{report:#}");

    let folder = tempfile::tempdir().expect("a folder");
    let made = run(tickwire().args(["dev-cert", "--out"]).arg(folder.path()));
    assert!(made.status.success(), "{made:?}");
    let path = |name: &str| folder.path().join(name).to_str().expect("UTF-8").to_owned();
    let server =
        Service::start(["--tls-cert".to_owned(), path("cert.pem"), "--tls-key".to_owned(), path("key.pem")]);
    let url = format!("https://{}", server.address);
    let (report, code) = lint(&url, &[], Some(&folder.path().join("ca.pem")));
    assert_eq!((faults(&report), code), (vec![], Some(0)), "{report:#}");

    let token = |args: &[&str]| {
        let output = run(tickwire().current_dir(folder.path()).arg("token").args(args));
        assert!(output.status.success(), "{output:?}");
        output.stdout
    };
    token(&["key", "--algorithm", "hs256", "--out", "."]);
    let roles = "[roles.all]\nsymbols = [\"*\"]\nchannels = [\"quote\"]\n";
    std::fs::write(folder.path().join("tickwire.toml"), roles).expect("a file");
    let minted = token(&["mint", "--subject", "anna", "--key", "token-secret", "--role", "all"]);
    std::fs::write(folder.path().join("token"), minted).expect("a file");
    let serve = ["serve", "--listen", "127.0.0.1:0", "--auth-secret-file", "token-secret"];
    let server = Service::spawn(tickwire().current_dir(folder.path()).args(serve));
    let presented = ["--token-file", &path("token")];
    let (report, code) = lint(&format!("http://{}", server.address), &presented, None);
    assert_eq!((faults(&report), code), (vec![], Some(0)), "{report:#}");
}

#[test]
fn people_are_shown_a_table_that_explains() {
    let url = format!("ws://{}", bad_endpoint(Fault::SendsAnotherPong));
    let output = run(tickwire().args(["lint", &url]));
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    assert_eq!(output.status.code(), Some(1), "{text}");
    for line in [
        "fine       handshake        101, with the proof of the key",
        "error      ping             answered with the payload `another`",
        "(RFC 6455 section 5.5.2)",
        "do:  answer each ping",
        "errors: 1, warnings: 0, notes: 0",
    ] {
        assert!(text.contains(line), "lacks {line:?}:\n{text}");
    }
}

#[test]
fn where_nothing_is_nothing_is_found() {
    for (url, why) in [
        ("ws://127.0.0.1:1", "no connection"),
        ("ftp://127.0.0.1", "ws://, wss://"),
        ("ws://anna:canary@127.0.0.1", "--token-file"),
    ] {
        let output = run(tickwire().args(["lint", url]));
        let error = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{error}");
        assert!(error.contains(why) && !error.contains("canary") && output.stdout.is_empty(), "{error}");
    }
}
