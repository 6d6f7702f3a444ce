//! Fixed boards on screens of several sizes.

use std::time::Duration;

use feeds::clock::monotonic;
use feeds::{Aggressor, Exponent, Level, Price, Size, Symbol, Timestamp, Trade};
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::buffer::Buffer;

use super::*;
use crate::cli::watch::board::{Ladder, Open};
use crate::cli::watch::instruments::Listed;
use crate::cli::watch::search::{Index, Search};
use crate::state::Quote;
use crate::topic::{Channel, Depth};

fn symbol(name: &str) -> Symbol {
    Symbol::new(name).expect("a symbol")
}

fn scale() -> (Exponent, Exponent) {
    (Exponent::new(-2).expect("an exponent"), Exponent::new(0).expect("an exponent"))
}

fn level(price: i64, size: i64) -> Level {
    Level { price: Price(price), size: Size(size) }
}

/// Two instruments: one that moves, one that is halted.
fn board() -> Board {
    let mut board = Board::new([symbol("AAPL"), symbol("MSFT")], Depth::D10);
    let text = |text: &str| Some(text.into());
    for (bid, ask) in [(18_910, 18_912), (18_911, 18_912)] {
        board.rows[0].quote(Quote { bid: Some(level(bid, 300)), ask: Some(level(ask, 20)) }, scale());
    }
    for last in ["189.12", "189.11"] {
        let percent = text("-0.0506");
        board.rows[0].ticker(&[("last", text(last)), ("change_percent", percent), ("volume", text("1200"))]);
    }
    board.rows[0].status(&[("state", text("trading")), ("reason", text(""))]);
    board.rows[1].status(&[("state", text("halted")), ("reason", text("news pending"))]);
    board
}

/// With the book and the trades of the first.
fn opened() -> Board {
    let mut board = board();
    let mut open = Open::new(symbol("AAPL"), [1, 2]);
    let (bids, asks) = ([level(18_911, 300), level(18_910, 40)], [level(18_912, 20)]);
    open.ladder = Some(Ladder::new(bids.into_iter(), asks.into_iter(), scale()));
    for (price, aggressor) in [(18_911, Aggressor::Sell), (18_912, Aggressor::Buy)] {
        let trade = Trade { price: Price(price), size: Size(7), aggressor, id: None };
        open.print(&trade, Timestamp(1_618_677_832_309_963_000), scale());
    }
    board.open = Some(open);
    board
}

fn drawn_as(
    board: &Board,
    view: &mut View,
    (width, height): (u16, u16),
    inks: Inks,
    is_paused: bool,
) -> Buffer {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).expect("infallible");
    let url = "ws://127.0.0.1:8080/v1/ws";
    let scene = Scene { board, url, terms: "json, not compressed", is_paused, now: monotonic() };
    terminal.draw(|frame| draw(frame, &scene, view, inks)).expect("infallible");
    terminal.backend().buffer().clone()
}

fn drawn(board: &Board, view: &mut View, size: (u16, u16)) -> String {
    text(&drawn_as(board, view, size, Inks { is_colored: true }, false))
}

/// Its lines, without the spaces at their ends.
fn text(buffer: &Buffer) -> String {
    let width = usize::from(buffer.area.width);
    let lines = buffer.content().chunks(width).map(|cells| {
        let line: String = cells.iter().map(|cell| cell.symbol()).collect();
        line.trim_end().to_owned()
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn a_small_screen_has_what_matters_most() {
    let mut view = View::new();
    view.has_latency = false;
    let expected = [
        " tickwire  ● live  2 as asked  ws://127.0.0.1:8080/v1/ws",
        "  SYMBOL        LAST          %       BID        ASK   STATE",
        "> AAPL        189.11▼   -0.0506    189.11▲    189.12   trading",
        "  MSFT             -          -         -          -   halted",
        "",
        "",
        "",
        "",
        "",
        "",
        "",
        " ? help  q leave  ↑↓ choose  Enter open  / add  d remove  s sort  p pause",
    ];
    assert_eq!(drawn(&board(), &mut view, (74, 12)), expected.join("\n"));
}

#[test]
fn book_and_trades_stand_below_the_list_or_beside_it() {
    for size in [(60, 15), (80, 24), (100, 30), (160, 30)] {
        let shown = drawn(&opened(), &mut View::new(), size);
        for part in [
            "> AAPL",
            "MSFT",
            "halted",
            " AAPL ",
            "spread 0.01",
            "book of 10",
            "300",
            "│ 189.12",
            "▲ buy ",
            "▼ sell",
        ] {
            assert!(shown.contains(part), "no {part:?} at {size:?}:\n{shown}");
        }
        assert_eq!(shown.contains("16:43:52.309"), size.0 > 60, "{shown}");
        assert!(shown.lines().all(|line| Span::raw(line).width() <= usize::from(size.0)), "{shown}");
    }
    let wide = drawn(&opened(), &mut View::new(), (160, 30));
    let beside = wide.lines().find(|line| line.contains("SYMBOL")).expect("a list");
    assert!(beside.contains("book of 10"), "{wide}");
}

#[test]
fn figures_are_there_where_there_is_room() {
    let mut board = opened();
    board.latency.stats.merges = 12;
    board.latency.stats.updates = 3_400;
    board.latency.rates.extend([10, 20, 1_234]);
    board.latency.came(Timestamp(1_000_000_000), Timestamp(1_002_500_000));
    let shown = drawn(&board, &mut View::new(), (100, 30));
    for part in [
        "age p50 2.",
        "round trip -",
        "updates/s 1,234",
        "conflated 12 of 3,400",
        "by json, not compressed",
        "█",
    ] {
        assert!(shown.contains(part), "no {part:?}:\n{shown}");
    }
    assert!(!drawn(&board, &mut View::new(), (60, 15)).contains("updates/s"));
    board.open = None;
    assert!(drawn(&board, &mut View::new(), (60, 15)).contains("updates/s"));
    let mut view = View::new();
    view.has_latency = false;
    assert!(!drawn(&board, &mut view, (100, 30)).contains("updates/s"));
    board.latency = Latency::new();
    board.latency.came(Timestamp(1), Timestamp(i64::MAX));
    assert!(drawn(&board, &mut View::new(), (100, 30)).contains("age none: times of another clock"));
}

#[test]
fn what_is_not_current_says_so() {
    let mut board = opened();
    board.is_delayed = true;
    let paused = text(&drawn_as(&board, &mut View::new(), (100, 30), Inks { is_colored: false }, true));
    assert!(paused.contains("paused") && paused.contains("delayed data"), "{paused}");

    let since = monotonic().checked_sub(Duration::from_secs(5)).expect("a machine that runs for longer");
    board.link = Link::Lost { why: "connection lost: ended".to_owned(), since };
    board.latency.stats.connect_failures = 3;
    let lost = drawn(&board, &mut View::new(), (100, 30));
    assert!(lost.contains("✗ no connection for 5 s") && !lost.contains("live"), "{lost}");
    assert!(lost.contains("connection lost: ended; connecting anew (3 attempts failed)"), "{lost}");

    let mut board = opened();
    board.rows[0].doubt(Channel::Book(Depth::D10));
    let open = board.open.as_mut().expect("it is open");
    open.doubt = Some("another book: checksum 1, the server's 2".to_owned());
    open.lost = 4;
    let doubted = drawn(&board, &mut View::new(), (200, 30));
    for part in ["unproven", "another book: checksum 1, the server's 2; asking anew", "4 lost"] {
        assert!(doubted.contains(part), "no {part:?}:\n{doubted}");
    }
    let mut board = opened();
    board.open = Some(Open::new(symbol("MSFT"), [1, 2]));
    let waiting = drawn(&board, &mut View::new(), (100, 30));
    for part in ["halted: news pending", "waiting for the book", "waiting for a trade"] {
        assert!(waiting.contains(part), "no {part:?}:\n{waiting}");
    }
    let open = board.open.as_mut().expect("it is open");
    open.refused = ["ENTITLEMENT_DENIED", "UNKNOWN_CHANNEL"].map(|code| Some(code.to_owned()));
    let refused = drawn(&board, &mut View::new(), (100, 30));
    assert!(
        refused.contains("no book: ENTITLEMENT_DENIED") && refused.contains("no trades: UNKNOWN"),
        "{refused}"
    );
}

#[test]
fn colours_say_nothing_that_signs_do_not() {
    let of = |is_colored| drawn_as(&opened(), &mut View::new(), (100, 30), Inks { is_colored }, false);
    let (colored, plain) = (of(true), of(false));
    assert_eq!(text(&colored), text(&plain));
    let inked = |buffer: &Buffer| {
        buffer.content().iter().filter(|cell| cell.fg != Color::Reset || cell.bg != Color::Reset).count()
    };
    assert!(inked(&colored) > 0 && inked(&plain) == 0);
}

#[test]
fn a_search_and_the_keys_lie_over_it() {
    let listed = |name: &str| Listed { symbol: symbol(name), place: "NASDAQ USD".to_owned() };
    let names: Vec<String> = (0..60).map(|number| format!("MS{number:02}")).collect();
    let mut view = View::new();
    view.search = Some(Search::default());
    assert!(drawn(&board(), &mut view, (60, 15)).contains("asking for the instruments"));
    view.index = Index::Known(names.iter().map(|name| listed(name)).chain([listed("MSFT")]).collect());
    let search = view.search.as_mut().expect("it is open");
    "ms".chars().for_each(|letter| search.put(letter));
    for _ in 0..100 {
        search.next(&view.index);
    }
    for size in [(60, 15), (50, 10), (120, 40)] {
        let shown = drawn(&board(), &mut view, size);
        for part in ["/ MS", "> ✓ MSFT", "  MS59", "NASDAQ USD", "61 instruments"] {
            assert!(shown.contains(part), "no {part:?} at {size:?}:\n{shown}");
        }
        assert!(!shown.contains("MS00"), "the chosen one is in sight, and so not the first:\n{shown}");
    }
    view.index = Index::Failed("the server answers 403".to_owned());
    assert!(
        drawn(&board(), &mut view, (80, 24))
            .contains("type the whole name: no list (the server answers 403)")
    );
    view.search = None;
    view.has_help = true;
    let help = drawn(&board(), &mut view, (60, 15));
    assert!(help.contains("choose an instrument") && help.contains("Ctrl-C  leave"), "{help}");
}

#[test]
fn a_screen_that_is_too_small_says_so_and_no_size_is_too_odd() {
    for size in [(49, 10), (50, 9), (30, 6)] {
        let shown = drawn(&opened(), &mut View::new(), size);
        assert!(shown.contains(&format!("too small: {}×{}", size.0, size.1)), "{shown}");
    }
    let mut view = View::new();
    view.search = Some(Search::default());
    for width in (1..60).chain([200, 500]) {
        for height in (1..20).chain([100]) {
            view.has_help = !view.has_help;
            let shown = drawn(&opened(), &mut view, (width, height));
            assert_eq!(shown.split('\n').count(), usize::from(height));
        }
    }
    let none = drawn(&Board::new([], Depth::D10), &mut View::new(), (60, 15));
    assert!(none.contains("Press / to search for one"), "{none}");
}

#[test]
fn numbers_are_whole_or_cut_in_sight() {
    assert_eq!(fitted("12.50", 7, true), "  12.50");
    assert_eq!(fitted("12.50", 7, false), "12.50  ");
    assert_eq!(fitted("123456.50", 6, true), "12345…");
    assert_eq!(fitted("株式会社", 6, false), "株式… ");
    assert_eq!(fitted("ab", 0, false), "");
    let mut board = board();
    let long = "1234567890123456789.123456789";
    board.rows[0].ticker(&[("last", Some(long.into()))]);
    let wide = drawn(&board, &mut View::new(), (120, 20));
    assert!(wide.contains(long), "{wide}");
    let narrow = drawn(&board, &mut View::new(), (50, 20));
    assert!(
        narrow.contains(long) || !narrow.contains("123456"),
        "a part of it would be another number:\n{narrow}"
    );
}

#[test]
fn what_a_server_sends_cannot_break_the_screen() {
    let mut board = opened();
    let odd = "\u{1b}[31m株式\u{202e}👨‍👩‍👧\u{7}\r\n";
    board.rows[1].status(&[("state", Some(odd.into())), ("reason", Some(odd.into()))]);
    board.rows[1].ticker(&[("last", Some(odd.into()))]);
    board.rows[0].refuse(odd);
    let width = 120;
    let buffer = drawn_as(&board, &mut View::new(), (width, 24), Inks { is_colored: true }, false);
    assert!(buffer.content().iter().all(|cell| !cell.symbol().contains(char::is_control)));
    let shown = text(&buffer);
    assert!(shown.contains("> AAPL") && !shown.contains('\u{202e}'), "{shown}");
}
