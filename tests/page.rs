//! The page as the program serves it: whole, small, allowed to load nothing else, and as people use it in Chromium.

mod service {
    pub(crate) mod chromium;
    pub(crate) mod clients;
    pub(crate) mod eventually;
    pub(crate) mod http;
    pub(crate) mod json;
    pub(crate) mod needed;
    pub(crate) mod page;
    pub(crate) mod process;
    pub(crate) mod program;
    pub(crate) mod recorded;
    pub(crate) mod simulated;
}

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use service::chromium::{CHROMIUM, chromium};
use service::http::{self, Response};
use service::page::{built, folder};
use service::process::Service;
use service::program::tickwire;

/// With all that it loads, compressed.
const WEIGHT_MAX: u64 = 150 * 1024;

fn market() -> Service {
    Service::start(["--sim-mode", "quotes", "--sim-instruments", "3", "--sim-rate", "10"])
}

/// A request with these headers; without the body, which may be compressed.
fn head(server: &Service, path: &str, headers: &str) -> Response {
    let mut stream = http::connect(server.address);
    let request =
        format!("HEAD {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n{headers}\r\n", server.address);
    stream.write_all(request.as_bytes()).expect("the service reads");
    http::read_response(&mut BufReader::new(stream), "HEAD")
}

/// The files of the page, as they are built, by the path at which they are served.
fn files() -> Vec<(String, PathBuf)> {
    let mut files = Vec::new();
    let mut folders = vec![folder()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(&next).expect("a folder of the page") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let name = path.strip_prefix(folder()).expect("it is in there").to_str().expect("UTF-8");
            let name = if name == "index.html" { "" } else { name };
            files.push((format!("/{name}"), path));
        }
    }
    files
}

#[test]
fn the_page_comes_whole_and_may_load_nothing_else() {
    let server = market();
    let mut paths = BTreeSet::new();
    for (path, file) in files() {
        let extension = file.extension().and_then(|extension| extension.to_str()).expect("an extension");
        if matches!(extension, "br" | "gz") {
            continue;
        }
        let response = server.get(&path);
        let content_type = match extension {
            "html" => "text/html; charset=utf-8",
            "css" => "text/css; charset=utf-8",
            "js" => "text/javascript; charset=utf-8",
            "svg" => "image/svg+xml",
            other => panic!("{path}: what is {other}?"),
        };
        assert_eq!((response.status, response.header("content-type")), (200, content_type), "{path}");
        assert_eq!(response.body, fs::read_to_string(&file).expect("a text"), "{path}");
        let policy = response.header("content-security-policy");
        assert!(policy.starts_with("default-src 'self';") && !policy.contains("unsafe"), "{path}: {policy}");
        assert_eq!(response.header("x-content-type-options"), "nosniff", "{path}");
        let kept =
            if path.starts_with("/assets/") { "public, max-age=31536000, immutable" } else { "no-cache" };
        assert_eq!(response.header("cache-control"), kept, "{path}");
        paths.insert(path);
    }
    // Whatever it names is there, and nothing stands within it that the policy forbids.
    let index = server.get("/").body;
    for attribute in ["href=\"", "src=\""] {
        for rest in index.split(attribute).skip(1) {
            let name = rest.split('"').next().expect("an end");
            let path = format!("/{}", name.trim_start_matches("./"));
            let is_elsewhere = name.starts_with("https://");
            assert!(is_elsewhere || server.get(&path).status == 200, "{name}");
        }
    }
    for forbidden in ["<style", " style=", " onclick=", "<script>"] {
        assert!(!index.contains(forbidden), "{forbidden}");
    }
    assert_eq!(server.get("/assets/nothing.js").status, 404);
}

#[test]
fn who_has_the_page_gets_it_no_second_time() {
    let server = market();
    let first = server.get("/");
    let tag = first.header("etag");
    assert!(tag.starts_with("W/\"") && tag.len() == 4 + 32, "{tag}");
    for (known, status) in [
        (tag.to_owned(), 304),
        (format!("\"other\", {tag}"), 304),
        ("*".to_owned(), 304),
        ("W/\"other\"".to_owned(), 200),
    ] {
        let again = head(&server, "/", &format!("If-None-Match: {known}\r\n"));
        assert_eq!((again.status, again.header("etag")), (status, tag), "{known}");
    }
}

#[test]
fn the_page_is_sent_as_small_as_the_browser_can_read_it() {
    if !built() {
        return;
    }
    let server = market();
    let plain = head(&server, "/", "");
    assert_eq!((plain.header("content-encoding"), plain.header("vary")), ("", "accept-encoding"));
    for (accepted, encoding) in [
        ("gzip, deflate, br, zstd", "br"),
        ("gzip;q=1.0, br;q=0", "gzip"),
        ("GZIP", "gzip"),
        ("br; q=0.5", "br"),
        ("identity", ""),
        ("gzip;q=0.000, br;q=0.0", ""),
    ] {
        let response = head(&server, "/", &format!("Accept-Encoding: {accepted}\r\n"));
        assert_eq!(response.header("content-encoding"), encoding, "{accepted}");
        let file = match encoding {
            "br" => "index.html.br",
            "gzip" => "index.html.gz",
            _ => "index.html",
        };
        let len = fs::metadata(folder().join(file)).expect("it is built").len();
        assert_eq!(response.header("content-length"), len.to_string(), "{accepted}");
    }
    for (coding, extension) in [("gzip", ".gz"), ("brotli", ".br")] {
        let sizes = files().into_iter().filter(|(path, _)| path.ends_with(extension));
        let weight: u64 = sizes.map(|(_, file)| fs::metadata(file).expect("a file").len()).sum();
        eprintln!("the page in {coding}: {weight} bytes");
        assert!((1..=WEIGHT_MAX).contains(&weight), "{coding}: {weight} bytes");
    }
}

/// A look at the page of that server in Chromium, which fails with what it found.
fn look(script: &str, server: &Service, more: &[&str]) {
    let Some(mut client) = looking(script) else { return };
    let output = client.arg(url(server)).arg(CHROMIUM).args(more).output().expect("it is there");
    assert!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
}

fn looking(script: &str) -> Option<Command> {
    if built() { chromium(&format!("page/{script}.mjs")) } else { None }
}

fn url(server: &Service) -> String {
    format!("http://{}/", server.address)
}

fn recording(name: &str) -> String {
    format!("replay:{}/feeds/recordings/{name}", env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn a_person_follows_a_market() {
    look("market", &Service::simulated("market", 40, 20), &[]);
}

#[test]
fn keys_are_enough() {
    look("keyboard", &Service::simulated("market", 100, 5), &[]);
}

#[test]
fn axe_finds_no_serious_fault() {
    look("accessible", &Service::simulated("market", 40, 5), &[]);
}

#[test]
fn a_recording_is_followed_to_its_end() {
    let feed = recording("coinbase-20210417.jsonl.zst");
    let server = Service::start(["--feed", &feed, "--wait-clients", "1"]);
    look("replay", &server, &["2021-04-17"]);
}

#[test]
fn a_service_that_comes_back_has_its_page_back_in_the_right_state() {
    look_over_a_restart("restart", Service::ended("kraken-20210417.jsonl.zst"));
}

#[test]
fn where_no_socket_is_let_through_a_person_follows_a_market_by_events() {
    look_over_a_restart("events", Service::simulated("market", 40, 20));
}

/// A look at the page of a server that is killed, and comes back with other instruments, as the script says.
fn look_over_a_restart(script: &str, mut server: Service) {
    let Some(mut client) = looking(script) else { return };
    let address = server.address.to_string();
    client
        .arg(url(&server))
        .arg(CHROMIUM)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut client = client.spawn().expect("it is there");
    let (mut stdin, stdout) = (client.stdin.take().expect("a pipe"), client.stdout.take().expect("a pipe"));
    for line in BufReader::new(stdout).lines() {
        match line.expect("UTF-8").as_str() {
            "kill it" => {
                server.child.kill().expect("it runs");
                server.child.wait().expect("it ends");
            }
            "start it" => {
                let feed = recording("coinbase-20210417.jsonl.zst");
                let flags = ["serve", "--listen", &address, "--feed", &feed, "--speed", "max"];
                server = Service::spawn(tickwire().args(flags));
            }
            other => panic!("{other}"),
        }
        stdin.write_all(b"done\n").expect("it reads");
    }
    let output = client.wait_with_output().expect("pipes can be read");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
