//! The dashboard of `tickwire watch`, in a terminal, against the real server.

mod service {
    pub(crate) mod eventually;
    pub(crate) mod http;
    pub(crate) mod json;
    pub(crate) mod process;
    pub(crate) mod program;
    pub(crate) mod signal;
    pub(crate) mod simulated;
    pub(crate) mod terminal;
    #[expect(dead_code, reason = "tokens are those of other tests; an API key is enough here")]
    pub(crate) mod tokens;
}

use std::net::SocketAddr;
use std::process::Command;

use service::eventually::eventually;
use service::process::Service;
use service::program::tickwire;
use service::signal::signal;
use service::terminal::Terminal;
use service::tokens::Tokens;

const ENTER: &str = "\r";
const ESCAPE: &str = "\x1b";
const DOWN: &str = "\x1b[B";
const CONTROL_C: &str = "\x03";

fn watch(address: SocketAddr, arguments: &[&str]) -> Command {
    let mut command = tickwire();
    command.args(["watch", &format!("http://{address}")]).args(arguments);
    command
}

/// The names of a service's instruments.
fn names(server: &Service) -> Vec<String> {
    let list = server.json("/v1/instruments");
    let rows = list["instruments"].as_array().expect("a list");
    rows.iter().map(|row| row["symbol"].as_str().expect("a symbol").to_owned()).collect()
}

#[test]
fn prices_are_those_of_the_server_and_move() {
    let server = Service::simulated("market", 5, 20);
    let names = names(&server);
    let terminal = Terminal::start(&watch(server.address, &[]), 140, 40);
    terminal.wait_for("● live");
    for name in &names {
        terminal.wait_for(name);
    }
    // Both move: at some moment they agree, in all digits.
    let name = &names[3];
    eventually("the row has the server's prices", || {
        let quote = &server.json(&format!("/v1/quotes?symbols={name}"))["quotes"][0];
        let line = terminal.line(name);
        let words: Vec<&str> =
            line.split_whitespace().map(|word| word.trim_end_matches(['▲', '▼'])).collect();
        let has = |field: &str| quote[field].as_str().is_some_and(|text| words.contains(&text));
        has("bid") && has("bid_size") && has("ask") && has("ask_size")
    });
    let before = terminal.line(name);
    eventually("it moves", || terminal.line(name) != before);
    terminal.wait_until("ages are measured", |text| {
        text.contains("age p50 ") && text.contains("round trip p50 ")
    });
    assert!(terminal.look(|screen| screen.alternate_screen() && screen.hide_cursor()));
}

#[test]
fn a_search_adds_an_instrument_and_d_removes_one() {
    let server = Service::simulated("quotes", 30, 20);
    let mut terminal = Terminal::start(&watch(server.address, &["quote", "SYM00000"]), 80, 24);
    terminal.wait_for("SYM00000");
    terminal.wait_for("1 as asked");
    terminal.keys("/0001");
    terminal.wait_for("30 instruments");
    terminal.wait_for("SYM00019");
    assert!(!terminal.text().contains("SYM00020"), "{}", terminal.text());
    terminal.keys("7");
    terminal.wait_until("one is left", |text| text.contains(">   SYM00017") && !text.contains("SYM00019"));
    terminal.keys(ENTER);
    terminal.wait_for("2 as asked");
    terminal.wait_until("it is chosen, and has prices", |text| {
        let line = text.lines().find(|line| line.starts_with("> SYM00017"));
        line.is_some_and(|line| line.matches('.').count() >= 2)
    });
    // What is not there is said, and does not stay.
    terminal.keys("/nope");
    terminal.wait_for("none of 30 matches");
    terminal.keys(ENTER);
    terminal.wait_for("NOPE: UNKNOWN_SYMBOL");
    terminal.wait_for("2 as asked");

    terminal.keys("G");
    terminal.wait_for("> SYM00017");
    terminal.keys("d");
    terminal.wait_until("it is gone", |text| !text.contains("SYM00017") && text.contains("1 as asked"));
    terminal.keys("d");
    terminal.wait_for("Press / to search");
    terminal.keys("q");
    assert_eq!(terminal.wait().code(), Some(0));
}

#[test]
fn enter_opens_book_and_trades() {
    let server = Service::simulated("market", 4, 200);
    let names = names(&server);
    let arguments = ["--encoding", "binary", "--compress", "quote", &names[0], &names[2]];
    let mut terminal = Terminal::start(&watch(server.address, &arguments), 100, 36);
    terminal.wait_for(&names[2]);
    terminal.keys(DOWN);
    terminal.wait_for(&format!("> {}", names[2]));
    terminal.keys(ENTER);
    terminal.wait_until("a book", |text| {
        text.contains("book of 10") && text.contains("spread ") && text.matches(" │ ").count() > 3
    });
    terminal.wait_until("trades", |text| {
        let sides = ["▲ buy ", "▼ sell"].map(|side| text.matches(side).count());
        sides.iter().sum::<usize>() > 2
    });
    terminal.wait_until("the book is proven", |text| {
        let proven = text.split_once("checksums ").and_then(|(_, rest)| rest.split_once(" right, 0 wrong"));
        proven.is_some_and(|(count, _)| count.replace(',', "").parse::<u64>().is_ok_and(|count| count > 1))
    });
    terminal.wait_for("binary, deflate");
    let best = |text: &str| {
        text.lines().find(|line| line.contains(" │ ") && !line.contains("BID")).map(str::to_owned)
    };
    let before = best(&terminal.text());
    terminal.wait_until("it moves", |text| best(text) != before);
    terminal.keys(ESCAPE);
    terminal.wait_until("it is closed", |text| !text.contains("book of 10"));

    let deep = Terminal::start(&watch(server.address, &["book.25", &names[1]]), 100, 50);
    deep.wait_for("book of 25");
    deep.wait_until("a deep one", |text| text.matches(" │ ").count() > 10);
}

#[test]
fn a_pause_stops_the_picture_and_not_the_clock() {
    let server = Service::simulated("quotes", 2, 50);
    let mut terminal = Terminal::start(&watch(server.address, &["quote", "SYM00001"]), 80, 24);
    terminal.wait_until("prices", |text| {
        text.lines().any(|line| line.contains("SYM00001") && line.contains('.'))
    });
    terminal.keys("p");
    terminal.wait_for("paused");
    let before = terminal.line("SYM00001");
    // The list of keys comes and goes over it: it was drawn since.
    terminal.keys("?");
    terminal.wait_for("choose an instrument");
    terminal.keys("x");
    terminal.wait_until("the list again", |text| {
        text.contains("SYM00001") && !text.contains("choose an instrument")
    });
    assert_eq!(terminal.line("SYM00001"), before);
    terminal.keys("p");
    terminal.wait_until("it goes on", |text| !text.contains("paused"));
    eventually("it moves", || terminal.line("SYM00001") != before);
}

#[test]
fn any_size_will_do() {
    let server = Service::simulated("market", 30, 20);
    let name = names(&server).swap_remove(0);
    let mut terminal = Terminal::start(&watch(server.address, &["trade", "*"]), 120, 40);
    terminal.wait_for("book of 10");
    terminal.resize(60, 15);
    terminal.wait_until("all in 60×15", |text| {
        let lines: Vec<&str> = text.lines().collect();
        lines.len() <= 15
            && lines.iter().all(|line| line.chars().count() <= 60)
            && lines.first().is_some_and(|line| line.contains("● live"))
            && text.contains(&name)
            && text.contains("book of 10")
            && lines.last().is_some_and(|line| line.contains("q leave"))
    });
    terminal.resize(30, 6);
    terminal.wait_for("too small: 30×6");
    terminal.resize(200, 60);
    terminal.wait_until("all of it", |text| {
        text.lines().any(|line| line.contains("SYMBOL") && line.contains("book of 10"))
            && text.contains("updates/s")
    });
    terminal.resize(1, 1);
    terminal.resize(80, 24);
    terminal.wait_for("● live");
    terminal.keys("q");
    assert_eq!(terminal.wait().code(), Some(0));
}

#[test]
fn a_server_that_comes_back_is_followed_again() {
    let server = Service::simulated("quotes", 3, 50);
    let address = server.address;
    let mut terminal = Terminal::start(&watch(address, &["quote", "*"]), 100, 24);
    terminal.wait_until("prices", |text| {
        text.lines().any(|line| line.contains("SYM00002") && line.contains('.'))
    });
    drop(server);
    terminal.wait_for("no connection for ");
    terminal.wait_for("connecting anew");
    // Keys go on.
    terminal.keys("/");
    terminal.wait_for("add an instrument");
    terminal.keys(ESCAPE);
    let listen = address.to_string();
    let flags = ["--sim-mode", "quotes", "--sim-instruments", "3", "--sim-rate", "50"];
    let _server = Service::spawn(tickwire().args(["serve", "--listen", &listen]).args(flags));
    terminal.wait_for("● live");
    let before = terminal.line("SYM00002");
    eventually("it moves", || {
        let line = terminal.line("SYM00002");
        line.contains('.') && line != before
    });
    terminal.wait_for("reconnects 1");
}

#[test]
fn the_terminal_is_given_back_however_it_ends() {
    let mut server = Service::simulated("quotes", 2, 20);
    for end in ["q", CONTROL_C, "TERM", "INT", "HUP"] {
        let mut terminal = Terminal::start(&watch(server.address, &["quote", "*"]), 80, 24);
        terminal.wait_for("● live");
        assert!(!terminal.is_given_back());
        match end {
            "TERM" | "INT" | "HUP" => signal(&terminal.child, end),
            keys => terminal.keys(keys),
        }
        assert_eq!(terminal.wait().code(), Some(0), "{end:?}: {}", terminal.text());
        assert!(terminal.is_given_back(), "{end:?}: {}", terminal.text());
        assert_eq!(terminal.text().trim(), "", "{end:?}: nothing of it stays");
    }
    // Nobody is there: said on the screen that was there before.
    server.child.kill().expect("it runs");
    server.child.wait().expect("our child");
    let mut terminal = Terminal::start(&watch(server.address, &["quote", "A"]), 80, 24);
    assert_eq!(terminal.wait().code(), Some(1));
    assert!(
        terminal.is_given_back() && terminal.text().contains("tickwire: no connection to"),
        "{}",
        terminal.text()
    );
}

#[test]
fn who_is_let_in_no_more_is_told_on_the_screen_of_before() {
    let tokens = Tokens::new();
    let key = tokens.api_key("anna", "all");
    tokens.write("key", &key);
    let server = tokens.serve(&[]);
    let key = tokens.path("key").display().to_string();
    // The list is asked for with the key too.
    let mut terminal = Terminal::start(&watch(server.address, &["--token-file", &key]), 80, 24);
    terminal.wait_for("● live");
    terminal.wait_for("3 as asked");
    tokens.write("revoked", "key anna\n");
    assert_eq!(terminal.wait().code(), Some(1));
    assert!(terminal.is_given_back(), "{}", terminal.text());
    let text = terminal.text().replace('\n', "");
    assert!(text.contains("closed by the server for good: 4009"), "{text}");
}

#[test]
fn what_may_not_be_seen_says_so_and_late_data_too() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("tickwire.toml");
    let settings = r#"
delay = "1s"
[anonymous]
role = "narrow"
[roles.narrow]
symbols = ["SYM00000"]
channels = ["quote", "trade", "book"]
depth = 10
delayed = true
"#;
    std::fs::write(&file, settings).expect("a file");
    let file = file.display().to_string();
    let market = ["--sim-mode", "quotes", "--sim-instruments", "2", "--sim-rate", "20"];
    let server = Service::start([&["--config", &file][..], &market].concat());
    let mut terminal = Terminal::start(&watch(server.address, &["book.25", "SYM00000", "SYM00001"]), 120, 30);
    terminal.wait_for("delayed data");
    terminal.wait_for("no book: ENTITLEMENT_DENIED");
    terminal.wait_until("the one has prices, the other says why not", |text| {
        let has =
            |name: &str, part: &str| text.lines().any(|line| line.starts_with(name) && line.contains(part));
        has("> SYM00000", ".") && has("  SYM00001", "ENTITLEMENT_DENIED")
    });
    terminal.keys("q");
    assert_eq!(terminal.wait().code(), Some(0));
}

#[test]
fn lines_and_a_screen_without_colours_are_there_for_the_asking() {
    let server = Service::simulated("market", 2, 50);
    let name = names(&server).swap_remove(0);
    for arguments in [&["--lines", "quote", "*"][..], &["quote", "*", "--count", "9"], &["bar.1s", "*"]] {
        let terminal = Terminal::start(&watch(server.address, arguments), 100, 10);
        terminal.wait_for(&format!("{name}  "));
        assert!(terminal.look(|screen| !screen.alternate_screen()), "{arguments:?}");
    }
    let mut command = watch(server.address, &[]);
    command.env("TERM", "dumb");
    let terminal = Terminal::start(&command, 100, 10);
    terminal.wait_for(&format!("{name}  "));
    assert!(terminal.look(|screen| !screen.alternate_screen()), "a dumb terminal cannot show one");
    for (value, is_colored) in [("", true), ("1", false)] {
        let mut command = watch(server.address, &["trade", &name]);
        command.env("NO_COLOR", value);
        let terminal = Terminal::start(&command, 100, 30);
        terminal.wait_until("something goes up or down", |text| text.contains('▲') || text.contains('▼'));
        let colors = terminal.look(|screen| {
            let (rows, columns) = screen.size();
            let cells = (0..rows.get()).flat_map(|row| (0..columns.get()).map(move |column| (row, column)));
            cells
                .filter_map(|(row, column)| screen.cell(row, column))
                .filter(|cell| {
                    cell.fgcolor() != vt100::Color::Default || cell.bgcolor() != vt100::Color::Default
                })
                .count()
        });
        assert_eq!(colors > 0, is_colored, "NO_COLOR={value:?}: {colors} coloured cells");
    }
}
